"""Paths of a processed set, drop-in compatible with data made by the published scripts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from jiff.base.errors import DatasetError
from jiff.base.files import read_text


def view_name(yaw_deg: int, pitch_deg: int, light: int) -> str:
    """Return ``<yaw>_<pitch>_<light:02d>``, the stem of every per-view file."""
    return f"{yaw_deg}_{pitch_deg}_{light:02d}"


def parse_view_name(stem: str) -> tuple[int, int, int]:
    """Return (yaw_deg, pitch_deg, light) of a stem.

    Raises:
        DatasetError: the stem is not of that form.
    """
    parts = stem.split("_")
    try:
        yaw, pitch, light = (int(p) for p in parts)
    except ValueError as error:
        raise DatasetError(
            f"{stem}: is not a view name of the form YAW_PITCH_LIGHT; remove the file."
        ) from error
    return yaw, pitch, light


@dataclass(frozen=True)
class ProcessedSet:
    """The folders of a processed set.

    Attributes:
        root: the folder that holds RENDER, MASK, GEO and so on.
    """

    root: Path

    def render(self, subject: str, view: str) -> Path:
        """512-px shaded image (.jpg)."""
        return self.root / "RENDER" / subject / f"{view}.jpg"

    def render_hi(self, subject: str, view: str) -> Path:
        """1024-px shaded image (.jpg), used by fine colour."""
        return self.root / "RENDER_1024" / subject / f"{view}.jpg"

    def mask(self, subject: str, view: str) -> Path:
        """512-px mask (.png), 0 or 255."""
        return self.root / "MASK" / subject / f"{view}.png"

    def mask_hi(self, subject: str, view: str) -> Path:
        """1024-px mask (.png), 0 or 255."""
        return self.root / "MASK_1024" / subject / f"{view}.png"

    def param(self, subject: str, view: str) -> Path:
        """Camera and light of a view (.npy, pickled dict of plain numbers)."""
        return self.root / "PARAM" / subject / f"{view}.npy"

    def uv_render(self, subject: str, view: str) -> Path:
        """Shaded texture of a view (.jpg)."""
        return self.root / "UV_RENDER" / subject / f"{view}.jpg"

    def uv_mask(self, subject: str) -> Path:
        """Texels that belong to the surface (.png)."""
        return self.root / "UV_MASK" / subject / "00.png"

    def uv_normal(self, subject: str) -> Path:
        """Model-frame normals, (n + 1) / 2 (.png)."""
        return self.root / "UV_NORMAL" / subject / "00.png"

    def uv_pos(self, subject: str) -> Path:
        """Model-frame positions (.exr)."""
        return self.root / "UV_POS" / subject / "00.exr"

    def geometry(self, subject: str) -> Path:
        """The rescaled scan (.obj), world units."""
        return self.root / "GEO" / "OBJ" / subject / f"{subject}.obj"

    def face_region(self, subject: str) -> Path:
        """Face box, 512-px pixels of the frontal view (.txt)."""
        return self.root / "FACE_REGION" / subject / "0_0_00.txt"

    def face_mesh(self, subject: str) -> Path:
        """Fitted face model, frontal world frame, vertex colours (.obj)."""
        return self.root / "FACE_3DMM" / subject / "0_0_00_mesh.obj"

    def face_report(self, subject: str) -> Path:
        """Fit residuals and decision (.json)."""
        return self.root / "FACE_3DMM" / subject / "fit.json"

    def file_number(self, subject: str) -> Path:
        """Yaws usable for training, one per line (.txt)."""
        return self.root / "FILE_NUMBER" / subject / "number.txt"

    def body(self, subject: str) -> Path:
        """The subject's body, world frame (.json)."""
        return self.root / "BODY" / subject / "body.json"

    def body_mesh(self, subject: str) -> Path:
        """The same as a mesh (.obj)."""
        return self.root / "BODY" / subject / "body.obj"

    def body_views(self, subject: str) -> Path:
        """What the fit to a photo makes of every training view (.npz)."""
        return self.root / "BODY" / subject / "views.npz"

    def body_stamp(self, subject: str) -> Path:
        """With what the bodies of a subject were fitted (.json)."""
        return self.root / "STAMPS" / subject / "body.json"

    def render_stamp(self, subject: str) -> Path:
        """With what the subject was rendered (.json)."""
        return self.root / "STAMPS" / subject / "render.json"

    @property
    def caches(self) -> Path:
        """Folder of rebuildable binary data."""
        return self.root / "CACHE"

    def cache(self, subject: str) -> Path:
        """Folder of rebuildable binary data of a subject."""
        return self.caches / subject

    @property
    def val_list(self) -> Path:
        """Names of held-out subjects, one per line."""
        return self.root / "val.txt"

    @property
    def dataset_file(self) -> Path:
        """Camera, seeds, versions and per-stage completion."""
        return self.root / "dataset.yaml"

    def exists(self) -> bool:
        """Tell whether the folder is a processed set, be it one in which nobody was rendered yet."""
        return self.dataset_file.is_file() or any(
            (self.root / name).is_dir() for name in ("RENDER", "PARAM", "GEO")
        )

    def subjects(self, *, may_lack: bool = False) -> list[str]:
        """Return the names of all rendered subjects, sorted.

        Args:
            may_lack: others are still rendering them (shards): a set without subjects is no error.

        Raises:
            DatasetError: the folder is missing or holds no RENDER.
        """
        folder = self.root / "RENDER"
        if not self.root.is_dir():
            raise DatasetError(f"{self.root}: no such folder; give the folder of the processed set.")
        if not folder.is_dir():
            if may_lack and self.exists():
                return []
            raise DatasetError(
                f"{self.root}: holds no RENDER folder; run `jiff data render -i SCANS -o {self.root}` first."
            )
        names = sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
        if not names and not may_lack:
            raise DatasetError(f"{folder}: is empty; run `jiff data render` first.")
        return names

    def views(self, subject: str) -> list[str]:
        """Return the view names of a subject, sorted by yaw, pitch and light."""
        folder = self.root / "RENDER" / subject
        stems = [p.stem for p in folder.glob("*.jpg") if not p.name.startswith(".")]
        return sorted(stems, key=parse_view_name)

    def has_views(self, subject: str) -> bool:
        """Tell whether anything of the subject was rendered."""
        folder = self.root / "RENDER" / subject
        return folder.is_dir() and any(not path.name.startswith(".") for path in folder.glob("*.jpg"))

    def validation_subjects(self) -> list[str]:
        """Return the held-out subjects named in ``val.txt`` (none when it is absent)."""
        if not self.val_list.is_file():
            return []
        return [line.strip() for line in read_text(self.val_list).splitlines() if line.strip()]
