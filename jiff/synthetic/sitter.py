"""A synthetic person who takes one pose after the other, in the frame of framed photos."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial.transform import Rotation

from jiff.body.anny_body import load_anny_body
from jiff.body.placed import PlacedBody
from jiff.body.skeleton import JointPose
from jiff.geometry.mesh import Mesh
from jiff.synthetic.accessories import STREAM, with_accessories
from jiff.synthetic.carry import carry
from jiff.synthetic.person import dress_person
from jiff.synthetic.posed import DRESSING, clear_draw
from jiff.synthetic.scan_files import template_triangles
from jiff.synthetic.template import load_template
from jiff.synthetic.texels import load_texels
from jiff.synthetic.texture import paint_person
from jiff.synthetic.wardrobe import sample_person

TRIANGLES = 50_000
_MOST_WIDE, _MOST_HIGH = 190.0, 180.0


def drawn_turn(rng: np.random.Generator) -> Rotation:
    """Draw how a person stands to the camera: mostly facing it, a third from any side; some pitch and roll."""
    yaw = float(rng.uniform(-180, 180)) if rng.random() < 0.35 else float(rng.normal(0, 35))
    pitch, roll = float(rng.normal(0, 8)), float(rng.normal(0, 3))
    return Rotation.from_euler("ZXY", [roll, pitch, yaw], degrees=True)


def turned(pose: JointPose, rng: np.random.Generator) -> JointPose:
    """Return a pose turned as a whole by ``drawn_turn``."""
    turns = pose.turns.copy()
    turns[0] = (drawn_turn(rng) * Rotation.from_rotvec(turns[0])).as_rotvec()
    return replace(pose, turns=turns)


@dataclass(frozen=True, eq=False)
class Sitting:
    """A person in a pose: world units, centred, 180 high at most.

    Attributes:
        mesh: with texture.
        body: the bare body below.
    """

    mesh: Mesh
    body: PlacedBody


class Sitter:
    """A dressed person.

    Args:
        seed: of the person.
        texture_size: side of their texture, pixels.
        accessories: whether they may wear glasses, hats, bags, long coats, wide garments, beards and open jackets.
    """

    def __init__(self, seed: int, texture_size: int = 512, *, accessories: bool = True) -> None:
        self.body = load_anny_body()
        rng = np.random.default_rng([seed, 0])
        spec = sample_person(rng, self.body.local_change_labels)
        if accessories:
            spec = with_accessories(spec, np.random.default_rng([seed, 0, STREAM]))
        self.spec = replace(spec, pose=DRESSING)
        self._count = template_triangles(TRIANGLES)
        self.template = load_template(self._count)
        self.dressed = dress_person(self.spec, rng, self._count)
        self.texture = paint_person(self.spec, self.dressed.mesh, load_texels(self._count, texture_size), rng)

    def draw_pose(self, rng: np.random.Generator) -> JointPose:
        """Return a pose in which neither body nor clothes tear, turned as people stand to cameras."""
        return turned(clear_draw(self.spec, self.dressed, rng, self._count).clear.drawn.pose, rng)

    def posed(self, pose: JointPose) -> Sitting:
        """Return the person in a pose."""
        spec, dressed = self.spec, self.dressed
        phenotypes = {**spec.phenotypes, "height": dressed.height_share}
        placed = PlacedBody(
            phenotypes, pose, dressed.factor, np.zeros(3), spec.local_changes, spec.facial_actions
        )
        skin = placed.vertices_world(self.body)
        mesh = carry(dressed, self.template, placed.rotations(), skin)
        low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
        scale = float(min(_MOST_HIGH / (high - low)[1], _MOST_WIDE / (high - low)[0]))
        offset = np.array([0.0, 90.0, 0.0]) - scale * (low + high) / 2
        world = Mesh(
            mesh.vertices * scale + offset,
            mesh.faces,
            uv=mesh.uv,
            faces_uv=mesh.faces_uv,
            texture=self.texture,
        )
        return Sitting(world, replace(placed, scale=placed.scale * scale, offset_world=offset))
