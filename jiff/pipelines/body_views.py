"""The fits to photos of the views of a processed set: which views, each fit in the set's world, kept as they come."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from jiff.base.errors import AssetError
from jiff.base.files import read_text
from jiff.body.fit.fitting import UNTOLD, BodyFitter
from jiff.body.fit.regressor import SHAPES
from jiff.body.placing import moved
from jiff.data.layout import ProcessedSet, parse_view_name
from jiff.data.param_io import read_param
from jiff.data.view_bodies import ViewBody, write_view_bodies
from jiff.face.models.anny_on_body import face_places
from jiff.geometry.camera import Camera
from jiff.perception.files import find_networks
from jiff.photo.images import read_image
from jiff.photo.masks import read_mask
from jiff.photo.observed import look_at
from jiff.pipelines.seen_views import nearest_views, view_file

_AROUND_DEG, _WITHIN_DEG = range(0, 360, 45), 15
"""Views that tell the body of a scan without truth, and how far from these the nearest one may be."""
_SAVE_EVERY = 20
"""Views between two writings, so that a run that was killed loses little."""
_PHENOTYPES = (*UNTOLD, *SHAPES)


@lru_cache(maxsize=1)
def _fitter() -> BodyFitter:
    return BodyFitter(face=face_places())


def training_views(dataset: ProcessedSet, subject: str, step: int) -> list[str]:
    """Return the first view of every ``step``-th yaw of training (of all yaws before `jiff data face` ran); 0 for none."""
    if step == 0:
        return []
    firsts: dict[tuple[int, int], str] = {}
    for view in dataset.views(subject):
        yaw, pitch, _ = parse_view_name(view)
        firsts.setdefault((yaw, pitch), view)
    yaws = sorted({yaw for yaw, _ in firsts})
    if dataset.file_number(subject).is_file():
        told = set(read_text(dataset.file_number(subject)).split())
        yaws = [yaw for yaw in yaws if str(yaw) in told]
    kept = set(yaws[::step])
    return [view for (yaw, _), view in firsts.items() if yaw in kept]


def views_around(dataset: ProcessedSet, subject: str) -> list[str]:
    """Return the views that tell the body of a scan without truth."""
    return nearest_views(dataset, subject, _AROUND_DEG, _WITHIN_DEG)


def fit_view(dataset: ProcessedSet, subject: str, view: str) -> ViewBody:
    """Return what the fit to a photo makes of a view."""
    path = view_file(dataset, subject, view)
    rgb = np.ascontiguousarray(read_image(path)[..., :3])
    large = dataset.mask_hi(subject, view)
    mask = read_mask(large if large.is_file() else dataset.mask(subject, view), (rgb.shape[0], rgb.shape[1]))
    camera = Camera.from_param(read_param(dataset.param(subject, view)))
    networks = find_networks()
    if networks is None:
        raise AssetError("perception: is not there on this machine; run `jiff assets fetch perception`.")
    seen = look_at(networks, rgb, mask)
    if seen is None:
        return ViewBody(view, "no landmarks fit the person of the mask", None, camera.rotation)
    fitter = _fitter()
    fit = fitter.fit(seen)
    why = fit.refusal
    # From the canonical camera, in which photos are framed, to this one, in whose NDC the person lies alike.
    canonical = Camera()
    zoom = camera.half_width_world / canonical.half_width_world
    linear = zoom * camera.rotation.T
    body = moved(fit.body, fitter.body, linear, camera.center_world - linear @ canonical.center_world)
    return ViewBody(
        view, why or "", body, camera.rotation, body.joints_world(fitter.body), fit.joint_sigma * zoom,
        fit.told.turns_sigma,
    )  # fmt: skip


def fit_views(dataset: ProcessedSet, subject: str, wanted: list[str], kept: list[ViewBody]) -> list[ViewBody]:
    """Return the fits of the views that are asked for and of those that are there, and write them."""
    found = {view.view: view for view in kept}
    missing = [view for view in wanted if view not in found]

    def ordered() -> list[ViewBody]:
        return sorted(found.values(), key=lambda view: parse_view_name(view.view))

    for number, view in enumerate(missing, 1):
        found[view] = fit_view(dataset, subject, view)
        if number % _SAVE_EVERY == 0 or number == len(missing):
            write_view_bodies(dataset.body_views(subject), ordered(), _PHENOTYPES)
    return ordered()


def view_errors(views: list[ViewBody], joints: Any) -> dict[str, Any]:
    """Return how far the fits of views are from the subject's own joints [21, 3], from the root, world units."""
    if not views:
        return {"views": 0}
    good = [view for view in views if view.accepted]
    error = [
        np.linalg.norm((view.joints - view.joints[0]) - (joints - joints[0]), axis=1).mean() for view in good
    ]
    told = {"views": len(views), "accepted": len(good)}
    return told | ({"joints_off": round(float(np.median(error)), 3)} if error else {})
