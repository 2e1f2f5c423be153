"""What is known about a synthetic person's face: surface, landmarks, eyes."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from jiff.synthetic.person import PersonMesh
from jiff.synthetic.template import Template, load_template

LANDMARKS = (
    "right_eye", "left_eye", "nose_tip", "right_mouth_corner", "left_mouth_corner", "chin", "right_eye_outer",
    "right_eye_inner", "left_eye_inner", "left_eye_outer", "nose_bridge", "upper_lip", "lower_lip", "forehead",
)  # fmt: skip
"""Order of the landmarks; the first five are YuNet's. Right and left are the person's own."""


@lru_cache(maxsize=2)
def _face_topology(triangles: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the template vertices of the face (without ears and scalp) and its triangles, indexed among them."""
    template = load_template(triangles)
    x, y, z = template.canonical.T
    inside = (template.part == 1) & (z > 0.055) & (y > 0.778) & (y < 0.985) & (np.abs(x) < 0.085)
    chosen = inside[template.faces].all(axis=1)
    vertices, faces = np.unique(template.faces[chosen], return_inverse=True)
    return vertices, faces.reshape(-1, 3)


def _nearest(template: Template, point: tuple[float, float, float]) -> int:
    return int(np.argmin(((template.canonical - np.array(point)) ** 2).sum(axis=1)))


@lru_cache(maxsize=2)
def _landmark_vertices(triangles: int) -> dict[str, int]:
    template = load_template(triangles)
    c = template.canonical
    left, right, mouth = (template.loops[k] for k in range(3))
    middle = np.flatnonzero((np.abs(c[:, 0]) < 0.004) & (template.part == 1) & (c[:, 2] > 0.1))
    nose = middle[np.argmax(np.where((c[middle, 1] > 0.85) & (c[middle, 1] < 0.88), c[middle, 2], -1))]
    return {
        "nose_tip": int(nose),
        "left_mouth_corner": int(mouth[np.argmax(c[mouth, 0])]),
        "right_mouth_corner": int(mouth[np.argmin(c[mouth, 0])]),
        "left_eye_outer": int(left[np.argmax(c[left, 0])]),
        "left_eye_inner": int(left[np.argmin(c[left, 0])]),
        "right_eye_outer": int(right[np.argmin(c[right, 0])]),
        "right_eye_inner": int(right[np.argmax(c[right, 0])]),
        "chin": _nearest(template, (0.0, 0.792, 0.14)),
        "nose_bridge": _nearest(template, (0.0, 0.905, 0.15)),
        "upper_lip": _nearest(template, (0.0, 0.8385, 0.165)),
        "lower_lip": _nearest(template, (0.0, 0.823, 0.16)),
        "forehead": _nearest(template, (0.0, 0.955, 0.15)),
    }


def face_truth(mesh: PersonMesh, triangles: int) -> dict[str, np.ndarray]:
    """Return the truth of a person's face, in the scan's own frame and unit (metres).

    Args:
        mesh: the person.
        triangles: of the template it was made with.

    Returns:
        ``face_vertices`` (N, 3) and ``face_triangles`` (M, 3): bare skin of the face as posed, hair over it or not;
        ``face_visible`` (N,) bool: no hair, hat or collar covers it (glasses do not count); ``landmarks`` (14, 3) in the order of ``LANDMARKS``;
        ``eye_centers`` (2, 3) and ``eye_radii`` (2,) right, left.
    """
    vertices, faces = _face_topology(triangles)
    points = _landmark_vertices(triangles)
    right_eye, left_eye = mesh.eyes[1], mesh.eyes[0]
    template = load_template(triangles)
    landmarks = []
    for name in LANDMARKS:
        if name == "right_eye":
            landmarks.append(mesh.skin[template.loops[1]].mean(axis=0))
        elif name == "left_eye":
            landmarks.append(mesh.skin[template.loops[0]].mean(axis=0))
        else:
            landmarks.append(mesh.skin[points[name]])
    return {
        "face_vertices": mesh.skin[vertices],
        "face_triangles": faces.astype(np.int32),
        "face_visible": mesh.shown[vertices],
        "landmarks": np.stack(landmarks),
        "eye_centers": np.stack([right_eye.center, left_eye.center]),
        "eye_radii": np.array([right_eye.radius, left_eye.radius]),
    }
