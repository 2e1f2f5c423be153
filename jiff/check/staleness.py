"""Which stages of a processed set are out of date: made with other settings than the set's, or of other inputs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from jiff.base.errors import JiffError
from jiff.data.dataset_file import read_dataset_file
from jiff.data.face_record import stored_stamp
from jiff.data.scans import RESCALE_STAMP
from jiff.render.prt_io import STAMP_FILE, bounce_folder
from jiff.run.stage import BEGUN, inputs_change, read_stamp, settings_change

if TYPE_CHECKING:
    from jiff.data.layout import ProcessedSet

STAGES = ("render", "face", "icp", "body")


def stale_stages(dataset: ProcessedSet, subject: str) -> list[str]:
    """Return one sentence for each stage of a subject whose stamp no longer holds.

    Stages without a stamp (sets of the published scripts) are taken as they are.
    """
    try:
        recorded = read_dataset_file(dataset).get("stages", {})
    except JiffError as error:
        return [str(error)]
    found = []
    for stage in STAGES:
        stamp = _stamp_of(dataset, subject, stage)
        if stamp is None:
            continue
        reason = _reason(dataset, stamp, (recorded.get(stage) or {}).get("settings") or {})
        if reason:
            source = "-i SCANS -o" if stage == "render" else "-i"
            found.append(
                f"Its {stage} is out of date because {reason}; run `jiff data {stage} {source} {dataset.root}`."
            )
    return found


def stale_scan(scan: Path) -> list[str]:
    """Return one sentence for each stage whose files lie beside a scan and whose stamp no longer holds."""
    found = []
    places = {
        "rescale": (scan.with_name(RESCALE_STAMP), scan.parent.parent),
        "prt": (bounce_folder(scan) / STAMP_FILE, scan.parent),
    }
    for stage, (place, base) in places.items():
        stamp = read_stamp(place)
        if stamp is None:
            continue
        reason = _reason_of_inputs(stamp, base)
        if reason:
            source = "-i RAW -o" if stage == "rescale" else "-i"
            found.append(
                f"Its {stage} is out of date because {reason}; run `jiff data {stage} {source} {scan.parent.parent}`."
            )
    return found


def _reason_of_inputs(stamp: dict[str, Any], base: Path) -> str:
    return "it was not finished" if BEGUN in stamp else inputs_change(stamp, base)


def _stamp_of(dataset: ProcessedSet, subject: str, stage: str) -> dict[str, Any] | None:
    if stage == "render":
        return read_stamp(dataset.render_stamp(subject))
    if stage == "body":
        return read_stamp(dataset.body_stamp(subject))
    try:
        return stored_stamp(dataset.face_report(subject), stage)
    except JiffError:
        # The check of the face files says what is wrong with the record.
        return None


def _reason(dataset: ProcessedSet, stamp: dict[str, Any], recorded: dict[str, Any]) -> str:
    known = stamp.get("settings") or {}
    told = settings_change(known, {name: value for name, value in recorded.items() if name in known})
    return (told if BEGUN not in stamp else "") or _reason_of_inputs(stamp, dataset.root)
