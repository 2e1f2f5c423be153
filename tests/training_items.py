"""Small training items of ellipsoids, for tests of data sets and of what they are read from."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from tiny_set import make_set

from jiff.data.augment import AugmentConfig
from jiff.data.color_samples import ColorPoolConfig
from jiff.data.data_config import DataConfig
from jiff.data.labels import LabelPoolConfig
from jiff.data.layout import ProcessedSet

POOL = LabelPoolConfig(near=4000, fine=500, uniform=500, volume=500, face=500)


CONFIG = DataConfig(
    load_size=64,
    load_size_fine=96,
    num_sample_inout=200,
    num_sample_color=150,
    num_sample_face=40,
    augment=AugmentConfig(random_flip=True, random_scale=True, random_trans=True, aug_bri=0.2),
    labels=POOL,
    colors=ColorPoolConfig(points=600, face=200),
)


@pytest.fixture(scope="module", name="dataset")
def dataset_fixture(tmp_path_factory) -> ProcessedSet:
    return make_set(tmp_path_factory.mktemp("set"))


def stage_config(stage: str, **changes) -> DataConfig:
    return dataclasses.replace(CONFIG, stage=stage, **changes)


def same(a, b) -> bool:
    tensors = ("images", "images_hi", "calibs", "points_world", "targets")
    for name in tensors:
        x, y = getattr(a, name), getattr(b, name)
        if (x is None) != (y is None) or (x is not None and not torch.equal(x, y)):
            return False
    return a.subjects == b.subjects and a.views == b.views
