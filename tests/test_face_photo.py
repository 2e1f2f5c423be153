"""Photos: pixels refine the landmarks, pictures of every kind are read, and nothing that is no face is accepted."""

from __future__ import annotations

import functools
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from face_people import model, person
from PIL import Image

from benchmarks.face_people import KnownPerson, coarse_reconstruction, known_person
from benchmarks.face_sabotage import KINDS, sabotage
from benchmarks.faces_proof import Prover
from jiff.base.errors import FitError
from jiff.base.progress import NullProgress
from jiff.data.face_record import read_record
from jiff.face.detect.detector import Detection, HaarDetector, SecondOpinion
from jiff.face.detect.locate import finds_face_at, locate_face
from jiff.face.fit.fitting import FacePose
from jiff.face.fit.photo_fit import fit_photo, photo_refusal
from jiff.face.fit.picture_term import PictureConfig, PictureTerm, shows_features
from jiff.face.fit.quality import PHOTO_LIMITS, refusal
from jiff.geometry.camera import Camera, rotation_x, rotation_y
from jiff.geometry.io.mesh_io import save_image
from jiff.geometry.mesh import Mesh
from jiff.geometry.normals import area_weighted_normals
from jiff.options.face import FaceConfig
from jiff.pipelines.face import run_face
from jiff.render.preview import render_preview


def painted(yaw_deg: float) -> tuple[FacePose, np.ndarray, np.ndarray]:
    """A known pose of the model, its picture in its own colours, and the mask."""
    m = model()
    expression = np.zeros(len(m.expression))
    pose = FacePose(
        1.05, rotation_y(np.radians(yaw_deg)) @ rotation_x(0.1), np.array([4.0, 160.0, 5.0]),
        0.5 * np.random.default_rng(3).normal(size=len(m.identity)), expression,
    )  # fmt: skip
    mesh = Mesh(pose.vertices(m), m.triangles, colors=m.texture())
    picture = render_preview(mesh, Camera(), background=(0, 0, 0), samples=4)
    return pose, picture, (picture.any(axis=2) * 255).astype(np.uint8)


def gap_xy(pose: FacePose, truth: FacePose) -> float:
    """Mean distance of the landmarks in the picture, cm."""
    m = model()
    gap = (pose.vertices(m) - truth.vertices(m))[m.landmarks68, :2]
    return float(np.linalg.norm(gap, axis=1).mean())


def agreement(pose: FacePose, picture: np.ndarray, mask: np.ndarray) -> float:
    m = model()
    vertices = pose.vertices(m)
    term = PictureTerm(m, Camera(), picture, mask)
    return term.agreement(vertices, area_weighted_normals(vertices, m.triangles))


def test_pixels_know_better_than_wrong_landmarks():
    truth, picture, mask = painted(8.0)
    m = model()
    right = Camera().world_to_pixel(m.five_landmarks(truth.vertices(m)))
    wrong = right + [1.2, -1.5]
    pose, quality = fit_photo(m, Camera(), picture, mask, wrong, "yunet")
    assert gap_xy(pose, truth) < 0.3 < np.linalg.norm([1.2, 1.5]) * 0.4
    assert quality.picture > 0.45 and refusal(quality, PHOTO_LIMITS) is None
    assert quality.yaw_deg == pytest.approx(8.0, abs=6)


def test_turn_of_a_guessed_face_is_found():
    """Haar's nose and mouth are those of a frontal face; the pixels say where it looks."""
    truth, picture, mask = painted(33.0)
    m = model()
    right = Camera().world_to_pixel(m.five_landmarks(truth.vertices(m)))
    eyes = right[:2].mean(0)
    frontal = Camera().world_to_pixel(m.five_landmarks(m.mean.astype(float) * 0.9))
    guessed = frontal - frontal[:2].mean(0) + eyes
    guessed[:2] = right[:2]
    pose, quality = fit_photo(m, Camera(), picture, mask, guessed, "haar+eyes")
    assert quality.yaw_deg == pytest.approx(33.0, abs=12)
    assert gap_xy(pose, truth) < 0.6


def test_agreement_is_high_on_the_face_and_low_beside():
    truth, picture, mask = painted(0.0)
    right = agreement(truth, picture, mask)
    assert right > 0.5
    for shift in ([0, 4.0, 0], [3.5, 0, 0], [0, -5.0, 0]):
        assert agreement(replace(truth, offset=truth.offset + shift), picture, mask) < min(0.7 * right, 0.45)
    noise = np.random.default_rng(0).integers(0, 255, picture.shape, dtype=np.uint8)
    assert abs(agreement(truth, noise, mask)) < PHOTO_LIMITS.picture
    assert abs(agreement(truth, np.full_like(picture, 90), mask)) < 0.1
    assert agreement(truth, picture, np.zeros_like(mask)) == 0
    assert shows_features(model())
    assert not shows_features(replace(model(), texture_mean=np.full_like(model().texture_mean, 0.6)))


def test_equations_of_a_picture_are_its_derivatives():
    """Moving the face by a little changes the residuals as the directions say."""
    truth, picture, mask = painted(0.0)
    m = model()
    term = PictureTerm(m, Camera(), picture, mask, PictureConfig(blur_world=(0.9,)))
    step = np.array([0.1, 0.05, 0.0])
    found = []
    for pose in (truth, replace(truth, offset=truth.offset + step)):
        vertices = pose.vertices(m)
        index, direction, residual, _ = term.compare(
            vertices, area_weighted_normals(vertices, m.triangles), 0
        )
        # Equations of brightness come first; at the border of the mask some come and go.
        first = slice(0, int(np.argmax(np.diff(index) < 0)) + 1)
        found.append({k: (d, r) for k, d, r in zip(index[first], direction[first], residual[first])})
    both = sorted(found[0].keys() & found[1].keys())
    assert len(both) > 1000
    expected = np.array([-found[0][k][0] @ step for k in both])
    change = np.array([found[1][k][1] - found[0][k][1] for k in both])
    # What shading explains of the change is not in the residuals: they follow, they are not equal.
    assert np.corrcoef(change, expected)[0, 1] > 0.6


@pytest.fixture(scope="module")
def kinds_of_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kinds")
    rgb, mask = person().picture, person().mask
    bright = np.where(mask[..., None] >= 128, rgb, 40).astype(np.uint8)
    for name in ("plain", "gray", "deep", "turned", "large"):
        save_image(folder / f"{name}_mask.png", mask)
    save_image(folder / "plain.png", bright)
    Image.fromarray(bright).convert("L").save(folder / "gray.png")
    Image.fromarray(np.dstack([bright, mask])).save(folder / "alpha.png")
    cv2.imwrite(str(folder / "deep.png"), bright[..., ::-1].astype(np.uint16) * 257)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.rot90(bright)).save(folder / "turned.jpg", exif=exif, quality=95)
    big = cv2.resize(bright, (4480, 4480), interpolation=cv2.INTER_CUBIC)
    Image.fromarray(big).save(folder / "large.jpg", quality=90)
    cv2.imwrite(
        str(folder / "large_mask.png"), cv2.resize(mask, (4480, 4480), interpolation=cv2.INTER_NEAREST)
    )
    return folder


def test_photos_of_every_kind_give_the_same_face(kinds_of_photos: Path):
    report = run_face(FaceConfig(input=kinds_of_photos, jobs=1, overlays=False), NullProgress())
    assert not report.failures, report.failures
    assert sorted(report.results) == ["alpha", "deep", "gray", "large", "plain", "turned"]
    places = {name: read_record(kinds_of_photos / f"{name}_fit.json").pose for name in report.results}
    for name in ("alpha", "deep", "turned", "large", "gray"):
        gap = np.abs(places[name].vertices(model()) - places["plain"].vertices(model()))[model().core, :2]
        assert gap.mean() < (0.05 if name in ("alpha", "deep") else 0.6), name


def test_processes_do_not_matter(kinds_of_photos: Path, tmp_path: Path):
    answers = []
    for jobs in (1, 2):
        folder = tmp_path / str(jobs)
        folder.mkdir()
        for name in ("plain", "deep"):
            shutil.copy(kinds_of_photos / f"{name}.png", folder)
            shutil.copy(kinds_of_photos / f"{name}_mask.png", folder)
        assert not run_face(FaceConfig(input=folder, jobs=jobs, overlays=False), NullProgress()).failures
        answers.append({p.name: p.read_bytes() for p in sorted(folder.glob("*_*")) if "mask" not in p.name})
    assert answers[0] == answers[1] and len(answers[0]) == 6


def test_several_faces_and_no_face(tmp_path: Path):
    """Three copies of a person: the mask decides whose face it is; a picture without one is refused."""
    rgb, mask = person().picture, person().mask
    three = np.maximum(rgb, np.maximum(np.roll(rgb, 130, axis=1), np.roll(rgb, -130, axis=1)))
    found = locate_face(three, mask, HaarDetector())
    alone = locate_face(rgb, mask, HaarDetector())
    assert np.abs(found.points_px - alone.points_px).max() < 4
    headless = mask.copy()
    headless[:150] = 0
    with pytest.raises(FitError):
        locate_face(three, headless, HaarDetector())


def test_face_is_looked_for_where_it_should_be():
    five = locate_face(person().picture, person().mask, HaarDetector()).points_px
    detector = HaarDetector()
    assert finds_face_at(person().picture, five, detector)
    assert not finds_face_at(person().picture, five + [0, 120], detector)
    assert not finds_face_at(person().picture, five + [25, 0], detector)
    assert not finds_face_at(person().picture, 0.4 * (five - five.mean(0)) + five.mean(0), detector)
    assert not finds_face_at(person().picture, np.zeros((5, 2)), detector)


@functools.cache
def known(index: int) -> KnownPerson:
    return known_person(seed=8, index=index)


@functools.cache
def prover() -> Prover:
    return Prover()


def test_known_people_are_accepted_and_right():
    medians = []
    for index in range(2):
        p = known(index)
        scan = prover().scan(p.mesh, p.pictures[0], p.masks[0], HaarDetector())
        median, p90 = prover().errors(scan, p)
        assert median < 0.10 and p90 < 0.25
        photo = prover().photo(
            coarse_reconstruction(p.mesh, index), p.pictures[0], p.masks[0], HaarDetector()
        )
        medians.append(prover().errors(photo, p)[0])
    # A reconstruction's noise of 1 cm leaves some of it in the depth of each.
    assert np.mean(medians) < 0.6 and max(medians) < 1.0


@pytest.mark.parametrize("evidence", ["yunet", "haar+eyes", "given"])
def test_a_second_detector_must_see_the_face(evidence: str):
    """A perfect agreement on a neck is an accident: without a face there, only the user's own landmarks are believed."""
    p = known(0)
    m = model()
    five = Camera().world_to_pixel(p.five_world)
    found = Detection(np.zeros(4), five, 0.9, evidence)
    _, quality = fit_photo(m, Camera(), p.pictures[0], p.masks[0], five, evidence)
    assert quality.picture > PHOTO_LIMITS.picture
    assert photo_refusal(quality, p.pictures[0], found, five) is None
    case = sabotage("no face", p, known(1), seed=13)
    told = Detection(np.zeros(4), case.detector.five_px, 0.9, evidence)
    why = photo_refusal(quality, case.picture, told, case.detector.five_px)
    assert (why is None) == (evidence == "given")
    assert why is None or "second detector" in why
    # A poor agreement still needs two eyes.
    poor = replace(quality, picture=0.2)
    assert photo_refusal(poor, p.pictures[0], found, five) is None
    assert "does not look like a face" in str(photo_refusal(poor, case.picture, told, case.detector.five_px))


def test_second_opinion_sees_faces_turned_aside_to_either_side():
    p = known(1)
    turned = p.turned(60)
    five = Camera().world_to_pixel(turned.five_world)
    picture = p.pictures[60]
    mirrored = np.ascontiguousarray(picture[:, ::-1])
    other = (five * [-1, 1] + [512, 0])[[1, 0, 2, 4, 3]]
    judge = SecondOpinion(aside=True)
    assert finds_face_at(picture, five, judge) and finds_face_at(mirrored, other, judge)
    assert not finds_face_at(picture, five + [0, 45], judge)


def test_photos_are_accepted_whoever_finds_the_face(shared: Path, tmp_path: Path):
    yunet = next((shared / "assets").glob("face_detection_yunet*.onnx"))
    for name in ("ryota.png", "ryota_mask.png", "sample.jpg", "sample_mask.png"):
        shutil.copy(shared / "photos" / name, tmp_path / name)
    for detector in (None, yunet):
        config = FaceConfig(input=tmp_path, jobs=1, overlays=False, overwrite=True, detector_model=detector)
        report = run_face(config, NullProgress())
        assert sorted(report.results) == ["ryota", "sample"], report.failures


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("number", [0, 1])
def test_sabotage_is_refused_as_scan_and_as_photo(kind: str, number: int):
    case = sabotage(kind, known(number), known(1 - number), seed=number)
    with pytest.raises(FitError):
        prover().scan(case.mesh, case.picture, case.mask, case.detector)
    coarse = coarse_reconstruction(case.mesh, number)
    with pytest.raises(FitError):
        prover().photo(coarse, case.picture, case.mask, case.detector)
