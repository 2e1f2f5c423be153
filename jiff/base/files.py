"""Atomic writes and safe reads of small text formats."""

from __future__ import annotations

import glob
import json
import os
import shutil
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from jiff.base.errors import InputError, OutputError, os_cause

if TYPE_CHECKING:
    from collections.abc import Iterator


def _output_error(path: Path, error: OSError) -> OutputError:
    cause, remedy = os_cause(error)
    return OutputError(f"{path}: cannot be written because {cause}; {remedy}.")


def make_folder(path: Path) -> Path:
    """Create ``path`` with its parents and return it.

    Raises:
        OutputError: the folder cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _output_error(path, error) from error
    return path


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Yield a temporary sibling of ``path`` that takes its place when the block ends well.

    The temporary name keeps the suffix, so that writers which choose a format by it work. On any error the
    temporary file is removed and whatever stood at ``path`` stays.

    Raises:
        OutputError: the folder or the file cannot be written.
    """
    path = Path(path)
    make_folder(path.parent)
    temporary = path.with_name(f".{path.stem[:40]}.{uuid.uuid4().hex[:8]}.part{path.suffix}")
    try:
        yield temporary
        # Windows flushes only what is open for writing.
        with open(temporary, "r+b") as handle:
            os.fsync(handle.fileno())
        temporary.replace(path)
    except OSError as error:
        raise _output_error(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path | str) -> Iterator[Path]:
    """Yield a temporary sibling folder that takes the place of ``path`` when the block ends well.

    Raises:
        OutputError: the folder cannot be made or replaced.
    """
    path = Path(path)
    make_folder(path.parent)
    temporary = path.with_name(f".{path.name[:40]}.{uuid.uuid4().hex[:8]}.part")
    try:
        temporary.mkdir()
        yield temporary
        if path.exists():
            shutil.rmtree(path)
        temporary.replace(path)
    except OutputError as error:
        # A user knows the folder by its final name only.
        raise OutputError(str(error).replace(str(temporary), str(path))) from error
    except OSError as error:
        raise _output_error(path, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def remove_leftovers(folder: Path | str, name: str | None = None) -> None:
    """Delete the temporary files and folders that killed writers left in ``folder``; nobody else may be writing them now.

    Args:
        folder: need not exist.
        name: only those of this file (without its suffix) or folder; any without it.
    """
    stem = "*" if name is None else glob.escape(name[:40])
    for path in Path(folder).glob(f".{stem}.????????.part*"):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def write_bytes(path: Path | str, data: bytes) -> None:
    """Write ``data`` to ``path`` atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path | str, text: str) -> None:
    """Write UTF-8 ``text`` to ``path`` atomically."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path | str, value: Any) -> None:
    """Write ``value`` as indented JSON, atomically."""
    write_text(path, json.dumps(value, indent=2, sort_keys=False, ensure_ascii=False) + "\n")


def write_yaml(path: Path | str, value: Any) -> None:
    """Write plain ``value`` as YAML, atomically."""
    write_text(path, yaml.safe_dump(value, sort_keys=False, allow_unicode=True))


def read_text(path: Path | str) -> str:
    """Return the UTF-8 text of ``path``.

    Raises:
        InputError: the file is missing or not text.
    """
    try:
        return Path(path).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; check the path.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as text ({error}); give a readable UTF-8 file.") from error


def read_yaml(path: Path | str) -> Any:
    """Return the plain value of a YAML file.

    Raises:
        InputError: the file is missing or not YAML.
    """
    try:
        return yaml.safe_load(read_text(path))
    except yaml.YAMLError as error:
        line = getattr(getattr(error, "problem_mark", None), "line", -1) + 1
        raise InputError(f"{path}: not valid YAML (line {line}); mend the file.") from error


def read_json(path: Path | str) -> Any:
    """Return the value of a JSON file.

    Raises:
        InputError: the file is missing or not JSON.
    """
    try:
        return json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise InputError(f"{path}: not valid JSON (line {error.lineno}); mend or delete the file.") from error
