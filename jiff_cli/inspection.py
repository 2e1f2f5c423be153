"""What ``jiff doctor`` finds out about the machine and the installation."""

from __future__ import annotations

import contextlib
import ctypes.util
import importlib.util
import os
import platform
import shutil
import sys
import tempfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from jiff import __version__
from jiff.assets.folders import assets_dir, cache_dir
from jiff.assets.registry import ASSETS
from jiff.run.plan import default_jobs

_PACKAGES = (
    "torch",
    "numpy",
    "scipy",
    "opencv-python-headless",
    "embreex",
    "trimesh",
    "anny",
    "libigl",
    "lightning-fabric",
    "safetensors",
    "xatlas",
    "fast-simplification",
    "manifold3d",
    "pyexr",
    "typer",
    "rich",
)


@dataclass(frozen=True)
class Part:
    """An optional part of the installation.

    Attributes:
        name: package or library.
        module: module that is looked for.
        gives: what it is for.
        without: what its absence costs.
        remedy: how to get it.
    """

    name: str
    module: str
    gives: str
    without: str
    remedy: str


PARTS = (
    Part(
        "pyrender",
        "pyrender",
        "data render --egl",
        "images come from the ray caster, equally good",
        "pip install 'jiff[gl]'",
    ),
    Part(
        "torch-scatter",
        "torch_scatter",
        "face encoder",
        "plain torch scatter_reduce, same answers",
        "pip install 'jiff[scatter]'",
    ),
    Part(
        "kaolin",
        "kaolin",
        "distance to meshes on CUDA",
        "SciPy and torch, slower on big meshes",
        "see kaolin.readthedocs.io (no wheels on PyPI)",
    ),
    Part(
        "pytorch3d",
        "pytorch3d",
        "neighbours and sampling on CUDA",
        "torch, slower fine-colour training",
        "see pytorch3d.org (no wheels on PyPI)",
    ),
    Part(
        "distributed",
        "distributed",
        "data preparation on many machines",
        "one machine, all its cores",
        "pip install 'jiff[cluster]'",
    ),
)


def versions() -> dict[str, str | None]:
    """Return package -> installed version, None where it is missing."""
    found: dict[str, str | None] = {"jiff": __version__, "python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    return found


def memory_gb() -> float | None:
    """Return the machine's main memory in GiB, None where it cannot be told."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    except (AttributeError, ValueError, OSError):
        return None


def devices() -> dict[str, Any]:
    """Return processor cores, threads, memory, and the GPUs that torch can use."""
    import torch

    memory = memory_gb()
    found: dict[str, Any] = {
        "platform": platform.platform(),
        "cores": default_jobs(),
        "torch_threads": torch.get_num_threads(),
        "memory_gb": None if memory is None else round(memory, 1),
        "cuda": [],
        "mps": bool(torch.backends.mps.is_available()),
    }
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            properties = torch.cuda.get_device_properties(index)
            found["cuda"].append(
                {"name": properties.name, "memory_gb": round(properties.total_memory / 2**30, 1)}
            )
    return found


def optional_parts() -> list[dict[str, Any]]:
    """Return for each optional part whether it is there and loads, and what its absence costs."""
    found = []
    for part in PARTS:
        state, reason = _loads(part.module)
        found.append(
            {
                "name": part.name,
                "found": state,
                "for": part.gives,
                "without": reason or part.without,
                "remedy": part.remedy,
            }
        )
    egl = ctypes.util.find_library("EGL")
    found.append(
        {
            "name": "EGL library",
            "found": egl is not None,
            "for": "data render --egl",
            "without": "images come from the ray caster, equally good",
            "remedy": "install the EGL library of the graphics driver (libegl1)",
        }
    )
    return found


def _loads(module: str) -> tuple[bool, str]:
    if importlib.util.find_spec(module) is None:
        return False, ""
    if module == "pyrender":
        # Importing it opens a display; its presence is all that can be told here.
        return True, ""
    try:
        importlib.import_module(module)
    except (ImportError, OSError) as error:
        return False, f"installed but does not load ({str(error).splitlines()[0]})"
    return True, ""


def _size_mb(folder: Path) -> float:
    total = 0
    for path in folder.rglob("*"):
        # Another run may be replacing files meanwhile.
        with contextlib.suppress(OSError):
            total += path.stat().st_size if path.is_file() else 0
    return total / 2**20


def folders() -> list[dict[str, Any]]:
    """Return the folders jiff uses: size, free space, and whether they can be written."""
    found = []
    for name, folder in (("cache", cache_dir()), ("assets", assets_dir()), ("here", Path.cwd())):
        standing = folder
        while not standing.exists() and standing != standing.parent:
            standing = standing.parent
        found.append(
            {
                "name": name,
                "path": str(folder),
                "exists": folder.is_dir(),
                "size_mb": round(_size_mb(folder), 1) if name != "here" and folder.is_dir() else None,
                "free_gb": round(shutil.disk_usage(standing).free / 2**30, 1),
                "writable": _can_write(standing),
            }
        )
    return found


def _can_write(folder: Path) -> bool:
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".jiff-doctor-") as handle:
            handle.write(b"0" * 1024)
            handle.flush()
    except OSError:
        return False
    return True


def assets() -> list[dict[str, Any]]:
    """Return for each optional file whether it is there, all of it, and what its absence costs."""
    return [
        {
            "name": asset.name,
            "found": path is not None,
            "complete": path is not None and asset.complete(path),
            "state": asset.state(path),
            "for": asset.purpose,
            "without": asset.without,
        }
        for asset, path in ((asset, asset.find()) for asset in ASSETS)
    ]


def inspect_all() -> dict[str, Any]:
    """Return everything as plain values."""
    return {
        "versions": versions(),
        "executable": sys.executable,
        "devices": devices(),
        "optional": optional_parts(),
        "assets": assets(),
        "folders": folders(),
    }
