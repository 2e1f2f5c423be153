"""``jiff data check``: verdicts on raw scans, completeness and consistency of processed sets, photos of test folders."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jiff.base.errors import DatasetError, UsageError
from jiff.base.files import write_json, write_text
from jiff.check.body import refused_body
from jiff.check.item import FIX, REJECT
from jiff.check.photo import check_photo, fitted_tile, is_test_folder, photo_tiles, photos_to_check
from jiff.check.processed_set import check_subject
from jiff.check.scan import check_scan, scan_tiles
from jiff.check.staleness import stale_scan, stale_stages
from jiff.check.tiles import subject_tiles
from jiff.data.cache_clean import cache_state, clean_caches
from jiff.data.layout import ProcessedSet
from jiff.data.scans import find_scans
from jiff.geometry.io.mesh_io import save_image
from jiff.options.check import CheckConfig
from jiff.options.work import WorkOptions
from jiff.render.preview import contact_sheet
from jiff.report.check_page import check_page
from jiff.run.parallel import add_not_taken, run_items
from jiff.run.plan import plan_work

if TYPE_CHECKING:
    from jiff.base.progress import Progress
    from jiff.check.item import CheckItem
    from jiff.photo.test_folder import PersonFiles
    from jiff.run.parallel import WorkReport

WORKER_GIB = 1.25
"""Most memory of a process, measured on a scan of 470,000 triangles with a texture of 8192 pixels."""
_TILE, _PHOTO_TILE = 224, 448
_MAX_SHEET = 48
"""Subjects on the contact sheet; of larger sets every n-th is shown."""


def _check_scan(item: tuple[str, Path, bool]) -> CheckItem:
    name, path, pictures = item
    result = check_scan(name, path)
    for sentence in stale_scan(path):
        result.fix(sentence)
    if pictures and (result.verdict != REJECT or "triangles" in result.facts):
        result.tiles = scan_tiles(path, _TILE)
    return result


def _check_subject(item: tuple[str, Path, bool], *, silhouettes: int, face: bool) -> CheckItem:
    name, root, pictures = item
    dataset = ProcessedSet(root)
    result, data = check_subject(dataset, name, silhouettes=silhouettes, face=face)
    for sentence in stale_stages(dataset, name):
        result.fix(sentence)
    refused = refused_body(dataset.body(name))
    if refused is not None:
        result.fix(
            f"Body refused: {refused}; see that its views show the person, or give `jiff data body --scans`."
        )
    if pictures:
        result.tiles = subject_tiles(dataset, name, data, _TILE)
        overlay = dataset.face_report(name).with_name("overlay.png")
        if overlay.is_file():
            result.tiles.append(fitted_tile(overlay, _TILE))
    return result


def _check_photo(item: tuple[str, PersonFiles, bool]) -> CheckItem:
    _, person, pictures = item
    result = check_photo(person)
    if pictures:
        result.tiles = photo_tiles(person, _PHOTO_TILE)
    return result


def _set_subjects(root: Path) -> list[str]:
    names: set[str] = set()
    for folder in ("RENDER", "MASK", "PARAM", "GEO/OBJ"):
        if (root / folder).is_dir():
            names |= {p.name for p in (root / folder).iterdir() if p.is_dir() and not p.name.startswith(".")}
    if not names:
        raise DatasetError(f"{root}: holds no subjects; run `jiff data render -i SCANS -o {root}` first.")
    return sorted(names)


def _check_validation(root: Path, subjects: list[str]) -> str | None:
    dataset = ProcessedSet(root)
    if not dataset.val_list.is_file():
        return f"{dataset.val_list}: no such file; run `jiff data render` again, or write the held-out names into it."
    names = dataset.validation_subjects()
    unknown = sorted(set(names) - set(subjects))
    if unknown:
        return f"{dataset.val_list}: names {', '.join(unknown[:5])}, which the set does not hold; correct the list."
    if names and set(names) == set(subjects):
        return f"{dataset.val_list}: holds out every subject, so that nothing is left to train on; shorten the list."
    return None


def _amount(item: CheckItem) -> str:
    """Return how much of it there is, or what was found in a photo."""
    if "findings" in item.facts:
        return ", ".join(item.facts["findings"])
    kind = "views" if "views" in item.facts else "triangles"
    return f"{item.facts.get(kind, '')} {kind}"


def _write_sheet(path: Path, items: list[CheckItem]) -> None:
    tiles: list[Any] = []
    labels: list[str] = []
    for item in items:
        tiles += item.tiles
        iou = item.facts.get("silhouette_iou")
        distance = item.facts.get("face_distance", {}).get("median")
        notes = [
            f"{item.name}: {item.verdict}",
            _amount(item),
            "" if iou is None else f"mask IoU {iou:.4f}",
            "" if distance is None else f"face {distance:.2f} off",
        ]
        labels += (notes + [""] * len(item.tiles))[: len(item.tiles)]
    row = max((len(item.tiles) for item in items), default=4)
    if any(len(item.tiles) != row for item in items):
        # Rows of unequal length would run into each other.
        tiles, labels = [], []
        for item in items:
            blank = np.full_like(item.tiles[0], 255)
            tiles += [*item.tiles, *[blank] * (row - len(item.tiles))]
            labels += [f"{item.name}: {item.verdict}", _amount(item), *[""] * row][:row]
    save_image(path, contact_sheet(tiles, labels, columns=2 * row if len(items) > 8 else row))


def _look_after_caches(dataset: ProcessedSet, config: CheckConfig, progress: Progress) -> None:
    """Tell how large the caches are, cleaned before where that is asked for."""
    if config.clean or config.clean_to is not None:
        state = clean_caches(dataset, int((config.clean_to or 0) * 1e9))
        progress.info(f"{dataset.caches}: {_size(state.freed_bytes)} deleted.")
    else:
        state = cache_state(dataset)
    if state.total_bytes:
        unused = state.total_bytes - state.in_use_bytes
        progress.info(
            f"{dataset.caches}: {_size(state.total_bytes)} of caches, {_size(unused)} of them used by no running training"
            f"{'' if config.clean else ' (--clean deletes these)'}."
        )


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:.1f} GB" if size_bytes >= 1e9 else f"{size_bytes / 1e6:.1f} MB"


def run_check(config: CheckConfig, progress: Progress) -> WorkReport:
    """Check a folder of scans, a processed set or a test folder, whichever it is.

    Returns:
        The report; its results are the ``CheckItem`` of sound items, its failures the rejected scans or faulty
        subjects, each with what to do. Scans that a command can mend are results with verdict "fix", and are told to
        ``progress``. The JSON file holds every item.

    Raises:
        DatasetError: missing or empty folder.
        UsageError: caches of a folder of scans are to be cleaned.
        OutputError: JSON, page or contact sheet cannot be written.
    """
    root = Path(config.root)
    processed = ProcessedSet(root).exists()
    not_taken: dict[str, str] = {}
    photos = not processed and is_test_folder(root)
    pairs: list[tuple[str, Any]]
    if processed:
        pairs = [(name, root) for name in _set_subjects(root)]
    elif photos:
        pairs = [(person.name, person) for person in photos_to_check(root)]
    else:
        found = find_scans(root)
        pairs, not_taken = list(found.scans.items()), found.not_taken
    step = -(-len(pairs) // _MAX_SHEET)
    pictures = config.contact_sheet is not None or config.html is not None
    items = [(name, (name, path, pictures and k % step == 0)) for k, (name, path) in enumerate(pairs)]
    if (config.clean or config.clean_to is not None) and not processed:
        kind = "photos" if photos else "scans"
        raise UsageError(f"{root}: holds {kind}, which have no caches; leave out --clean and --clean-to.")
    if processed:
        face = config.face
        if face is None:
            face = any((root / "FACE_3DMM").glob("*/*.obj")) if (root / "FACE_3DMM").is_dir() else False
        work: Any = partial(_check_subject, silhouettes=config.silhouettes, face=face)
    else:
        work = _check_photo if photos else _check_scan
    plan = plan_work(WorkOptions(jobs=config.jobs), [name for name, _ in items], worker_gib=WORKER_GIB)
    report = run_items(work, items, plan=plan, progress=progress, title="Checking")
    checked: list[CheckItem] = list(report.results.values())
    add_not_taken(report, not_taken, plan, progress)
    for item in checked:
        if item.verdict == REJECT:
            report.failures[item.name] = item.sentence()
            del report.results[item.name]
        elif item.verdict == FIX:
            progress.info(f"{item.name}: {item.sentence()}")
    if processed:
        _look_after_caches(ProcessedSet(root), config, progress)
        fault = _check_validation(root, [name for name, _ in pairs])
        if fault is not None:
            report.failures["val.txt"] = fault
    counts = {verdict: sum(i.verdict == verdict for i in checked) for verdict in ("pass", FIX, REJECT)}
    progress.info(", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count))
    if config.json is not None:
        content = {
            "kind": "processed set" if processed else "test folder" if photos else "scans",
            "root": str(root),
            "ok": report.ok,
            "counts": counts,
            "items": {i.name: i.plain() for i in checked},
            "failures": report.failures,
        }
        write_json(config.json, content)
        report.outputs.append(str(config.json))
    if config.html is not None:
        faults = [why for name, why in report.failures.items() if name not in {item.name for item in checked}]
        write_text(config.html, check_page(f"jiff data check {root}", checked, faults))
        report.outputs.append(str(config.html))
    if config.contact_sheet is not None:
        _write_sheet(config.contact_sheet, [item for item in checked if item.tiles])
        report.outputs.append(str(config.contact_sheet))
    return report
