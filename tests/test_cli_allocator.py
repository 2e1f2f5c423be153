"""Memory that a tensor gave back serves the next one without page faults."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = """
import resource
import sys
import numpy as np
from jiff_cli.allocator import keep_freed_memory
took = keep_freed_memory() if "keep" in sys.argv else None
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        np.empty(1 << 25, dtype=np.uint8).fill(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
print(took, faults())
"""


def run(*arguments: str, **variables: str) -> tuple[str, int]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        env=environment | variables, capture_output=True, text=True, check=True,
    )  # fmt: skip
    took, faults = done.stdout.split()
    return took, int(faults)


@pytest.mark.skipif(
    not sys.platform.startswith("linux") or os.confstr("CS_GNU_LIBC_VERSION") is None,
    reason="mallopt is glibc's",
)
def test_freed_memory_is_kept() -> None:
    _, before = run()
    took, after = run("keep")
    assert took == "True"
    assert before > 50 and after < 0.2 * before


def test_a_users_own_setting_is_left_alone() -> None:
    took, _ = run("keep", MALLOC_ARENA_MAX="2")
    assert took == "False"
