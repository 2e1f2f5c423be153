"""Clothed bodies that are known, photographed without networks: views of people for tests of prior-held networks."""

from __future__ import annotations

import atexit
import functools
import json
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest

from jiff.body.anny_body import load_anny_body
from jiff.body.placed import PlacedBody
from jiff.body.prior import BodyPrior
from jiff.data import view_labels
from jiff.data.person_view import PersonView, write_view
from jiff.data.view_labels import ViewLabels, label_view
from jiff.photo.view_inputs import ViewInputs, view_inputs
from jiff.synthetic.snapshot import Snapshot, take_snapshot
from tests.known_person import standing_body
from tests.posed_body import coat

TINY = {
    "view_channels": (8, 8, 16), "head_channels": (8, 8), "feature_dim": 8, "head_feature_dim": 8, "hidden": (32, 16),
}  # fmt: skip
_COUNTS = {
    "BODY_NEAR": 450, "BODY_FINE": 400, "BODY_VOLUME": 250, "HEAD_NEAR": 150, "HEAD_FINE": 250, "HEAD_VOLUME": 50,
    "BODY_COLORS": 500, "HEAD_COLORS": 250,
}  # fmt: skip


@functools.cache
def person(number: int = 0) -> PlacedBody:
    """A standing person; the arms of each number hang differently."""
    out = 0.15 * number
    return standing_body(
        upperarm_L=(0.0, 0.0, -0.5 + out),
        upperarm_R=(-0.3 * out, 0.0, 0.55 - out),
        root=(0.0, 0.2 * number, 0.0),
    )


def moved(placed: PlacedBody, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> PlacedBody:
    """The body elsewhere."""
    return replace(placed, offset_world=placed.offset_world + [x, y, z])


@functools.cache
def prior(number: int = 0) -> BodyPrior:
    """What the body of a person says."""
    return BodyPrior(person(number))


@functools.cache
def snapshot(number: int = 0) -> Snapshot:
    """A photo of a person in a coat of one unit."""
    clothed = coat(load_anny_body(), person(number), finer=0)
    return take_snapshot(clothed, np.random.default_rng(number), (256,))


@functools.cache
def inputs(number: int = 0, depth: float = 0.0) -> ViewInputs:
    """What a network sees of a photo whose body was fitted ``depth`` units too near."""
    photo = snapshot(number)
    return view_inputs(photo.rgb, photo.mask, moved(person(number), z=depth))


@functools.cache
def labels(number: int = 0, depth: float = 0.0, seed: int = 0) -> ViewLabels:
    """A tenth of the usual points."""
    photo, seen = snapshot(number), inputs(number, depth)
    fitted = moved(person(number), z=depth)
    rng = np.random.default_rng([number, seed])
    with patch.multiple(view_labels, **_COUNTS):
        return label_view(
            photo.shaded,
            photo.camera,
            photo.env_sh,
            person(number),
            fitted,
            seen.prior,
            seen.head_window,
            rng,
        )


# Trees that outlive the interpreter are reported as leaks.
for cached in (prior, inputs):
    atexit.register(cached.cache_clear)


def view(number: int = 0, seed: int = 0) -> PersonView:
    """A view of a person, its body fitted without error."""
    values = {name: value for name, value in vars(inputs(number)).items() if name != "prior"}
    return PersonView(**values, **vars(labels(number, seed=seed)))


def write_people(root: Path, people: int = 3, views: int = 2, held_out: int = 1) -> Path:
    """Write what ``jiff data photos`` leaves behind."""
    names = [f"person_{number:05d}" for number in range(people)]
    for number, name in enumerate(names):
        folder = root / name
        folder.mkdir(parents=True)
        for index in range(views):
            write_view(folder / f"view_{index}.npz", view(number, index))
        (folder / "person.json").write_text(json.dumps({"views": views}))
    (root / "val.txt").write_text("".join(f"{name}\n" for name in names[people - held_out :]))
    return root


@pytest.fixture(scope="module", name="people")
def people_fixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_people(tmp_path_factory.mktemp("people"))
