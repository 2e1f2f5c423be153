"""Named sizes of the networks: the published one, one that a CPU trains, one for tests."""

from __future__ import annotations

from typing import Any

from jiff.base.errors import ConfigError
from jiff.models.config import ColorConfig, ShapeConfig
from jiff.models.normals.config import NormalConfig
from jiff.models.person.config import PersonConfig


def _narrow_mlp(first: int, hidden: tuple[int, ...], last: int) -> tuple[int, ...]:
    return (first, *hidden, last)


def shape_preset(name: str, **overrides: Any) -> ShapeConfig:
    """Return the shape configuration called ``name``: "paper", "demo" (a CPU trains it) or "tiny" (tests).

    ``demo`` expects 128-pixel images, ``tiny`` 64; both keep the published depth scale. ``overrides`` replace options.

    Raises:
        ConfigError: unknown name or option.
    """
    return ShapeConfig.from_dict({**_lookup(_SHAPE_PRESETS, name), **overrides})


def color_preset(name: str, **overrides: Any) -> ColorConfig:
    """Return the colour configuration called ``name``; it fits the shape preset of the same name.

    Raises:
        ConfigError: unknown name or option.
    """
    return ColorConfig.from_dict({**_lookup(_COLOR_PRESETS, name), **overrides})


def person_preset(name: str, **overrides: Any) -> PersonConfig:
    """Return the prior-held person network called ``name``: "default" or "tiny" (tests).

    Raises:
        ConfigError: unknown name or option.
    """
    return PersonConfig.from_dict({**_lookup(_PERSON_PRESETS, name), **overrides})


def normals_preset(name: str, **overrides: Any) -> NormalConfig:
    """Return the network of normals called ``name``: "default" or "tiny" (tests).

    Raises:
        ConfigError: unknown name or option.
    """
    return NormalConfig.from_dict({**_lookup(_NORMALS_PRESETS, name), **overrides})


def _lookup(presets: dict[str, dict[str, Any]], name: str) -> dict[str, Any]:
    if name not in presets:
        raise ConfigError(f"there is no preset {name}; choose one of {', '.join(presets)}.")
    return presets[name]


_DEMO_FACE: dict[str, Any] = {
    "grid_resolution": 16,
    "face_dim": 16,
    "unet_maps": (16, 32),
    "cube_size_world": 40.0,
    "cube_follows_face": True,
    "load_size": 128,
    "z_size": 50.0,
    "norm_groups": 8,
    "init": "kaiming",
}
_TINY_FACE: dict[str, Any] = {
    **_DEMO_FACE,
    "grid_resolution": 16,
    "face_dim": 8,
    "unet_maps": (8, 16),
    "load_size": 64,
    "z_size": 25.0,
    "norm_groups": 4,
}
_DEMO_HIDDEN = (192, 128, 64)
_TINY_HIDDEN = (32, 24, 16)
_SHAPE_PRESETS: dict[str, dict[str, Any]] = {
    "paper": {},
    "demo": {
        **_DEMO_FACE,
        "num_stack": 1,
        "hourglass_dim": 64,
        "filter_dim": 64,
        "mlp_dim": _narrow_mlp(65, _DEMO_HIDDEN, 1),
        "mlp_dim_3d": _narrow_mlp(32, _DEMO_HIDDEN, 1),
        "mlp_dim_joint": _narrow_mlp(0, _DEMO_HIDDEN, 1),
        "face_hidden_dim": 32,
        "face_blocks": 3,
    },
    "tiny": {
        **_TINY_FACE,
        "num_stack": 2,
        "num_hourglass": 1,
        "hourglass_dim": 16,
        "filter_dim": 16,
        "mlp_dim": _narrow_mlp(17, _TINY_HIDDEN, 1),
        "mlp_dim_3d": _narrow_mlp(12, _TINY_HIDDEN, 1),
        "mlp_dim_joint": _narrow_mlp(0, _TINY_HIDDEN, 1),
        "face_hidden_dim": 8,
        "face_blocks": 2,
    },
}
_PERSON_PRESETS: dict[str, dict[str, Any]] = {
    "default": {},
    "tiny": {
        "view_channels": (8, 8, 16),
        "head_channels": (8, 8),
        "feature_dim": 8,
        "head_feature_dim": 8,
        "hidden": (32, 16),
    },
}
_NORMALS_PRESETS: dict[str, dict[str, Any]] = {"default": {}, "tiny": {"channels": (8, 8)}}
_COLOR_PRESETS: dict[str, dict[str, Any]] = {
    "paper": {},
    "demo": {
        **_DEMO_FACE,
        "ngf": 16,
        "num_resnet_blocks": 2,
        "shape_feature_dim": 64,
        "mlp_dim_color": _narrow_mlp(0, _DEMO_HIDDEN, 3),
        "mlp_dim_color_fine": _narrow_mlp(0, _DEMO_HIDDEN, 3),
        "mlp_dim_3d_color": _narrow_mlp(32, _DEMO_HIDDEN, 3),
        "mlp_dim_joint_color": _narrow_mlp(0, _DEMO_HIDDEN, 3),
        "load_size_fine": 256,
        "pointnet2_points": (128, 32),
        "pointnet2_neighbors": (16, 16),
        "pointnet2_width": 16,
    },
    "tiny": {
        **_TINY_FACE,
        "ngf": 4,
        "num_resnet_blocks": 1,
        "shape_feature_dim": 16,
        "mlp_dim_color": _narrow_mlp(0, _TINY_HIDDEN, 3),
        "mlp_dim_color_fine": _narrow_mlp(0, _TINY_HIDDEN, 3),
        "mlp_dim_3d_color": _narrow_mlp(12, _TINY_HIDDEN, 3),
        "mlp_dim_joint_color": _narrow_mlp(0, _TINY_HIDDEN, 3),
        "load_size_fine": 128,
        "pointnet2_points": (16, 8),
        "pointnet2_neighbors": (8, 4),
        "pointnet2_width": 4,
    },
}
