"""What the demo makes, and where everything of it lies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


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

    @property
    def photos(self) -> Path:
        """Photos of synthetic people for the prior-held network."""
        return self.root / "photos"

    @property
    def person_run(self) -> Path:
        """The run of the prior-held network."""
        return self.checkpoints / "person"

    @property
    def held(self) -> Path:
        """Meshes by the prior-held network that the demo trains."""
        return self.root / "held"

    @property
    def installed(self) -> Path:
        """Meshes by the prior-held network that is installed with jiff."""
        return self.root / "installed"

    def measured(self, method: str) -> Path:
        """Folder of the measurements of ``method`` (pifu, jiff, held or installed)."""
        return self.root / "measured" / method

    @property
    def times(self) -> Path:
        """Seconds and memory of each stage."""
        return self.root / "stages.json"

    @property
    def metrics(self) -> Path:
        """The numbers of all methods."""
        return self.root / "metrics.json"

    @property
    def report(self) -> Path:
        """The page to look at."""
        return self.root / "report.html"
