"""Key poses of the arms, in anatomical angles (degrees, see ``jiff.body.anatomy``), each as of a left arm."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Arm:
    """One arm; attributes as in ``jiff.body.anatomy.ARM_ANGLES``, shortened."""

    flexion: float
    abduction: float
    rotation: float
    elbow: float
    pronation: float = 10
    wrist: float = 0
    deviation: float = 0
    lift: float = 0
    forward: float = 0
    curl: float = 18
    thumb: float = 16
    spread: float = 0


ARMS: dict[str, Arm] = {
    # Hanging.
    "hang": Arm(2, 11, -12, 14, 15, curl=22),
    "hang_bent": Arm(6, 14, -22, 32, 20, curl=20),
    "hang_away": Arm(0, 24, -10, 18, 15),
    "hang_back": Arm(-22, 14, -10, 22, 15),
    "hang_front": Arm(22, 10, -15, 22, 15),
    "swing_front": Arm(28, 9, -18, 26, 10, curl=28),
    "swing_back": Arm(-26, 12, -12, 12, 10, curl=28),
    # On the body.
    "pocket": Arm(-21, 16, -18, 53, -10, wrist=-8, deviation=4, curl=10, thumb=20),
    "pocket_back": Arm(-34, 28, -60, 62, -20, curl=8),
    "hip": Arm(-26, 41, -46, 84, -10, wrist=-34, deviation=14, curl=14, spread=3),
    "hip_fist": Arm(-22, 45, -52, 84, 20, wrist=8, curl=62, thumb=34),
    "belly": Arm(8, 18, -64, 82, 5, curl=10),
    "chest": Arm(26, 20, -60, 112, 10, curl=8),
    "behind": Arm(-30, 20, -80, 62, -30, curl=20),
    "thigh": Arm(14, 12, -18, 22, 40, curl=6),
    # To the head.
    "phone_ear": Arm(88, -6, -20, 138, 12, wrist=-12, deviation=0, curl=42, thumb=18),
    "chin": Arm(38, -24, -37, 130, -40, wrist=-14, deviation=6, curl=40, thumb=15),
    "mouth": Arm(56, -12, -32, 126, -34, wrist=-12, deviation=10, curl=22),
    "eyes_shade": Arm(97, 10, -18, 116, -20, wrist=30, deviation=-22, curl=4),
    "salute": Arm(100, 26, -20, 124, -6, wrist=26, deviation=-14, curl=2),
    "head_top": Arm(132, 6, -25, 100, -36, wrist=26, deviation=-18, curl=10),
    "head_back": Arm(160, 14, -30, 132, -8, wrist=34, deviation=-8, curl=16),
    "hair": Arm(113, 10, -18, 129, -8, wrist=-6, curl=24),
    # In front.
    "phone_front": Arm(24, 12, -24, 98, -35, wrist=5, curl=46, thumb=22),
    "hold_low": Arm(20, 14, -25, 62, 0, curl=40, thumb=18),
    "hold_front": Arm(30, 16, -18, 86, 0, curl=38, thumb=16),
    "hold_high": Arm(66, 14, -16, 82, 10, curl=40, thumb=18),
    "tray": Arm(28, 14, -10, 92, -75, wrist=-25, curl=8),
    "gesture": Arm(28, 20, 6, 78, -22, curl=14, spread=5),
    "gesture_out": Arm(24, 34, 26, 62, -40, curl=12, spread=6),
    "gesture_high": Arm(50, 32, 16, 98, -5, curl=14, spread=6),
    "offer": Arm(44, 16, 0, 48, -65, curl=8),
    "shake": Arm(42, 10, -14, 42, 0, curl=16),
    "guard": Arm(56, 18, -20, 128, 15, curl=68, thumb=34),
    "reach": Arm(78, 8, -6, 18, 25, curl=10),
    "reach_low": Arm(52, 8, -8, 16, 25, curl=18),
    "reach_across": Arm(72, -24, -20, 24, 30, curl=14),
    "point": Arm(86, 16, -8, 8, 40, curl=30),
    "push": Arm(78, 14, -14, 46, 55, wrist=-50, curl=0, spread=6),
    "punch": Arm(88, 4, -20, 10, 70, curl=74, thumb=34),
    "drive": Arm(56, 14, -20, 64, 30, curl=58, thumb=20),
    # To the side and up.
    "side_low": Arm(4, 48, -5, 14, 20),
    "side": Arm(8, 84, 0, 10, 30, curl=6, spread=4),
    "side_front": Arm(44, 66, -10, 18, 35, curl=8, spread=4),
    "side_back": Arm(-28, 52, 0, 16, 20, curl=8),
    "side_bent": Arm(12, 72, 6, 86, 20, curl=12),
    "wave": Arm(30, 74, 66, 92, 15, curl=4, spread=8),
    "wave_low": Arm(28, 36, 52, 122, 20, curl=4, spread=8),
    "hands_up": Arm(52, 76, 44, 72, 20, curl=4, spread=6),
    "up": Arm(164, 14, -8, 10, 10, curl=10),
    "up_out": Arm(142, 38, -4, 14, 15, curl=8, spread=6),
    "up_front": Arm(128, 10, -6, 18, 20, curl=14),
    "up_bent": Arm(138, 30, -10, 64, 10, curl=26),
    "grip_up": Arm(146, 18, -10, 52, 20, curl=64, thumb=34),
    "throw_back": Arm(40, 86, 62, 92, 10, curl=52, thumb=18),
    "back_far": Arm(-46, 16, -8, 12, 10),
    # Running and balance.
    "run_front": Arm(40, 8, -26, 96, 5, curl=56, thumb=22),
    "run_back": Arm(-40, 22, -2, 86, 5, curl=56, thumb=22),
}
"""Poses of one arm."""

PAIRS: dict[str, tuple[Arm, Arm]] = {
    "folded": (Arm(32, 13, -66, 104, 10, curl=12), Arm(24, 17, -60, 96, 20, curl=20)),
    "clasped_low": (Arm(16, 16, -46, 50, 20, curl=34), Arm(16, 16, -46, 50, 20, curl=34)),
    "clasped_belly": (Arm(18, 18, -54, 76, 10, curl=36), Arm(18, 18, -54, 76, 10, curl=36)),
    "clasped_chest": (Arm(42, 20, -46, 112, 0, curl=40), Arm(42, 20, -46, 112, 0, curl=40)),
    "praying": (Arm(44, 22, -40, 122, 0, wrist=-30, curl=2), Arm(44, 22, -40, 122, 0, wrist=-30, curl=2)),
    "clap": (Arm(40, 18, -34, 92, 0, curl=4), Arm(40, 18, -34, 92, 0, curl=4)),
    "behind_back": (Arm(-30, 22, -70, 50, -10, curl=24), Arm(-32, 22, -70, 54, -10, curl=24)),
    "box": (Arm(34, 16, -14, 84, -10, curl=30), Arm(34, 16, -14, 84, -10, curl=30)),
    "box_low": (Arm(36, 12, -12, 40, 0, curl=34), Arm(36, 12, -12, 40, 0, curl=34)),
    "photo": (Arm(58, 26, -26, 124, 30, curl=44), Arm(58, 26, -26, 124, 30, curl=44)),
    "hands_head": (
        Arm(160, 14, -30, 132, -8, wrist=34, deviation=-8, curl=16),
        Arm(160, 14, -30, 132, -8, wrist=34, deviation=-8, curl=16),
    ),
    "knees": (Arm(32, 12, -14, 34, 45, curl=8), Arm(32, 12, -14, 34, 45, curl=8)),
    "bat": (Arm(46, -16, -30, 72, 20, curl=66), Arm(30, 30, -46, 104, 20, curl=66)),
    "bow": (Arm(86, 50, -4, 8, 10, curl=62), Arm(62, 64, 8, 136, 10, curl=58)),
    "drum": (Arm(22, 18, -14, 86, 45, curl=60), Arm(38, 22, -8, 100, 45, curl=60)),
    "guitar": (Arm(26, 34, 6, 98, -40, curl=40), Arm(4, 26, -58, 82, 20, curl=32)),
    "baby": (Arm(22, 16, -52, 104, -40, curl=20), Arm(18, 18, -48, 86, -40, curl=20)),
    "broom": (Arm(44, 12, -26, 84, 10, curl=64), Arm(20, 22, -30, 58, 10, curl=64)),
}
"""Poses of both arms that belong together, (left, right)."""
