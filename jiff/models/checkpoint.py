"""Reading and writing of networks: own safetensors files, and the published code's ``.pth`` files.

An own file is one safetensors file whose metadata holds the network's kind and configuration.
"""

from __future__ import annotations

import io
import json
import pickle
import re
import struct
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from jiff import __version__
from jiff.base.errors import CheckpointError, ConfigError
from jiff.base.files import write_bytes
from jiff.models.plain_globals import plain_globals
from jiff.models.published import (
    infer_color_config,
    infer_kind,
    infer_normal_config,
    infer_shape_config,
    normalize_keys,
)
from jiff.models.registry import KINDS, NETWORKS, Network, NetworkConfig, network_kind

METADATA_KEY = "jiff"

_NAMED_KEYS = 4
# Whatever PyTorch's restricted unpickler raises on bytes that are no checkpoint.
_UNREADABLE = (
    RuntimeError,
    EOFError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    struct.error,
    pickle.UnpicklingError,
    safetensors.SafetensorError,
)


def build_network(kind: str, config: NetworkConfig) -> Network:
    """Return a freshly initialised network.

    Raises:
        ConfigError: unknown kind, or a configuration of another kind.
    """
    found = network_kind(kind)
    if not isinstance(config, found.config):
        raise ConfigError(
            f"a {kind} network takes a {found.config.__name__}, not a {type(config).__name__}; kinds are {', '.join(KINDS)}."
        )
    network: Network = found.network(config)
    return network


def kind_of(network: nn.Module) -> str:
    """Return the kind of ``network``.

    Raises:
        TypeError: it is none of them.
    """
    for kind in NETWORKS:
        if isinstance(network, kind.network):
            return kind.name
    raise TypeError(f"network must be one of {', '.join(KINDS)}; got {type(network).__name__}.")


def save_network(path: Path | str, network: Network) -> None:
    """Write ``network`` with its configuration to a safetensors file, atomically.

    Raises:
        OutputError: the file cannot be written.
    """
    write_state(path, dict(network.state_dict()), kind_of(network), network.config)


def write_state(path: Path | str, state: Mapping[str, Tensor], kind: str, config: NetworkConfig) -> None:
    """Write a state dict as an own checkpoint, atomically."""
    header = json.dumps({"kind": kind, "config": config.to_dict(), "version": __version__})
    # Copies: safetensors refuses two keys on one storage, and published files hold such pairs.
    tensors = {key: value.detach().cpu().contiguous().clone() for key, value in state.items()}
    write_bytes(path, safetensors.torch.save(tensors, {METADATA_KEY: header}))


def load_network(path: Path | str, device: torch.device | str = "cpu") -> Network:
    """Read an own checkpoint and return its network in evaluation mode.

    Raises:
        CheckpointError: the file is missing, truncated, not an own checkpoint, or does not fit its configuration.
    """
    kind, config, state = read_own(path)
    return fill_network(kind, config, state, path).to(device)


def load_published(
    path: Path | str, kind: str, config: NetworkConfig | None = None, device: torch.device | str = "cpu"
) -> Network:
    """Read a checkpoint of the published JIFF or PIFu code and return its network in evaluation mode.

    Args:
        path: ``.pth`` (read with ``weights_only=True``) or an own checkpoint, which carries its configuration.
        kind: "shape", "color_coarse", "color_fine"; "person" and "normals" are our own.
        config: the architecture; inferred from the tensors' shapes when not given.
        device: where to put it.

    Raises:
        CheckpointError: the file is missing, truncated, not a checkpoint, or of another architecture.
    """
    if is_safetensors(path):
        found, own_config, state = read_own(path)
        if found != kind:
            raise CheckpointError(f"{path}: holds a {found} network, not {kind}; give the {kind} checkpoint.")
        return fill_network(kind, config or own_config, state, path).to(device)
    state = normalize_keys(read_pth(path))
    if config is None:
        config = infer_config(path, kind, state)
    return fill_network(kind, config, state, path).to(device)


def infer_config(path: Path | str, kind: str, state: Mapping[str, Tensor]) -> NetworkConfig:
    """Return the configuration implied by the shapes of ``state`` (of the file ``path``, for the message).

    Raises:
        CheckpointError: the tensors are not those of a ``kind`` network.
    """
    found = infer_kind(state)
    # Without its face branch a fine network's keys are those of a coarse one.
    if found != kind and {found, kind} != {"color_coarse", "color_fine"}:
        held = (
            f"holds a {found} network"
            if found
            else f"holds no network of JIFF or PIFu ({_listed(sorted(state))})"
        )
        raise CheckpointError(f"{path}: {held}; give a {kind} checkpoint.")
    try:
        if kind == "normals":
            return infer_normal_config(state)
        return infer_shape_config(state) if kind == "shape" else infer_color_config(state, kind)
    except KeyError as error:
        raise CheckpointError(
            f"{path}: lacks the tensor {error} of a {kind} network; give another file."
        ) from error
    except ConfigError as error:
        raise CheckpointError(
            f"{path}: is no {kind} network that can be built ({error}); give another file."
        ) from error


def is_safetensors(path: Path | str) -> bool:
    """Return whether the file begins like a safetensors file (a JSON header after its length).

    Raises:
        CheckpointError: the file is missing or unreadable.
    """
    try:
        with open(path, "rb") as handle:
            start = handle.read(9)
    except OSError as error:
        raise CheckpointError(
            f"{path}: cannot be read ({error.strerror}); check the checkpoint's path."
        ) from error
    return len(start) == 9 and start[8:] == b"{" and int.from_bytes(start[:8], "little") < 1 << 32


def read_own(path: Path | str) -> tuple[str, NetworkConfig, dict[str, Tensor]]:
    """Return kind, configuration and tensors of an own checkpoint.

    Raises:
        CheckpointError: the file is missing, truncated or not an own checkpoint.
    """
    if not is_safetensors(path):
        raise CheckpointError(
            f"{path}: is no jiff checkpoint; convert a .pth file with 'jiff assets convert' first."
        )
    try:
        with safetensors.safe_open(path, framework="pt") as handle:
            metadata = handle.metadata() or {}
            state = {key: handle.get_tensor(key) for key in handle.keys()}  # noqa: SIM118 - no mapping
    except (safetensors.SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path}: is truncated or damaged ({error}); copy or train it again."
        ) from error
    try:
        header: dict[str, Any] = json.loads(metadata[METADATA_KEY])
        kind = str(header["kind"])
        config = network_kind(kind).config.from_dict(header["config"]) if kind in KINDS else None
    except (KeyError, TypeError, json.JSONDecodeError, ConfigError) as error:
        raise CheckpointError(
            f"{path}: its metadata name no network of jiff ({error}); give another file."
        ) from error
    if config is None:
        raise CheckpointError(f"{path}: holds an unknown kind of network, {kind}; it may need a newer jiff.")
    return kind, config, state


def read_pth(path: Path | str) -> dict[str, Tensor]:
    """Return the tensors of a ``.pth`` file as they are named there; never executes what it holds.

    Raises:
        CheckpointError: the file is missing, truncated, or holds more than tensors.
    """
    try:
        with warnings.catch_warnings():
            # About pickle protocols; what matters is whether the file can be read.
            warnings.simplefilter("ignore", UserWarning)
            with torch.serialization.safe_globals(plain_globals()):
                value = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise CheckpointError(
            f"{path}: cannot be read ({error.strerror}); check the checkpoint's path."
        ) from error
    except _UNREADABLE as error:
        # PyTorch names what it will not make; the file is whole then.
        held = re.search(r"GLOBAL ([\w.]+)|class ([\w.]+)", str(error))
        if held is not None:
            name = (
                (held.group(1) or held.group(2))
                .replace("numpy._core", "numpy")
                .replace("numpy.core", "numpy")
            )
            raise CheckpointError(
                f"{path}: holds {name} beside the tensors, which is not read because such files can run code; where you trust "
                "it, load it in Python and save the state dict alone: torch.save(checkpoint['state_dict'], 'netG.pth')."
            ) from error
        raise CheckpointError(
            f"{path}: is truncated or no checkpoint of tensors alone; give another file."
        ) from error
    return _weights_in(path, value)


def _is_state_dict(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and bool(value)
        and all(isinstance(item, Tensor) for item in value.values())
    )


def _weights_in(path: Path | str, value: Any) -> dict[str, Tensor]:
    """Return the state dict of a loaded file: the whole of it, or the only one among what a training kept beside it.

    Raises:
        CheckpointError: there is none, or several.
    """
    if _is_state_dict(value):
        return {str(key): tensor for key, tensor in value.items()}
    inner = (
        {str(key): item for key, item in value.items() if _is_state_dict(item)}
        if isinstance(value, Mapping)
        else {}
    )
    chosen = inner.get("state_dict") or (next(iter(inner.values())) if len(inner) == 1 else None)
    if chosen is not None:
        return {str(key): tensor for key, tensor in chosen.items()}
    if inner:
        raise CheckpointError(
            f"{path}: holds several state dicts ({_listed(sorted(inner))}); save the one of this network alone."
        )
    keys = (
        f" (its keys are {_listed([str(key) for key in value])})"
        if isinstance(value, Mapping) and value
        else ""
    )
    raise CheckpointError(f"{path}: holds no state dict of tensors{keys}; give a network's checkpoint.")


def write_pth(path: Path | str, state: Mapping[str, Tensor]) -> None:
    """Write tensors as the published code does (``torch.save`` of a state dict), atomically."""
    buffer = io.BytesIO()
    torch.save({key: value.detach().cpu().contiguous() for key, value in state.items()}, buffer)
    write_bytes(path, buffer.getvalue())


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:_NAMED_KEYS])
    return shown if len(names) <= _NAMED_KEYS else f"{shown} and {len(names) - _NAMED_KEYS} more"


def describe_mismatch(state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> str | None:
    """Return what keeps ``state`` from filling ``expected`` strictly, as one phrase, or None."""
    # Counters that nothing reads; files older than PyTorch 0.4.1 lack them.
    missing = sorted(key for key in expected if key not in state and not key.endswith("num_batches_tracked"))
    surplus = sorted(key for key in state if key not in expected)
    other = sorted(key for key in state if key in expected and state[key].shape != expected[key].shape)
    shapes = [f"{key} is {list(state[key].shape)} instead of {list(expected[key].shape)}" for key in other]
    parts = [
        f"{len(names)} {what} ({_listed(names)})"
        for names, what in ((missing, "missing"), (surplus, "unexpected"), (shapes, "of another shape"))
        if names
    ]
    return "; ".join(parts) if parts else None


def fill_network(
    kind: str, config: NetworkConfig, state: Mapping[str, Tensor], name: Path | str = "state dict"
) -> Network:
    """Return a network in evaluation mode that holds the tensors of ``state``.

    Args:
        kind: "shape", "color_coarse" or "color_fine".
        config: its architecture.
        state: tensors under published names, with or without ``module.`` prefix and unused encoder.
        name: what to call ``state`` in the message.

    Raises:
        CheckpointError: tensors are missing, surplus or of another shape; the message names them.
    """
    # Without storage nothing is initialised in vain; the tensors of the file become the parameters.
    with torch.device("meta"):
        network = build_network(kind, config)
    expected = network.state_dict()
    tensors = normalize_keys(state)
    mismatch = describe_mismatch(tensors, expected)
    if mismatch is not None:
        raise CheckpointError(
            f"{name}: is of another architecture than this {kind} network, tensors {mismatch}; "
            "give the options it was trained with."
        )
    for key, empty in expected.items():
        tensors[key] = (
            tensors[key].to(empty.dtype) if key in tensors else torch.zeros(empty.shape, dtype=empty.dtype)
        )
    network.load_state_dict(tensors, assign=True)
    return network.eval()
