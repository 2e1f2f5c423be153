"""Options of ``jiff data render``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from jiff.base.config import option
from jiff.options.work import WorkOptions

_VIEWS, _LIGHT, _OUTPUT = "Views", "Light", "Output"


@dataclass(frozen=True)
class RenderConfig(WorkOptions):
    """Options of ``run_render``."""

    input: Path = option(help="Folder of rescaled scans with PRT.", flags=("-i",))
    out: Path = option(help="Processed set to write.", flags=("-o",), aliases=("--out-dir",))
    size: int = option(
        512, help="Width and height of RENDER, MASK and the UV maps, pixels.", flags=("-s",), min=16, max=4096,
        panel=_VIEWS,
    )  # fmt: skip
    high_size: int = option(
        1024, help="Width and height of the images for fine colour, pixels; 0 leaves them out.", min=0, max=8192,
        panel=_VIEWS,
    )  # fmt: skip
    samples: int = option(
        1,
        help="Rays per pixel (antialiasing).",
        flags=("-m",),
        aliases=("--ms-rate",),
        min=1,
        max=256,
        panel=_VIEWS,
    )
    yaw_step: int = option(1, help="Degrees between views; 1 makes 360.", min=1, max=360, panel=_VIEWS)
    yaws: tuple[int, ...] | None = option(None, help="Exactly these yaws, degrees, instead.", panel=_VIEWS)
    pitches: tuple[int, ...] = option((0,), help="Pitches, degrees.", panel=_VIEWS)
    lights: int = option(1, help="Pictures per view, each under its own light.", min=1, max=99, panel=_LIGHT)
    env_sh: Path | None = option(
        None, help="File of environments (N, 9, 3) in place of generated ones.", panel=_LIGHT
    )
    environments: int = option(128, help="How many environments to generate.", min=1, max=4096, panel=_LIGHT)
    light_rotation: float | None = option(
        None, help="Turn of the environment, degrees, 0 for none; drawn within 18 degrees without it.",
        aliases=("--light-rotation-deg",), panel=_LIGHT,
    )  # fmt: skip
    uv_render: bool = option(True, help="Write UV_RENDER, the colour stages' targets.", panel=_OUTPUT)
    egl: bool = option(False, help="Use pyrender on a GPU (pip install 'jiff[gl]').", flags=("-e",))
    val_fraction: float = option(
        0.05, help="Share of subjects held out in val.txt.", min=0, max=1, panel=_OUTPUT
    )
    val_subjects: tuple[str, ...] = option((), help="Hold out exactly these subjects.", panel=_OUTPUT)
    seed: int = option(0, help="Seed of lights and held-out subjects.", min=0)
    overwrite: bool = option(False, help="Draw again what is complete.")
