"""Look before a long run: eight training items with mesh outline, samples, face box and face mesh in one picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from jiff.base.errors import DatasetError, InputError
from jiff.data.augment import AugmentConfig, draw_camera, warp_image
from jiff.data.data_config import DataConfig
from jiff.data.dataset import TrainingSet
from jiff.data.labels import LabelPoolConfig
from jiff.data.layout import ProcessedSet
from jiff.data.mesh_cache import cached_mesh
from jiff.geometry.io.mesh_io import save_image
from jiff.options.train_check import TrainCheckConfig
from jiff.render.gbuffer import render_gbuffer
from jiff.render.preview import contact_sheet
from jiff.run.parallel import WorkReport
from jiff.training.data import split_subjects

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.base.progress import Progress
    from jiff.geometry.camera import Camera

_LEAST_OVERLAP = 0.95
_INSIDE, _OUTSIDE, _BOX, _FACE, _OUTLINE = (
    (240, 60, 60),
    (60, 140, 255),
    (255, 210, 0),
    (60, 220, 90),
    (255, 0, 255),
)
_SHOWN_POINTS = 700


def silhouette_overlap(mask: NDArray[np.uint8], rendered: NDArray[np.uint8]) -> float:
    """Return the intersection over union of two masks [S, S] (inside above 127)."""
    a, b = mask > 127, rendered > 127
    union = int((a | b).sum())
    return int((a & b).sum()) / union if union else 0.0


def _paint(
    image: NDArray[np.uint8], pixels: NDArray[np.float64], color: tuple[int, int, int], radius: int = 1
) -> None:
    for x, y in pixels:
        if np.isfinite(x) and np.isfinite(y):
            cv2.circle(image, (int(x), int(y)), radius, color, -1)


def _overlay(
    items: TrainingSet, subject: str, view: str, camera: Camera, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], float]:
    """Return one picture, and how well the projected mesh agrees with the mask."""
    rgba = warp_image(items.stores[subject].get(view), camera)
    picture = np.ascontiguousarray(rgba[..., :3])
    rendered = render_gbuffer(cached_mesh(items.dataset, subject), camera).mask()
    overlap = silhouette_overlap(rgba[..., 3], rendered)
    outline = cv2.morphologyEx(rendered, cv2.MORPH_GRADIENT, np.ones((2, 2), np.uint8)) > 0
    picture[outline] = _OUTLINE
    points, labels = items.labels[subject].sample(rng, _SHOWN_POINTS)
    pixels = camera.world_to_pixel(points)
    _paint(picture, pixels[labels < 0.5], _OUTSIDE, 0)
    _paint(picture, pixels[labels > 0.5], _INSIDE, 0)
    face = items.faces[subject].read()
    if face.present:
        chosen = face.vertices_world[rng.permutation(len(face.vertices_world))[:_SHOWN_POINTS]]
        _paint(picture, camera.world_to_pixel(chosen), _FACE, 0)
        xmin, xmax, ymin, ymax = face.box_world
        depth = float(face.vertices_world[:, 2].mean())
        corners = np.array(
            [[xmin, ymin, depth], [xmax, ymin, depth], [xmax, ymax, depth], [xmin, ymax, depth]]
        )
        ring = np.rint(camera.world_to_pixel(corners)).astype(np.int32)
        cv2.polylines(picture, [ring], True, _BOX, 1, cv2.LINE_AA)
    return picture, overlap


def run_train_check(config: TrainCheckConfig, progress: Progress) -> WorkReport:
    """Draw training items as the loader makes them; an item fails when mesh and mask disagree.

    A subject or image that cannot be read fails alone.

    Magenta: outline of the projected mesh. Red and blue: inside and outside samples. Yellow: face box. Green: face
    mesh. A quarter of the images is unchanged, the rest augmented.

    Raises:
        DatasetError: the processed set is missing, empty or lacks a stage.
    """
    dataset = ProcessedSet(config.dataroot)
    train, held_out = split_subjects(dataset)
    rng = np.random.default_rng([config.seed, 11])
    chosen = [train[i] for i in sorted(rng.permutation(len(train))[: config.items])]
    augment = AugmentConfig(config.random_flip, config.random_scale, config.random_trans)
    settings = DataConfig(
        load_size=config.size,
        cache=False,
        augment=augment,
        labels=LabelPoolConfig(near=20_000, fine=2_000, uniform=2_000, volume=2_000, face=2_000),
    )
    report = WorkReport(outputs=[str(config.out)])
    pictures, labels = [], []
    with progress.task("Drawing training items", config.items) as bar:
        sets: dict[str, TrainingSet] = {}
        seen: set[str] = set()
        for number in range(config.items):
            bar.advance()
            subject = name = chosen[number % len(chosen)]
            try:
                if subject not in sets:
                    sets[subject] = TrainingSet(dataset, [subject], settings)
                items = sets[subject]
                views = [view for view in items.views[subject] if f"{subject} {view}" not in seen]
                view = str(rng.choice(views or items.views[subject]))
                seen.add(f"{subject} {view}")
                name = f"{subject} {view}"
                plain = items.camera(subject, view)
                camera = plain if number % 4 == 0 else draw_camera(augment, plain, rng)
                picture, overlap = _overlay(items, subject, view, camera, rng)
            except InputError as error:
                report.failures[name] = str(error)
                continue
            report.results[name] = overlap
            pictures.append(picture)
            labels.append(f"{name} IoU {overlap:.3f}")
            if overlap < _LEAST_OVERLAP:
                report.failures[name] = (
                    f"{dataset.mask(subject, view)}: agrees with the projected scan only to {overlap:.2f} (IoU), so "
                    "images and scans do not belong together; run `jiff data check` and render this subject again."
                )
    if not pictures:
        raise DatasetError(next(iter(report.failures.values())))
    missing = [subject for subject in train if not dataset.face_mesh(subject).is_file()]
    if missing:
        progress.warn(
            f"{len(missing)} of {len(train)} training subjects have no face mesh ({missing[0]} ...)."
        )
    if not held_out:
        progress.warn(
            f"{dataset.val_list}: holds nobody out, so nothing will tell overfitting from learning."
        )
    save_image(config.out, contact_sheet(pictures, labels, columns=4))
    return report
