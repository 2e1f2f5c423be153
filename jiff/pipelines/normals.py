"""``jiff data normals``: synthetic people in wrinkled clothes, photographed, with the normals of what is seen of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from jiff.base.files import atomic_folder, make_folder, write_json
from jiff.body.anny_files import anny_version
from jiff.data.normal_view import NormalView, stored_normals, write_normal_view
from jiff.geometry.camera import Camera
from jiff.options.normals import NormalsConfig
from jiff.pipelines.people import RECORD, judge_person, make_people, person_name, refuse_other
from jiff.run.stage import Stamp, Verdict
from jiff.synthetic.scan_files import warm_up
from jiff.synthetic.sitter import TRIANGLES, Sitter
from jiff.synthetic.snapshot import Snapshot, take_snapshot
from jiff.synthetic.wrinkles import wrinkled

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from jiff.base.progress import Progress
    from jiff.run.parallel import WorkReport

WORKER_GIB = 1.2
"""Most memory of a process."""
_FORMAT = 1
_SIZES = (512, 768, 1024)
"""Sides of the photos, one of which is drawn, pixels."""
_SIZE, _MARGIN = 512, 8
"""Side to which photos are brought, and what is kept around a person, pixels."""
_POSE_STREAM, _WRINKLE_STREAM = 31, 77


@dataclass(frozen=True)
class _Job:
    folder: Path
    seed: int
    views: int
    texture_size: int

    def stamp(self) -> Stamp:
        settings = {
            "seed": self.seed, "views": self.views, "texture_size": self.texture_size, "anny": anny_version(),
        }  # fmt: skip
        return Stamp("normals", _FORMAT, settings, {})


def normals_path(folder: Path, number: int) -> Path:
    """Return the file of a person's photo ``number``."""
    return folder / f"normals_{number}.npz"


def _is_complete(job: _Job) -> Verdict:
    return judge_person(job.folder, job.stamp(), job.views, normals_path)


def run_normals(config: NormalsConfig, progress: Progress) -> WorkReport:
    """Write photos of synthetic people with the normals of what is seen in them.

    Per person ``<name>/normals_<k>.npz`` (see ``NormalView``) and ``person.json``; ``val.txt`` lists who is held out.

    Raises:
        AssetError: the body's data are missing.
        OutputError: the folder cannot be written.
        UsageError: it holds photos of the other kind.
    """
    config = config.located()
    refuse_other(config.out, "view_*.npz", "jiff data photos")
    make_folder(config.out)
    jobs = [
        _Job(config.out / person_name(i), config.seed + i, config.views, config.texture_size)
        for i in range(config.people)
    ]
    if not all(_is_complete(job) for job in jobs):
        warm_up(TRIANGLES, config.texture_size)
    return make_people(
        config, {job.folder.name: job for job in jobs}, make_person, _is_complete, WORKER_GIB, progress
    )


def make_person(job: _Job) -> dict[str, Any]:
    """Make all views of one person, the first without wrinkles; return a plain summary."""
    sitter = Sitter(job.seed, job.texture_size)
    with atomic_folder(job.folder) as temporary:
        for number in range(job.views):
            rng = np.random.default_rng([job.seed, _POSE_STREAM, number])
            mesh = sitter.posed(sitter.draw_pose(rng)).mesh
            if number:
                mesh = wrinkled(mesh, np.random.default_rng([job.seed, _WRINKLE_STREAM, number]))
            write_normal_view(normals_path(temporary, number), normal_view(take_snapshot(mesh, rng, _SIZES)))
        write_json(temporary / RECORD, {"stamp": job.stamp().taken(job.folder), "views": job.views})
    return {"views": job.views}


def normal_view(photo: Snapshot) -> NormalView:
    """Return a photo and its normals, cut out around the person; the photo's camera is not turned."""
    normals, there = seen_normals(photo)
    rgb = photo.rgb
    if rgb.shape[0] != _SIZE:
        rgb = np.asarray(cv2.resize(rgb, (_SIZE, _SIZE), interpolation=cv2.INTER_AREA), np.uint8)
    rows, columns = np.flatnonzero(there.any(axis=1)), np.flatnonzero(there.any(axis=0))
    window = (
        slice(max(0, rows[0] - _MARGIN), rows[-1] + _MARGIN + 1),
        slice(max(0, columns[0] - _MARGIN), columns[-1] + _MARGIN + 1),
    )
    return NormalView(rgb[window], stored_normals(normals[window], there[window]))


def seen_normals(photo: Snapshot) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return smooth normals [S, S, 3] of what the camera sees, and where it sees anybody; of cloth seen from within, the inner side's."""
    mesh = photo.shaded.mesh
    seen = photo.shaded.cast(Camera(size=_SIZE), 1)
    found = seen.interpolate(mesh.vertex_normals(), mesh.faces)
    found /= np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-9)
    found[~seen.front] *= -1
    return seen.resolve(found), seen.coverage() > 0
