"""``jiff.fit_face``: a face model fitted to the face of a photo."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jiff.api.photos import frame, workshop
from jiff.api.shown import Shown
from jiff.base.errors import FitError
from jiff.data.face_record import read_record
from jiff.geometry.io.mesh_io import load_mesh
from jiff.options.face import FaceConfig
from jiff.options.face_models import DEFAULT_FACE_MODEL
from jiff.options.frame import PhotoOptions
from jiff.pipelines.face import run_face

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from jiff.api.photos import MaskLike, PhotoLike
    from jiff.base.progress import Progress
    from jiff.face.fit.face_pose import FacePose
    from jiff.geometry.mesh import Mesh
    from jiff.photo.test_folder import PersonFiles


@dataclass(frozen=True, eq=False, repr=False)
class FittedFace(Shown):
    """The face in a photo. The world is the framed photo's: y up, the viewer at +z, the person 180 units tall if upright.

    Attributes:
        mesh: the face model [V, 3] with vertex colours [V, 3] of the photo, world units.
        model: name of the face model.
        pose: scale, rotation [3, 3], offset [3], identity [K] and expression [E] coefficients; None for a mesh of the user's.
        quality: name -> measurement: ``yaw_deg``, ``pitch_deg``, ``roll_deg``, ``landmark_px``, ``points`` (cm) and others.
        evidence: what the fit rests on.
        world_to_photo: [2, 4] world points (x, y, z, 1) to continuous pixels of the photo.
        flags: what a user should know, one sentence each.
    """

    mesh: Mesh
    model: str
    pose: FacePose | None
    quality: dict[str, Any]
    evidence: str
    world_to_photo: NDArray[np.float64]
    flags: tuple[str, ...] = ()


def read_fitted_face(
    person: PersonFiles, world_to_photo: NDArray[np.float64], flags: tuple[str, ...] = ()
) -> FittedFace:
    """Return the face that ``run_face`` wrote.

    Raises:
        InputError: there is none.
    """
    record = read_record(person.fit)
    mesh = load_mesh(person.face_mesh, texture=False)
    return FittedFace(mesh, record.model, record.pose, record.quality, record.evidence, world_to_photo, flags)


def fit_face(
    photo: PhotoLike,
    mask: MaskLike | None = None,
    *,
    model: str = DEFAULT_FACE_MODEL,
    person: int | None = None,
    partial: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> FittedFace:
    """Fit a face model to the face of a photo, as ``jiff data frame`` and ``jiff data face`` do.

    Example::

        face = jiff.fit_face("photo.jpg")
        print(face.quality["yaw_deg"], face.pose.expression)
        jiff.save_mesh(face.mesh, "face.ply")

    Args:
        photo: picture file, or RGB(A) pixels [H, W, 3 or 4] uint8.
        mask: file, or [H, W] bool or uint8 of the upright photo's size; else the one beside the file, its alpha channel,
            or what the networks find.
        model: name of a face model (``jiff data face --help`` lists them).
        person: which one from the left, where the photo shows several.
        partial: take people of whom head or feet are outside the photo.
        progress: where to report; nowhere without it.
        **options: ``detector_model``, ``matting_model``, ``matting_kind`` of ``jiff data frame``.

    Returns:
        The face.

    Raises:
        ImageError: the photo cannot be read, or shows nobody, several people, or a part of one.
        FitError: no face is seen, or none fits well enough.
        UsageError: an unknown face model.
        AssetError: a file of the face model or detector is missing.
    """
    with workshop(photo, mask, progress) as work:
        framed = frame(work, PhotoOptions(person=person, partial=partial, **options))
        name, folder = framed.person.name, framed.person.image.parent
        detector = options.get("detector_model")
        config = FaceConfig(
            input=folder, model=model, detector_model=detector, names=(name,), overlays=False, jobs=1
        )
        report = run_face(config, work.progress)
        if name in report.failures:
            cause = RuntimeError(report.details[name]) if name in report.details else None
            raise FitError(report.failures[name]) from cause
        return read_fitted_face(framed.person, framed.world_to_photo, work.flags(*framed.record["notes"]))
