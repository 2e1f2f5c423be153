"""Options of ``jiff demo``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from jiff.base.config import option
from jiff.base.errors import UsageError
from jiff.options.device import device_option


@dataclass(frozen=True)
class DemoConfig:
    """The whole job on free embedded data, sized for two processor cores and a quarter of an hour.

    Attributes are options of ``jiff demo``; every stage runs the same function as its own command.
    """

    out: Path = option(Path("jiff-demo"), help="Folder for everything the demo writes.", flags=("-o",))
    people: int = option(48, help="Synthetic people to scan.", flags=("-n",), min=2, panel="Size")
    held_out: int = option(
        6,
        help="People of these that no network sees in training; they are reconstructed and measured.",
        min=1,
        panel="Size",
    )
    network: Literal["demo", "tiny"] = option(
        "demo", help="Size of the networks and images; tiny only proves that everything runs.", panel="Size"
    )
    yaw_step: int = option(
        30, help="Degrees between the rendered views of a person.", min=1, max=180, panel="Size"
    )
    shape_steps: int = option(3600, help="Training steps of the shape network.", min=1, panel="Size")
    color_coarse_steps: int = option(
        600, help="Training steps of the coarse colour network.", min=1, panel="Size"
    )
    color_fine_steps: int = option(
        600, help="Training steps of the fine colour network.", min=1, panel="Size"
    )
    person_people: int = option(
        16, help="Synthetic people photographed for the prior-held network.", min=2, panel="Size"
    )
    person_steps: int = option(300, help="Training steps of the prior-held network.", min=1, panel="Size")
    resolution: int = option(
        256, help="Cells along the edge of the reconstruction grid.", min=16, panel="Size"
    )
    triangles: int = option(60_000, help="Triangles of a scan, about.", min=35_000, panel="Size")
    texture_size: int = option(
        1024, help="Side of a scan's texture, pixels; a power of two.", min=256, panel="Size"
    )
    detector_model: Path | None = option(
        None, help="YuNet face detector (.onnx); OpenCV's Haar cascades find the faces without it."
    )
    device: str = device_option()
    seed: int = option(0, help="Seed of the people, the lights and the training.", min=0)
    jobs: int = option(0, help="Processes for data preparation; 0 is one per core.", flags=("-j",), min=0)

    def __post_init__(self) -> None:
        if self.held_out >= self.people:
            raise UsageError(
                f"--held-out {self.held_out} leaves nobody to train on; it must be smaller than --people {self.people}."
            )
