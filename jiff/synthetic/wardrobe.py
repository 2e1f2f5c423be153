"""Who a person is and what they wear, drawn from a seed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from jiff.body.pose import sample_pose
from jiff.synthetic.spec import Cloth, Garment, Hair, Looks, PersonSpec

_SKINS = np.array(
    [[240, 206, 182], [231, 190, 160], [222, 176, 145], [206, 158, 124], [188, 138, 104], [158, 110, 80], [124, 82, 58], [94, 62, 46]]
) / 255.0  # fmt: skip
_HAIRS = np.array(
    [[26, 22, 20], [44, 32, 26], [70, 46, 32], [104, 70, 44], [150, 110, 66], [196, 160, 104], [120, 58, 34], [140, 138, 136], [205, 203, 200]]
) / 255.0  # fmt: skip
_IRISES = (
    np.array([[70, 44, 28], [92, 62, 36], [110, 96, 56], [76, 104, 84], [84, 118, 150], [112, 128, 140]])
    / 255.0
)
CLOTHS = np.array(
    [
        [28, 30, 36], [52, 56, 64], [110, 114, 120], [205, 205, 202], [240, 239, 235], [24, 38, 74], [44, 74, 128],
        [104, 140, 184], [120, 24, 32], [176, 44, 44], [208, 116, 96], [220, 176, 60], [188, 140, 84], [120, 88, 56],
        [40, 76, 52], [92, 118, 72], [150, 164, 120], [60, 116, 118], [92, 60, 112], [172, 136, 176], [216, 160, 172],
        [226, 212, 180], [70, 52, 44],
    ]
) / 255.0  # fmt: skip
_LOCAL_FACE = ("head", "forehead", "eyebrows", "eye", "nose", "mouth", "ear", "chin", "cheek", "neck")
_SKIP_LOCAL = ("trans-in", "trans-out", "head-trans", "head-age", "neck-trans", "asym")


def rgb(color: np.ndarray) -> tuple[float, float, float]:
    """Return a colour as plain numbers, never quite black or white."""
    clipped = np.clip(color, 0.02, 0.97)
    return float(clipped[0]), float(clipped[1]), float(clipped[2])


def drawn_cloth(
    rng: np.random.Generator, patterns: dict[str, float], near: np.ndarray | None = None
) -> Cloth:
    """Draw a cloth: patterns with their weights, and a colour to be near."""
    names = list(patterns)
    weights = np.array(list(patterns.values()))
    pattern = str(rng.choice(names, p=weights / weights.sum()))
    picks = rng.choice(len(CLOTHS), 3, replace=False)
    colors = CLOTHS[picks] + rng.normal(0, 0.02, (3, 3))
    if near is not None:
        colors[0] = near + rng.normal(0, 0.03, 3)
    if abs(colors[0].mean() - colors[1].mean()) < 0.2:
        colors[1] = colors[0] * 0.35 if colors[0].mean() > 0.45 else colors[0] * 0.4 + 0.55
    scale = {
        "stripes": (0.03, 0.11),
        "pinstripes": (0.012, 0.03),
        "checks": (0.05, 0.14),
        "dots": (0.025, 0.06),
    }
    low, high = scale.get(pattern, (0.1, 0.25))
    return Cloth(
        pattern, tuple(rgb(c) for c in colors), float(rng.uniform(low, high)), int(rng.integers(1 << 30))
    )


_TOP_PATTERNS = {
    "plain": 0.34,
    "stripes": 0.2,
    "checks": 0.16,
    "dots": 0.08,
    "print": 0.16,
    "pinstripes": 0.06,
}
_BOTTOM_PATTERNS = {"plain": 0.75, "pinstripes": 0.08, "checks": 0.17}


def _garments(rng: np.random.Generator, female: bool) -> tuple[Garment, Garment | None, Garment, bool]:
    dress = bool(female and rng.random() < 0.22)
    skirt = bool(dress or (female and rng.random() < 0.25))
    sleeve = (
        float(rng.choice([-1.0, 0.62, 0.8, 1.3, 1.92], p=[0.08, 0.3, 0.2, 0.1, 0.32]))
        if female
        else float(rng.choice([0.66, 0.85, 1.92], p=[0.3, 0.25, 0.45]))
    )
    neck = str(rng.choice(["crew", "v", "scoop", "collar", "turtle"], p=[0.36, 0.2, 0.14, 0.22, 0.08]))
    if neck == "turtle":
        sleeve = 1.92
    if not female and neck == "scoop":
        neck = "crew"
    loose = float(rng.uniform(0, 1))
    top = Garment(
        "top", drawn_cloth(rng, _TOP_PATTERNS), 0.011 + 0.016 * loose, 0.005 + 0.006 * loose, int(30 + 40 * loose),
        sleeve=sleeve + float(rng.uniform(-0.05, 0.05)) if sleeve > 0 else sleeve,
        hem_y=float(rng.uniform(0.12, 0.22)) if not skirt else 0.24, neck=neck,
        detail="placket" if neck == "collar" else str(rng.choice(["none", "pocket"], p=[0.8, 0.2])),
    )  # fmt: skip
    jacket = None
    if not dress and rng.random() < 0.28:
        jacket = Garment(
            "jacket", drawn_cloth(rng, {"plain": 0.8, "checks": 0.2}), 0.013, 0.007, 60, sleeve=1.9,
            hem_y=float(rng.uniform(0.115, 0.18)), neck=str(rng.choice(["v", "hood", "collar"])),
            detail=str(rng.choice(["zip", "placket"])),
        )  # fmt: skip
    if jacket is not None:
        # Two hems at one height would fight; the shirt ends out of sight.
        top = replace(top, hem_y=max(top.hem_y, jacket.hem_y + 0.055))
    if skirt:
        cloth = (
            top.cloth if dress else drawn_cloth(rng, {"plain": 0.6, "checks": 0.2, "dots": 0.1, "print": 0.1})
        )
        bottom = Garment(
            "skirt", cloth, 0.012, float(rng.uniform(0.006, 0.016)), 8, hem_y=0.33,
            length_m=float(rng.uniform(0.46, 0.82)), flare=float(rng.uniform(0.08, 0.32)),
        )  # fmt: skip
    else:
        leg = float(rng.choice([0.82, 1.45, 2.05], p=[0.16, 0.06, 0.78]))
        jeans = rng.random() < 0.45
        blue = np.array([[0.16, 0.22, 0.34], [0.28, 0.38, 0.52], [0.1, 0.11, 0.14]])[rng.integers(3)]
        cloth = drawn_cloth(rng, {"denim": 1.0}, blue) if jeans else drawn_cloth(rng, _BOTTOM_PATTERNS)
        slack = float(rng.uniform(0, 1))
        bottom = Garment(
            "trousers", cloth, 0.007 + 0.02 * slack, 0.004 + 0.006 * slack, int(14 + 24 * slack), hem_y=0.29, leg=leg,
            detail="pocket",
        )  # fmt: skip
    return top, jacket, bottom, dress


def _hair(rng: np.random.Generator, female: bool, age: float, skin: int) -> Hair:
    if female:
        style = str(rng.choice(["bob", "long", "bun", "short", "afro"], p=[0.26, 0.36, 0.18, 0.14, 0.06]))
    else:
        style = str(
            rng.choice(
                ["crop", "short", "swept", "afro", "bald", "long"], p=[0.3, 0.32, 0.2, 0.06, 0.09, 0.03]
            )
        )
    if skin >= 5 and rng.random() < 0.5 and style in ("short", "swept", "bob"):
        style = "afro"
    if age > 0.55 and rng.random() < 0.6:
        pick = int(rng.choice([7, 8]))
    elif skin >= 4:
        pick = int(rng.choice([0, 1, 2], p=[0.6, 0.3, 0.1]))
    else:
        pick = int(rng.choice(7, p=[0.18, 0.22, 0.2, 0.14, 0.1, 0.1, 0.06]))
    thick = {
        "crop": 0.007,
        "short": 0.017,
        "swept": 0.024,
        "afro": 0.042,
        "bob": 0.02,
        "long": 0.02,
        "bun": 0.013,
    }
    base = thick.get(style, 0.0)
    return Hair(
        style,
        rgb(_HAIRS[pick] * rng.uniform(0.85, 1.15)),
        base * float(rng.uniform(0.8, 1.25)),
        float(np.clip(rng.normal(0.25 if female else 0.35 + 0.4 * age, 0.2), 0, 1)),
        float(rng.uniform(0.04, 0.1) if style == "bob" else rng.uniform(0.16, 0.34)),
        float(rng.uniform(-1, 1)),
    )


def _expression(rng: np.random.Generator) -> dict[str, float]:
    actions: dict[str, float] = {}
    mood = str(
        rng.choice(
            ["neutral", "smile", "grin", "surprise", "frown", "mixed"], p=[0.34, 0.26, 0.12, 0.08, 0.1, 0.1]
        )
    )

    def both(name: str, low: float, high: float) -> None:
        value = float(rng.uniform(low, high))
        for side in ("Left", "Right"):
            actions[name + side] = float(np.clip(value + rng.normal(0, 0.05), 0, 1))

    both("eyeBlink", 0.0, 0.12)
    if mood in ("neutral", "mixed"):
        both("mouthSmile", 0.05, 0.3)
    if mood in ("smile", "grin"):
        both("mouthSmile", 0.3, 0.8)
        both("cheekSquint", 0.1, 0.5)
        if mood == "grin":
            actions["jawOpen"] = float(rng.uniform(0.03, 0.12))
            both("mouthUpperUp", 0.1, 0.35)
    elif mood == "surprise":
        actions["jawOpen"] = float(rng.uniform(0.05, 0.25))
        actions["browInnerUp"] = float(rng.uniform(0.3, 0.9))
        both("eyeWide", 0.2, 0.7)
    elif mood == "frown":
        both("browDown", 0.3, 0.8)
        both("mouthFrown", 0.2, 0.6)
    elif mood == "mixed":
        both("browOuterUp", 0.0, 0.6)
        actions["mouthPucker"] = float(rng.uniform(0, 0.4))
        actions[str(rng.choice(["mouthLeft", "mouthRight", "jawLeft", "jawRight"]))] = float(
            rng.uniform(0, 0.35)
        )
    return actions


def _face_identity(rng: np.random.Generator, labels: list[str]) -> dict[str, float]:
    changes: dict[str, float] = {}
    shared: dict[str, float] = {}
    for name in labels:
        # Left and right share their value (l-... and r-...), with a little asymmetry.
        key = name[2:] if name[:2] in ("l-", "r-") else name
        if key.split("-")[0] not in _LOCAL_FACE or any(s in name for s in _SKIP_LOCAL):
            continue
        if key not in shared:
            shared[key] = float(np.clip(rng.normal(0, 0.27), -0.7, 0.7)) if rng.random() < 0.6 else 0.0
        # Skulls differ less than noses; large values make boxes of them.
        strength = 0.5 if key.split("-")[0] in ("head", "forehead") else 1.0
        changes[name] = strength * shared[key] + (float(rng.normal(0, 0.03)) if key != name else 0.0)
    return {k: v for k, v in changes.items() if abs(v) > 1e-6 and k in labels}


def sample_person(rng: np.random.Generator, labels: list[str]) -> PersonSpec:
    """Draw a person.

    Args:
        rng: the person's own generator.
        labels: names of anny's local changes.
    """
    female = bool(rng.random() < 0.5)
    age = float(rng.beta(1.1, 1.8))
    races = rng.dirichlet([0.5, 0.5, 0.6])
    skin_center = 0.5 + 5.5 * races[0] + 1.6 * races[1]
    skin_value = float(np.clip(rng.normal(skin_center, 0.7), 0, 7))
    low = int(min(skin_value, 6))
    skin = _SKINS[low] + (_SKINS[low + 1] - _SKINS[low]) * (skin_value - low)
    phenotypes = {
        "gender": float(np.clip(rng.normal(0.93 if female else 0.07, 0.05), 0, 1)),
        "age": 2 / 3 + 0.3 * age,
        "muscle": float(np.clip(rng.normal(0.5 if female else 0.58, 0.15), 0.15, 0.95)),
        "weight": float(np.clip(rng.normal(0.46, 0.17), 0.12, 0.92)),
        "proportions": float(rng.uniform(0.25, 0.85)),
        "cupsize": float(rng.uniform(0.25, 0.7)),
        "firmness": float(rng.uniform(0.4, 0.8)),
        "african": float(races[0]),
        "asian": float(races[1]),
        "caucasian": float(races[2]),
    }
    height = float(np.clip(rng.normal(1.64 if female else 1.77, 0.065), 1.5, 1.95))
    top, jacket, bottom, dress = _garments(rng, female)
    hair = _hair(rng, female, age, low)
    lips = skin * np.array([0.87, 0.69, 0.67]) if not female else skin * np.array([0.86, 0.56, 0.57])
    brow = (
        np.minimum(np.array(hair.color) * 0.75, 0.4) if hair.style != "bald" else np.array([0.12, 0.09, 0.07])
    )
    looks = Looks(
        rgb(skin + rng.normal(0, 0.012, 3)),
        rgb(lips + rng.normal(0, 0.02, 3)),
        rgb(_IRISES[int(rng.integers(2 if low >= 3 else len(_IRISES)))]),
        rgb(np.minimum(brow, skin * 0.55)),
        float(rng.uniform(0.72, 1.0)),
        0.0 if female else float(np.clip(rng.normal(0.3, 0.3), 0, 0.9)),
        float(rng.uniform(0.2, 0.8)),
    )
    return PersonSpec(
        phenotypes,
        height,
        _face_identity(rng, labels),
        _expression(rng),
        sample_pose(rng),
        top,
        jacket,
        bottom,
        drawn_cloth(rng, {"plain": 1.0}),
        hair,
        looks,
        (float(rng.uniform(-0.4, 0.4)), float(rng.uniform(-0.15, 0.15)), float(rng.uniform(-0.4, 0.4))),
        dress,
    )
