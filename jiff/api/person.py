"""``jiff.reconstruct``: a photo to a clothed person."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jiff.api.body import body_of
from jiff.api.face import read_fitted_face
from jiff.api.photos import Framed, workshop
from jiff.api.shown import Shown
from jiff.base.errors import ImageError, InputError, JiffError, ReconstructionError
from jiff.base.files import read_json
from jiff.geometry.io.mesh_io import load_mesh, save_mesh
from jiff.inference.outputs import check_formats, texture_name, to_metres
from jiff.options.reconstruct import ReconstructConfig
from jiff.photo.test_folder import PersonFiles
from jiff.pipelines.evaluate import SUMMARY_NAME
from jiff.pipelines.reconstruct import run_reconstruct

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from jiff.api.body import FittedBody
    from jiff.api.face import FittedFace
    from jiff.api.photos import MaskLike, PhotoLike, Workshop
    from jiff.base.progress import Progress
    from jiff.geometry.mesh import Mesh
    from jiff.run.parallel import WorkReport

_CAUSES: dict[str, type[JiffError]] = {"framing": ImageError, "finding photos": InputError}
"""Step -> what its failures are; those of other steps are failed reconstructions."""


@dataclass(frozen=True, eq=False, repr=False)
class Person(Shown):
    """A reconstructed person. World: y up, the viewer of the photo at +z, feet near y = 0, 180 units per body height.

    Attributes:
        name: of the photo's file, ``"photo"`` for an array.
        mesh: vertices [V, 3] in world units, faces [F, 3], and ``colors`` [V, 3] RGB in [0, 1] or ``uv`` with ``texture``.
        texture: [H, W, 3] uint8 RGB, or None where the colours are the vertices'.
        body: anny fitted to the photo, or None (``flags`` then says why).
        face: the face model that served as prior, by itself or carried by the body, or None.
        world_to_photo: [2, 4] world points (x, y, z, 1) to continuous pixels of the photo.
        photo_size: (height, width) of the upright photo, pixels.
        quality: plain values: ``watertight``, ``pieces``, ``face_prior``, ``mask`` (where it came from), ``face_fit``.
        flags: what went wrong and what was done instead, one sentence each; empty when all is well.
        files: what lies in the folder that was asked for; empty without one.
    """

    name: str
    mesh: Mesh
    texture: NDArray[np.uint8] | None
    body: FittedBody | None
    face: FittedFace | None
    world_to_photo: NDArray[np.float64]
    photo_size: tuple[int, int]
    quality: dict[str, Any]
    flags: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()

    def to_photo(self, points_world: ArrayLike) -> NDArray[np.float64]:
        """Map world points [..., 3] to continuous pixels [..., 2] of the photo (x right, y down, first centre 0.5)."""
        points = np.asarray(points_world, dtype=np.float64)
        return points @ self.world_to_photo[:, :3].T + self.world_to_photo[:, 3]

    def save(self, path: Path | str, *, height_cm: float = 180.0) -> None:
        """Write the mesh as .glb (metres, for a person of that height), .obj or .ply (world units).

        Raises:
            MeshError: another suffix.
            OutputError: the folder cannot be written.
        """
        path = Path(path)
        mesh = to_metres(self.mesh, height_cm) if path.suffix.lower() == ".glb" else self.mesh
        with_normals = replace(mesh, normals=mesh.vertex_normals())
        save_mesh(with_normals, path, texture_name=texture_name(path.stem))


def _raise_failure(config: ReconstructConfig, report: WorkReport, name: str) -> None:
    """Raise what kept a photo from being reconstructed."""
    people = read_json(config.out / SUMMARY_NAME).get("people", {})
    kind = _CAUSES.get(str(people.get(name, {}).get("step")), ReconstructionError)
    cause = RuntimeError(report.details[name]) if name in report.details else None
    raise kind(report.failures[name]) from cause


def _fitted_body(work: Workshop, framed: Framed) -> tuple[FittedBody | None, str]:
    """Return the body, or None and why there is none."""
    try:
        return body_of(work, framed), ""
    except JiffError as error:
        return None, f"No body was fitted, because {error}"


def reconstruct(
    photo: PhotoLike,
    *,
    checkpoint: Path | str | None = None,
    out: Path | str | None = None,
    mask: MaskLike | None = None,
    person: int | None = None,
    body: bool = True,
    progress: Progress | None = None,
    **options: Any,
) -> Person:
    """Reconstruct the person of one photo, as ``jiff reconstruct`` does; without a checkpoint by the network that is installed.

    Example::

        person = jiff.reconstruct("photo.jpg")
        person.mesh.vertices.shape  # (V, 3), 180 units per body height
        person.save("person.glb")
        print(person.flags)

    Args:
        photo: picture file, or RGB(A) pixels [H, W, 3 or 4] uint8.
        checkpoint: run's folder that training wrote, of a prior-held network or of the published ones; without it the prior-held
            network that is installed with jiff.
        out: folder that keeps all files of the command, on which a second call goes on; without it nothing is kept.
        mask: file, or [H, W] bool or uint8 of the upright photo's size; else the one beside the file, its alpha channel,
            or what the networks find.
        person: which one from the left, where the photo shows several.
        body: give anny's body as well (a few seconds with the published networks; prior-held ones fit it anyway).
        progress: where to report; nowhere without it.
        **options: further options of ``jiff reconstruct`` with underscores, as ``resolution=256``, ``texture="vertex"``,
            ``project_photo=False``, ``no_face=True``, ``device="cpu"``, ``partial=True``.

    Returns:
        The person; one whose face could not be used is reconstructed without it, with the published networks also one whose
        body could not, and ``flags`` says so.

    Raises:
        UsageError: no network is given and none is installed, or options that do not fit together.
        CheckpointError: no usable networks.
        ImageError: the photo cannot be read, or shows nobody, several people, or a part of one.
        ReconstructionError: no surface was found, or no body for a prior-held network.
        AssetError: a file that is needed is missing.
        TypeError: an option that the command does not have.
    """
    with workshop(photo, mask, progress) as work:
        # Read back from OBJ: world units, and what the command's user gets.
        formats = check_formats(("obj", *_words(options.pop("format", ()))))
        config = ReconstructConfig(
            input=work.source,
            out=work.folder / "out" if out is None else Path(out),
            checkpoint=None if checkpoint is None else Path(checkpoint),
            person=person,
            format=formats,
            **{key: _as_path(key, value) for key, value in options.items()},
        )
        report = run_reconstruct(config, work.progress)
        name = work.source.stem
        failure = report.failures.get(name)
        if name not in report.results and name not in report.skipped:
            _raise_failure(config, report, name)
        sidecar = read_json(config.out / f"{name}.json")
        files = PersonFiles(name, config.out / "crops" / f"{name}.png")
        framed = Framed(files, read_json(files.framing))
        fitted, no_body = _fitted_body(work, framed) if body else (None, "")
        quality = dict(sidecar.get("quality", {}))
        said = [failure or "", *quality.pop("warnings", []), *sidecar.get("notes", []), no_body]
        mesh = load_mesh(config.out / f"{name}.obj")
        face = read_fitted_face(files, framed.world_to_photo) if quality.get("face_prior") else None
        height, width = sidecar["photo"]["photo_size"]
        kept = () if out is None else tuple(config.out / file for file in sidecar["files"])
        return Person(
            name, mesh, mesh.texture, fitted, face, framed.world_to_photo, (height, width), quality,
            work.flags(*said), kept,
        )  # fmt: skip


def _words(value: str | tuple[str, ...] | list[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _as_path(name: str, value: Any) -> Any:
    """Return option values as the command has them: files as paths, lists as tuples."""
    if isinstance(value, list):
        return tuple(value)
    return Path(value) if isinstance(value, str) and name.endswith(("_checkpoint", "_model")) else value
