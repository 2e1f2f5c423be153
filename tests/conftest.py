"""Shared fixtures: one thread, seeded, a folder of reference files where there is one."""

from __future__ import annotations

import os
from pathlib import Path

# Several threads on few cores wait for each other: tests that take 5 s alone took 60 s beside another process. NumPy
# reads this once, when it is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TERMINAL_WIDTH", "200")
# The networks are an optional file: most tests must hold without them. Those that need them switch them on.
os.environ["JIFF_PERCEPTION"] = "off"

import cv2
import numpy as np
import pytest
from hypothesis import settings
from walk import Walk

from jiff.perception.files import find_networks
from jiff.perception.networks import PersonNetworks

# Its threads do not survive a fork, which some tests make.
cv2.setNumThreads(1)

# The same examples in every run of CI: what fails there can be repeated here.
settings.register_profile("ci", derandomize=True, deadline=None)
if os.environ.get("CI"):
    settings.load_profile("ci")

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference answers and photos beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip("the folder ../shared with reference answers is absent")
    return SHARED


@pytest.fixture(scope="session")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Walk:
    """The folder in which real processes walk through every command, stage by stage as tests ask for them."""
    return Walk(tmp_path_factory.mktemp("walk"))


@pytest.fixture
def networks(monkeypatch: pytest.MonkeyPatch) -> PersonNetworks:
    """The networks that see people, switched on for this test and the processes it starts."""
    monkeypatch.delenv("JIFF_PERCEPTION")
    found = find_networks()
    if found is None:
        pytest.skip("the person networks are not there (`jiff assets fetch perception`)")
    return found


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """A generator seeded by the test's own name."""
    return np.random.default_rng(sum(map(ord, request.node.name)))


@pytest.fixture(autouse=True)
def _seed_torch() -> None:
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)
