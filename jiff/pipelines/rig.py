"""``--rig``: a reconstructed mesh hung on the bones of the photo's body."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from jiff.base.errors import InputError, JiffError
from jiff.base.files import read_json
from jiff.body.anny_body import load_anny_body
from jiff.body.files import read_body
from jiff.body.rig import gap_cm, rig_mesh
from jiff.body.rig_bones import RIG_BONES
from jiff.body.rig_file import skinned_mesh
from jiff.geometry.camera import BODY_HEIGHT_WORLD
from jiff.options.body import BodyConfig
from jiff.pipelines.body import run_body

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from jiff.base.progress import Progress
    from jiff.body.placed import PlacedBody
    from jiff.geometry.io.skinned_glb import SkinnedMesh
    from jiff.geometry.mesh import Mesh
    from jiff.options.reconstruct import ReconstructConfig

FORMAT_VERSION = 1
"""Grows when the same mesh and body come to give another rig."""

_FARTHEST_CM = 8.0
"""Half of a surface lies nearer to the body in it, wide skirts and coats included; a body that was fitted wrongly does not."""


def body_file(crops: Path, name: str) -> Path:
    """Return where the body of a framed photo lies."""
    return crops / f"{name}_body.json"


def photo_body(path: Path) -> PlacedBody:
    """Return the body that was fitted to a photo, in the world of its reconstruction.

    Raises:
        InputError: there is none, or it was refused.
    """
    if not path.is_file():
        raise InputError(
            f"{path}: no body was fitted to this photo; run `jiff data body` on its folder first."
        )
    return read_body(path)


def photo_hands(path: Path) -> NDArray[np.bool_]:
    """Return [2] whether left and right hand of the body fitted to a photo lie on hands that the photo shows.

    They do where the 21 points of a hand are less than 1 cm off those seen in the picture's plane, on average, and none 4 cm or
    more, at a height of 180 cm, where the palm faces the same way, and where 60 % of the points lie in the photo. Bodies of
    earlier versions, and those fitted without the network of hands, have none.

    Args:
        path: as of ``photo_body``.

    Raises:
        InputError: the file is missing or damaged.
    """
    content = read_json(path)
    seen = content.get("hands_seen", [False, False]) if isinstance(content, dict) else None
    if not (isinstance(seen, list) and len(seen) == 2 and all(isinstance(value, bool) for value in seen)):
        raise InputError(f"{path}: does not tell which hands were seen; fit it again with `jiff data body`.")
    return np.array(seen)


@dataclass
class Rigging:
    """The rigs of one run.

    Attributes:
        config: options of the run.
        problems: photo -> why it has no rig.
        refused: photo -> why it has no body.
    """

    config: ReconstructConfig
    problems: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)

    @property
    def settings(self) -> dict[str, Any]:
        """What decides a rig besides mesh and body."""
        return {"format": FORMAT_VERSION, "names": self.config.bone_names, "walk": self.config.walk}

    def inputs(self, name: str) -> dict[str, Path]:
        """Return the files that decide a photo's rig, by their role."""
        return {"body": body_file(self.config.out / "crops", name)}

    def prepare(self, names: tuple[str, ...], progress: Progress) -> None:
        """Fit bodies to framed photos that have none; ``refused`` keeps why one could not be fitted."""
        crops = self.config.out / "crops"
        wanted = BodyConfig(input=crops, jobs=1, overwrite=self.config.overwrite, names=names)
        self.refused.update(run_body(wanted, progress).failures)

    def skinned(self, name: str, mesh: Mesh) -> SkinnedMesh | None:
        """Return the mesh on bones, None where the photo has no body that fits; ``problems`` then says why.

        Args:
            name: of the photo.
            mesh: in the world, 180 units per body height.
        """
        self.problems.pop(name, None)
        if name in self.refused:
            self.problems[name] = self.refused[name]
            return None
        try:
            placed = photo_body(body_file(self.config.out / "crops", name))
        except JiffError as error:
            self.problems[name] = str(error)
            return None
        body = load_anny_body()
        gap = gap_cm(mesh, placed, body)
        if gap > _FARTHEST_CM:
            self.problems[name] = (
                f"the body fitted to it lies {gap:.0f} cm off the surface; look at its overlay and fit it again."
            )
            return None
        rigged = rig_mesh(mesh, placed, body)
        metres = self.config.height_cm / 100.0 / BODY_HEIGHT_WORLD
        return skinned_mesh(rigged, metres, name=name, names=self.config.bone_names, walk=self.config.walk)

    def record(self, name: str) -> dict[str, Any]:
        """Return what the result's record says about the rig."""
        if name in self.problems:
            return {"problem": self.problems[name]}
        return {"bones": len(RIG_BONES), "names": self.config.bone_names, "walk": self.config.walk}
