"""Reconstruction by a prior-held network: face and body are fitted to the photo, then the network clothes the body."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from jiff.base.errors import CheckpointError
from jiff.base.files import read_json
from jiff.inference.held import HeldOptions, reconstruct_held
from jiff.inference.networks import NetworkFiles, find_normals, find_person_network
from jiff.inference.own_hands import HandChoice, choose_hands
from jiff.models.checkpoint import load_published
from jiff.models.normals.default import load_normals
from jiff.models.person.network import PersonNetwork
from jiff.options.body import BodyConfig
from jiff.options.face import FaceConfig
from jiff.photo.test_folder import list_people
from jiff.pipelines.body import run_body
from jiff.pipelines.evaluate import Evaluation, Made, run_eval_jiff, run_evaluation, write_summary
from jiff.pipelines.face import run_face
from jiff.pipelines.rig import photo_body, photo_hands
from jiff.run.stage import Stamp

if TYPE_CHECKING:
    from pathlib import Path

    from jiff.base.progress import Progress
    from jiff.models.normals.network import NormalNetwork
    from jiff.options.evaluate import EvalJiffConfig
    from jiff.photo.test_folder import PersonFiles, PersonImage
    from jiff.run.parallel import WorkReport

_STEP = 7
"""Grows when the same photo, body and network come to give another mesh."""


class HeldEvaluation(Evaluation):
    """One run with a prior-held network.

    Attributes:
        no_face: photo -> why its face was not fitted.
    """

    def __init__(self, config: EvalJiffConfig, progress: Progress, network: Path) -> None:
        files = NetworkFiles(
            person=network,
            normals=find_normals(config.checkpoint) if config.detail and not config.raw else None,
        )
        super().__init__(config, progress, "held", files=files)
        self.no_face: dict[str, str] = {}
        self._network: PersonNetwork | None = None
        self._normals: NormalNetwork | None = None

    def network(self) -> PersonNetwork:
        """Return the network, loaded on the first call."""
        if self._network is None:
            path = self.files.person
            if path is None:
                raise CheckpointError("No prior-held network is given; use --checkpoint DIR.")
            loaded = load_published(path, "person", device=self.device)
            if not isinstance(loaded, PersonNetwork):
                raise CheckpointError(f"{path}: holds no person network; give another run's folder.")
            self._network = loaded
        return self._network

    def normals(self) -> NormalNetwork | None:
        """Return the network of normals, loaded on the first call; None where details are not wanted or it is missing."""
        if self._normals is None and self.files.normals is not None:
            self._normals = load_normals(self.files.normals, self.device)
        return self._normals

    def stamp(self, person: PersonFiles) -> Stamp:
        """Return what decides the bytes of a result."""
        plain = super().stamp(person)
        return Stamp(
            plain.stage,
            plain.format,
            {**plain.settings, "step": _STEP},
            {**plain.inputs, "body": person.body},
        )

    def load(self) -> None:
        """Load the networks."""
        self.network()
        self.normals()

    def fit(self, names: tuple[str, ...], face: FaceConfig | None) -> WorkReport:
        """Fit faces and bodies to framed photos; return what became of the bodies.

        Args:
            names: of the photos.
            face: options of the faces; None leaves them out.
        """
        config = self.config
        if face is not None:
            self.no_face.update(run_face(face, self.progress).failures)
        wanted = BodyConfig(
            input=config.input, jobs=1, overwrite=config.overwrite, names=names, face=face is not None
        )
        return run_body(wanted, self.progress)

    def make(self, person: PersonFiles, pixels: PersonImage) -> Made:
        """Return the mesh of one person."""
        placed = photo_body(person.body)
        options = HeldOptions(
            self.config.resolution, self.config.raw, int(self.config.memory_budget * 2**30), self.output
        )
        hands = HandChoice()
        if self.network().config.body:
            hands = choose_hands(placed, pixels, photo_hands(person.body))
        with torch.inference_mode():
            result = reconstruct_held(
                self.network(), pixels, placed, options, self.device, self.normals(), hands
            )
        record: dict[str, Any] = read_json(person.body)
        notes = [*result.notes, *record.get("notes", [])]
        why = self.no_face.get(person.name)
        if why is not None:
            notes.append(f"No face was fitted, because {why}")
        return Made(result.mesh, result.numbers, notes, bool(record.get("carries_face")))


def run_eval(config: EvalJiffConfig, progress: Progress) -> WorkReport:
    """Reconstruct every person of a test folder with the networks that the options name, prior-held or published.

    Prior-held networks read the bodies that ``jiff data body`` fitted, published ones the faces; see ``run_eval_jiff``.

    Raises:
        InputError: missing or empty folder.
        CheckpointError: no usable networks.
    """
    network = None if config.shape_checkpoint is not None else find_person_network(config.checkpoint)
    if network is None:
        return run_eval_jiff(config, progress)
    people = list_people(config.input)
    evaluation = HeldEvaluation(config, progress, network)
    report = run_evaluation(evaluation, people, "Reconstructing with body")
    write_summary(evaluation.folder, config, evaluation.fingerprints, report)
    report.outputs = [str(evaluation.folder)]
    return report
