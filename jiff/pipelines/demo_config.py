"""What the demo makes, and where everything of it lies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from jiff.config import option
from jiff.errors import UsageError


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
    device: str = option("auto", help="auto, cpu, cuda or mps.")
    seed: int = option(0, help="Seed of the people, the lights and the training.", min=0)
    jobs: int = option(0, help="Processes for data preparation; 0 is one per core.", flags=("-j",), min=0)

    def __post_init__(self) -> None:
        if self.held_out >= self.people:
            raise UsageError(
                f"--held-out {self.held_out} leaves nobody to train on; it must be smaller than --people {self.people}."
            )


@dataclass(frozen=True)
class DemoPaths:
    """Where the parts of a demo lie.

    Attributes:
        root: the demo's folder.
    """

    root: Path

    @property
    def scans(self) -> Path:
        """Raw scans, metres."""
        return self.root / "scans"

    @property
    def rescaled(self) -> Path:
        """Scans at 180 units with PRT beside them."""
        return self.root / "rescaled"

    @property
    def data(self) -> Path:
        """The processed set."""
        return self.root / "data"

    @property
    def checkpoints(self) -> Path:
        """Folder of runs."""
        return self.root / "checkpoints"

    @property
    def run_name(self) -> str:
        """Name of the run inside ``checkpoints``."""
        return "demo"

    @property
    def run(self) -> Path:
        """The run with shape, color_coarse and color_fine."""
        return self.checkpoints / self.run_name

    @property
    def test(self) -> Path:
        """Images and masks of the held-out people."""
        return self.root / "test"

    @property
    def pifu(self) -> Path:
        """Meshes without the face prior."""
        return self.root / "pifu"

    @property
    def jiff(self) -> Path:
        """Meshes with the face prior."""
        return self.root / "jiff"

    def measured(self, method: str) -> Path:
        """Folder of the measurements of ``method`` (pifu or jiff)."""
        return self.root / "measured" / method

    @property
    def times(self) -> Path:
        """Seconds and memory of each stage."""
        return self.root / "stages.json"

    @property
    def metrics(self) -> Path:
        """The numbers of both methods."""
        return self.root / "metrics.json"

    @property
    def report(self) -> Path:
        """The page to look at."""
        return self.root / "report.html"
