"""The commands' textured, decimated and turning results, with their sidecars."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import tiny_person
import trimesh
from PIL import Image

from jiff.base.errors import UsageError
from jiff.base.progress import NullProgress
from jiff.geometry.io.mesh_io import load_mesh
from jiff.geometry.simplify import is_watertight
from jiff.inference.outputs import texture_name
from jiff.options.evaluate import EvalJiffConfig
from jiff.pipelines.evaluate import run_eval_jiff

NAME = "ein Bild ü"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_person.train_networks(tmp_path_factory.mktemp("run"), steps=40)


@pytest.fixture(scope="module")
def config(run: Path, tmp_path_factory: pytest.TempPathFactory) -> EvalJiffConfig:
    folder = tmp_path_factory.mktemp("test folder")
    tiny_person.write_photo(folder, NAME, face=True)
    return EvalJiffConfig(
        folder, folder / "out", checkpoint=run, resolution=48, format=("obj", "glb", "ply"), device="cpu"
    )


def test_textured_result_with_photo_turntable_and_sidecar(config: EvalJiffConfig) -> None:
    output = {
        "texture": "uv",
        "texture_size": 256,
        "project_photo": True,
        "decimate": 1500,
        "turntable": "png",
    }
    chosen = replace(config, **output, height_cm=170.0)
    assert run_eval_jiff(chosen, NullProgress()).ok
    out = chosen.results_folder
    texture = texture_name(NAME)
    assert " " not in texture and texture != texture_name(NAME.replace(" ", "_"))
    suffixes = ("obj", "glb", "ply", "png", "json")
    wanted = {f"{NAME}.{s}" for s in suffixes} | {texture, texture.replace(".png", ".mtl"), "summary.json"}
    assert {path.name for path in out.iterdir()} == wanted | {f"{NAME}_turntable.png"}

    mesh = load_mesh(out / f"{NAME}.obj")
    assert mesh.texture is not None and mesh.texture.shape == (256, 256, 3)
    assert is_watertight(mesh) and mesh.volume > 0 and 1300 < len(mesh.faces) <= 1500
    plain = load_mesh(out / f"{NAME}.ply")
    assert plain.texture is None and plain.colors is not None and len(plain.faces) == len(mesh.faces)
    glb = trimesh.load(out / f"{NAME}.glb", force="mesh")
    metres, world = glb.extents, np.ptp(mesh.vertices, axis=0)
    np.testing.assert_allclose(metres, world * 1.70 / 180, rtol=1e-4)
    assert metres[1] == max(metres)
    strip = np.asarray(Image.open(out / f"{NAME}_turntable.png"))
    assert strip.shape[1] == 8 * strip.shape[0] and strip[..., :3].min() < 200

    stored = json.loads((out / f"{NAME}.json").read_text(encoding="utf-8"))
    made = stored["provenance"]
    assert set(made["checkpoints"]) == {"shape", "color_coarse", "color_fine"}
    assert all(Path(entry["file"]).is_file() and entry["blake2b"] for entry in made["checkpoints"].values())
    assert made["options"]["texture"] == "uv" and made["versions"]["torch"]
    assert any("terms of the photo" in note for note in made["licence_notes"])
    assert stored["quality"]["watertight"] is True and stored["quality"]["face_prior"] is True
    assert stored["numbers"]["photo_share"] > 0.05 and stored["numbers"]["faces"] == len(mesh.faces)
    # What is handed on names no folders of this machine.
    assert str(config.checkpoint).encode() not in (out / f"{NAME}.glb").read_bytes()

    assert run_eval_jiff(chosen, NullProgress()).skipped == [NAME]
    (out / texture).unlink()
    assert list(run_eval_jiff(chosen, NullProgress()).results) == [NAME]
    other = replace(chosen, project_photo=False)
    assert list(run_eval_jiff(other, NullProgress()).results) == [NAME]


def test_decimated_vertex_colours_are_asked_anew_and_video_opens(config: EvalJiffConfig) -> None:
    chosen = replace(config, out=config.input / "few", format=("obj",), decimate=800, turntable="webm")
    assert run_eval_jiff(chosen, NullProgress()).ok
    mesh = load_mesh(chosen.results_folder / f"{NAME}.obj")
    assert is_watertight(mesh) and len(mesh.faces) <= 800 and mesh.colors is not None
    assert mesh.colors.std(axis=0).max() > 0.05
    film = cv2.VideoCapture(str(chosen.results_folder / f"{NAME}_turntable.webm"))
    ok, frame = film.read()
    assert ok and frame.shape == (384, 384, 3) and frame.min() < 150
    assert int(film.get(cv2.CAP_PROP_FRAME_COUNT)) == 48


def test_ply_alone_cannot_hold_a_texture(config: EvalJiffConfig) -> None:
    with pytest.raises(UsageError, match="PLY holds no texture"):
        run_eval_jiff(replace(config, format=("ply",), texture="uv"), NullProgress())


def test_without_colour_networks_there_is_a_mesh_and_a_note(config: EvalJiffConfig, run: Path) -> None:
    chosen = replace(
        config,
        out=config.input / "bare",
        checkpoint=None,
        shape_checkpoint=run / "shape" / "latest.safetensors",
        format=("glb",),
        texture="uv",
        decimate=500,
    )
    assert run_eval_jiff(chosen, NullProgress()).ok
    stored = json.loads((chosen.results_folder / f"{NAME}.json").read_text(encoding="utf-8"))
    assert any("no colour network" in note for note in stored["notes"])
    assert load_mesh(chosen.results_folder / f"{NAME}.glb").texture is None
