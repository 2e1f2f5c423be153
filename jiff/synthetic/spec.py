"""What a made person is like: body, clothes, hair, looks."""

from __future__ import annotations

from dataclasses import dataclass

from jiff.body.pose import PoseSpec


@dataclass(frozen=True)
class Cloth:
    """How a piece of cloth is coloured.

    Attributes:
        pattern: "plain", "stripes", "pinstripes", "checks", "dots", "print" or "denim".
        colors: two or three RGB colours in [0, 1].
        scale: metres of one repeat.
        print_seed: what a print shows.
    """

    pattern: str
    colors: tuple[tuple[float, float, float], ...]
    scale: float
    print_seed: int


@dataclass(frozen=True)
class Opening:
    """The open front of a jacket or coat: a gap between two free edges, canonical metres.

    Attributes:
        chest_m, hem_m: width of the gap at the chest and at the lower end.
        shift_m: by which its lower end lies to the person's left.
        lift_m: how much further the edges stand off what lies below.
        lapel_m: width of the lapels, 0 for none.
        lapel_shade: their brightness, 1 that of the cloth.
    """

    chest_m: float
    hem_m: float
    shift_m: float
    lift_m: float
    lapel_m: float = 0.0
    lapel_shade: float = 1.0


@dataclass(frozen=True)
class Garment:
    """One garment, cut in the canonical frame of ``Template``.

    Attributes:
        kind: "top", "jacket", "trousers", "skirt" or "shoes".
        cloth: its colours.
        offset_m: how far it hangs off what lies below.
        fold_m: height of its folds.
        smoothing: averaging steps; more bridges wider hollows.
        sleeve: end of the sleeve as limb coordinate (2 wrist); below 0 none at all.
        hem_y: canonical height of the lower hem (tops) or of the waist (trousers, skirt).
        leg: end of the leg as limb coordinate (2 ankle).
        neck: "crew", "v", "scoop", "collar", "turtle" or "hood".
        length_m: length below the waist of a skirt, or of a coat's tails; 0 for jackets without.
        flare: widening of a skirt or tails per metre.
        detail: "none", "placket", "zip" or "pocket".
        front: how a jacket is worn open, None where it is closed.
    """

    kind: str
    cloth: Cloth
    offset_m: float
    fold_m: float
    smoothing: int
    sleeve: float = -1.0
    hem_y: float = 0.0
    leg: float = 0.0
    neck: str = "crew"
    length_m: float = 0.0
    flare: float = 0.0
    detail: str = "none"
    front: Opening | None = None


@dataclass(frozen=True)
class Hair:
    """A hair style.

    Attributes:
        style: "bald", "crop", "short", "swept", "afro", "bob", "long", "bun".
        color: RGB in [0, 1].
        thickness_m: at the crown.
        line: 0 low forehead, 1 receding.
        length_m: below the ears, for styles that hang.
        parting: -1 left to 1 right.
    """

    style: str
    color: tuple[float, float, float]
    thickness_m: float
    line: float
    length_m: float
    parting: float


@dataclass(frozen=True)
class Looks:
    """Colours of the face.

    Attributes:
        skin, lips, iris: RGB in [0, 1].
        brow_strength, stubble, blush: in [0, 1].
        brow_color: RGB.
    """

    skin: tuple[float, float, float]
    lips: tuple[float, float, float]
    iris: tuple[float, float, float]
    brow_color: tuple[float, float, float]
    brow_strength: float
    stubble: float
    blush: float


@dataclass(frozen=True)
class Beard:
    """A beard.

    Attributes:
        kind: "full", "goatee" or "moustache".
        color: RGB in [0, 1].
        density: share of the skin that it hides where it is thickest, in [0, 1].
        length_m: by which it stands off the skin at the chin.
        tufts: phase of its locks, radians.
    """

    kind: str
    color: tuple[float, float, float]
    density: float
    length_m: float
    tufts: float


@dataclass(frozen=True)
class Glasses:
    """A pair of glasses; those with clear lenses have none in the mesh, for textures are opaque.

    Attributes:
        shape: "round", "square" or "wide".
        frame: RGB in [0, 1].
        lens: RGB of dark lenses, None where they are clear.
        width_m, height_m: half of a lens, on a head of canonical size.
        rim_m: thickness of the rim.
    """

    shape: str
    frame: tuple[float, float, float]
    lens: tuple[float, float, float] | None
    width_m: float
    height_m: float
    rim_m: float


@dataclass(frozen=True)
class Hat:
    """A hat.

    Attributes:
        kind: "cap", "beanie" or "brimmed".
        cloth: its colours; the second is that of visor, turned-up edge or band.
        brim_m: width of visor or brim.
        extra_m: how far the crown stands above the head.
    """

    kind: str
    cloth: Cloth
    brim_m: float
    extra_m: float


@dataclass(frozen=True)
class Bag:
    """A bag on straps.

    Attributes:
        kind: "shoulder" (one strap across the chest) or "backpack".
        color, strap: RGB in [0, 1].
        side: hip at which a shoulder bag hangs, 1 the person's left, -1 right.
        half_m: half width, height and depth.
        strap_m: width of a strap.
    """

    kind: str
    color: tuple[float, float, float]
    strap: tuple[float, float, float]
    side: int
    half_m: tuple[float, float, float]
    strap_m: float


@dataclass(frozen=True)
class Worn:
    """What is worn on top of clothes."""

    glasses: Glasses | None = None
    hat: Hat | None = None
    bag: Bag | None = None


@dataclass(frozen=True)
class PersonSpec:
    """Everything that is drawn for one person; ``worn`` is None for those who wear nothing on top of clothes, ``beard`` for those without."""

    phenotypes: dict[str, float]
    height_m: float
    local_changes: dict[str, float]
    facial_actions: dict[str, float]
    pose: PoseSpec
    top: Garment
    jacket: Garment | None
    bottom: Garment
    shoes: Cloth
    hair: Hair
    looks: Looks
    offset_m: tuple[float, float, float]
    dress: bool
    worn: Worn | None = None
    beard: Beard | None = None
