"""The table of commands in the order of work; reading it imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """One command, or one group of commands, as the help lists it.

    Attributes:
        name: as typed.
        help: one line.
        module: where the command lives, loaded when it is used; empty for a group.
        panel: heading in the help of the level above.
        commands: the entries of a group.
    """

    name: str
    help: str
    module: str = ""
    panel: str | None = None
    commands: tuple[Entry, ...] = ()


DATA = (
    Entry(
        "synth", "Write free synthetic scans of clothed people to try everything on.", "jiff_cli.data.synth"
    ),
    Entry("rescale", "Bring scans to 180 units height, feet at 0, centred.", "jiff_cli.data.rescale"),
    Entry("prt", "Compute how each vertex of a scan sees its surroundings (PRT).", "jiff_cli.data.prt"),
    Entry("render", "Render scans to images, masks and UV maps: the processed set.", "jiff_cli.data.render"),
    Entry("frame", "Find the people of photos and frame them: a test folder.", "jiff_cli.data.frame"),
    Entry("face", "Find faces and fit a 3D face model (processed set or test folder).", "jiff_cli.data.face"),
    Entry("body", "Fit a posed body to people (test folder or processed set).", "jiff_cli.data.body"),
    Entry(
        "photos", "Photograph synthetic people: what prior-held networks learn from.", "jiff_cli.data.photos"
    ),
    Entry(
        "normals",
        "Photograph people in wrinkled clothes: what networks of normals learn from.",
        "jiff_cli.data.normals",
    ),
    Entry("icp", "Refine the fitted face meshes against the scans.", "jiff_cli.data.icp"),
    Entry("check", "Check raw scans, a processed set or a test folder.", "jiff_cli.data.check"),
)

TRAIN = (
    Entry("shape", "Train the shape network.", "jiff_cli.train.shape"),
    Entry(
        "color-coarse",
        "Train the coarse colour network on a trained shape network.",
        "jiff_cli.train.color_coarse",
    ),
    Entry("color-fine", "Train the fine colour network on the two before.", "jiff_cli.train.color_fine"),
    Entry(
        "person", "Train a prior-held person network: shape, face and colour in one.", "jiff_cli.train.person"
    ),
    Entry("normals", "Train a network of normals: folds, collars, hems.", "jiff_cli.train.normals"),
    Entry(
        "check",
        "Show a few training items with everything overlaid, before a long run.",
        "jiff_cli.train.check",
    ),
)

EVAL = (
    Entry("pifu", "Reconstruct a test folder without the face prior (coarse).", "jiff_cli.eval.pifu"),
    Entry("align", "Align the fitted faces of a test folder to the coarse meshes.", "jiff_cli.eval.align"),
    Entry("jiff", "Reconstruct a test folder with the face prior.", "jiff_cli.eval.jiff"),
    Entry("metrics", "Measure meshes against ground truth, in centimetres.", "jiff_cli.eval.metrics"),
)

ASSETS = (
    Entry(
        "list", "List every optional file: there or not, licence, where to get it.", "jiff_cli.assets.list"
    ),
    Entry("path", "Print the folder of optional files, or where one file belongs.", "jiff_cli.assets.path"),
    Entry("verify", "Check the optional files that are there.", "jiff_cli.assets.verify"),
    Entry("fetch", "Download the optional files that may be downloaded.", "jiff_cli.assets.fetch"),
    Entry("convert", "Convert a checkpoint from or to the published format.", "jiff_cli.assets.convert"),
)

_TRY = "Try it"
_WORK = "Train your own networks, in this order"
_USE = "Use trained networks"
_KEEP = "This installation"

ROOT = (
    Entry(
        "demo", "Everything from scans to measured people on free data, in minutes.", "jiff_cli.demo", _TRY
    ),
    Entry(
        "data",
        "Prepare scans: synth, rescale, prt, render, frame, face, icp, check.",
        panel=_WORK,
        commands=DATA,
    ),
    Entry("train", "Train: shape, color-coarse, color-fine.", panel=_WORK, commands=TRAIN),
    Entry("eval", "Reconstruct and measure: pifu, align, jiff, metrics.", panel=_WORK, commands=EVAL),
    Entry(
        "reconstruct",
        "Turn one photo, or a folder of photos, into coloured meshes.",
        "jiff_cli.reconstruct",
        _USE,
    ),
    Entry("view", "Look at meshes side by side in the browser.", "jiff_cli.view", _USE),
    Entry("doctor", "Show versions, devices, optional parts and folders.", "jiff_cli.doctor", _KEEP),
    Entry("assets", "Manage optional files: face models, detector, weights.", panel=_KEEP, commands=ASSETS),
)


def find(words: list[str]) -> tuple[Entry, list[str]] | None:
    """Return the command that ``words`` (after ``jiff``) name, and the words that follow it; None if there is none."""
    entries: tuple[Entry, ...] = ROOT
    for index, word in enumerate(words):
        entry = next((item for item in entries if item.name == word), None)
        if entry is None:
            return None
        if entry.module:
            return entry, words[index + 1 :]
        entries = entry.commands
    return None


def all_commands(
    entries: tuple[Entry, ...] = ROOT, prefix: tuple[str, ...] = ()
) -> list[tuple[tuple[str, ...], Entry]]:
    """List every command with the words that name it, e.g. ``(("data", "render"), Entry(...))``."""
    found: list[tuple[tuple[str, ...], Entry]] = []
    for entry in entries:
        here = (*prefix, entry.name)
        if entry.module:
            found.append((here, entry))
        found.extend(all_commands(entry.commands, here))
    return found
