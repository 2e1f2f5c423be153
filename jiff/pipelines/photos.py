"""``jiff data photos``: synthetic people photographed, seen and fitted as users' photos are, for prior-held networks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from jiff.base.errors import AssetError, FitError
from jiff.base.files import atomic_folder, make_folder, write_json
from jiff.body.fit.fitting import BodyFitter
from jiff.data.person_view import PersonView, write_view
from jiff.data.view_labels import label_view
from jiff.face.detect.points_detector import detection_of
from jiff.face.fit.seen_fit import close_up_in, fit_seen, seen_refusal
from jiff.face.models.anny_face import load_anny_face
from jiff.face.models.anny_on_body import face_places, with_face
from jiff.face.models.registry import load_model_points
from jiff.geometry.camera import Camera
from jiff.options.photos import PhotosConfig
from jiff.perception.crop import Crop
from jiff.perception.files import VERSION, ensure_networks, find_networks
from jiff.perception.mask import person_mask, with_seen_face
from jiff.perception.people import person_in, see_face
from jiff.photo.observed import look_at
from jiff.photo.view_inputs import view_inputs
from jiff.pipelines.people import RECORD, judge_person, make_people, person_name, refuse_other
from jiff.run.stage import Stamp, Verdict
from jiff.synthetic.scan_files import warm_up
from jiff.synthetic.sitter import TRIANGLES, Sitter
from jiff.synthetic.snapshot import take_snapshot

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from jiff.base.progress import Progress
    from jiff.body.placed import PlacedBody
    from jiff.perception.landmarks import FacePoints, Pose
    from jiff.perception.networks import PersonNetworks
    from jiff.run.parallel import WorkReport
    from jiff.synthetic.snapshot import Snapshot

WORKER_GIB = 1.5
"""Most memory of a process."""
_FORMAT = 6
_SIZES = (384, 512, 768, 1024)
_LEAST_IOU = 0.88
"""A found mask that shares less with the true one is replaced by the true one, as users would."""
_TRIES = 4
_FACE_MARGIN = 1.4


@dataclass(frozen=True)
class _Job:
    folder: Path
    seed: int
    views: int
    texture_size: int

    def stamp(self) -> Stamp:
        settings = {
            "seed": self.seed, "views": self.views, "texture_size": self.texture_size, "networks": VERSION,
        }  # fmt: skip
        return Stamp("photos", _FORMAT, settings, {})


def view_path(folder: Path, number: int) -> Path:
    """Return the file of a person's photo ``number``."""
    return folder / f"view_{number}.npz"


def _is_complete(job: _Job) -> Verdict:
    return judge_person(job.folder, job.stamp(), job.views, view_path)


def run_photos(config: PhotosConfig, progress: Progress) -> WorkReport:
    """Write photos of synthetic people with what is seen in them, fitted to them and true of them.

    Per person ``<name>/view_<k>.npz`` (see ``PersonView``) and ``person.json``; ``val.txt`` lists who is held out.

    Raises:
        AssetError: the networks that see people, or the body's data, are missing.
        OutputError: the folder cannot be written.
        UsageError: it holds photos of the other kind.
    """
    config = config.located()
    refuse_other(config.out, "normals_*.npz", "jiff data normals")
    make_folder(config.out)
    if ensure_networks(progress) is None:
        raise AssetError("The networks that see people are missing; run `jiff assets fetch perception`.")
    jobs = [
        _Job(config.out / person_name(i), config.seed + i, config.views, config.texture_size)
        for i in range(config.people)
    ]
    if not all(_is_complete(job) for job in jobs):
        warm_up(TRIANGLES, config.texture_size)
        _tools()
    return make_people(
        config, {job.folder.name: job for job in jobs}, make_person, _is_complete, WORKER_GIB, progress
    )


@lru_cache(maxsize=1)
def _tools() -> tuple[PersonNetworks, BodyFitter]:
    networks = find_networks()
    if networks is None:
        raise AssetError("The networks that see people are missing; run `jiff assets fetch perception`.")
    return networks, BodyFitter(face=face_places())


def make_person(job: _Job) -> dict[str, Any]:
    """Make all views of one person; return a plain summary."""
    sitter = Sitter(job.seed, job.texture_size)
    made, tried, faces = 0, 0, 0
    with atomic_folder(job.folder) as temporary:
        while made < job.views and tried < _TRIES * job.views:
            rng = np.random.default_rng([job.seed, 31, tried])
            tried += 1
            found = make_view(sitter, rng)
            if found is not None:
                view, face = found
                write_view(view_path(temporary, made), view)
                made, faces = made + 1, faces + face
        if made == 0:
            raise FitError(f"{job.folder}: in none of {tried} photos somebody was seen whom a body fits.")
        write_json(
            temporary / RECORD, {"stamp": job.stamp().taken(job.folder), "views": made, "faces": faces}
        )
    return {"views": made, "faces": faces, "tried": tried}


@dataclass(frozen=True, eq=False)
class Photographed:
    """A photo of a sitter, and what was found in it.

    Attributes:
        photo: the picture, its light and the posed person.
        true: the body below the clothes.
        mask: [S, S] uint8 as the networks find it.
        body: fitted, without the photo's face.
        face: identity and expression as fitted; None where that was refused.
    """

    photo: Snapshot
    true: PlacedBody
    mask: NDArray[np.uint8]
    body: PlacedBody
    face: tuple[NDArray[np.float64], NDArray[np.float64]] | None


def make_view(sitter: Sitter, rng: np.random.Generator) -> tuple[PersonView, bool] | None:
    """Return a photo of a person in a drawn pose and whether its face was fitted; None where nobody is seen, or no body fits."""
    found = photograph(sitter, rng)
    return None if found is None else (label_photo(found, rng), found.face is not None)


def photograph(sitter: Sitter, rng: np.random.Generator) -> Photographed | None:
    """Return a photo of a person in a drawn pose; None where nobody is seen, or no body fits."""
    networks, fitter = _tools()
    sitting = sitter.posed(sitter.draw_pose(rng))
    photo = take_snapshot(sitting.mesh, rng, _SIZES)
    found = person_in(networks, photo.rgb, photo.mask)
    if found is None:
        return None
    face = see_face(networks, photo.rgb, found.pose)
    mask = _mask(photo.rgb, photo.mask, found.pose, face)
    seen = look_at(networks, photo.rgb, mask)
    if seen is None:
        return None
    try:
        fit = fitter.fit(seen)
    except FitError:
        return None
    if fit.refusal is not None:
        return None
    return Photographed(photo, sitting.body, mask, fit.body, _face(photo.rgb, mask, face))


def label_photo(
    found: Photographed, rng: np.random.Generator, *, face: bool = True, carried: bool = True
) -> PersonView:
    """Return what networks learn from a photo.

    Args:
        found: the photo.
        rng: of the points.
        face: whether the body carries the fitted face; False is for ablation, as is the next.
        carried: see ``label_view``.
    """
    fitted = found.body if found.face is None or not face else with_face(found.body, *found.face)
    photo = found.photo
    inputs = view_inputs(photo.rgb, found.mask, fitted)
    labels = label_view(
        photo.shaded, photo.camera, photo.env_sh, found.true, fitted, inputs.prior, inputs.head_window, rng,
        carried=carried,
    )  # fmt: skip
    return PersonView(
        inputs.rgb, inputs.mask, inputs.maps, inputs.head_rgb, inputs.head_mask, inputs.head_maps, inputs.head_window,
        **vars(labels),
    )  # fmt: skip


def _mask(
    rgb: NDArray[np.uint8], true: NDArray[np.uint8], pose: Pose, face: FacePoints | None
) -> NDArray[np.uint8]:
    """Return the mask as the networks find it; the true one where theirs is another person's, or lacks a part."""
    found = with_seen_face(person_mask(rgb, pose), face)
    on, there = found >= 128, true >= 128
    return found if (on & there).sum() >= _LEAST_IOU * (on | there).sum() else true


def _face(
    rgb: NDArray[np.uint8], mask: NDArray[np.uint8], points: FacePoints | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Return identity and expression of a face as ``jiff data face`` fits them; None where it would refuse."""
    model = load_anny_face()
    places = load_model_points(model)
    if points is None or places is None:
        return None
    detection, camera = detection_of(points), Camera(size=rgb.shape[0])
    mesh_px = points.points_px
    low, high = mesh_px[:, :2].min(axis=0), mesh_px[:, :2].max(axis=0)
    window = Crop.around(float(low[0]), float(low[1]), float(high[0]), float(high[1]), _FACE_MARGIN)
    close_up = close_up_in(window, window.take(rgb, 256), mask, camera)
    try:
        pose_of_face, quality = fit_seen(model, places, camera, mesh_px, detection.points_px, close_up)
    except FitError:
        return None
    if seen_refusal(quality, mesh_px, mask) is not None:
        return None
    return pose_of_face.identity, pose_of_face.expression
