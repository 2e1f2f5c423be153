"""Key poses of trunk and legs, in anatomical angles (degrees, see ``jiff.body.anatomy``), and the arms that go with them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Leg:
    """One leg, as of a left one.

    Attributes:
        flexion, abduction, rotation: of the hip.
        knee: its bend.
        ankle: lift of the toes; None keeps the sole level as far as the ankle goes.
    """

    flexion: float
    abduction: float
    rotation: float
    knee: float
    ankle: float | None = None


@dataclass(frozen=True)
class Key:
    """One key pose.

    Attributes:
        left, right: legs.
        pelvis, spine, head: (pitch, yaw, roll).
        arms: what they may do; a name of ``PAIRS``, or "left+right" names of ``ARMS``, or one name for both.
        airborne: True where nothing touches the ground.
        level: True where both feet stand on the ground.
    """

    left: Leg
    right: Leg
    pelvis: tuple[float, float, float] = (0, 0, 0)
    spine: tuple[float, float, float] = (0, 0, 0)
    head: tuple[float, float, float] = (0, 0, 0)
    arms: tuple[str, ...] = ("hang",)
    airborne: bool = False
    level: bool = False


@dataclass(frozen=True)
class Family:
    """Key poses between which a draw may lie.

    Attributes:
        weight: share of all draws.
        keys: by name.
        everyday: standing and walking of every day.
        seated: something carries the weight, not the feet.
        mixed: share of draws whose arms are any of ``EVERYDAY_ARMS`` instead of the key's own.
    """

    weight: float
    keys: dict[str, Key]
    everyday: bool = False
    seated: bool = False
    mixed: float = 0.0


EVERYDAY_ARMS = (
    "hang", "hang", "hang", "hang_bent", "hang_bent", "hang_away", "hang_back", "hang_front", "pocket", "pocket", "pocket",
    "pocket_back", "hip", "hip", "hip_fist", "belly", "chest", "behind", "phone_ear", "phone_front", "phone_front", "chin",
    "hair", "hold_low", "hold_front", "gesture", "gesture", "gesture_out", "gesture_high", "offer", "shake", "point",
    "wave", "wave_low", "reach_low", "side_low", "thigh", "tray",
)  # fmt: skip
"""Single arms of every day; more often named, more often drawn."""

EVERYDAY_PAIRS = (
    "folded", "folded", "clasped_low", "clasped_belly", "behind_back", "box", "photo", "clap", "praying", "hands_head",
    "clasped_chest", "baby", "box_low",
)  # fmt: skip


FAMILIES: dict[str, Family] = {
    "stand": Family(0.36, {
        "even": Key(Leg(0, 4, 8, 4), Leg(0, 4, 8, 4), level=True),
        "narrow": Key(Leg(0, 1, 6, 4), Leg(0, 1, 6, 4), level=True),
        "wide": Key(Leg(2, 14, 14, 6), Leg(2, 14, 14, 6), level=True),
        "weight_left": Key(Leg(-2, -1, 8, 2), Leg(12, 10, 18, 24), pelvis=(0, 0, -4), spine=(0, 0, 5), level=True),
        "step": Key(Leg(14, 3, 8, 12), Leg(-8, 3, 10, 6), level=True),
        "knees_soft": Key(Leg(18, 8, 12, 28), Leg(18, 8, 12, 28), pelvis=(6, 0, 0), level=True),
        "turned": Key(Leg(2, 5, 20, 5), Leg(2, 5, -6, 5), spine=(2, 28, 0), head=(0, 25, 0), level=True),
        "lean_side": Key(Leg(2, 8, 12, 6), Leg(4, 8, 10, 8), spine=(4, 4, 14), head=(0, 0, 6), level=True),
        "looking_down": Key(Leg(0, 4, 8, 4), Leg(0, 4, 8, 4), spine=(10, 0, 0), head=(28, 0, 0), level=True),
    }, everyday=True, mixed=0.97),
    "stoop": Family(0.06, {
        "slight": Key(Leg(8, 5, 8, 10), Leg(8, 5, 8, 10), pelvis=(8, 0, 0), spine=(16, 0, 0), head=(12, 0, 0), level=True),
        "lean_back": Key(Leg(-2, 6, 8, 8), Leg(2, 6, 8, 10), pelvis=(-5, 0, 0), spine=(-14, 0, 0), head=(-8, 0, 0), level=True),
        "twist": Key(Leg(4, 7, 14, 8), Leg(4, 7, 4, 8), pelvis=(2, 8, 0), spine=(6, 34, 4), head=(4, 20, 0), level=True),
        "crossed": Key(Leg(2, -8, 12, 4), Leg(14, -6, 22, 22), level=True),
    }, everyday=True, mixed=0.9),
    "walk": Family(0.18, {
        "contact": Key(Leg(24, 1, 5, 6, 4), Leg(-16, 1, 6, 10), spine=(3, 6, 0), arms=("swing_back+swing_front",)),
        "passing": Key(Leg(2, 0, 5, 8), Leg(14, 1, 5, 46, -4), spine=(3, 0, 0), arms=("hang", "hang_bent")),
        "push_off": Key(Leg(16, 1, 5, 14), Leg(-18, 1, 6, 30, -14), spine=(4, -5, 0), arms=("swing_back+swing_front",)),
        "stroll": Key(Leg(14, 2, 6, 5, 3), Leg(-9, 2, 7, 8), arms=("swing_back+swing_front", "hang")),
        "long": Key(Leg(32, 2, 5, 10, 2), Leg(-22, 2, 8, 14), pelvis=(3, 0, 0), spine=(5, 10, 0), arms=("swing_back+swing_front",)),
    }, everyday=True, mixed=0.35),
    "sit": Family(0.055, {
        "floor_back": Key(Leg(70, 8, 6, 30, -10), Leg(84, 8, 6, 62, -6), pelvis=(-34, 0, 0), spine=(10, 0, 0), arms=("hands_up", "up_bent", "back_far", "hands_head")),
        "chair": Key(Leg(88, 8, 4, 88), Leg(88, 8, 4, 88), arms=("knees", "thigh", "clasped_belly", "hold_front", "drive", "phone_front+thigh"), level=True),
        "wide": Key(Leg(84, 26, 14, 84), Leg(84, 26, 14, 84), spine=(14, 0, 0), arms=("knees", "clasped_low", "hold_low", "gesture"), level=True),
        "back": Key(Leg(66, 10, 8, 62), Leg(70, 10, 6, 74), pelvis=(-16, 0, 0), spine=(10, 0, 0), arms=("thigh", "folded", "hands_head", "hang_back"), level=True),
        "legs_out": Key(Leg(82, 6, 6, 22, -8), Leg(86, 6, 6, 30, -8), pelvis=(-6, 0, 0), spine=(14, 0, 0), arms=("back_far", "hold_low", "reach_low")),
        "stool": Key(Leg(62, 14, 10, 72), Leg(58, 14, 10, 60), arms=("hold_front", "gesture", "drive", "hold_high"), level=True),
        "leaning": Key(Leg(96, 12, 6, 84), Leg(96, 12, 6, 84), pelvis=(14, 0, 0), spine=(24, 0, 0), head=(-8, 0, 0), arms=("hold_low", "clasped_low", "reach_low"), level=True),
    }, seated=True, mixed=0.3),
    "kneel": Family(0.03, {
        "one_knee": Key(Leg(88, 6, 4, 90), Leg(2, 4, 4, 92, -35), arms=("hang", "thigh", "hold_front", "reach_low")),
        "one_knee_low": Key(Leg(112, 8, 4, 110), Leg(12, 6, 4, 112, -30), pelvis=(10, 0, 0), spine=(16, 0, 0), arms=("reach_low", "hold_low", "hang_front")),
        "both": Key(Leg(4, 6, 2, 92, -40), Leg(4, 6, 2, 92, -40), arms=("hang", "praying", "thigh", "up_out")),
        "arched": Key(Leg(-8, 10, 4, 92, -40), Leg(-8, 10, 4, 92, -40), pelvis=(-28, 0, 0), spine=(-14, 0, 0), arms=("up", "hands_up", "up_out", "up_bent")),
        "heels": Key(Leg(46, 10, 2, 136, -42), Leg(46, 10, 2, 136, -42), pelvis=(2, 0, 0), arms=("thigh", "clasped_low", "praying")),
    }, mixed=0.3),
    "squat": Family(0.03, {
        "half": Key(Leg(62, 14, 14, 76), Leg(62, 14, 14, 76), pelvis=(18, 0, 0), spine=(12, 0, 0), head=(-14, 0, 0), arms=("reach", "hold_low", "clasped_chest", "guard", "knees"), level=True),
        "deep": Key(Leg(112, 22, 18, 128), Leg(112, 22, 18, 128), pelvis=(14, 0, 0), spine=(20, 0, 0), head=(-12, 0, 0), arms=("reach", "reach_low", "hold_low"), level=True),
        "lift": Key(Leg(76, 12, 10, 72), Leg(76, 12, 10, 72), pelvis=(36, 0, 0), spine=(20, 0, 0), head=(-10, 0, 0), arms=("box_low", "hang_front", "reach_low"), level=True),
        "horse": Key(Leg(48, 36, 34, 64), Leg(48, 36, 34, 64), pelvis=(4, 0, 0), arms=("guard", "side", "clasped_chest", "thigh"), level=True),
    }, mixed=0.15),
    "lunge": Family(0.03, {
        "front": Key(Leg(68, 4, 4, 66), Leg(-18, 4, 6, 24), spine=(4, 0, 0), arms=("hip", "hang", "reach", "punch+run_back", "side")),
        "deep": Key(Leg(94, 6, 4, 92), Leg(-14, 4, 6, 52), pelvis=(8, 0, 0), spine=(6, 0, 0), arms=("reach_low", "side", "thigh", "up")),
        "side": Key(Leg(46, 40, 22, 62), Leg(4, 40, 12, 6), pelvis=(10, 0, 6), spine=(8, 0, -6), arms=("reach_low", "side", "hold_low", "guard")),
        "fencing": Key(Leg(52, 22, 26, 58), Leg(-4, 32, 30, 12), spine=(0, 22, 0), head=(0, 20, 0), arms=("reach+side_back", "guard+side", "bow")),
    }, mixed=0.1),
    "climb": Family(0.03, {
        "stairs": Key(Leg(68, 3, 5, 76), Leg(-4, 2, 5, 8), pelvis=(6, 0, 0), spine=(6, 0, 0), arms=("swing_back+swing_front", "hang_bent", "hang")),
        "ladder": Key(Leg(82, 12, 10, 98), Leg(6, 6, 8, 16), arms=("grip_up+hold_high", "grip_up", "hold_high+grip_up")),
        "step_high": Key(Leg(102, 10, 8, 106), Leg(-2, 4, 6, 6), pelvis=(6, 0, 0), spine=(14, 0, 0), arms=("up_front+reach", "reach", "drive")),
        "wall": Key(Leg(74, 38, 34, 92), Leg(18, 16, 16, 36, -16), arms=("grip_up+up_out", "up_bent+grip_up", "up+hold_high")),
    }),
    "jump": Family(0.04, {
        "straight": Key(Leg(4, 4, 6, 10, -36), Leg(4, 4, 6, 10, -36), spine=(-4, 0, 0), arms=("up", "up_out", "side_low", "up_front"), airborne=True),
        "tuck": Key(Leg(82, 10, 6, 100, -10), Leg(82, 10, 6, 100, -10), spine=(14, 0, 0), arms=("reach", "side_front", "up_out", "run_front"), airborne=True),
        "star": Key(Leg(6, 34, 14, 6, -22), Leg(6, 34, 14, 6, -22), spine=(-4, 0, 0), arms=("up_out", "side"), airborne=True),
        "split": Key(Leg(72, 8, 6, 14, -20), Leg(-24, 6, 8, 36, -30), arms=("side", "side_front+side_back", "up_out+side"), airborne=True),
        "leap": Key(Leg(84, 6, 8, 30, -24), Leg(-28, 8, 16, 30, -36), pelvis=(16, 0, 0), spine=(-24, 0, 0), arms=("up_out", "hands_up", "up_bent+up_out", "up", "side_front"), airborne=True),
        "straddle": Key(Leg(24, 60, 40, 6, -30), Leg(24, 60, 40, 6, -30), spine=(6, 0, 0), arms=("up_out", "up", "side", "hands_up"), airborne=True),
        "tuck_back": Key(Leg(78, 10, 6, 74, -16), Leg(48, 10, 6, 88, -16), pelvis=(-32, 0, 8), spine=(-6, 0, 10), arms=("up_bent", "hands_head", "up_out+hands_up", "grip_up"), airborne=True),
        "hop": Key(Leg(8, 2, 6, 16, -30), Leg(52, 6, 6, 88, -10), arms=("side_low", "run_front+run_back", "side"), airborne=True),
        "heels_back": Key(Leg(-8, 6, 4, 84, -30), Leg(-8, 6, 4, 84, -30), spine=(-12, 0, 0), arms=("up_out", "up", "side"), airborne=True),
        "landing": Key(Leg(52, 10, 8, 70), Leg(52, 10, 8, 70), pelvis=(22, 0, 0), spine=(18, 0, 0), arms=("side_front", "reach_low", "side_back", "back_far"), level=True),
        "take_off": Key(Leg(44, 6, 6, 62), Leg(44, 6, 6, 62), pelvis=(20, 0, 0), spine=(14, 0, 0), arms=("back_far", "side_back", "reach"), level=True),
    }),
    "run": Family(0.04, {
        "drive": Key(Leg(64, 2, 4, 88, 0), Leg(-20, 2, 6, 22, -24), pelvis=(6, 0, 0), spine=(6, -8, 0), arms=("run_back+run_front",)),
        "flight": Key(Leg(46, 2, 4, 60, -4), Leg(-22, 2, 6, 62, -24), pelvis=(6, 0, 0), spine=(6, -8, 0), arms=("run_back+run_front",), airborne=True),
        "support": Key(Leg(26, 2, 6, 36), Leg(8, 2, 4, 104, -20), pelvis=(6, 0, 0), spine=(6, 0, 0), arms=("run_back+run_front", "hold_front")),
        "jog": Key(Leg(36, 2, 5, 48, 4), Leg(-10, 2, 6, 44, -18), pelvis=(3, 0, 0), spine=(5, -6, 0), arms=("run_back+run_front", "hold_front")),
        "sprint": Key(Leg(86, 2, 4, 104, 4), Leg(-26, 2, 6, 12, -32), pelvis=(14, 0, 0), spine=(10, -12, 0), head=(-12, 0, 0), arms=("run_back+run_front",), airborne=True),
        "march": Key(Leg(82, 2, 4, 86, 0), Leg(0, 2, 6, 6), arms=("run_back+run_front", "swing_back+swing_front", "hang")),
    }),
    "kick": Family(0.025, {
        "ball": Key(Leg(48, 4, 8, 16, -26), Leg(2, 4, 8, 14), pelvis=(-6, 0, 0), spine=(8, -14, 0), arms=("side_back+side_front", "side_low+side", "hang_back+side_front")),
        "wind_up": Key(Leg(-24, 6, 10, 82, -26), Leg(12, 4, 8, 22), pelvis=(8, 0, 0), spine=(2, 18, 0), arms=("side_front+side_back", "side+side_low")),
        "high": Key(Leg(92, 6, 6, 14, -14), Leg(4, 4, 14, 12), pelvis=(-16, 0, 0), spine=(10, 0, 0), arms=("guard", "side", "run_back+guard", "side_low")),
        "side": Key(Leg(40, 54, 4, 22, 0), Leg(4, 22, 18, 10), pelvis=(0, 0, -22), spine=(0, 0, 2), arms=("guard", "side_low+guard")),
        "knee": Key(Leg(98, 6, 4, 116, -12), Leg(0, 4, 8, 8), pelvis=(-8, 0, 0), spine=(8, 0, 0), arms=("guard", "run_back+guard", "hold_front")),
    }),
    "dance": Family(0.05, {
        "sway": Key(Leg(6, 12, 16, 14), Leg(6, 4, 12, 22), pelvis=(0, 6, 8), spine=(0, 8, -12), head=(0, 0, 6), arms=("side_bent", "up_out+hip", "hands_up", "gesture_high", "up_bent+side_bent"), level=True),
        "groove": Key(Leg(28, 16, 18, 42), Leg(22, 14, 16, 40), pelvis=(10, 10, 0), spine=(6, -16, 6), arms=("side_bent", "run_front+run_back", "guard", "hands_up+side_low"), level=True),
        "arabesque": Key(Leg(-24, 14, 26, 10, -40), Leg(8, 2, 20, 6), pelvis=(28, 0, 4), spine=(-26, 0, 0), arms=("side", "up_front+side", "reach+side_back")),
        "passe": Key(Leg(66, 48, 40, 116, -40), Leg(0, 3, 24, 3), arms=("up", "up_out", "side", "hip")),
        "point_side": Key(Leg(4, 32, 30, 4, -30), Leg(4, 6, 24, 12), pelvis=(0, 0, 4), spine=(0, 4, -8), arms=("side", "up_out+side", "up+hip")),
        "kick_line": Key(Leg(84, 8, 16, 6, -36), Leg(0, 3, 14, 4), pelvis=(-8, 0, 0), arms=("side", "hip", "up_out")),
        "arabesque_high": Key(Leg(-28, 18, 34, 14, -42), Leg(50, 2, 20, 6), pelvis=(52, 0, -8), spine=(-34, 10, 4), head=(-20, 0, 0), arms=("up_out", "hands_up", "up_front+side", "up_out+side")),
        "extension": Key(Leg(30, 60, 44, 8, -40), Leg(2, 26, 24, 4), pelvis=(0, 0, -26), spine=(0, 0, -8), arms=("up_out", "up+up_bent", "hands_up", "up_out+side")),
        "twist": Key(Leg(22, 8, 26, 36), Leg(26, 6, -10, 44), pelvis=(6, 22, 0), spine=(4, -40, 0), head=(0, 18, 0), arms=("side_bent", "side_low+side_bent", "run_front+side_bent"), level=True),
    }, mixed=0.1),
    "bend": Family(0.03, {
        "forward": Key(Leg(50, 5, 6, 8), Leg(50, 5, 6, 8), pelvis=(44, 0, 0), spine=(34, 0, 0), head=(8, 0, 0), arms=("reach", "reach_low", "hang_front", "up_front"), level=True),
        "deep": Key(Leg(74, 6, 6, 18), Leg(74, 6, 6, 18), pelvis=(66, 0, 0), spine=(48, 0, 0), head=(14, 0, 0), arms=("reach", "hang_front", "up_front"), level=True),
        "pick_up": Key(Leg(72, 6, 6, 46), Leg(60, 6, 8, 48), pelvis=(44, 0, 0), spine=(46, 10, 6), arms=("reach+thigh", "reach+hang_back", "reach_low"), level=True),
        "hands_knees": Key(Leg(48, 10, 8, 34), Leg(48, 10, 8, 34), pelvis=(30, 0, 0), spine=(24, 0, 0), head=(-20, 0, 0), arms=("knees", "reach_low"), level=True),
        "side": Key(Leg(2, 14, 10, 6), Leg(2, 14, 10, 6), pelvis=(0, 0, 6), spine=(4, 0, 32), head=(0, 0, 10), arms=("hang+up", "hip+up", "hang_away+up_out"), level=True),
        "back": Key(Leg(-6, 8, 10, 18), Leg(-6, 8, 10, 18), pelvis=(-10, 0, 0), spine=(-28, 0, 0), head=(-24, 0, 0), arms=("up", "hip", "up_out", "hang_back"), level=True),
    }),
    "reach": Family(0.04, {
        "up": Key(Leg(0, 5, 8, 4), Leg(0, 5, 8, 4), spine=(-6, 0, 0), head=(-16, 0, 0), arms=("up", "up_out", "up_front", "up+hang", "grip_up", "up_front+hang_bent"), level=True),
        "spread": Key(Leg(4, 10, 12, 8), Leg(4, 10, 12, 8), arms=("side", "side_front", "side_low", "hands_up", "up_out+side_low", "side+side_front"), level=True),
        "front": Key(Leg(12, 6, 8, 16), Leg(-4, 6, 10, 10), pelvis=(6, 0, 0), spine=(10, 0, 0), arms=("reach", "push", "reach_low", "reach+hang_back", "reach_across+hang_back", "point+hip"), level=True),
        "throw": Key(Leg(30, 8, 10, 26), Leg(-12, 10, 16, 18), spine=(0, -34, -4), head=(0, 26, 0), arms=("reach+throw_back", "side_front+throw_back", "point+up_bent")),
        "release": Key(Leg(34, 6, 10, 38), Leg(-14, 8, 12, 32), pelvis=(10, 8, 0), spine=(18, 30, 0), arms=("hang_back+reach", "side_back+up_front", "back_far+reach_across")),
        "punch": Key(Leg(26, 10, 12, 30), Leg(4, 14, 22, 26), spine=(4, -26, 0), head=(0, 20, 0), arms=("punch+guard", "guard", "punch+run_back")),
        "swing": Key(Leg(20, 14, 14, 26), Leg(16, 14, 14, 26), pelvis=(10, -10, 0), spine=(10, -32, 4), arms=("bat", "reach_across+side_front", "broom", "clasped_chest"), level=True),
        "play": Key(Leg(4, 8, 12, 10), Leg(6, 8, 12, 14), arms=("guitar", "drum", "bow", "broom", "baby", "hold_high"), level=True),
    }, mixed=0.1),
}  # fmt: skip
"""Everyday families make up 60 % of all draws."""
