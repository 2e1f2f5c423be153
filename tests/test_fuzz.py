"""A seeded part of ``make fuzz``: mutated inputs are read or named, and nothing else happens."""

from __future__ import annotations

import numpy as np
from fuzz import mutated, run


def test_mutated_inputs_are_read_or_named() -> None:
    counts, wrong, _ = run(450, seed=7, processes=1)
    assert not wrong, "\n".join(wrong)
    assert len(counts) == 15 and all(sum(part.values()) == 30 for part in counts.values())
    assert sum(part["read"] for part in counts.values()) > 20


def test_mutations_are_seeded_and_change_something() -> None:
    blob = bytes(range(256))
    first = [mutated(blob, np.random.default_rng(k)) for k in range(20)]
    assert first == [mutated(blob, np.random.default_rng(k)) for k in range(20)]
    assert sum(one != blob for one in first) > 15
