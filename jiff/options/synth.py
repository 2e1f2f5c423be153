"""Options of ``jiff data synth``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from jiff.base.config import option
from jiff.base.errors import UsageError
from jiff.options.work import WorkOptions

LEAST_TRIANGLES = 35_000


LEAST_TEXTURE = 256


@dataclass(frozen=True)
class SynthConfig(WorkOptions):
    """What ``run_synth`` makes."""

    out: Path = option(help="Folder that receives one folder per person.", flags=("-o",))
    count: int = option(10, help="Number of people.", flags=("-n",))
    seed: int = option(0, help="Decides the people; person i depends on the seed and i alone.")
    triangles: int = option(150_000, help="About how many triangles per scan, from 35,000.")
    texture_size: int = option(2048, help="Side of the texture in pixels, a power of two.")
    poses: Literal["varied", "standing"] = option(
        "varied",
        help="Varied: 60 % everyday standing and walking, the rest sitting, kneeling, climbing, jumping, running, dancing; some "
        "wear glasses, a hat, a bag, a long coat, garments too large or a beard; standing: only standing and walking with the arms hanging, as of sets made before there was a choice.",
    )
    overwrite: bool = option(False, help="Make complete scans again.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.count < 1:
            raise UsageError(f"-n {self.count}: at least one person must be made; give a positive number.")
        if self.seed < 0:
            raise UsageError(f"--seed {self.seed}: seeds start at 0; give a number that is not negative.")
        if not LEAST_TRIANGLES <= self.triangles <= 400_000:
            raise UsageError(
                f"--triangles {self.triangles}: people are made of {LEAST_TRIANGLES} to 400000 triangles; choose within."
            )
        size = self.texture_size
        if size < LEAST_TEXTURE or size > 8192 or size & (size - 1):
            raise UsageError(f"--texture-size {size}: must be a power of two from 256 to 8192, such as 2048.")
