"""The trained networks that a reconstruction uses, found in a run's folder or given as single files."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TypeVar

import torch

from jiff.base.errors import CheckpointError, UsageError
from jiff.models.checkpoint import load_published
from jiff.models.color_coarse import ColorCoarseNetwork
from jiff.models.color_fine import ColorFineNetwork
from jiff.models.normals.default import NORMALS, default_normals
from jiff.models.shape import ShapeNetwork
from jiff.options.device import parse_device

N = TypeVar("N")

STAGES = ("shape", "color_coarse", "color_fine")
PERSON = "person"
"""The prior-held network's place in a run's folder."""
_OTHERS = (PERSON, NORMALS)
_PREFERRED = ("best.safetensors", "latest.safetensors")


@dataclass(frozen=True)
class NetworkFiles:
    """Checkpoint of each network; None where there is none.

    Attributes:
        shape: occupancy (``netG``).
        color_coarse: coarse colour (``netC`` of PIFu).
        color_fine: fine colour (``netC`` of JIFF).
        person: prior-held network, which stands alone.
        normals: network of normals, which details what a prior-held one makes.
    """

    shape: Path | None = None
    color_coarse: Path | None = None
    color_fine: Path | None = None
    person: Path | None = None
    normals: Path | None = None

    def fingerprints(self) -> dict[str, str]:
        """Return stage -> short digest of its file, by which results know what made them.

        Raises:
            CheckpointError: a file cannot be read.
        """
        found = {}
        for stage in (*STAGES, *_OTHERS):
            path = getattr(self, stage)
            if path is not None:
                try:
                    with open(path, "rb") as handle:
                        found[stage] = _digest(handle)
                except OSError as error:
                    raise CheckpointError(
                        f"{path}: cannot be read ({error.strerror}); check the checkpoint's path."
                    ) from error
        return found


def _digest(handle: object) -> str:
    digest = hashlib.blake2b(digest_size=8)
    while block := handle.read(1 << 22):  # type: ignore[attr-defined]
        digest.update(block)
    return digest.hexdigest()


def default_network() -> Path:
    """Return the file of the prior-held network that is installed with jiff."""
    return Path(str(resources.files("jiff.models.person"))) / "default.safetensors"


def find_person_network(folder: Path | None) -> Path | None:
    """Return the prior-held network of a run's folder, the installed one without a folder or where a run has normals alone.

    None where a run has other networks.
    """
    alone = folder is not None and not (folder / STAGES[0]).is_dir() and _of_run(folder, NORMALS) is not None
    found = None if folder is None else _of_run(folder, PERSON)
    if found is None and (folder is None or alone):
        path = default_network()
        return path if path.is_file() else None
    return found


def find_normals(folder: Path | None) -> Path | None:
    """Return the network of normals of a run's folder, else the installed one; None where neither is there."""
    found = None if folder is None else _of_run(folder, NORMALS)
    installed = default_normals()
    return found or (installed if installed.is_file() else None)


def _of_run(folder: Path, stage: str) -> Path | None:
    present = [folder / stage / name for name in _PREFERRED if (folder / stage / name).is_file()]
    return present[0] if present else None


def find_checkpoints(
    folder: Path | None,
    shape: Path | None = None,
    color_coarse: Path | None = None,
    color_fine: Path | None = None,
) -> NetworkFiles:
    """Return the checkpoints of a run, single files taking precedence.

    Args:
        folder: a run's folder with ``shape/``, ``color_coarse/`` and ``color_fine/``, each with
            ``best.safetensors`` or ``latest.safetensors``.
        shape: file of the shape network.
        color_coarse: file of the coarse colour network.
        color_fine: file of the fine colour network.

    Raises:
        UsageError: nothing is given.
        CheckpointError: the folder is missing or holds no shape network.
    """
    if folder is None and shape is None:
        raise UsageError("No checkpoint is given; use --checkpoint DIR or --shape-checkpoint FILE.")
    found: dict[str, Path | None] = dict(zip(STAGES, (shape, color_coarse, color_fine)))
    if folder is not None:
        if not folder.is_dir():
            raise CheckpointError(f"{folder}: no such folder; give the run's folder that training wrote.")
        for stage in STAGES:
            found[stage] = found[stage] or _of_run(folder, stage)
    if found["shape"] is None:
        raise CheckpointError(
            f"{folder}: holds no shape/latest.safetensors; train it with `jiff train shape` or give another run's folder."
        )
    return NetworkFiles(found["shape"], found["color_coarse"], found["color_fine"])


@dataclass(frozen=True)
class Networks:
    """Networks in evaluation mode on one device.

    Attributes:
        shape: occupancy.
        color_coarse: None gives meshes without colour.
        color_fine: None gives the coarse colour.
        device: where they are.
    """

    shape: ShapeNetwork
    color_coarse: ColorCoarseNetwork | None
    color_fine: ColorFineNetwork | None
    device: torch.device

    def without_colors(self) -> Networks:
        """Return the shape network alone."""
        return Networks(self.shape, None, None, self.device)


def pick_device(name: str) -> torch.device:
    """Return the device that ``--device`` names.

    Raises:
        UsageError: unknown, not there, or several.
    """
    choice = parse_device(name)
    if len(choice.numbers) > 1:
        raise UsageError(f"--device {name}: one photo runs on one device; give one of them.")
    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    kind = choice.kind
    if kind == "auto":
        kind = next(kind for kind in ("cuda", "mps", "cpu") if present[kind])
    number = choice.numbers[0] if choice.numbers else 0
    if not present[kind] or (kind == "cuda" and number >= torch.cuda.device_count()):
        raise UsageError(f"--device {name}: this machine has no such device; use --device auto.")
    return torch.device(kind, number) if choice.numbers else torch.device(kind)


def load_networks(files: NetworkFiles, device: torch.device, *, fine: bool = True) -> Networks:
    """Load the networks and check that they fit each other.

    Args:
        files: own or published checkpoints.
        device: where to put them.
        fine: False leaves the fine colour network out.

    Raises:
        CheckpointError: a file is missing, damaged, of another architecture, or does not fit the shape network.
    """

    def load(path: Path | None, kind: type[N], stage: str) -> N | None:
        if path is None:
            return None
        loaded = load_published(path, stage, device=device)
        if not isinstance(loaded, kind):
            raise CheckpointError(f"{path}: holds no {stage} network; give that stage's checkpoint.")
        return loaded

    shape = load(files.shape, ShapeNetwork, "shape")
    if shape is None:
        raise CheckpointError("No shape network is given; use --checkpoint DIR.")
    coarse = load(files.color_coarse, ColorCoarseNetwork, "color_coarse")
    finer = None
    if fine and coarse is not None:
        finer = load(files.color_fine, ColorFineNetwork, "color_fine")
    pairs: list[tuple[Path | None, Path | None, str, int, int]] = []
    if coarse is not None:
        wanted, given = coarse.config.shape_feature_dim, shape.config.hourglass_dim
        pairs.append((files.color_coarse, files.shape, "shape", wanted, given))
    if coarse is not None and finer is not None:
        pairs.append(
            (files.color_fine, files.color_coarse, "coarse", finer.config.phi_dim, coarse.config.phi_dim)
        )
    for path, source, kind, wanted, given in pairs:
        if wanted != given:
            raise CheckpointError(
                f"{path}: expects {wanted} {kind} channels where {source} gives {given}; use networks that were"
                " trained together."
            )
    return Networks(shape, coarse, finer, device)
