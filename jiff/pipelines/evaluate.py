"""``jiff eval pifu`` and ``jiff eval jiff``: a test folder to coloured meshes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from jiff.base.config import to_plain
from jiff.base.errors import CheckpointError, InputError, ReconstructionError
from jiff.base.files import make_folder, read_json, write_json
from jiff.base.threads import ThreadGovernor
from jiff.check.body import mesh_doubt
from jiff.face.box import FaceBox
from jiff.geometry.camera import Camera
from jiff.geometry.io.mesh_io import load_mesh
from jiff.inference.fields import FacePrior
from jiff.inference.networks import find_checkpoints, load_networks, pick_device
from jiff.inference.outputs import check_formats, has_result, write_result
from jiff.inference.person import PersonOptions, reconstruct_person
from jiff.inference.provenance import provenance, quality
from jiff.inference.views import View
from jiff.options.evaluate import EvalJiffConfig, EvalPifuConfig
from jiff.options.inference import FineInferenceConfig
from jiff.photo.test_folder import PersonFiles, list_people, read_person
from jiff.pipelines.photo_measures import measures_in_photo
from jiff.run.parallel import WorkReport, run_items
from jiff.run.stage import Stamp, Verdict, read_stamp

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from jiff.base.progress import Progress
    from jiff.geometry.mesh import Mesh
    from jiff.inference.networks import NetworkFiles, Networks
    from jiff.models.shape import ShapeFeatures
    from jiff.photo.test_folder import PersonImage
    from jiff.pipelines.rig import Rigging

_FORMAT = 1
_PROJECTION = 2
"""Grows when a photo comes to be projected in another way."""
SUMMARY_NAME = "summary.json"
"""What became of each person of a run."""


def read_prior(person: PersonFiles) -> FacePrior:
    """Read the aligned face of a person of a test folder.

    Raises:
        InputError: the face steps have not run, or their files are damaged.
    """
    for path in (person.region, person.face_mesh):
        if not path.is_file():
            raise InputError(
                f"{path}: no such file; run `jiff data face -i {person.image.parent}` and `jiff eval align` first."
            )
    box = FaceBox.from_region_file(person.region, Camera())
    mesh = load_mesh(person.face_mesh, texture=False)
    return FacePrior(mesh, (box.xmin, box.xmax, box.ymin, box.ymax))


@dataclass(frozen=True)
class Made:
    """One person's mesh.

    Attributes:
        mesh: world units.
        numbers: of the reconstruction.
        notes: things the user should know, one sentence each.
        with_face: whether a face was fitted and used.
    """

    mesh: Mesh
    numbers: dict[str, Any]
    notes: list[str]
    with_face: bool


class Evaluation:
    """One run: settings, networks (loaded when the first person needs them) and the folder.

    Attributes:
        keep_features: remember what the image encoder says about each person, for a sibling.
        views: further views of people, with their yaws in degrees.
        finish: what to do with each mesh before its files are written; its answer goes into the sidecar.
        rigging: puts bones into the GLB files, where wanted.
    """

    def __init__(
        self,
        config: EvalPifuConfig,
        progress: Progress,
        method: Literal["pifu", "jiff", "held"],
        *,
        colors: bool = True,
        sibling: Evaluation | None = None,
        files: NetworkFiles | None = None,
    ) -> None:
        """Prepare a run.

        Args:
            config: options.
            progress: of the run.
            method: with face or without, or held by a body (see ``HeldEvaluation``).
            colors: False leaves the colour networks out.
            sibling: run with the same checkpoints and test folder; networks and encoded images are shared with it.
            files: the networks; those that the options name without it.
        """
        self.config, self.progress, self.method, self.colors = config, progress, method, colors
        self.formats = check_formats(config.format)
        config.check_formats(self.formats)
        self.output = config.for_held(self.formats) if method == "held" else config.for_published()
        self.folder = config.results_folder
        self.keep_features = False
        self._governor = ThreadGovernor()
        self.views: dict[str, list[tuple[float, PersonFiles]]] = {} if sibling is None else sibling.views
        self.finish: Callable[[str, Mesh], dict[str, Any]] | None = None
        self.rigging: Rigging | None = None
        self.files: NetworkFiles
        self.device: torch.device
        self._found: dict[str, str]
        self._loaded: list[Networks] = []
        self._features: dict[str, ShapeFeatures] = {}
        if sibling is not None:
            self.files, self.device, self._loaded = sibling.files, sibling.device, sibling._loaded
            self._features, self._found = sibling._features, sibling._found
        else:
            fine = config.fine_checkpoint if isinstance(config, FineInferenceConfig) else None
            self.files = files or find_checkpoints(
                config.checkpoint,
                config.shape_checkpoint,
                config.coarse_checkpoint,
                fine,
            )
            self.device = pick_device(config.device)
            self._found = self.files.fingerprints()
        unused = ["color_fine"] * (method == "pifu") + ["color_coarse", "color_fine"] * (not colors)
        self.fingerprints = {stage: text for stage, text in self._found.items() if stage not in unused}

    def networks(self) -> Networks:
        """Return the networks, loaded on the first call."""
        if not self._loaded:
            loaded = load_networks(self.files, self.device, fine=self.method == "jiff")
            if self.method == "jiff" and not loaded.shape.config.face_branch:
                raise CheckpointError(
                    f"{self.files.shape}: is a plain PIFu network without a face branch; use `jiff eval pifu`,"
                    " `jiff reconstruct --no-face`, or a JIFF checkpoint."
                )
            if loaded.color_coarse is None:
                self.progress.warn("No colour network was found; the meshes have no colours.")
            elif self.method == "jiff" and loaded.color_fine is None:
                self.progress.warn("No fine colour network was found; the meshes have coarse colours.")
            self._loaded.append(loaded)
        return self._loaded[0] if self.colors else self._loaded[0].without_colors()

    def forget_features(self) -> None:
        """Give the memory of encoded images back."""
        self._features.clear()

    def stamp(self, person: PersonFiles) -> Stamp:
        """Return what decides the bytes of a result."""
        inputs = {"photo": person.image, "mask": person.mask}
        if self.method == "jiff":
            inputs |= {"face box": person.region, "face mesh": person.face_mesh}
        for yaw, files in self.views.get(person.name, []):
            inputs |= {f"view at {yaw:g}": files.image, f"mask of the view at {yaw:g}": files.mask}
        settings = {
            "method": self.method,
            "networks": self.fingerprints,
            "resolution": self.config.resolution,
            "precision": self.config.precision,
            "format": list(self.formats),
            "height_cm": self.config.height_cm,
            "raw": self.config.raw,
            "mesh_output": self.output.mesh_output(),
        }
        if self.output.project_photo:
            settings["projection"] = _PROJECTION
        if self.rigging is not None:
            settings["rig"] = self.rigging.settings
            inputs |= self.rigging.inputs(person.name)
        return Stamp("reconstruct", _FORMAT, settings, inputs)

    def is_complete(self, person: PersonFiles) -> Verdict:
        """Tell whether a person's result is there and was made with these settings."""
        if self.config.overwrite:
            return Verdict(False)
        there = has_result(self.folder, person.name, self.formats, self.config)
        stored = read_stamp(self.folder / f"{person.name}.json")
        return self.stamp(person).judge(None if stored is None else dict(stored.get("stamp") or {}), there)

    def prepare(self, people: list[PersonFiles]) -> None:
        """Load the networks if anybody needs them, and make the folder.

        A bad checkpoint is the whole run's failure, not that of each photo, and leaves nothing behind.
        """
        if not all(self.is_complete(person) for person in people):
            self.load()
        make_folder(self.folder)

    def load(self) -> None:
        """Load the networks."""
        self.networks()

    def make(self, person: PersonFiles, pixels: PersonImage) -> Made:
        """Return the mesh of one person."""
        prior = read_prior(person) if self.method == "jiff" else None
        views = self.views.get(person.name, [])
        others = [View.at_yaw(read_person(files), yaw) for yaw, files in views]
        options = PersonOptions(
            resolution=self.config.resolution,
            raw=self.config.raw,
            memory_budget_bytes=int(self.config.memory_budget * 2**30),
            precision=self.config.precision,
            output=self.output,
        )
        result = reconstruct_person(
            self.networks(), pixels, prior, options, self._features.pop(person.name, None), others
        )
        if self.keep_features:
            self._features[person.name] = result.fields.image_features
        return Made(result.mesh, result.numbers, result.notes, prior is not None)

    def reconstruct(self, person: PersonFiles) -> dict[str, Any]:
        """Reconstruct one person, write the files and return a plain summary."""
        if f"{person.name}.json" == SUMMARY_NAME:
            raise InputError(
                f"{person.image}: its record would be replaced by the run's {SUMMARY_NAME}; rename the image."
            )
        self._governor.tick()
        stamp = self.stamp(person).taken(person.image.parent)
        pixels = read_person(person)
        try:
            result = self.make(person, pixels)
        except ReconstructionError as error:
            raise ReconstructionError(f"{person.image}: {_lower_first(str(error))}") from error
        # Once for pictures and files.
        mesh = replace(result.mesh, normals=result.mesh.vertex_normals())
        numbers = {**result.numbers, **measures_in_photo(mesh, person, pixels)}
        doubt = mesh_doubt(mesh, person.body)
        notes = [*result.notes, *([doubt] if doubt else [])]
        for note in notes:
            self.progress.warn(f"{person.name}: {note}")
        skinned = None if self.rigging is None else self.rigging.skinned(person.name, mesh)
        sidecar = {
            "name": person.name,
            "stamp": stamp,
            "numbers": numbers,
            "notes": notes,
            **(self.finish(person.name, mesh) if self.finish is not None else {}),
            **({} if self.rigging is None else {"rig": self.rigging.record(person.name)}),
            "quality": quality(person, result.with_face, result.numbers, notes),
            "provenance": provenance(self.files, self.fingerprints, self.config, person, result.with_face),
        }
        files = write_result(
            self.folder,
            person.name,
            mesh,
            formats=self.formats,
            height_cm=self.config.height_cm,
            photo=pixels.rgb,
            sidecar=sidecar,
            output=self.config,
            skinned=skinned,
        )
        return {"files": [path.name for path in files], **numbers, "notes": notes}


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]


def run_evaluation(evaluation: Evaluation, people: list[PersonFiles], title: str) -> WorkReport:
    """Reconstruct the people that are not complete yet, one after the other."""
    evaluation.prepare(people)
    return run_items(
        evaluation.reconstruct,
        [(person.name, person) for person in people],
        jobs=1,
        progress=evaluation.progress,
        title=title,
        is_complete=evaluation.is_complete,
    )


def _run(config: EvalPifuConfig, progress: Progress, method: Literal["pifu", "jiff"]) -> WorkReport:
    people = list_people(config.input)
    evaluation = Evaluation(config, progress, method)
    report = run_evaluation(
        evaluation, people, "Reconstructing" if method == "pifu" else "Reconstructing with face"
    )
    write_summary(evaluation.folder, config, evaluation.fingerprints, report)
    report.outputs = [str(evaluation.folder)]
    return report


def write_summary(folder: Path, config: Any, fingerprints: dict[str, str], report: WorkReport) -> None:
    """Write ``summary.json``: options, networks, and what became of each person."""
    people: dict[str, Any] = {}
    for name in report.skipped:
        stored = read_json(folder / f"{name}.json")
        people[name] = {
            "status": "complete before",
            **stored.get("numbers", {}),
            "notes": stored.get("notes", []),
        }
    people.update({name: {"status": "done", **result} for name, result in report.results.items()})
    for name, reason in report.failures.items():
        if name in people:
            people[name].update(status="done with a fallback", reason=reason)
        else:
            people[name] = {"status": "failed", "reason": reason}
    write_json(
        folder / SUMMARY_NAME,
        {"options": to_plain(config), "networks": fingerprints, "people": dict(sorted(people.items()))},
    )


def run_eval_pifu(config: EvalPifuConfig, progress: Progress) -> WorkReport:
    """Reconstruct every person of a test folder without face prior (published ``eval_pifu``).

    Writes ``<name>.obj`` (world units, vertex colours), ``<name>.glb`` (metres), ``<name>.png`` (preview),
    ``<name>.json`` and ``summary.json``; what is complete and made with the same settings is skipped.

    Raises:
        InputError: missing or empty folder.
        CheckpointError: no usable networks.
    """
    return _run(config, progress, "pifu")


def run_eval_jiff(config: EvalJiffConfig, progress: Progress) -> WorkReport:
    """Reconstruct every person of a test folder with the aligned face as prior (published ``eval_jiff``).

    Reads ``<name>_region.txt`` and ``<name>_mesh.obj`` besides; writes like ``run_eval_pifu``.

    Raises:
        InputError: missing or empty folder.
        CheckpointError: no usable networks.
    """
    return _run(config, progress, "jiff")
