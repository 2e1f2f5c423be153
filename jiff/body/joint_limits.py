"""How far each joint goes and how much people vary in it, degrees; see ``jiff.body.anatomy`` for what the angles mean."""

from __future__ import annotations

LIMITS: dict[str, tuple[float, float]] = {
    "pelvis_pitch": (-45, 75), "pelvis_yaw": (-30, 30), "pelvis_roll": (-30, 30),
    "spine_pitch": (-35, 75), "spine_yaw": (-45, 45), "spine_roll": (-35, 35),
    "head_pitch": (-45, 50), "head_yaw": (-65, 65), "head_roll": (-30, 30),
    "shoulder_flexion": (-55, 178), "shoulder_abduction": (-42, 115), "shoulder_rotation": (-88, 88),
    "elbow": (2, 146), "pronation": (-80, 80), "wrist_flexion": (-65, 70), "wrist_deviation": (-28, 20),
    "collar_lift": (-8, 15), "collar_forward": (-18, 18),
    "finger_curl": (-4, 78), "thumb_curl": (-12, 44), "finger_spread": (-3, 16),
    "hip_flexion": (-28, 122), "hip_abduction": (-24, 62), "hip_rotation": (-38, 50),
    "knee": (1, 142), "ankle": (-48, 28), "ankle_free": (0, 1), "toes": (0, 55),
}  # fmt: skip
"""(least, most) of each angle; active ranges of healthy adults (AAOS 1965, rounded), the trunk's as sums over the spine."""

NOISE: dict[str, float] = {
    "pelvis_pitch": 2.5, "pelvis_yaw": 3.0, "pelvis_roll": 1.5,
    "spine_pitch": 4.0, "spine_yaw": 5.0, "spine_roll": 2.5,
    "head_pitch": 7.0, "head_yaw": 12.0, "head_roll": 4.0,
    "shoulder_flexion": 7.0, "shoulder_abduction": 5.0, "shoulder_rotation": 7.0,
    "elbow": 8.0, "pronation": 9.0, "wrist_flexion": 6.0, "wrist_deviation": 4.0,
    "collar_lift": 2.0, "collar_forward": 3.0,
    "finger_curl": 8.0, "thumb_curl": 5.0, "finger_spread": 2.0,
    "hip_flexion": 4.5, "hip_abduction": 2.5, "hip_rotation": 5.0,
    "knee": 5.0, "ankle": 6.0, "ankle_free": 0.0,
}  # fmt: skip
"""Standard deviation about a key pose."""

ANKLE_TILT = 20.0
"""Most inversion or eversion of a sole kept level."""

ANKLE_TURN = 15.0
"""Most turn of the foot against the shin about the shin's axis."""

ANKLE_FREE = 0.5
"""``ankle_free`` above it means that the ankle's own angle counts."""
