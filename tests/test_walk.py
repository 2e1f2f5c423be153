"""Every command with real processes on three synthetic people: files, meshes, numbers, second runs."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import trimesh
from cli_parsing import only_names
from safetensors.torch import load_file
from walk import HELD_OUT, PEOPLE, RESOLUTION, Walk, digests
from walk_files import MEASURES, check_person, outside_references, pixels, read

from jiff.geometry.camera import Camera
from jiff.geometry.mesh import Mesh
from jiff.render.gbuffer import render_gbuffer
from jiff_cli.registry import all_commands


def silhouette_iou(mesh: trimesh.Trimesh, mask_path: Path) -> float:
    """Return how well the mesh seen by the canonical camera agrees with a mask."""
    mask = pixels(mask_path) > 127
    drawn = render_gbuffer(Mesh(np.asarray(mesh.vertices), np.asarray(mesh.faces)), Camera(size=512), 1).mask()  # fmt: skip
    return float((mask & (drawn > 127)).sum() / (mask | (drawn > 127)).sum())


def test_scans_are_readable_textured_people_in_metres(walk: Walk) -> None:
    folder = walk.scans
    assert tuple(sorted(p.name for p in folder.iterdir())) == PEOPLE
    for name in PEOPLE:
        mesh = read(folder / name / f"{name}.obj")
        assert 1.4 < mesh.extents[1] < 2.1
        assert mesh.extents[1] == max(mesh.extents)
        texture = np.asarray(mesh.visual.material.image)
        assert texture.shape == (512, 512, 3)
        assert texture.std() > 10
    said = walk.said["synth"].stdout
    assert "3 scans done." in said
    assert "Next: jiff data rescale" in said


def test_check_tells_that_raw_scans_want_rescaling(walk: Walk) -> None:
    _ = walk.scans
    done = walk.jiff("data", "check", "scans", "--json", "scans.json", "--contact-sheet", "scans.png")
    assert done.stderr.count("run `jiff data rescale`") == 3
    found = json.loads((walk.root / "scans.json").read_text())
    assert found["counts"]["fix"] == 3
    assert pixels(walk.root / "scans.png").std() > 10


def test_rescaled_scans_stand_at_180(walk: Walk) -> None:
    folder = walk.rescaled
    for name in PEOPLE:
        low, high = read(folder / name / f"{name}.obj").bounds
        assert high[1] - low[1] == pytest.approx(180, abs=1e-3)
        assert low[1] == pytest.approx(0, abs=1e-3)
        ours, raw = folder / name / "material0.jpeg", walk.scans / name / "material0.jpeg"
        assert ours.read_bytes() == raw.read_bytes()


def test_prt_beside_every_scan(walk: Walk) -> None:
    for name in PEOPLE:
        bounce = walk.lit / name / "bounce"
        coefficients = np.loadtxt(bounce / "bounce0.txt", max_rows=1000)
        assert coefficients.shape == (1000, 9)
        # pi times the constant harmonic where the whole hemisphere is open.
        assert coefficients[:, 0].max() == pytest.approx(np.pi * 0.282095, abs=1e-3)
        assert coefficients[:, 0].min() >= 0
        assert coefficients[:, 0].mean() > 0.4
        assert np.load(bounce / "face.npy").shape[1] == 3


def test_processed_set_has_every_file(walk: Walk) -> None:
    root = walk.data
    for name in PEOPLE:
        for yaw in (0, 90, 270):
            view = f"{name}/{yaw}_0_00"
            image = pixels(root / "RENDER" / f"{view}.jpg")
            mask = pixels(root / "MASK" / f"{view}.png")
            assert image.shape == (512, 512, 3)
            assert set(np.unique(mask)) == {0, 255}
            assert image[mask == 255].mean() > 20 > image[mask == 0].mean()
            assert pixels(root / "RENDER_1024" / f"{view}.jpg").shape == (256, 256, 3)
            assert (root / "UV_RENDER" / f"{view}.jpg").is_file()
            assert (root / "PARAM" / f"{view}.npy").is_file()
        for file in ("UV_MASK/{}/00.png", "UV_NORMAL/{}/00.png", "UV_POS/{}/00.exr", "GEO/OBJ/{0}/{0}.obj"):
            assert (root / file.format(name)).stat().st_size > 0
        top, bottom, left, right, front, back = np.loadtxt(
            root / "FACE_REGION" / name / "0_0_00.txt", delimiter=","
        ).ravel()
        assert 0 < top < bottom < 200
        assert 150 < left < 256 < right < 362
        assert front < back
        face = read(root / "FACE_3DMM" / name / "0_0_00_mesh.obj")
        assert 140 < face.bounds[0, 1] < face.bounds[1, 1] < 182
        yaws = (root / "FILE_NUMBER" / name / "number.txt").read_text().split()
        assert "0" in yaws
    assert (root / "val.txt").read_text().split() == [HELD_OUT]


def test_check_passes_the_processed_set(walk: Walk) -> None:
    _ = walk.data
    done = walk.jiff("data", "check", "data", "--json", "set.json", "--contact-sheet", "set.png", "-j", "1")
    assert "3 pass" in done.stderr
    found = json.loads((walk.root / "set.json").read_text())
    assert found["ok"]
    assert all(item["silhouette_iou"] >= 0.98 for item in found["items"].values())
    assert (walk.root / "set.png").is_file()


def test_train_check_draws_items(walk: Walk) -> None:
    _ = walk.data
    done = walk.jiff("train", "check", "-i", "data", "-o", "items.png", "--items", "2", "--size", "128")
    assert "2 items done." in done.stdout
    assert pixels(walk.root / "items.png").std() > 10


def test_training_leaves_networks_logs_and_options(walk: Walk) -> None:
    run = walk.run
    for stage in ("shape", "color_coarse", "color_fine"):
        folder = run / stage
        assert load_file(folder / "latest.safetensors")
        for name in ("best.safetensors", "state.ckpt", "run.yaml", "log.csv"):
            assert (folder / name).stat().st_size > 0
    said = walk.said["shape"].stdout
    assert "200 steps" in said
    iou = float(re.search(r"iou ([0-9.]+)", said)[1])  # type: ignore[index]
    assert iou > 0.3
    assert "Next: jiff train color-coarse" in said
    assert "Next: jiff eval pifu" in walk.said["color_fine"].stdout


def test_pifu_meshes(walk: Walk) -> None:
    folder = walk.pifu
    mesh = check_person(folder / f"{HELD_OUT}.obj", 130, 210)
    assert silhouette_iou(mesh, walk.test / f"{HELD_OUT}_mask.png") > 0.4
    glb = check_person(folder / f"{HELD_OUT}.glb", 1.3, 2.1)
    assert len(glb.faces) == len(mesh.faces)
    assert pixels(folder / f"{HELD_OUT}.png").std() > 10


def test_jiff_meshes_follow_their_aligned_face(walk: Walk) -> None:
    folder = walk.jiff_results
    for name in (f"{HELD_OUT}_mesh.obj", f"{HELD_OUT}_mesh_unaligned.obj", f"{HELD_OUT}_region.txt"):
        assert (walk.test / name).stat().st_size > 0
    mesh = check_person(folder / f"{HELD_OUT}.obj", 130, 210)
    assert silhouette_iou(mesh, walk.test / f"{HELD_OUT}_mask.png") > 0.4
    check_person(folder / f"{HELD_OUT}.glb", 1.3, 2.1)
    before, after = (folder / f"{HELD_OUT}.obj").read_bytes(), (walk.pifu / f"{HELD_OUT}.obj").read_bytes()
    assert before != after


def test_metrics_measure_body_and_face(walk: Walk) -> None:
    _ = walk.jiff_results
    words = ["--samples", "3000", "--face-samples", "1000", "--volume-spacing-cm", "2", "-j", "1"]
    done = walk.jiff("eval", "metrics", "fine", "data", "-o", "measured", *words)
    assert "1 mesh done." in done.stdout
    record = json.loads((walk.root / "measured" / "metrics.json").read_text())
    assert set(record["mean"]) == {"body", "face"}
    for region in ("body", "face"):
        assert set(record["mean"][region]) >= MEASURES
        assert all(np.isfinite(value) for value in record["mean"][region].values())
        assert record["mean"][region] == pytest.approx(record["subjects"][HELD_OUT][region])
    assert 0.2 < record["mean"]["body"]["iou"] <= 1
    assert HELD_OUT in (walk.root / "measured" / "metrics.csv").read_text()


def test_reconstruct_does_all_steps_on_a_photo(walk: Walk) -> None:
    folder = walk.reconstructed
    check_person(folder / "visitor.obj", 120, 210)
    check_person(folder / "visitor.glb", 1.2, 2.1)
    person = json.loads((folder / "summary.json").read_text())["people"]["visitor"]
    assert person["status"] == "done"
    assert (folder / "crops" / "visitor_mesh.obj").is_file()
    assert "Next: jiff view reconstructed/visitor.glb" in walk.said["reconstruct"].stdout


def test_frame_writes_a_test_folder(walk: Walk) -> None:
    folder = walk.framed
    assert {"visitor.png", "visitor_mask.png", "visitor_framing.json"} <= {p.name for p in folder.iterdir()}
    assert (folder / "visitor.png").read_bytes() == (
        walk.reconstructed / "crops" / "visitor.png"
    ).read_bytes()
    assert "Next: jiff data face -i framed" in walk.said["frame"].stdout


def test_body(walk: Walk) -> None:
    folder = walk.bodies
    assert {f"anna_body.{kind}" for kind in ("obj", "npz", "json")} <= {
        path.name for path in folder.iterdir()
    }
    assert "Next: jiff reconstruct PHOTO --rig" in walk.said["body"].stdout


def test_photos_of_people_need_the_networks_that_see_them(walk: Walk) -> None:
    """With them: ``test_person_photos``."""
    refused = walk.jiff("data", "photos", "-o", "photographed", "-n", "1", "--views", "1", status=1)
    assert "jiff assets fetch perception" in refused.stderr
    assert not list((walk.root / "photographed").iterdir())


def test_network_of_normals_is_trained_on_drawn_people(walk: Walk) -> None:
    run = walk.normals_run
    assert load_file(run / "normals" / "best.safetensors")
    assert "Next: jiff train normals -i normals" in walk.said["normals"].stdout
    assert "Next: jiff assets convert" in walk.said["train_normals"].stdout


def test_person_network_is_trained_and_clothes_a_fitted_body(walk: Walk) -> None:
    run, folder = walk.person_run, walk.bodies
    assert load_file(run / "person" / "latest.safetensors")
    assert "Next: jiff reconstruct PHOTO --checkpoint runs/held" in walk.said["person"].stdout
    words = ["eval", "jiff", "-i", folder, "-o", "held", "--checkpoint", run, "--device", "cpu"]
    walk.jiff(*words, "--resolution", RESOLUTION, "--texture-size", "256")
    mesh = read(walk.root / "held" / "anna.obj")
    assert 130 < mesh.extents[1] < 210 and mesh.extents[1] == max(mesh.extents)
    assert np.asarray(mesh.visual.material.image).shape == (256, 256, 3)


def test_view_writes_a_page_that_needs_nothing(walk: Walk) -> None:
    scan = walk.rescaled / PEOPLE[0] / f"{PEOPLE[0]}.obj"
    result = walk.pifu / f"{HELD_OUT}.obj"
    walk.jiff("view", scan, result, "-o", "page.html", "--no-open", "--label", "the scan")
    page = (walk.root / "page.html").read_text(encoding="utf-8")
    assert outside_references(page) == []
    assert "the scan" in page
    assert len(page) > 200_000


def test_doctor_and_assets(walk: Walk) -> None:
    import torch

    assert json.loads(walk.jiff("doctor", "--json").stdout)["versions"]["torch"] == torch.__version__
    rows = json.loads(walk.jiff("assets", "list", "--json").stdout)
    assert "yunet" in {row["name"] for row in rows}
    assert walk.jiff("assets", "path").stdout.strip() == str(walk.root / "assets")
    path = Path(walk.jiff("assets", "path", "flame").stdout.strip())
    path.parent.mkdir(parents=True)
    path.write_bytes(b"")
    broken = walk.jiff("assets", "verify", status=1)
    path.unlink()
    assert "is empty" in broken.stderr
    assert walk.jiff("assets", "verify").stdout.startswith("0 files done")
    refused = walk.jiff("assets", "fetch", "flame", status=1)
    assert "https://flame.is.tue.mpg.de" in refused.stderr


def test_checkpoints_convert_to_the_published_format_and_back(walk: Walk) -> None:
    source = walk.run / "shape" / "latest.safetensors"
    walk.jiff("assets", "convert", source, "netG.pth")
    walk.jiff("assets", "convert", "netG.pth", "netG.safetensors")
    ours, back = load_file(source), load_file(walk.root / "netG.safetensors")
    assert ours.keys() == back.keys()
    assert all(bool((ours[key] == back[key]).all()) for key in ours)


SECOND_RUNS = {
    "synth": ("scans", "3 complete before"),
    "rescale": ("rescaled", "3 complete before"),
    "prt": ("rescaled", "3 complete before"),
    "render": ("data", "3 complete before"),
    "face": ("data", "3 complete before"),
    "icp": ("data", "3 complete before"),
    "eval_pifu": ("coarse", "1 complete before"),
    "test_face": ("test", "1 complete before"),
    "align": ("test", "1 complete before"),
    "eval_jiff": ("fine", "1 complete before"),
    "reconstruct": ("reconstructed", "1 complete before"),
    "frame": ("framed", "1 complete before"),
    "body": ("bodies", "1 complete before"),
}


@pytest.mark.parametrize("stage", SECOND_RUNS)
def test_second_run_does_nothing(walk: Walk, stage: str) -> None:
    _ = walk.jiff_results, walk.reconstructed, walk.framed, walk.bodies
    folder, words = SECOND_RUNS[stage]
    before = digests(walk.root / folder)
    done = walk.jiff(*walk.words[stage])
    assert re.match(rf"0 \w+ done, {words}\.", done.stdout), done.stdout
    after = digests(walk.root / folder)
    if stage in ("eval_pifu", "eval_jiff", "reconstruct"):
        assert before.pop("summary.json")
        assert after.pop("summary.json")
    assert after == before


def test_training_again_is_refused_or_continued(walk: Walk) -> None:
    folder = walk.run / "color_coarse"
    before = digests(folder)
    refused = walk.jiff(*walk.words["color_coarse"], status=2)
    assert len(refused.stderr.splitlines()) == 1
    assert "--continue-train" in refused.stderr
    walk.jiff(*walk.words["color_coarse"], "--continue-train")
    after = digests(folder)
    assert {name: text for name, text in after.items() if name.endswith((".safetensors", "log.csv"))} == {
        name: text for name, text in before.items() if name.endswith((".safetensors", "log.csv"))
    }


def test_suggested_commands_exist(walk: Walk) -> None:
    _ = walk.jiff_results, walk.reconstructed, walk.demo, walk.person_run
    lines = [line for done in walk.said.values() for line in done.stdout.splitlines()]
    suggested = [line.removeprefix("Next: jiff ") for line in lines if line.startswith("Next: ")]
    assert len(suggested) == len(walk.said)
    for words in suggested:
        only_names(shlex.split(words))


def test_nothing_temporary_is_left(walk: Walk) -> None:
    _ = walk.jiff_results, walk.reconstructed, walk.demo
    assert [path for path in walk.root.rglob("*") if ".part" in path.name] == []


def test_every_command_was_walked() -> None:
    text = "".join(path.read_text() for path in Path(__file__).parent.glob("*walk*.py"))
    for words, _ in all_commands():
        assert ", ".join(f'"{word}"' for word in words) in text, words
