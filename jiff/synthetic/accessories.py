"""Who wears glasses, a hat, a bag, a long coat, wide garments, a beard or an open jacket, drawn from a generator of its own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from jiff.synthetic.open_front import TAILS_Y
from jiff.synthetic.spec import Bag, Beard, Garment, Glasses, Hat, Opening, PersonSpec, Worn
from jiff.synthetic.wardrobe import CLOTHS, drawn_cloth, rgb

STREAM = 77
"""Last number of the seed of the generator that ``with_accessories`` is given."""
GLASSES, HAT, BAG = 0.15, 0.15, 0.15
"""Probabilities."""
COAT = 0.125
"""Probability of a long coat among those who wear trousers, four fifths of all."""
BEARD = 0.3
"""Probability of a beard among men."""
WIDE = 0.3
"""Probability of garments some sizes too large."""
OPEN = 0.5
"""Probability that a jacket or coat is worn open."""
ADDED = 0.135
"""Probability of an open jacket among those who would wear none."""
_MOST_BELOW_M = 0.03
"""What a top may hang off by under an open jacket that comes on top of it."""


def _glasses(rng: np.random.Generator) -> Glasses:
    frames = np.array(
        [[24, 22, 22], [60, 36, 22], [96, 30, 34], [150, 150, 152], [170, 140, 80], [30, 44, 80]]
    )
    shape = str(rng.choice(["round", "square", "wide"], p=[0.3, 0.4, 0.3]))
    frame = rgb(frames[rng.integers(len(frames))] / 255.0)
    dark = rng.random() < 0.3
    lens = rgb(np.array([0.05, 0.05, 0.06]) + rng.uniform(0, 0.08, 3)) if dark else None
    width, height = {"round": (0.0215, 0.0205), "square": (0.0235, 0.017), "wide": (0.0245, 0.0195)}[shape]
    size = float(rng.uniform(0.92, 1.08))
    rim = float(rng.choice([0.0017, 0.0026, 0.0038], p=[0.35, 0.35, 0.3]))
    return Glasses(shape, frame, lens, width * size, height * size, rim)


def _hat(rng: np.random.Generator) -> Hat:
    kind = str(rng.choice(["cap", "beanie", "brimmed"], p=[0.42, 0.33, 0.25]))
    patterns = {"plain": 0.75, "checks": 0.1, "stripes": 0.15} if kind == "beanie" else {"plain": 1.0}
    cloth = drawn_cloth(rng, patterns)
    brim = {"cap": (0.06, 0.078), "beanie": (0.0, 0.0), "brimmed": (0.045, 0.085)}[kind]
    extra = {"cap": (0.004, 0.014), "beanie": (0.002, 0.035), "brimmed": (0.008, 0.025)}[kind]
    return Hat(kind, cloth, float(rng.uniform(*brim)), float(rng.uniform(*extra)))


def _bag(rng: np.random.Generator) -> Bag:
    color = CLOTHS[rng.integers(len(CLOTHS))] + rng.normal(0, 0.02, 3)
    strap = color * rng.uniform(0.55, 0.9)
    side = 1 if rng.random() < 0.5 else -1
    if rng.random() < 0.5:
        low, high, width = (0.125, 0.17, 0.05), (0.155, 0.235, 0.085), (0.045, 0.06)
        kind = "backpack"
    else:
        low, high, width = (0.1, 0.075, 0.03), (0.15, 0.125, 0.05), (0.025, 0.045)
        kind = "shoulder"
    half = rng.uniform(low, high)
    return Bag(
        kind,
        rgb(color),
        rgb(strap),
        side,
        (float(half[0]), float(half[1]), float(half[2])),
        float(rng.uniform(*width)),
    )


def _coat(rng: np.random.Generator) -> Garment:
    return Garment(
        "jacket", drawn_cloth(rng, {"plain": 0.85, "checks": 0.15}), 0.014, 0.006, 60, sleeve=1.9, hem_y=0.2,
        neck=str(rng.choice(["v", "collar", "hood"], p=[0.4, 0.4, 0.2])), length_m=float(rng.uniform(0.4, 0.66)),
        flare=float(rng.uniform(0.05, 0.2)), detail="placket",
    )  # fmt: skip


def _beard(rng: np.random.Generator, spec: PersonSpec) -> Beard:
    kind = str(rng.choice(["full", "goatee", "moustache"], p=[0.68, 0.2, 0.12]))
    # That of the eyebrows, which bald people have as well; beards are redder or grayer than the hair.
    color = np.array(spec.hair.color if spec.hair.style != "bald" else spec.looks.brow_color)
    color = color * rng.uniform(0.75, 1.1) + np.array([0.02, 0.005, 0.0]) * rng.uniform(0, 1)
    length = float(rng.choice([0.0015, 0.005, 0.012, 0.024], p=[0.3, 0.35, 0.25, 0.1]))
    return Beard(
        kind,
        rgb(color),
        float(rng.uniform(0.55, 0.95)),
        length * float(rng.uniform(0.8, 1.25)),
        float(rng.uniform(0, 6)),
    )


def _widened(garment: Garment, by_m: float) -> Garment:
    """Return a garment that hangs off by so much more, in coarser folds; skirts and tails widen downward."""
    flare = garment.flare + (4.0 * by_m if garment.length_m > 0 else 0.0)
    if garment.kind == "skirt":
        return replace(garment, fold_m=garment.fold_m * (1 + 12 * by_m), flare=flare)
    return replace(
        garment, offset_m=garment.offset_m + by_m, fold_m=garment.fold_m * (1 + 12 * by_m),
        smoothing=int(garment.smoothing * (1 + 25 * by_m)), flare=flare,
    )  # fmt: skip


def _wide(spec: PersonSpec, rng: np.random.Generator) -> PersonSpec:
    above, below = (float(v) for v in rng.uniform(0.008, 0.05, 2))
    if rng.random() < 0.25:
        above = 0.0
    elif rng.random() < 0.35:
        below = 0.0
    jacket = None if spec.jacket is None else _widened(spec.jacket, 0.7 * above)
    top = _widened(spec.top, above if jacket is None else 0.3 * above)
    return replace(spec, top=top, jacket=jacket, bottom=_widened(spec.bottom, below))


def _opening(rng: np.random.Generator, jacket: Garment) -> Opening:
    chest = float(rng.uniform(0.04, 0.13))
    most = 0.3 if jacket.length_m > 0 else 0.22
    hem = chest if rng.random() < 0.2 else float(rng.uniform(chest, most))
    shift, lift = float(rng.uniform(-0.012, 0.012)), float(rng.uniform(0.004, 0.022))
    lapel, shade = float(rng.uniform(0.03, 0.055)), float(rng.choice([0.8, 0.88, 1.12]))
    if jacket.neck == "hood" or rng.random() < 0.4:
        return Opening(chest, hem, shift, lift)
    return Opening(chest, hem, shift, lift, lapel, shade)


def _short_jacket(rng: np.random.Generator) -> Garment:
    return Garment(
        "jacket", drawn_cloth(rng, {"plain": 0.85, "checks": 0.15}), float(rng.uniform(0.01, 0.016)), 0.006, 60, sleeve=1.9,
        hem_y=float(rng.uniform(0.115, 0.19)), neck=str(rng.choice(["v", "collar", "hood"], p=[0.45, 0.4, 0.15])),
    )  # fmt: skip


def _opened(spec: PersonSpec, rng: np.random.Generator) -> PersonSpec:
    """Return the person with their jacket open, or with an open jacket that they did not have, or the same person."""
    jacket = spec.jacket
    if rng.random() >= (ADDED if jacket is None else OPEN):
        return spec
    top = spec.top
    if jacket is None:
        jacket = _short_jacket(rng)
        top = replace(
            top, hem_y=max(top.hem_y, jacket.hem_y + 0.055), offset_m=min(top.offset_m, _MOST_BELOW_M)
        )
    # Zip, buttons and the pockets beside them belong to a closed front.
    return replace(spec, top=top, jacket=replace(jacket, front=_opening(rng, jacket), detail="none"))


def with_accessories(spec: PersonSpec, rng: np.random.Generator) -> PersonSpec:
    """Return the person with glasses, hat, bag, coat, wide garments, beard and open jacket drawn for them; the same person where none is.

    Args:
        spec: who.
        rng: of the accessories alone, so that nothing else about the person changes.
    """
    glasses = _glasses(rng) if rng.random() < GLASSES else None
    hat = _hat(rng) if rng.random() < HAT else None
    bag = _bag(rng) if rng.random() < BAG else None
    if rng.random() < COAT and spec.bottom.kind == "trousers":
        coat = _coat(rng)
        # The shirt ends out of sight.
        spec = replace(
            spec, jacket=coat, top=replace(spec.top, hem_y=max(spec.top.hem_y, coat.hem_y + 0.055))
        )
    if rng.random() < WIDE:
        spec = _wide(spec, rng)
    if rng.random() < BEARD and spec.phenotypes["gender"] < 0.5:
        spec = replace(spec, beard=_beard(rng, spec), looks=replace(spec.looks, stubble=0.0))
    spec = _opened(spec, rng)
    if glasses is None and hat is None and bag is None:
        return spec
    return replace(spec, worn=Worn(glasses, hat, bag))


def tails_of(spec: PersonSpec) -> Garment | None:
    """Return what hangs round the legs, as ``skirt_shell`` takes it: a skirt, or the tails of a long coat."""
    if spec.bottom.kind == "skirt":
        return spec.bottom
    if spec.jacket is not None and spec.jacket.length_m > 0:
        return replace(spec.jacket, hem_y=TAILS_Y, offset_m=0.005, fold_m=0.009)
    return None
