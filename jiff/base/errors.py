"""Typed errors: each message is one sentence with the file, the cause and the remedy."""

from __future__ import annotations

import errno


class JiffError(Exception):
    """Base of every error a user can cause or mend; the CLI prints it without a traceback (exit status 1)."""

    exit_status = 1


class UsageError(JiffError):
    """Options that contradict each other or cannot be used together (exit status 2)."""

    exit_status = 2


class InputError(JiffError):
    """A user's file or folder is missing, empty, unreadable or of the wrong kind."""


class MeshError(InputError):
    """A mesh file cannot be read, or holds no usable surface."""


class ImageError(InputError):
    """An image, mask or texture cannot be read, or does not fit its partner."""


class DatasetError(InputError):
    """A processed set lacks a stage or holds files that disagree."""


class OutputError(JiffError):
    """A result cannot be written: read-only folder, full disk, name taken."""


class ConfigError(UsageError):
    """A configuration file or value does not fit the configuration it is meant for."""


class CheckpointError(JiffError):
    """A checkpoint cannot be read or belongs to another architecture."""


class AssetError(JiffError):
    """An optional file (face model, detector, weights) is missing, truncated or another file."""


class FitError(JiffError):
    """A face was not found, or its fit is too poor to be trusted."""


class ReconstructionError(JiffError):
    """No surface could be extracted: empty field, empty mask, out of memory."""


class TrainingError(JiffError):
    """Training cannot start or go on: no data, diverged loss."""


class StoppedElsewhereError(TrainingError):
    """Another process of this training failed and says why; the command line shows nothing."""


def os_cause(error: OSError) -> tuple[str, str]:
    """Return cause and remedy of a failed write or read, as two phrases."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "the disk is full", "free some space and run the same command again"
    if error.errno == errno.EFBIG:
        return (
            "the file grows beyond what the system allows",
            "raise the limit (ulimit -f) or use another disk",
        )
    if error.errno == errno.EROFS:
        return "its disk is read-only", "choose a folder you may write to"
    if isinstance(error, PermissionError):
        return "permission denied", "choose a folder you may write to or correct its rights"
    if isinstance(error, (NotADirectoryError, FileExistsError)):
        return "a file stands where a folder is needed", "choose another folder"
    if isinstance(error, FileNotFoundError):
        return "no such file or folder", "check the path"
    # Libraries that write images raise their own texts without a number.
    cause = error.strerror or "the data could not be stored"
    return cause[:1].lower() + cause[1:], "see that its disk has space and its folder may be written"


def os_sentence(error: OSError) -> str:
    """Return one sentence for an error of the file system that nobody turned into a ``JiffError``."""
    cause, remedy = os_cause(error)
    return f"{error.filename if error.filename is not None else 'a file'}: {cause}; {remedy}."
