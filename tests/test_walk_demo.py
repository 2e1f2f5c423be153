"""The demo as a user runs it: its numbers, its report, the commands that it names, and a second run."""

from __future__ import annotations

import json
import re
import shlex
import time
from pathlib import Path

import numpy as np
import pytest
from cli_parsing import parse
from walk import HELD_OUT, Walk, digests
from walk_files import MEASURES, check_person, outside_references, pixels, read  # noqa: F401


def demo_lines(walk: Walk) -> list[str]:
    _ = walk.demo
    return [line[2:] for line in walk.said["demo"].stderr.splitlines() if line.startswith("$ jiff ")]


def test_demo_numbers_and_meshes(walk: Walk) -> None:
    folder = walk.demo
    numbers = json.loads((folder / "metrics.json").read_text())
    assert set(numbers) == {"pifu", "jiff"}
    for method in numbers.values():
        assert set(method) == {"body", "face"}
        for measured in method.values():
            assert set(measured) >= {"chamfer_cm", "p2s_cm", "normal_deg"}
            # How far the face stands before its place is signed; everything else is a distance, an angle or a share.
            assert np.isfinite(measured.pop("depth_cm", 0.0))
            assert all(np.isfinite(value) and value > 0 for value in measured.values())
    assert [path.name for path in folder.glob("*.glb")] == [f"{HELD_OUT}.glb"]
    check_person(folder / f"{HELD_OUT}.glb", 1.3, 2.1)


def test_demo_report_is_self_contained(walk: Walk) -> None:
    page = (walk.demo / "report.html").read_text(encoding="utf-8")
    assert outside_references(page) == []
    assert page.count("data:image/jpeg;base64,") >= 4
    assert HELD_OUT in page
    assert "<svg" in page
    for line in demo_lines(walk):
        assert line.split(" --")[0].split(" -i")[0] in page
    for link in re.findall(r'href="([^"]+)"', page):
        assert (walk.demo / link).is_file()


def test_every_line_of_the_demo_is_the_configuration_it_ran(
    walk: Walk, monkeypatch: pytest.MonkeyPatch
) -> None:
    from jiff.pipelines.demo import evaluation_stages, preparation_stages, training_stages
    from jiff.pipelines.demo_config import DemoPaths
    from jiff.pipelines.demo_held import held_stages

    lines = demo_lines(walk)
    monkeypatch.chdir(walk.root)
    config = parse(walk.words["demo"])
    paths = DemoPaths(Path(config.out))
    stages = preparation_stages(config, paths) + training_stages(config, paths) + evaluation_stages(config, paths)  # fmt: skip
    # The walk goes without the networks that see people, and the demo then without prior-held networks.
    assert len(lines) == len(stages) == 16
    held = held_stages(config, paths)
    assert [stage.key for stage in held][:4] == ["photos", "person", "test_body", "eval_held"]
    for stage in held:
        assert parse(shlex.split(stage.line)[1:]) == stage.config, stage.line
    for line, stage in zip(lines, stages):
        assert parse(shlex.split(line)[1:]) == stage.config, line


def test_demo_again_keeps_everything(walk: Walk) -> None:
    before = digests(walk.demo)
    began = time.monotonic()
    done = walk.jiff(*walk.words["demo"])
    seconds = time.monotonic() - began
    assert f"0 stages done, {len(demo_lines(walk))} complete before." in done.stdout
    assert seconds < 60
    after = digests(walk.demo)
    assert {name for name in after if after[name] != before.get(name)} <= {"report.html", "stages.json"}
    assert set(after) == set(before)
