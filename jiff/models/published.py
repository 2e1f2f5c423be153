"""Facts about published checkpoints: which network a state dict belongs to, and of which size."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from jiff.models.config import ColorConfig, FaceBranchConfig, ShapeConfig
from jiff.models.normals.config import NormalConfig

IGNORED_PREFIX = "smpl_filter."
"""A second encoder that the published shape network holds and never runs."""

StateDict = Mapping[str, Tensor]


def normalize_keys(state: StateDict) -> dict[str, Tensor]:
    """Strip ``DataParallel``'s prefix, drop the unused encoder and settle tensors stored under two keys.

    ``bn4.*`` and ``downsample.0.*`` name one tensor; the latter, which comes later in the file, wins.
    """
    result = {}
    for key, value in state.items():
        name = key.removeprefix("module.")
        if not name.startswith(IGNORED_PREFIX):
            result[name] = value
    for name in list(result):
        if ".downsample.0." in name:
            result[name.replace(".downsample.0.", ".bn4.")] = result[name]
    return result


def infer_kind(state: StateDict) -> str | None:
    """Return "shape", "color_coarse", "color_fine" or (our own) "normals" from the key names, or None for anything else."""
    names = {key.removeprefix("module.") for key in state}
    if {"stem.weight", "fine.weight", "last.weight"} <= names:
        return "normals"
    if "surface_classifier.conv0.weight" not in names:
        return None
    if any(name.startswith("image_filter.m0.") for name in names):
        return "shape"
    if "image_filter.model.1.weight" not in names:
        return None
    fine = any(name.startswith(("surface_classifier_joint.", "tdmm_filter.")) for name in names)
    return "color_fine" if fine else "color_coarse"


def _count(state: StateDict, pattern: str) -> int:
    """Return the largest integer that ``pattern``'s group matches, plus one; 0 without a match."""
    expression = re.compile(pattern)
    return max((int(match[1]) + 1 for name in state if (match := expression.match(name))), default=0)


def _outputs(state: StateDict, prefix: str) -> list[int]:
    count = _count(state, re.escape(prefix) + r"(\d+)\.weight")
    return [int(state[f"{prefix}{index}.weight"].shape[0]) for index in range(count)]


def _norm(state: StateDict, key: str) -> str:
    if f"{key}.running_mean" in state:
        return "batch"
    return "group" if f"{key}.weight" in state else "instance"


def _face_values(state: StateDict, head: str, base: FaceBranchConfig) -> dict[str, Any]:
    """Return the options of the face branch that the shapes tell."""
    values: dict[str, Any] = {"face_branch": any(name.startswith(f"{head}.") for name in state)}
    if not values["face_branch"]:
        return values
    joint, three = (f"{head}.features_{name}_conv0.weight" in state for name in ("joint", "3d"))
    values["branch_3d"] = joint or three
    values["joint_head"] = joint or not three
    values["single_head"] = joint and not three
    levels = _count(state, r"tdmm_filter\.unet3d\.encoders\.(\d+)\.")
    if levels:
        unet = "tdmm_filter.unet3d"
        maps = [
            state[f"{unet}.encoders.{i}.basic_module.SingleConv2.conv.weight"].shape[0] for i in range(levels)
        ]
        values["unet_maps"] = tuple(int(width) for width in maps)
        values["face_dim"] = int(state[f"{unet}.encoders.0.basic_module.SingleConv1.conv.weight"].shape[1])
        values["grid_resolution"] = base.grid_resolution
    return values


def _head_dims(state: StateDict, head: str, names: tuple[str, str], has_branches: bool) -> dict[str, Any]:
    """Return the channels of the 3D and the joint branch as options ``names``."""
    three, joint = names
    values: dict[str, Any] = {}
    final = "tdmm_filter.unet3d.final_conv.weight"
    width = int(state[final].shape[0]) if final in state else 0
    if has_branches and width:
        outputs_3d = _outputs(state, f"{head}.features_3d_conv")
        outputs_joint = _outputs(state, f"{head}.features_joint_conv")
        values[joint] = (0, *(outputs_joint or outputs_3d))
        values[three] = (width, *(outputs_3d or outputs_joint))
    return values


def _no_residual(state: StateDict) -> bool:
    first, second = state["surface_classifier.conv0.weight"], state.get("surface_classifier.conv1.weight")
    return second is not None and second.shape[1] == first.shape[0]


def infer_shape_config(state: StateDict) -> ShapeConfig:
    """Return the configuration that a shape state dict's tensors imply; the rest is as published.

    Raises:
        KeyError: a tensor that every shape network has is missing.
    """
    base, head = ShapeConfig(), "surface_classifier_multiLoss"
    feature, width = state["image_filter.l0.weight"], int(state["image_filter.conv_last0.weight"].shape[0])
    first = state["surface_classifier.conv0.weight"]
    values = _face_values(state, head, base)
    values.update(_head_dims(state, head, ("mlp_dim_3d", "mlp_dim_joint"), values.get("branch_3d", False)))
    down = state.get("image_filter.down_conv2.weight")
    if down is not None:
        values["hg_down"] = "conv64" if down.shape[1] == width // 4 else "conv128"
    if "tdmm_filter.fc_c.weight" in state:
        values["face_hidden_dim"] = int(state["tdmm_filter.fc_c.weight"].shape[1])
        values["face_blocks"] = _count(state, r"tdmm_filter\.blocks\.(\d+)\.")
    return ShapeConfig.from_dict(
        {
            **values,
            "num_stack": _count(state, r"image_filter\.m(\d+)\."),
            "num_hourglass": _count(state, r"image_filter\.m0\.b1_(\d+)\.") - 1,
            "hourglass_dim": int(feature.shape[0]),
            "filter_dim": width,
            "norm": _norm(state, "image_filter.bn1"),
            "skip_hourglass": int(first.shape[1]) == int(feature.shape[0]) + 1 + width // 4,
            "mlp_dim": (int(first.shape[1]), *_outputs(state, "surface_classifier.conv")),
            "no_residual": _no_residual(state),
        }
    )


def infer_color_config(state: StateDict, kind: str) -> ColorConfig:
    """Return the configuration that a colour state dict's tensors imply; the rest is as published.

    A coarse checkpoint says nothing about the fine network and the reverse; those options keep values that fit.

    Raises:
        KeyError: a tensor that every colour network has is missing.
    """
    base, head = ColorConfig(), "surface_classifier_joint"
    width = int(state["image_filter.model.1.weight"].shape[0])
    inputs = int(state["surface_classifier.conv0.weight"].shape[1])
    outputs = _outputs(state, "surface_classifier.conv")
    values: dict[str, Any] = {
        "ngf": width,
        "norm_color": _norm(state, "image_filter.model.2"),
        "num_resnet_blocks": _count(state, r"image_filter\.model\.(\d+)\.conv_block\.") - 10,
        "no_residual": _no_residual(state),
    }
    if kind == "color_coarse":
        values["shape_feature_dim"] = inputs - 4 * width - 1
        values["mlp_dim_color"] = (inputs, *outputs)
        values["mlp_dim_color_fine"] = (0, *base.mlp_dim_color_fine[1:])
        return ColorConfig.from_dict(values)
    values.update(_face_values(state, head, base))
    values.update(
        _head_dims(state, head, ("mlp_dim_3d_color", "mlp_dim_joint_color"), values.get("branch_3d", False))
    )
    phi = inputs - 4 * width - 1
    coarse = list(base.mlp_dim_color)
    coarse[(len(coarse) - 1) // 2 + 1] = phi
    values["mlp_dim_color"] = (0, *coarse[1:])
    values["mlp_dim_color_fine"] = (inputs, *outputs)
    first = "tdmm_filter.pointnetpp.sa1.mlp_convs.0.weight"
    if first in state:
        values["pointnet2_width"] = int(state[first].shape[0])
    return ColorConfig.from_dict(values)


def infer_normal_config(state: StateDict) -> NormalConfig:
    """Return the configuration that the tensors of a network of normals imply.

    Raises:
        KeyError: a tensor that every such network has is missing.
    """
    levels = _count(state, r"down\.(\d+)\.")
    widths = [state["stem.weight"], *(state[f"down.{level}.conv1.weight"] for level in range(levels))]
    return NormalConfig(tuple(int(width.shape[0]) for width in widths))
