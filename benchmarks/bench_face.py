"""Faces: fit of one scan head, of one photo, its alignment, and the Deep3D network's way from crop to mesh."""

from __future__ import annotations

import numpy as np

from benchmarks.face_people import coarse_reconstruction, known_person
from benchmarks.process import peak_mib
from benchmarks.row import Row, best_seconds
from jiff.face.detect.detector import HaarDetector
from jiff.face.detect.locate import locate_face
from jiff.face.fit.coarse_fit import COARSE_FIT, fit_coarse
from jiff.face.fit.fitting import FaceFitter
from jiff.face.fit.photo_fit import fit_photo
from jiff.face.fit.picture_term import PictureTerm
from jiff.face.fit.scan_fit import fit_scan
from jiff.face.models.anny_face import load_anny_face
from jiff.face.models.bfm import EXPRESSION, IDENTITY, TEXTURE, BaselModel, morphable
from jiff.face.models.coeff_fit import CoefficientReader
from jiff.face.models.coeff_net import CoefficientNetwork
from jiff.face.surface import FaceScene
from jiff.geometry.camera import Camera

_BFM_VERTICES, _BFM_TRIANGLES = 35_709, 70_789


def _random_basel() -> BaselModel:
    """A Basel model of the real size with random numbers."""
    rng = np.random.default_rng(0)
    n = _BFM_VERTICES

    def basis(width: int) -> np.ndarray:
        return rng.standard_normal((3 * n, width), dtype=np.float32) * np.float32(1e-3)

    return BaselModel(
        mean=rng.standard_normal((n, 3), dtype=np.float32),
        identity=basis(IDENTITY),
        expression=basis(EXPRESSION),
        texture_mean=rng.uniform(0, 255, (n, 3)).astype(np.float32),
        texture=basis(TEXTURE),
        triangles=rng.integers(0, n, (_BFM_TRIANGLES, 3)),
        neighbours=rng.integers(0, _BFM_TRIANGLES, (n, 8)),
        landmarks=rng.integers(0, n, 68),
    )


def run(quick: bool) -> list[Row]:
    """Fit one person; ``quick`` measures once instead of three times."""
    import torch

    repeats = 1 if quick else 3
    person = known_person(seed=3, index=0)
    model, camera, detector = load_anny_face(), Camera(), HaarDetector()
    picture, mask = person.pictures[0], person.masks[0]
    before = peak_mib()
    scan_fitter, coarse_fitter = FaceFitter(model), FaceFitter(model, COARSE_FIT)
    coarse = coarse_reconstruction(person.mesh, 0)

    def scan() -> None:
        fit_scan(scan_fitter, FaceScene(person.mesh), camera, picture, mask, detector)

    def photo() -> None:
        found = locate_face(picture, mask, detector)
        pose, _ = fit_photo(model, camera, picture, mask, found.points_px, found.evidence)
        term = PictureTerm(model, camera, picture, mask)
        fit_coarse(coarse_fitter, FaceScene(coarse), camera, pose, found.points_px, picture=term)

    rows = [
        Row(
            f"scan head, {len(person.mesh.faces)} triangles: detect and fit",
            best_seconds(scan, repeats),
            "s",
            target="3 s",
        ),
        Row("photo: detect, fit, align to a reconstruction", best_seconds(photo, repeats), "s", target="5 s"),
        Row("memory that the fits add to the process", peak_mib() - before, "MiB"),
    ]
    before = peak_mib()
    basel = _random_basel()
    torch.manual_seed(0)
    network = CoefficientNetwork().eval()
    reader = CoefficientReader(network, basel, np.array([[-0.3, 0.3, 0], [0.3, 0.3, 0], [0, 0, 0.3], [-0.2, -0.3, 0], [0.2, -0.3, 0]]))  # fmt: skip
    basel_model = morphable(basel)
    five = camera.world_to_pixel(person.five_world)

    def deep3d() -> None:
        pose = reader.place(basel_model, *reader.read(picture, five), camera)
        pose.vertices(basel_model)

    deep3d()
    rows.append(
        Row(
            f"Deep3D: picture to mesh of {_BFM_VERTICES} vertices (random weights)",
            best_seconds(deep3d, repeats),
            "s",
        )
    )
    rows.append(Row("memory that Deep3D adds", peak_mib() - before, "MiB"))
    return rows
