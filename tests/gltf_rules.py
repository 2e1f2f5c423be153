"""What glTF 2.0 asks of a file with a skin and movements, checked by the specification's words alone.

Khronos, "glTF 2.0 Specification" (https://registry.khronos.org/glTF/specs/2.0/glTF-2.0.html); numbers are its sections.
"""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np

WIDTH = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}
KIND = {5121: "u1", 5123: "<u2", 5125: "<u4", 5126: "<f4"}


class Glb:
    """The parts of a GLB."""

    def __init__(self, blob: bytes) -> None:
        magic, version, total = struct.unpack_from("<4sII", blob)
        assert (magic, version, total) == (b"glTF", 2, len(blob))
        length, kind = struct.unpack_from("<I4s", blob, 12)
        assert kind == b"JSON" and length % 4 == 0
        size, kind = struct.unpack_from("<I4s", blob, 20 + length)
        assert kind == b"BIN\0" and size % 4 == 0 and 28 + length + size == len(blob)
        self.tree: dict[str, Any] = json.loads(blob[20 : 20 + length])
        self.binary = blob[28 + length :]

    def values(self, index: int) -> np.ndarray:
        entry = self.tree["accessors"][index]
        view = self.tree["bufferViews"][entry["bufferView"]]
        kind = np.dtype(KIND[entry["componentType"]])
        # 3.6.2.4: offsets and strides are multiples of the component's size.
        assert view["byteOffset"] % kind.itemsize == 0 and "byteOffset" not in entry
        found = np.frombuffer(self.binary[view["byteOffset"] : view["byteOffset"] + view["byteLength"]], kind)
        assert len(found) == entry["count"] * WIDTH[entry["type"]] and entry["count"] > 0
        return found.reshape(entry["count"], -1)

    def world(self) -> dict[int, np.ndarray]:
        """Return the matrix of each node in the scene."""
        found: dict[int, np.ndarray] = {}
        stack = [(root, np.eye(4)) for root in self.tree["scenes"][self.tree["scene"]]["nodes"]]
        while stack:
            index, above = stack.pop()
            assert index not in found, "a node has two parents"
            node = self.tree["nodes"][index]
            found[index] = above @ trs(node)
            stack += [(child, found[index]) for child in node.get("children", [])]
        assert len(found) == len(self.tree["nodes"]), "all nodes are in the scene"
        return found


def trs(node: dict[str, Any]) -> np.ndarray:
    x, y, z, w = node.get("rotation", (0, 0, 0, 1))
    assert abs(x * x + y * y + z * z + w * w - 1) < 1e-5, "3.5.3: rotations are unit quaternions"
    matrix = np.eye(4)
    matrix[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    matrix[:3, 3] = node.get("translation", (0, 0, 0))
    return matrix


def check(glb: Glb) -> None:
    """Hold a file with one skinned mesh to the rules."""
    tree = glb.tree
    used: set[int] = set()
    primitive = tree["meshes"][0]["primitives"][0]
    attributes = {name: glb.values(k) for name, k in primitive["attributes"].items()}
    used |= set(primitive["attributes"].values()) | {primitive["indices"]}
    count = len(attributes["POSITION"])
    assert all(len(rows) == count for rows in attributes.values()), "3.7.2.1: attributes have the same count"
    indices = glb.values(primitive["indices"]).ravel()
    assert indices.max() < count and len(indices) % 3 == 0
    for index in [*primitive["attributes"].values(), primitive["indices"]]:
        view = tree["bufferViews"][tree["accessors"][index]["bufferView"]]
        assert view["byteOffset"] % 4 == 0, "3.6.2.4: vertex attributes are aligned to four bytes"
        assert view["target"] == (34963 if index == primitive["indices"] else 34962)
    assert {"min", "max"} <= set(tree["accessors"][primitive["attributes"]["POSITION"]])
    assert np.abs(np.linalg.norm(attributes["NORMAL"], axis=1) - 1).max() < 1e-3
    # 3.7.3.3: skinned mesh attributes.
    weights, bones = attributes["WEIGHTS_0"], attributes["JOINTS_0"]
    assert weights.dtype == np.float32 and (weights >= 0).all()
    assert np.abs(weights.sum(axis=1, dtype=np.float64) - 1).max() < 2e-7 * 4
    assert (bones[weights == 0] == 0).all(), "unused joints are 0"
    ordered = np.sort(np.where(weights > 0, bones.astype(int), -1 - np.arange(4)), axis=1)
    assert (np.diff(ordered, axis=1) != 0).all(), "no joint twice at a vertex"
    # 3.7.3.1: joints have a common root in the scene; the mesh's node is a root.
    skin = tree["skins"][0]
    joints = skin["joints"]
    assert len(set(joints)) == len(joints) and int(bones.max()) < len(joints)
    roots = tree["scenes"][0]["nodes"]
    holder = next(k for k, node in enumerate(tree["nodes"]) if "skin" in node)
    assert holder in roots and not {"translation", "rotation", "scale"} & set(tree["nodes"][holder])
    above = {child: k for k, node in enumerate(tree["nodes"]) for child in node.get("children", [])}
    assert [joint for joint in joints if joint not in above] == [skin["skeleton"]] and skin[
        "skeleton"
    ] in roots
    bind = glb.values(skin["inverseBindMatrices"]).reshape(-1, 4, 4).transpose(0, 2, 1)
    used.add(skin["inverseBindMatrices"])
    assert len(bind) == len(joints)
    assert (bind[:, 3] == [0, 0, 0, 1]).all(), "the fourth row is 0, 0, 0, 1 exactly"
    world = glb.world()
    for joint, matrix in zip(joints, bind):
        assert np.abs(world[joint] @ matrix - np.eye(4)).max() < 2e-5, "the file's own pose is the bind pose"
    # 3.11: animations.
    for animation in tree.get("animations", []):
        targets = [(c["target"]["node"], c["target"]["path"]) for c in animation["channels"]]
        assert len(set(targets)) == len(targets) and {c["sampler"] for c in animation["channels"]} == set(
            range(len(animation["samplers"]))
        )
        for channel in animation["channels"]:
            sampler = animation["samplers"][channel["sampler"]]
            times = glb.values(sampler["input"]).ravel()
            assert times[0] >= 0 and (np.diff(times) > 0).all() and len(times) > 1
            entry = tree["accessors"][sampler["input"]]
            assert entry["min"] == [float(times[0])] and entry["max"] == [float(times[-1])]
            values = glb.values(sampler["output"])
            used |= {sampler["input"], sampler["output"]}
            assert len(values) == len(times)
            if channel["target"]["path"] == "rotation":
                assert np.abs(np.linalg.norm(values, axis=1) - 1).max() < 1e-5
                assert (np.einsum("ti,ti->t", values[1:], values[:-1]) > 0).all(), "the short way round"
    # Nothing is unused, nothing is no number, bounds are exact.
    assert used == set(range(len(tree["accessors"])))
    views = [entry["bufferView"] for entry in tree["accessors"]]
    views += [image["bufferView"] for image in tree.get("images", [])]
    assert sorted(views) == list(range(len(tree["bufferViews"])))
    for index, entry in enumerate(tree["accessors"]):
        rows = glb.values(index)
        assert np.isfinite(rows.astype(float)).all()
        if "min" in entry:
            assert entry["min"] == [float(x) for x in rows.min(axis=0)]
            assert entry["max"] == [float(x) for x in rows.max(axis=0)]
