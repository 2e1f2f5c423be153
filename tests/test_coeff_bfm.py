"""Basel model, coefficient network, FLAME: recorded answers, full-size files, hostile files."""

from __future__ import annotations

import json
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from face_people import model
from scipy.io import loadmat, savemat

from jiff.base.errors import AssetError
from jiff.face.detect.detector import HaarDetector
from jiff.face.fit.photo_fit import fit_landmarks
from jiff.face.models import bfm, coeff_net, flame
from jiff.face.models.coeff_fit import CoefficientReader
from jiff.geometry.camera import Camera, rotation_x, rotation_y


@pytest.fixture(scope="module")
def recorded(shared: Path) -> dict[str, np.ndarray]:
    return dict(np.load(shared / "reference" / "face_seed0.npz"))


def front_content(recorded: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    names = {
        "meanshape": "bfm_meanshape", "meantex": "bfm_meantex", "idBase": "bfm_idBase", "exBase": "bfm_exBase",
        "texBase": "bfm_texBase", "tri": "bfm_tri", "point_buf": "bfm_point_buf", "keypoints": "bfm_keypoints",
    }  # fmt: skip
    return {key: recorded[name] for key, name in names.items()}


def test_formulas_agree_with_the_recorded_answers(recorded, tmp_path: Path):
    savemat(tmp_path / "BFM_model_front.mat", front_content(recorded))
    basel = bfm.load_basel(tmp_path)
    c = bfm.Coefficients.split(recorded["coeff_in"][0])
    shape = basel.shape(c.identity, c.expression)
    np.testing.assert_allclose(shape, recorded["shape"][0], rtol=1e-3, atol=1e-5)
    albedo = basel.albedo(c.texture)
    np.testing.assert_allclose(albedo, recorded["texture"][0], rtol=1e-4, atol=1e-3)
    rotation = bfm.euler_rotation(c.angles_rad)
    np.testing.assert_allclose(rotation, recorded["rotation"][0], atol=1e-6)
    posed = bfm.pose_vertices(shape, c)
    np.testing.assert_allclose(posed, recorded["posed"][0], atol=1e-5)
    pixels, depth = bfm.project(posed[basel.landmarks])
    np.testing.assert_allclose(pixels, recorded["landmarks_2d"][0], atol=1e-3)
    np.testing.assert_allclose(depth, recorded["z_buffer"][0][:, 0], atol=1e-5)


def test_network_agrees_with_the_recorded_answer(recorded, shared: Path, tmp_path: Path):
    sys.path.insert(0, str(shared / "reference"))
    try:
        from deterministic_weights import deterministic_state_dict
    finally:
        sys.path.pop(0)
    manifest = json.loads((shared / "reference" / "deep3d_manifest.json").read_text())
    state = {k: torch.from_numpy(np.asarray(v)) for k, v in deterministic_state_dict(manifest).items()}
    assert {k: list(v.shape) for k, v in coeff_net.CoefficientNetwork().state_dict().items()} == manifest
    torch.save(state, tmp_path / "params.pt")
    network = coeff_net.load_coefficient_network(tmp_path / "params.pt")
    image = torch.from_numpy(recorded["deep3d_image_bgr"].astype(np.float32))
    with torch.inference_mode():
        np.testing.assert_allclose(network(image).numpy(), recorded["deep3d_coeff"], rtol=1e-3, atol=1e-3)
    # The newer port names the same tensors otherwise.
    heads = list(coeff_net.HEADS)
    renamed = {
        (f"final_layers.{heads.index(k.split('.')[0])}.{k.split('.')[1]}" if k.split(".")[0] in heads else f"backbone.{k}"): v
        for k, v in state.items()
    }  # fmt: skip
    torch.save({"net_recon": renamed}, tmp_path / "newer.pth")
    again = coeff_net.load_coefficient_network(tmp_path / "newer.pth").state_dict()
    assert all(torch.equal(again[k], state[k]) for k in state)
    for content, word in (
        ({"a": torch.zeros(1)}, "another network"),
        ({**state, "fcid.bias": torch.zeros(3)}, "shape"),
    ):
        torch.save(content, tmp_path / "bad.pt")
        with pytest.raises(AssetError, match=word):
            coeff_net.load_coefficient_network(tmp_path / "bad.pt")
    (tmp_path / "cut.pt").write_bytes((tmp_path / "params.pt").read_bytes()[:5000])
    with pytest.raises(AssetError, match=r"cut\.pt"):
        coeff_net.load_coefficient_network(tmp_path / "cut.pt")


def test_crop_puts_the_template_where_the_published_one_does(shared: Path):
    template = coeff_net.five_template(shared / "assets" / "bfm" / "similarity_Lm3D_all.mat")
    marks = loadmat(shared / "assets" / "bfm" / "similarity_Lm3D_all.mat")["lm"]
    np.testing.assert_allclose(template[2], marks[30])
    # Landmarks that are the template itself, 80 px per unit about (300, 200): the crop has 102 px per unit about 112.
    five = np.stack([300 + 80 * template[:, 0], 200 - 80 * template[:, 1]], axis=1)
    scale, offset = coeff_net.crop_transform(five, template)
    assert scale == pytest.approx(102 / 80)
    np.testing.assert_allclose(scale * np.array([300, 200]) + offset, [112, 112], atol=1e-9)


def test_coefficients_are_placed_where_they_project(recorded):
    basel = bfm.from_arrays(front_content(recorded), Path("x.mat"))
    common = bfm.morphable(basel)
    rng = np.random.default_rng(0)
    values = np.zeros(257, np.float32)
    values[:144] = 0.01 * rng.normal(size=144)
    values[224:227] = (0.1, -0.2, 0.05)
    c = bfm.Coefficients.split(values)
    reader = CoefficientReader(coeff_net.CoefficientNetwork(), basel, np.zeros((5, 3)))
    scale, offset = 1.7, np.array([-300.0, -20.0])
    camera = Camera()
    pose = reader.place(common, c, scale, offset, camera)
    posed = bfm.pose_vertices(basel.shape(c.identity, c.expression), c)
    crop_px, _ = bfm.project(posed[basel.landmarks])
    expected = (crop_px - offset) / scale
    got = camera.world_to_pixel(pose.vertices(common)[common.landmarks68])
    # Perspective against orthographic: within a few per cent of the face's extent.
    assert np.abs(got - expected).max() < 0.08 * np.ptp(expected)
    assert np.abs((got - expected).mean(0)).max() < 1e-6


@pytest.fixture(scope="module")
def full_size(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real helper files with random bases of the real size."""
    folder = tmp_path_factory.mktemp("bfm")
    for path in (shared / "assets" / "bfm").iterdir():
        if path.is_file():
            (folder / path.name).write_bytes(path.read_bytes())
    rng = np.random.default_rng(7)
    n = 3 * 53490

    def basis(width: int) -> np.ndarray:
        return rng.standard_normal((n, width), dtype=np.float32) * np.float32(1e-3)

    savemat(
        folder / "01_MorphableModel.mat",
        {
            "shapeMU": rng.standard_normal((n, 1), dtype=np.float32) * 1e4, "shapePC": basis(80),
            "shapeEV": np.linspace(9e5, 5e4, 80)[:, None], "texMU": rng.uniform(0, 255, (n, 1)).astype(np.float32),
            "texPC": basis(80), "texEV": np.linspace(3e3, 1e2, 80)[:, None],
        },
    )  # fmt: skip
    with open(folder / "Exp_Pca.bin", "wb") as handle:
        handle.write(np.int32(79).tobytes())
        for _ in range(80):
            handle.write((rng.standard_normal(3 * 53215, dtype=np.float32) * np.float32(1e-1)).tobytes())
    return folder


def test_full_size_model_is_built_and_its_coefficients_come_back(full_size: Path):
    basel = bfm.load_basel(full_size)
    assert basel.mean.shape == (35709, 3) and basel.triangles.shape == (70789, 3)
    source = loadmat(full_size / "01_MorphableModel.mat")
    trim = loadmat(full_size / "BFM_exp_idx.mat")["trimIndex"].ravel().astype(int) - 1
    front = loadmat(full_size / "BFM_front_idx.mat")["idx"].ravel().astype(int) - 1
    vertex = 20000
    row = 3 * trim[front[vertex]] + 1
    want = source["shapePC"][row, 3] * source["shapeEV"][3, 0] / 1e5
    assert basel.identity[3 * vertex + 1, 3] == pytest.approx(want, rel=1e-5)
    m = bfm.morphable(basel)
    rng = np.random.default_rng(1)
    identity, expression = rng.normal(size=80), rng.normal(size=64)
    # The directions are independent: a shape gives its coefficients back.
    basis = np.concatenate([m.identity, m.expression]).reshape(144, -1).astype(np.float64)
    shape = (m.shape(identity, expression) - m.mean).ravel()
    found = np.linalg.solve(basis @ basis.T, basis @ shape)
    np.testing.assert_allclose(found, np.concatenate([identity, expression]), atol=0.05)


def test_missing_and_damaged_basel_files_are_named(full_size: Path, tmp_path: Path, recorded):
    with pytest.raises(AssetError, match=r"01_MorphableModel\.mat, Exp_Pca\.bin"):
        bfm.load_basel(tmp_path)
    for name in bfm.FILES_TO_BUILD:
        folder = tmp_path / f"without-{name}"
        folder.mkdir()
        for other in bfm.FILES_TO_BUILD:
            if other != name:
                (folder / other).symlink_to(full_size / other)
        (folder / name).write_bytes((full_size / name).read_bytes()[:500])
        with pytest.raises(AssetError, match=name):
            bfm.load_basel(folder)
    content = front_content(recorded)
    for key, value in (
        ("idBase", content["idBase"][:-3]),
        ("tri", content["tri"] + 500),
        ("keypoints", None),
    ):
        changed = {k: v for k, v in {**content, key: value}.items() if v is not None}
        savemat(tmp_path / "BFM_model_front.mat", changed)
        with pytest.raises(AssetError, match=r"BFM_model_front\.mat"):
            bfm.load_basel(tmp_path)


class _Chumpy:
    """Pickles as chumpy's arrays do: a class of a module that is not installed, with its array under "x"."""

    def __init__(self, x: np.ndarray) -> None:
        self.x = x


def write_flame(path: Path, template: np.ndarray, faces: np.ndarray, **extra: object) -> None:
    rng = np.random.default_rng(0)
    bases = rng.normal(size=(len(template), 3, 350)) * 1e-4
    _Chumpy.__module__, _Chumpy.__qualname__ = "chumpy.ch", "Ch"
    module = type(sys)("chumpy.ch")
    module.Ch = _Chumpy
    sys.modules["chumpy"], sys.modules["chumpy.ch"] = type(sys)("chumpy"), module
    try:
        content = {"v_template": template, "shapedirs": _Chumpy(bases), "f": faces.astype(np.uint32), **extra}
        path.write_bytes(pickle.dumps(content, protocol=2))
    finally:
        del sys.modules["chumpy"], sys.modules["chumpy.ch"]


def test_flame_from_its_pickle(tmp_path: Path):
    m = model()
    path = tmp_path / "generic_model.pkl"
    write_flame(path, m.mean.astype(float) / 100, m.triangles)
    built = flame.build_flame(path, HaarDetector(), m)
    assert built.identity.shape[0] == 100 and built.expression.shape[0] == 50
    # Landmarks are found again on the mesh they were known on; both are centred on their own vertices.
    found, known = built.mean[built.landmarks68], m.mean[m.landmarks68]
    gap = (found - np.median(found, axis=0)) - (known - np.median(known, axis=0))
    assert np.median(np.linalg.norm(gap, axis=1)) < 0.1


class _Hostile:
    def __reduce__(self):
        return (Path.touch, (Path("owned"),))


def test_hostile_and_damaged_pickles_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "generic_model.pkl"
    m = model()
    for content in (
        pickle.dumps({"v_template": _Hostile()}), pickle.dumps([1, 2]), pickle.dumps({"v_template": m.mean}),
        pickle.dumps({"v_template": m.mean, "shapedirs": m.mean, "f": m.triangles}), b"", b"garbage",
    ):  # fmt: skip
        path.write_bytes(content)
        with pytest.raises(AssetError, match=r"generic_model\.pkl"):
            flame.flame_arrays(path)
    assert not (tmp_path / "owned").exists()
    with pytest.raises(AssetError, match="missing"):
        flame.flame_arrays(tmp_path / "absent.pkl")


def test_hostile_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    for content in ({"fcid.weight": _Hostile()}, _Hostile()):
        torch.save(content, tmp_path / "params.pt")
        with pytest.raises(AssetError, match=r"params\.pt"):
            coeff_net.load_coefficient_network(tmp_path / "params.pt")
    assert not (tmp_path / "owned").exists()
    with pytest.raises(AssetError, match="assets list"):
        coeff_net.load_coefficient_network(tmp_path / "absent.pt")
    with pytest.raises(AssetError, match=r"similarity_Lm3D_all\.mat"):
        coeff_net.five_template(tmp_path / "similarity_Lm3D_all.mat")


@pytest.mark.parametrize("yaw_deg", [-40, 0, 25])
def test_68_landmarks_of_a_picture_give_turn_and_size(yaw_deg: float):
    m = model()
    turn = rotation_y(np.radians(yaw_deg)) @ rotation_x(0.1)
    rng = np.random.default_rng(2)
    shape = m.shape(0.4 * rng.normal(size=10))
    world = 1.15 * shape @ turn.T + [10, 165, 0]
    camera = Camera(size=1024)
    pose, quality = fit_landmarks(m, camera, camera.world_to_pixel(world[m.landmarks68]))
    assert quality.yaw_deg == pytest.approx(yaw_deg, abs=6)
    assert pose.scale == pytest.approx(1.15, rel=0.04)
    error = np.linalg.norm((pose.vertices(m) - world)[m.landmarks68][:, :2], axis=1)
    assert np.median(error) < 0.2


def test_five_landmarks_place_the_face(rng):
    m = model()
    world = 0.95 * m.mean.astype(float) @ rotation_y(0.35).T + [-4, 160, 0]
    camera = Camera()
    five = camera.world_to_pixel(m.five_landmarks(world))
    pose, quality = fit_landmarks(m, camera, five)
    assert quality.landmark_px < 0.6 and quality.yaw_deg == pytest.approx(20, abs=5)
    assert pose.scale == pytest.approx(0.95, rel=0.05)
