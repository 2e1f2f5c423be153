"""The true body of a subject whose scan is synthetic: beside the scan, in metres; here in the set's world."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jiff.base.errors import InputError
from jiff.base.files import read_json
from jiff.body.files import body_of_values
from jiff.body.placing import moved
from jiff.data.scans import RESCALE_STAMP
from jiff.geometry.io.scan_writer import read_record
from jiff.run.stage import read_stamp

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jiff.body.anny_body import AnnyBody
    from jiff.body.placed import PlacedBody
    from jiff.data.layout import ProcessedSet

_TAG = "_truth.json"


def _source(stamp: Mapping[str, Any] | None, base: Path) -> Path | None:
    """Return the scan that a stamp notes, None where it notes none that is there."""
    inputs = (stamp or {}).get("inputs")
    entry = inputs.get("scan") if isinstance(inputs, dict) else None
    noted = entry.get("file") if isinstance(entry, dict) else None
    return (base / noted).resolve() if noted and (base / noted).parent.is_dir() else None


def find_truth(dataset: ProcessedSet, subject: str, scans: Path | None = None) -> Path | None:
    """Return the truth file of a subject's scan; None where there is none.

    Looked for in ``scans``, beside the scan that was rendered, and beside the one from which that was rescaled.

    Args:
        dataset: the set.
        subject: its name.
        scans: folder of the scans as ``jiff data synth`` wrote them, for sets that lie elsewhere.
    """
    candidates = []
    if scans is not None:
        candidates += [scans / subject / f"{subject}{_TAG}", scans / f"{subject}{_TAG}"]
    rendered = _source(read_stamp(dataset.render_stamp(subject)), dataset.root)
    if rendered is not None:
        candidates.append(rendered.with_name(f"{rendered.stem}{_TAG}"))
        raw = _source(read_stamp(rendered.with_name(RESCALE_STAMP)), rendered.parent.parent)
        if raw is not None:
            candidates.append(raw.with_name(f"{raw.stem}{_TAG}"))
    return next((path for path in candidates if path.is_file()), None)


def true_body(dataset: ProcessedSet, subject: str, truth: Path, body: AnnyBody) -> PlacedBody | None:
    """Return the body of a truth file in the set's world; None where the file tells of none.

    The scan in the set knows how it came from the one that the file describes.

    Raises:
        InputError: what the file tells is no body, or the scan in the set does not know where it comes from.
    """
    content = read_json(truth)
    told = content.get("body") if isinstance(content, dict) else None
    if not isinstance(told, dict):
        return None
    placed = body_of_values(told, str(truth))
    scan = dataset.geometry(subject)
    record = read_record(scan) or {}
    try:
        matrix = np.array(record["world_from_scan"], dtype=np.float64).reshape(3, 4)
        return moved(placed, body, matrix[:, :3], matrix[:, 3])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{scan}: does not say how it was rescaled, so the body in {truth} has no place; run `jiff data rescale` and `jiff data render` again."
        ) from error
