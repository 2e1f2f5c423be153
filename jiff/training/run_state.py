"""Checkpoints of a run: what evaluation reads (networks) and what resuming needs (everything else), all atomic."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from jiff.base.errors import CheckpointError
from jiff.base.files import write_bytes
from jiff.models.checkpoint import save_network

if TYPE_CHECKING:
    from jiff.models.registry import Network

STATE_NAME = "state.ckpt"
LATEST_NAME = "latest.safetensors"
BEST_NAME = "best.safetensors"
_VERSION = 1


def random_state(device: torch.device) -> dict[str, Any]:
    """Return the state of torch's generators (numpy's are made afresh for every item)."""
    state: dict[str, Any] = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def restore_random_state(state: dict[str, Any], device: torch.device) -> None:
    """Put torch's generators back."""
    torch.set_rng_state(state["cpu"])
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], device)


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write a run's state atomically: on a full disk the earlier one stays.

    Raises:
        OutputError: the file cannot be written.
    """
    buffer = io.BytesIO()
    torch.save({"version": _VERSION, **state}, buffer)
    write_bytes(path, buffer.getbuffer())  # type: ignore[arg-type]


def load_state(path: Path) -> dict[str, Any]:
    """Read a run's state; never executes what the file holds.

    Raises:
        CheckpointError: missing, damaged, or of another version.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise CheckpointError(
            f"{path}: cannot be read ({error.strerror}); train without --continue-train to begin anew."
        ) from error
    except (RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
        raise CheckpointError(
            f"{path}: is damaged; delete it and go on from a kept epoch with --resume-epoch, or begin anew."
        ) from error
    if not isinstance(state, dict) or state.get("version") != _VERSION:
        raise CheckpointError(f"{path}: is no state of a run that this version can go on with; begin anew.")
    return state


def epoch_paths(folder: Path, epoch: int) -> tuple[Path, Path]:
    """Return the network and the state file of a kept epoch."""
    return folder / f"epoch_{epoch}.safetensors", folder / f"epoch_{epoch}.ckpt"


def kept_epochs(folder: Path) -> list[int]:
    """Return the epochs whose state is kept, in order."""
    numbers = [path.stem.removeprefix("epoch_") for path in folder.glob("epoch_*.ckpt")]
    return sorted(int(number) for number in numbers if number.isdigit())


def save_epoch(folder: Path, epoch: int, network: Network, state: dict[str, Any], keep: int) -> None:
    """Keep an epoch's network and state, and delete the oldest beyond ``keep``."""
    network_path, state_path = epoch_paths(folder, epoch)
    save_network(network_path, network)
    save_state(state_path, state)
    for old in kept_epochs(folder)[:-keep]:
        for path in epoch_paths(folder, old):
            path.unlink(missing_ok=True)


def remove_run(folder: Path) -> None:
    """Delete what an earlier run left in ``folder``: its best network must not pass for the new run's."""
    names = [STATE_NAME, LATEST_NAME, BEST_NAME, "log.csv", "run.yaml"]
    for path in [*(folder / name for name in names), *folder.glob("epoch_*"), *folder.glob("tb/events*")]:
        path.unlink(missing_ok=True)


def state_to_resume(folder: Path, resume_epoch: int) -> Path | None:
    """Return the state file to go on from, None when the run has not begun.

    Raises:
        CheckpointError: the epoch asked for is not kept.
    """
    if resume_epoch < 0:
        return folder / STATE_NAME if (folder / STATE_NAME).is_file() else None
    path = epoch_paths(folder, resume_epoch)[1]
    if not path.is_file():
        kept = ", ".join(map(str, kept_epochs(folder))) or "none"
        raise CheckpointError(
            f"{path}: epoch {resume_epoch} is not kept (kept: {kept}); choose one of these."
        )
    return path
