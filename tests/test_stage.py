"""One rule of what is complete: equal stamp skipped, another stamp done again and said so, no stamp taken as it is."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from face_people import person, write_subject
from render_scans import write_scan

from jiff.base.progress import NullProgress
from jiff.check.staleness import stale_scan, stale_stages
from jiff.data.layout import ProcessedSet
from jiff.geometry.io.mesh_io import load_mesh, save_mesh
from jiff.options.face import FaceConfig
from jiff.options.icp import IcpConfig
from jiff.options.prt import PrtConfig
from jiff.options.render import RenderConfig
from jiff.options.rescale import RescaleConfig
from jiff.pipelines.face import run_face
from jiff.pipelines.icp import run_icp
from jiff.pipelines.prt import run_prt
from jiff.pipelines.render import run_render
from jiff.pipelines.rescale import run_rescale
from jiff.run.stage import BEGUN, Stamp, begin, finish, read_stamp


def _said(progress: NullProgress) -> str:
    return "\n".join(progress.infos)


def test_the_rule(tmp_path: Path) -> None:
    scan, other = tmp_path / "in" / "a.obj", tmp_path / "in" / "b.obj"
    scan.parent.mkdir()
    for path in (scan, other):
        path.write_text("v 0 0 0")
    stamp = Stamp("prt", 1, {"directions": 8, "yaws": (0, 90)}, {"scan": scan})
    place = tmp_path / "stamp.json"
    finish(place, stamp.taken(tmp_path))
    stored = read_stamp(place)
    assert stored is not None and stored["inputs"]["scan"]["file"] == "in/a.obj"
    assert stamp.judge(stored, True) and not stamp.judge(stored, False)
    # Copied and touched, an input is the same input.
    shutil.copy(scan, tmp_path / "copy.obj")
    assert replace(stamp, inputs={"scan": tmp_path / "copy.obj"}).judge(stored, True)
    changes = {
        "directions was 8 and is 16": replace(stamp, settings={"directions": 16, "yaws": (0, 90)}),
        "this version makes other files": replace(stamp, format=2),
        "its mask changed": replace(stamp, inputs={"scan": scan, "mask": other}),
        "its scan is no longer used": replace(stamp, inputs={}),
        "seed was not set and is 3": replace(stamp, settings={**stamp.settings, "seed": 3}),
    }
    for reason, changed in changes.items():
        verdict = changed.judge(stored, True)
        assert not verdict and verdict.reason == reason
    scan.write_text("v 0 0 1")
    assert stamp.judge(stored, True).reason == "its scan changed"
    assert stamp.judge(None, True) and not stamp.judge(None, False).reason
    place.write_text("{half")
    assert stamp.judge(read_stamp(place), True).reason == "it has no stamp that can be read"
    begin(place)
    assert not stamp.judge(read_stamp(place), True) and BEGUN in (read_stamp(place) or {})
    assert read_stamp(tmp_path / "none.json") is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"directions": 12}, "directions was 8 and is 12"),
        ({"sampling": "uniform"}, "sampling was cosine and is uniform"),
        ({"seed": 1}, "seed was 0 and is 1"),
    ],
)
def test_transfer_with_other_options_is_computed_again(
    tmp_path: Path, change: dict[str, object], said: str
) -> None:
    scans = tmp_path / "scans"
    write_scan(scans, "a", columns=8, rows=6)
    shutil.rmtree(scans / "a" / "bounce")
    config = PrtConfig(scans, directions=8, jobs=1)
    run_prt(config, NullProgress())
    assert run_prt(config, NullProgress()).skipped == ["a"]
    progress = NullProgress()
    changed = replace(config, **change)  # type: ignore[arg-type]
    assert list(run_prt(changed, progress).results) == ["a"] and said in _said(progress)
    stored = read_stamp(scans / "a" / "bounce" / "stamp.json") or {}
    assert stored["settings"].items() >= change.items()
    assert run_prt(changed, NullProgress()).skipped == ["a"]


def test_transfer_of_the_published_scripts_is_taken_as_it_is(tmp_path: Path) -> None:
    write_scan(tmp_path, "a", columns=8, rows=6)
    assert not (tmp_path / "a" / "bounce" / "stamp.json").exists()
    assert run_prt(PrtConfig(tmp_path, directions=8, jobs=1), NullProgress()).skipped == ["a"]


def test_a_scan_replaced_or_turned_is_done_again_all_the_way(tmp_path: Path) -> None:
    raw, scans, out = tmp_path / "raw", tmp_path / "scans", tmp_path / "out"
    write_scan(raw, "a", columns=12, rows=8)
    shutil.rmtree(raw / "a" / "bounce")
    rescale = RescaleConfig(raw, scans, jobs=1)
    prt = PrtConfig(scans, directions=8, jobs=1)
    render = RenderConfig(scans, out, size=32, high_size=64, yaws=(0, 90), jobs=1)

    def run() -> tuple[list[list[str]], str]:
        progress = NullProgress()
        reports = [run_rescale(rescale, progress), run_prt(prt, progress), run_render(render, progress)]
        return [list(report.results) for report in reports], _said(progress)

    assert run()[0] == [["a"]] * 3
    assert run()[0] == [[], [], []]
    dataset = ProcessedSet(out)
    assert stale_stages(dataset, "a") == []
    # Replaced.
    save_mesh(
        load_mesh(raw / "a" / "a.obj").transformed([[1.3, 0, 0], [0, 1, 0], [0, 0, 1]]), raw / "a" / "a.obj"
    )
    before = dataset.render("a", "0_0_00").read_bytes()
    results, said = run()
    assert results == [["a"]] * 3
    assert said.count("its scan changed") == 3
    assert dataset.render("a", "0_0_00").read_bytes() != before
    # Turned.
    rescale = replace(rescale, yaw_deg=30.0)
    assert run_rescale(rescale, NullProgress()).ok
    refused = run_render(render, NullProgress()).failures["a"]
    assert "was made before the scan changed; run `jiff data prt`" in refused
    results, said = run()
    assert results == [[], ["a"], ["a"]]
    rescale = replace(rescale, yaw_deg=35.0)
    results, said = run()
    assert results == [["a"]] * 3 and "yaw deg was 30.0 and is 35.0" in said
    # Its texture alone: light transfer stays.
    blob = (raw / "a" / "material0.jpeg").read_bytes()
    (raw / "a" / "material0.jpeg").write_bytes(blob + b"\0")
    results, said = run()
    assert results == [["a"], [], ["a"]]
    assert run()[0] == [[], [], []]
    # A scan that changed after its render is named by the check until it is drawn again.
    mesh = load_mesh(scans / "a" / "a.obj")
    save_mesh(mesh.transformed([[1.1, 0, 0], [0, 1, 0], [0, 0, 1]]), scans / "a" / "a.obj")
    (told,) = stale_stages(dataset, "a")
    assert "its scan changed" in told and "jiff data render" in told
    (told,) = stale_scan(scans / "a" / "a.obj")
    assert "Its prt is out of date because its scan changed" in told
    (raw / "a" / "a.obj").write_bytes((raw / "a" / "a.obj").read_bytes() + b"\n")
    assert "Its rescale is out of date" in stale_scan(scans / "a" / "a.obj")[0]
    # What lies elsewhere is not looked for.
    far = Stamp("prt", 1, {}, {"scan": raw / "a" / "a.obj"}).taken(tmp_path / "x" / "y")
    assert far["inputs"]["scan"]["file"] is None


@pytest.mark.parametrize("change", [{"high_size": 48}, {"samples": 4}])
def test_views_of_another_kind_are_drawn_again(tmp_path: Path, change: dict[str, int]) -> None:
    scans, out = tmp_path / "scans", tmp_path / "out"
    write_scan(scans, "a", columns=12, rows=8)
    config = RenderConfig(scans, out, size=32, high_size=64, yaws=(0, 90), jobs=1)
    run_render(config, NullProgress())
    more = run_render(replace(config, yaws=(0, 90, 180)), NullProgress())
    assert more.results == {"a": 1}, "further views are added"
    progress = NullProgress()
    assert run_render(replace(config, **change), progress).results == {"a": 2}
    name = next(iter(change))
    assert f"{name.replace('_', ' ')} was" in _said(progress)
    dataset = ProcessedSet(out)
    assert dataset.views("a") == ["0_0_00", "90_0_00"], "none of the old kind is left"


def test_larger_images_may_come_later(tmp_path: Path) -> None:
    scans, out = tmp_path / "scans", tmp_path / "out"
    write_scan(scans, "a", columns=12, rows=8)
    config = RenderConfig(scans, out, size=32, high_size=0, yaws=(0,), jobs=1)
    run_render(config, NullProgress())
    before = ProcessedSet(out).param("a", "0_0_00").stat().st_mtime_ns
    progress = NullProgress()
    run_render(replace(config, high_size=64), progress)
    assert ProcessedSet(out).render_hi("a", "0_0_00").is_file() and "again" not in _said(progress)
    assert before != 0
    assert run_render(config, NullProgress()).skipped == ["a"], "they may be left out again"


def test_faces_follow_their_options_and_images(tmp_path: Path) -> None:
    root = tmp_path / "set"
    write_subject(root, "front", person().mesh)
    dataset = ProcessedSet(root)
    face = FaceConfig(input=root, jobs=1)

    def run(config: FaceConfig) -> tuple[list[str], str]:
        progress = NullProgress()
        report = run_face(config, progress)
        assert report.ok, report.failures
        return list(report.results), _said(progress)

    assert run(face)[0] == ["front"] and run(face)[0] == []
    assert list(run_icp(IcpConfig(input=root, jobs=1), NullProgress()).results) == ["front"]
    assert run(face)[0] == [], "a refined fit is the fit"
    assert run_icp(IcpConfig(input=root, jobs=1), NullProgress()).skipped == ["front"]
    # Other options of the box alone, and of the refinement.
    changed, said = run(replace(face, box_margin=0.2))
    assert changed == ["front"] and "box margin was 0.08 and is 0.2" in said
    progress = NullProgress()
    assert list(run_icp(IcpConfig(input=root, jobs=1), progress).results) == ["front"], "the fit is a new one"
    refined = run_icp(IcpConfig(input=root, jobs=1, box_margin=0.3), progress)
    assert list(refined.results) == ["front"] and "box margin was 0.08 and is 0.3" in _said(progress)
    # A mesh of the user's own, then the model's again.
    own = tmp_path / "own"
    own.mkdir()
    shutil.copy(dataset.face_mesh("front"), own / "front.obj")
    changed, said = run(replace(face, face_mesh=own))
    assert changed == ["front"] and "model was anny and is external mesh" in said
    changed, said = run(face)
    assert changed == ["front"] and "model was external mesh and is anny" in said
    # Another image.
    image = dataset.render("front", "0_0_00")
    image.write_bytes(image.read_bytes() + b"\0")
    (told,) = stale_stages(dataset, "front")
    assert "Its face is out of date because its frontal image changed" in told
    changed, said = run(face)
    assert changed == ["front"] and "its frontal image changed" in said
    assert stale_stages(dataset, "front") == []
    # Published sets have no record: taken as they are.
    dataset.face_report("front").unlink()
    assert run(replace(face, box_margin=0.2))[0] == [] and stale_stages(dataset, "front") == []


def test_a_fit_knows_its_options(tmp_path: Path) -> None:
    root = tmp_path / "set"
    write_subject(root, "front", person().mesh)
    assert run_face(FaceConfig(input=root, jobs=1), NullProgress()).ok
    record = json.loads(ProcessedSet(root).face_report("front").read_text(encoding="utf-8"))
    assert record["stamps"]["face"]["settings"]["model"] == "anny"
    assert {"scan", "frontal image", "frontal mask"} <= set(record["stamps"]["face"]["inputs"])
