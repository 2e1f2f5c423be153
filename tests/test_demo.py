"""The demo's bookkeeping: what counts as done."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from jiff.base.progress import NullProgress
from jiff.options.synth import SynthConfig
from jiff.pipelines.demo import Stage, _Clock, _run_stage
from jiff.pipelines.demo_config import DemoPaths
from jiff.run.parallel import WorkReport


def test_a_training_that_was_interrupted_is_not_done_and_ends_the_demo(tmp_path: Path) -> None:
    outcomes = [SimpleNamespace(failures=[], interrupted=flag) for flag in (True, False)]
    stage = Stage(
        "shape", "Train", "data synth", SynthConfig(tmp_path), lambda config, progress: outcomes.pop(0)
    )
    total = WorkReport()
    with pytest.raises(KeyboardInterrupt):
        _run_stage(stage, _Clock(DemoPaths(tmp_path), 1), NullProgress(), total, ())
    assert not total.results and not _Clock(DemoPaths(tmp_path), 1).is_done(stage)
    # The next run goes on with it, and the one after that skips it.
    _run_stage(stage, _Clock(DemoPaths(tmp_path), 1), NullProgress(), total, ())
    assert list(total.results) == ["shape"] and _Clock(DemoPaths(tmp_path), 1).is_done(stage)
    again = WorkReport()
    _run_stage(stage, _Clock(DemoPaths(tmp_path), 1), NullProgress(), again, ())
    assert again.skipped == ["shape"] and not outcomes
