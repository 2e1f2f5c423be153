"""``BODY/<subject>/views.npz``: what the fit to a photo makes of the views of a subject, beside the subject's body.

These are the errors that a network meets at test time: it is trained with them, not with made-up noise.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from jiff.base.errors import DatasetError
from jiff.base.files import atomic_path
from jiff.body.legs import leg_changes, leg_value
from jiff.body.placed import PlacedBody
from jiff.body.skeleton import JOINTS, JointPose

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

FORMAT = 2
_J = len(JOINTS)


@dataclass(eq=False)
class ViewBody:
    """The fit to one view.

    Attributes:
        view: its name.
        refused: why it must not be used, empty where it may.
        body: in the set's world, turned back by the view's turn; its depth in the view is a guess. None where nothing
            could be fitted. Nobody looks for hands in views: neither bends of single fingers nor sizes of hands are kept.
        rotation: [3, 3] world to camera axes.
        joints: [21, 3] world.
        joint_sigma: [21, 3] standard deviations of the joints from the root along the camera's axes, world units.
        turns_sigma: [21] standard deviations of the rotations, radians.
    """

    view: str
    refused: str
    body: PlacedBody | None
    rotation: NDArray[np.float64]
    joints: NDArray[np.float64] = field(default_factory=lambda: np.full((_J, 3), np.nan))
    joint_sigma: NDArray[np.float64] = field(default_factory=lambda: np.full((_J, 3), np.nan))
    turns_sigma: NDArray[np.float64] = field(default_factory=lambda: np.full(_J, np.nan))

    @property
    def accepted(self) -> bool:
        """Whether the body may be used."""
        return self.body is not None and not self.refused


_OWN = [item.name for item in fields(ViewBody) if item.name not in ("view", "refused", "body")]


def write_view_bodies(path: Path, views: list[ViewBody], phenotypes: tuple[str, ...]) -> None:
    """Write fits atomically; numbers of views without a body are NaN.

    Args:
        path: the file.
        views: at least one.
        phenotypes: names of those that fits tell.
    """

    def rows(values: list[Any], shape: tuple[int, ...]) -> NDArray[np.float64]:
        filled = [np.full(shape, np.nan) if value is None else np.asarray(value) for value in values]
        return np.stack([np.asarray(row, dtype=np.float64).reshape(shape) for row in filled])

    bodies = [view.body for view in views]
    arrays: dict[str, Any] = {
        "format": np.array(FORMAT),
        "view": np.array([view.view for view in views], dtype=np.str_),
        "accepted": np.array([view.accepted for view in views]),
        "refused": np.array([view.refused for view in views], dtype=np.str_),
        "turns": rows([b and b.pose.turns for b in bodies], (_J, 3)),
        "hands": rows([b and b.pose.hands for b in bodies], (2, 3)),
        "phenotype_names": np.array(phenotypes, dtype=np.str_),
        "phenotypes": rows([b and [b.phenotypes[n] for n in phenotypes] for b in bodies], (len(phenotypes),)),
        "legs": rows([b and leg_value(b.local_changes) for b in bodies], ()),
        "scale": rows([b and b.scale for b in bodies], ()),
        "offset": rows([b and b.offset_world for b in bodies], (3,)),
        **{name: np.stack([getattr(view, name) for view in views]) for name in _OWN},
    }
    with atomic_path(path) as temporary, open(temporary, "wb") as handle:
        np.savez(handle, **arrays)


def read_view_bodies(path: Path) -> list[ViewBody]:
    """Return the fits of a subject's views, in the order of the file; none where there is no file.

    Raises:
        DatasetError: the file is damaged or of another version.
    """
    if not path.is_file():
        return []
    try:
        with open(path, "rb") as handle, np.load(handle, allow_pickle=False) as stored:
            a = {name: stored[name] for name in stored.files}
        if int(a["format"]) != FORMAT:
            raise ValueError("format")
        names = [str(name) for name in a["phenotype_names"]]
        return [_view(a, k, names) for k in range(len(a["view"]))]
    except (OSError, ValueError, KeyError, IndexError, EOFError, zipfile.BadZipFile) as error:
        raise DatasetError(
            f"{path}: cannot be read as fitted bodies ({type(error).__name__}); delete it and run `jiff data body` again."
        ) from error


def _view(a: dict[str, NDArray[Any]], k: int, names: list[str]) -> ViewBody:
    body = None
    if np.isfinite(a["scale"][k]):
        body = PlacedBody(
            dict(zip(names, map(float, a["phenotypes"][k]))),
            JointPose(a["turns"][k], a["hands"][k]),
            float(a["scale"][k]),
            a["offset"][k],
            leg_changes(float(a["legs"][k])),
        )
    return ViewBody(str(a["view"][k]), str(a["refused"][k]), body, **{name: a[name][k] for name in _OWN})
