"""``jiff.fit_body``: anny fitted to the person of a photo."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jiff.api.photos import Framed, Workshop, frame, workshop
from jiff.api.shown import Shown
from jiff.base.errors import FitError
from jiff.base.files import read_json
from jiff.body.files import read_body
from jiff.body.skeleton import JOINTS
from jiff.geometry.io.mesh_io import load_mesh
from jiff.options.body import BodyConfig
from jiff.options.frame import PhotoOptions
from jiff.pipelines.body import run_body
from jiff.pipelines.rig import photo_hands

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.api.photos import MaskLike, PhotoLike
    from jiff.base.progress import Progress
    from jiff.body.placed import PlacedBody
    from jiff.geometry.mesh import Mesh
    from jiff.photo.test_folder import PersonFiles


@dataclass(frozen=True, eq=False, repr=False)
class FittedBody(Shown):
    """The body in a photo. The world is the framed photo's: y up, the viewer at +z, the person 180 units tall if upright.

    Attributes:
        placed: shape, pose and place as anny's parameters.
        mesh: skin, eyes and tongue, world units.
        vertices_world: [19158, 3] float32 all vertices of anny, helper geometry included, world units.
        joints_world: [21, 3] joints in the order of ``joint_names``, world units.
        joint_sigma_world: [21, 3] standard deviations of the joints from the root, world units; z is the least certain.
        residuals: name -> number, of which those named ``..._of_height`` are shares of the body's height.
        world_to_photo: [2, 4] world points (x, y, z, 1) to continuous pixels of the photo.
        flags: what a user should know, one sentence each.
        hands_seen: whether the left and the right hand lie on hands that the photo shows, their fingers bent alike.
    """

    placed: PlacedBody
    mesh: Mesh
    vertices_world: NDArray[np.float32]
    joints_world: NDArray[np.float64]
    joint_sigma_world: NDArray[np.float64]
    residuals: dict[str, float]
    world_to_photo: NDArray[np.float64]
    flags: tuple[str, ...] = ()
    hands_seen: tuple[bool, bool] = (False, False)

    @property
    def joint_names(self) -> tuple[str, ...]:
        """The 21 joints; ``.L`` and ``.R`` are the subject's own left and right."""
        return JOINTS

    def joint(self, name: str) -> NDArray[np.float64]:
        """Return [3] the place of a joint, world units.

        Raises:
            KeyError: no joint of that name.
        """
        if name not in JOINTS:
            raise KeyError(f"{name!r} is not a joint; choose from {', '.join(JOINTS)}")
        return self.joints_world[JOINTS.index(name)]


def read_fitted_body(
    person: PersonFiles, world_to_photo: NDArray[np.float64], flags: tuple[str, ...] = ()
) -> FittedBody:
    """Return the body that ``run_body`` wrote.

    Raises:
        InputError: there is none.
    """
    placed, record = read_body(person.body), read_json(person.body)
    with np.load(person.body_arrays) as arrays:
        vertices, joints = arrays["vertices_world"], arrays["joints_world"]
        sigma = arrays["joint_sigma_world"]
    residuals = {str(name): float(value) for name, value in record.get("residuals", {}).items()}
    said = tuple(dict.fromkeys([*flags, *map(str, record.get("notes", []))]))
    mesh = load_mesh(person.body_mesh, texture=False)
    left, right = photo_hands(person.body)
    hands = bool(left), bool(right)
    return FittedBody(placed, mesh, vertices, joints, sigma, residuals, world_to_photo, said, hands)


def body_of(work: Workshop, framed: Framed) -> FittedBody:
    """Fit the body of a framed photo, where that was not done already.

    Raises:
        FitError: no body fits well enough.
        AssetError: the body's data cannot be read.
    """
    person = framed.person
    config = BodyConfig(input=person.image.parent, names=(person.name,), overlays=False, jobs=1)
    report = run_body(config, work.progress)
    if person.name in report.failures:
        cause = RuntimeError(report.details[person.name]) if person.name in report.details else None
        raise FitError(report.failures[person.name]) from cause
    notes = tuple(map(work.plain, framed.record.get("notes", [])))
    return read_fitted_body(person, framed.world_to_photo, notes)


def fit_body(
    photo: PhotoLike,
    mask: MaskLike | None = None,
    *,
    person: int | None = None,
    partial: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> FittedBody:
    """Fit a body to the person of a photo, as ``jiff data frame`` and ``jiff data body`` do.

    Example::

        body = jiff.fit_body("photo.jpg")
        wrist = body.joint("wrist.L")  # [3], world units (1/180 of the height, about 1 cm)
        jiff.save_mesh(body.mesh, "body.obj")

    Args:
        photo: picture file, or RGB(A) pixels [H, W, 3 or 4] uint8.
        mask: file, or [H, W] bool or uint8 of the upright photo's size; else the one beside the file, its alpha channel,
            or what the networks find.
        person: which one from the left, where the photo shows several.
        partial: take people of whom head or feet are outside the photo.
        progress: where to report; nowhere without it.
        **options: ``detector_model``, ``matting_model``, ``matting_kind`` of ``jiff data frame``.

    Returns:
        The body.

    Raises:
        ImageError: the photo cannot be read, or shows nobody, several people, or a part of one.
        FitError: no body fits well enough, or the networks that see people are not there.
        AssetError: a file that is needed is missing.
    """
    with workshop(photo, mask, progress) as work:
        return body_of(work, frame(work, PhotoOptions(person=person, partial=partial, **options)))
