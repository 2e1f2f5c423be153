"""Shards, the number of processes, killed workers, and completion recorded by many writers at once."""

from __future__ import annotations

import multiprocessing
from dataclasses import replace
from pathlib import Path

import pytest
from cli_parsing import parse
from hypothesis import given
from hypothesis import strategies as st
from render_scans import write_scan

from jiff.base.errors import DatasetError, UsageError
from jiff.base.progress import NullProgress
from jiff.data.dataset_file import read_dataset_file, record_stage
from jiff.data.layout import ProcessedSet
from jiff.options.face import FaceConfig
from jiff.options.icp import IcpConfig
from jiff.options.prt import PrtConfig
from jiff.options.render import RenderConfig
from jiff.options.rescale import RescaleConfig
from jiff.options.synth import SynthConfig
from jiff.options.work import WorkOptions, parse_shard
from jiff.pipelines.face import run_face
from jiff.pipelines.icp import run_icp
from jiff.pipelines.prt import run_prt
from jiff.pipelines.render import run_render
from jiff.pipelines.rescale import run_rescale
from jiff.run.plan import plan_work, shard_of

GIB = 1 << 30


# --- shards


@given(st.sets(st.text(min_size=1, max_size=12), max_size=40), st.integers(1, 9))
def test_shards_share_the_subjects_out(names: set[str], count: int) -> None:
    parts = [
        plan_work(WorkOptions(jobs=1, shard=f"{k}/{count}"), sorted(names), worker_gib=1).names
        for k in range(1, count + 1)
    ]
    assert sorted(name for part in parts for name in part) == sorted(names)


@pytest.mark.parametrize("pattern", ["{:04d}", "synth_{:04d}", "rp_person_posed_{:03d}"])
def test_numbered_scans_are_dealt_round(pattern: str) -> None:
    shards = [shard_of(pattern.format(number), 16) for number in range(526)]
    sizes = [shards.count(k) for k in range(1, 17)]
    assert max(sizes) - min(sizes) <= 1


def test_a_subject_keeps_its_shard_whatever_else_there_is() -> None:
    few = plan_work(WorkOptions(shard="2/3"), ["b", "person_7"], worker_gib=1).names
    many = plan_work(WorkOptions(shard="2/3"), ["a", "b", "c", "person_7", "z"], worker_gib=1).names
    assert set(few) == set(many) & {"b", "person_7"}


@pytest.mark.parametrize("text", ["0/4", "5/4", "1", "a/b", "1/0", "-1/4", "1/4/2", ""])
def test_bad_shards_are_one_sentence(text: str) -> None:
    with pytest.raises(UsageError, match="write for example --shard 2/8"):
        SynthConfig(Path("x"), shard=text)


def test_shard_and_scheduler_are_options_of_every_stage() -> None:
    for command in ("rescale", "prt", "render -o out", "face", "icp"):
        words = f"data {command} -i somewhere -j 3 --shard 2/8 --scheduler tcp://host:8786".split()
        config = parse(words)
        assert (config.jobs, config.shard, config.scheduler) == (3, "2/8", "tcp://host:8786")
    assert parse_shard(parse(["data", "synth", "-o", "somewhere", "--shard", "1/2"]).shard) == (1, 2)


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "dataset.parts" not in path.parts
    }


def test_shards_of_render_end_with_the_bytes_of_one_run(tmp_path: Path) -> None:
    for name in ("a", "b", "c", "d 4"):
        write_scan(tmp_path / "scans", name, columns=12, rows=6)
    options = {"size": 32, "high_size": 0, "yaws": (0, 90), "jobs": 1}
    run_render(RenderConfig(tmp_path / "scans", tmp_path / "whole", **options), NullProgress())
    done = []
    for k in (2, 1, 3):
        progress = NullProgress()
        report = run_render(
            RenderConfig(tmp_path / "scans", tmp_path / "parts", shard=f"{k}/3", **options), progress
        )
        done += list(report.results)
        assert f"shard {k}/3 has {len(report.results)} of 4 subjects" in progress.infos[0]
    assert sorted(done) == ["a", "b", "c", "d 4"]
    assert tree(tmp_path / "parts") == tree(tmp_path / "whole")
    # The same command without a shard finds all complete and puts the shards' records away.
    report = run_render(RenderConfig(tmp_path / "scans", tmp_path / "parts", **options), NullProgress())
    assert len(report.skipped) == 4
    assert tree(tmp_path / "parts") == tree(tmp_path / "whole")
    assert not (tmp_path / "parts" / "dataset.parts").exists()


def test_a_chain_of_stages_in_one_shard_leaves_the_others_alone(tmp_path: Path) -> None:
    for name in ("a", "b", "c", "d"):
        write_scan(tmp_path / "scans", name, columns=12, rows=6)
    own = set(plan_work(WorkOptions(shard="1/2"), "abcd", worker_gib=1).names)
    assert 0 < len(own) < 4
    where = {"jobs": 1, "shard": "1/2"}
    scans, out = tmp_path / "scans", tmp_path / "rescaled"
    assert set(run_rescale(RescaleConfig(scans, out, **where), NullProgress()).results) == own
    assert set(run_prt(PrtConfig(out, directions=8, **where), NullProgress()).results) == own
    assert {path.name for path in out.iterdir()} == own


def test_people_are_held_out_as_in_one_run_though_shards_see_part_of_the_scans(tmp_path: Path) -> None:
    options = {"size": 32, "high_size": 0, "yaws": (0,), "jobs": 1}
    scans, parts = tmp_path / "scans", RenderConfig(tmp_path / "scans", tmp_path / "parts", **options)
    # The first shard ends before the other one has made its scans; of all four, "e" is held out.
    for shard, names in ((2, "ac"), (1, "de")):
        for name in names:
            write_scan(scans, name, columns=12, rows=6)
        report = run_render(replace(parts, shard=f"{shard}/2"), NullProgress())
        assert set(report.results) == set(names)
    run_render(RenderConfig(scans, tmp_path / "whole", **options), NullProgress())
    assert (tmp_path / "whole" / "val.txt").read_text() == "e\n"
    assert tree(tmp_path / "parts") == tree(tmp_path / "whole")
    run_render(parts, NullProgress())
    assert tree(tmp_path / "parts") == tree(tmp_path / "whole")
    # Afterwards the list is settled: who is held out stays so when the set grows.
    (tmp_path / "parts" / "val.txt").write_text("d\n")
    run_render(replace(parts, shard="1/2"), NullProgress())
    assert (tmp_path / "parts" / "val.txt").read_text() == "d\n"


def test_an_empty_shard_ends_well_before_and_after_the_others(tmp_path: Path) -> None:
    scans, out, data = tmp_path / "scans", tmp_path / "rescaled", tmp_path / "data"
    for name in ("a", "b"):
        write_scan(scans, name, columns=12, rows=6)
    views = {"size": 32, "high_size": 0, "yaws": (0,)}

    def chain(shard: str | None, rescaled: Path, rendered: Path, *, faces: bool) -> list[NullProgress]:
        where, said = {"jobs": 1, "shard": shard}, []
        for run, config in (
            (run_rescale, RescaleConfig(scans, rescaled, **where)),
            (run_prt, PrtConfig(rescaled, directions=8, **where)),
            (run_render, RenderConfig(rescaled, rendered, **views, **where)),
            *([(run_face, FaceConfig(rendered, **where)), (run_icp, IcpConfig(rendered, **where))] * faces),
        ):
            said.append(NullProgress())
            report = run(config, said[-1])
            assert report.ok
            assert bool(report.results) == bool(shard is None or plan_work(config, "ab", worker_gib=1).names)
        return said

    busy = {f"{shard_of(name, 5)}/5" for name in "ab"}
    empty = next(f"{k}/5" for k in range(1, 6) if f"{k}/5" not in busy)
    for progress in chain(empty, out, data, faces=True):
        # Nobody wrote anything yet: perhaps the folder is the wrong one.
        (text,) = [t for t in progress.infos + progress.warnings if "nothing to do" in t]
        assert f"shard {empty} has 0 of" in text and (" of 2 " in text or text in progress.warnings)
    assert not list(out.iterdir())
    for shard in sorted(busy):
        chain(shard, out, data, faces=False)
    before = tree(data)
    for progress in chain(empty, out, data, faces=True):
        assert sum("nothing to do" in text for text in progress.infos + progress.warnings) == 1
    assert tree(data) == before
    chain(None, tmp_path / "alone", tmp_path / "whole", faces=False)
    # Stamps name the scans.
    own = {"dataset.yaml", "STAMPS/a/render.json", "STAMPS/b/render.json"}
    whole = tree(tmp_path / "whole")
    assert own <= set(whole)
    assert {n: b for n, b in before.items() if n not in own} == {
        n: b for n, b in whole.items() if n not in own
    }
    recorded = [
        read_dataset_file(ProcessedSet(root))["stages"]["render"] for root in (data, tmp_path / "whole")
    ]
    assert recorded[0] == recorded[1]


def test_a_wrong_folder_is_an_error_in_a_shard_too(tmp_path: Path) -> None:
    for run, config in ((run_prt, PrtConfig), (run_face, FaceConfig), (run_icp, IcpConfig)):
        with pytest.raises(DatasetError, match="no such folder"):
            run(config(tmp_path / "typo", shard="1/2"), NullProgress())
    with pytest.raises(DatasetError, match="holds no scans"):
        run_prt(PrtConfig(tmp_path), NullProgress())
    with pytest.raises(DatasetError, match="holds no RENDER folder"):
        run_icp(IcpConfig(tmp_path, shard="1/2"), NullProgress())


def test_a_shard_may_hold_out_a_scan_that_another_one_makes(tmp_path: Path) -> None:
    for name in ("a", "c"):
        write_scan(tmp_path / "scans", name, columns=12, rows=6)
    options = {"size": 32, "high_size": 0, "yaws": (0,), "jobs": 1, "val_subjects": ("e",)}
    config, progress = RenderConfig(tmp_path / "scans", tmp_path / "out", **options), NullProgress()
    with pytest.raises(UsageError, match="holds no scan named e; correct --val-subjects"):
        run_render(config, progress)
    assert run_render(replace(config, shard="2/2"), progress).ok
    assert "holds no scan named e yet" in progress.warnings[0]
    assert (tmp_path / "out" / "val.txt").read_text() == "e\n"


# --- completion


def _record(root: Path, shard: int, count: int) -> None:
    dataset = ProcessedSet(root)
    record_stage(dataset, "render", settings={"size": 64}, shared=True)
    for turn in range(count):
        record_stage(dataset, "render", subjects={f"{shard}_{turn}": {"views": turn}}, shared=True)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_no_completion_is_lost_by_writers_at_the_same_time(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_record, args=(tmp_path / "many", shard, 25)) for shard in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
        assert writer.exitcode == 0
    subjects = {f"{shard}_{turn}": {"views": turn} for shard in range(4) for turn in range(25)}
    one, many = ProcessedSet(tmp_path / "one"), ProcessedSet(tmp_path / "many")
    record_stage(one, "render", settings={"size": 64}, subjects=subjects)
    assert many.dataset_file.read_bytes() == one.dataset_file.read_bytes()
    assert read_dataset_file(many)["stages"]["render"]["subjects"] == subjects


def test_records_of_a_killed_shard_count_and_newer_ones_win(tmp_path: Path) -> None:
    dataset = ProcessedSet(tmp_path)
    record_stage(dataset, "face", subjects={"a": {"yaws": 1}, "b": {"yaws": 1}})
    record_stage(dataset, "face", subjects={"a": {"yaws": 2}}, shared=True)
    # Killed before it folded: dataset.yaml is as it was.
    record_stage(ProcessedSet(tmp_path / "other"), "face", subjects={"a": {"yaws": 1}, "b": {"yaws": 1}})
    dataset.dataset_file.write_bytes((tmp_path / "other" / "dataset.yaml").read_bytes())
    assert read_dataset_file(dataset)["stages"]["face"]["subjects"] == {"a": {"yaws": 2}, "b": {"yaws": 1}}
    record_stage(dataset, "face", subjects={"a": {"yaws": 3}})
    assert read_dataset_file(dataset)["stages"]["face"]["subjects"] == {"a": {"yaws": 3}, "b": {"yaws": 1}}


# --- processes and memory


# --- killed processes
