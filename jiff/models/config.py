"""Configurations of the networks; the defaults are the published JIFF."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, TypeVar

from jiff.base.errors import ConfigError

_NORMS = ("batch", "group", "instance")
_HG_DOWNS = ("ave_pool", "conv64", "conv128")
_INITS = ("normal", "kaiming")
_COLOR_LOSSES = ("l1", "mse")

_C = TypeVar("_C", bound="FaceBranchConfig")


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ConfigError(message)


@dataclass(frozen=True)
class FaceBranchConfig:
    """What the shape and the fine colour network share: the face encoder and the frame it works in.

    Attributes:
        face_branch: False gives plain PIFu: no face encoder, no face head.
        branch_3d: False leaves the 3DMM features out of the face head (ablation).
        joint_head: False leaves the joint branch out of the face head; the mean of the 2D and the 3D branch answers
            (ablation).
        single_head: replace the three branches by one MLP on the concatenated features (ablation).
        grid_resolution: cells along each edge of the face feature grid.
        face_dim: channels of a vertex feature that is scattered into the grid.
        unet_maps: feature maps of each level of the 3D U-Net; the grid is halved between levels.
        unet_groups: groups of the U-Net's group normalisation.
        cube_size_world: world units spanned by the grid (before the published padding of 0.101).
        cube_follows_face: centre the cube on the prior's bounding box instead of on (0, 100, 0); lets a small cube,
            and so a coarse grid, resolve the face.
        num_views: images per subject; the MLPs average over views in the middle.
        no_residual: the body MLP does not see its input again before every layer.
        load_size: image side in pixels that the depth feature is scaled with.
        z_size: depth normalisation; the depth feature is ``z_ndc * (load_size // 2) / z_size``.
        norm_groups: groups of the image encoder's group normalisation.
        init: "normal" is N(0, 0.02) as published; "kaiming" suits narrow networks better.
    """

    face_branch: bool = True
    branch_3d: bool = True
    joint_head: bool = True
    single_head: bool = False
    grid_resolution: int = 64
    face_dim: int = 32
    unet_maps: tuple[int, ...] = (32, 64, 128, 256)
    unet_groups: int = 8
    cube_size_world: float = 256.0
    cube_follows_face: bool = False
    num_views: int = 1
    no_residual: bool = False
    load_size: int = 512
    z_size: float = 200.0
    norm_groups: int = 32
    init: str = "normal"

    _SEQUENCES: ClassVar[tuple[str, ...]] = ("unet_maps",)

    def __post_init__(self) -> None:
        for name in self._SEQUENCES:
            object.__setattr__(self, name, tuple(int(value) for value in getattr(self, name)))
        _require(self.num_views >= 1, f"num_views must be at least 1; got {self.num_views}.")
        _require(self.load_size >= 2, f"load_size must be at least 2; got {self.load_size}.")
        _require(self.z_size > 0, f"z_size must be positive; got {self.z_size}.")
        _require(self.cube_size_world > 0, f"cube_size_world must be positive; got {self.cube_size_world}.")
        _require(self.init in _INITS, f"init must be one of {', '.join(_INITS)}; got {self.init}.")
        _require(
            not self.single_head or (self.branch_3d and self.joint_head),
            "single_head replaces all branches of the face head; it goes with neither branch_3d nor joint_head off.",
        )
        divisor = 2 ** (len(self.unet_maps) - 1)
        _require(
            len(self.unet_maps) >= 1 and self.grid_resolution % divisor == 0 and self.grid_resolution > 0,
            f"grid_resolution must be a multiple of {divisor} for {len(self.unet_maps)} U-Net levels; "
            f"got {self.grid_resolution}.",
        )

    @property
    def depth_scale(self) -> float:
        """Factor from z_ndc to the depth feature."""
        return (self.load_size // 2) / self.z_size

    def to_dict(self) -> dict[str, Any]:
        """Return plain values (lists, numbers, strings) for YAML or JSON."""
        return {
            key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()
        }

    @classmethod
    def from_dict(cls: type[_C], values: dict[str, Any]) -> _C:
        """Return the configuration that ``values`` describe; keys that are left out take the defaults.

        Raises:
            ConfigError: an unknown key, or a value of the wrong kind or range.
        """
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ConfigError(
                f"{cls.__name__} has no option {', '.join(unknown)}; it knows {', '.join(sorted(known))}."
            )
        try:
            return cls(**values)
        except (TypeError, ValueError) as error:
            raise ConfigError(
                f"{cls.__name__}: a value is of the wrong kind ({error}); mend the configuration."
            ) from error


def _require_depth(option: str, channels: tuple[int, ...]) -> None:
    _require(
        len(channels) >= 4 and min(channels[1:]) > 0,
        f"{option} must hold at least 4 sizes, positive but for the first; got {list(channels)}.",
    )


def _check_width(option: str, given: int, expected: int, why: str) -> None:
    _require(
        given in (0, expected), f"{option} must start with {expected} ({why}) or 0 to derive it; got {given}."
    )


@dataclass(frozen=True)
class ShapeConfig(FaceBranchConfig):
    """The shape network (published options under their own names).

    Attributes:
        num_stack: hourglass stacks; each is supervised in training, the last is used in evaluation.
        num_hourglass: depth (halvings) of one hourglass.
        hourglass_dim: channels of the image feature.
        filter_dim: channels inside the hourglass; the stem has a quarter and a half of them.
        hg_down: how the stem halves the image: "ave_pool", "conv64" or "conv128".
        norm: normalisation of the image encoder: "group", "batch" or "instance".
        skip_hourglass: append the (detached) stem feature to the pixel feature, as PIFu does.
        mlp_dim: channels of the body MLP, and of the face head's 2D branch; the first may be 0 to derive it.
        mlp_dim_3d: channels of the face head's 3D branch; the first is the grid's feature width.
        mlp_dim_joint: channels of the face head's joint branch; the first is always derived.
        face_hidden_dim: width of the residual blocks of the vertex encoder.
        face_blocks: number of those blocks.
    """

    num_stack: int = 4
    num_hourglass: int = 2
    hourglass_dim: int = 256
    filter_dim: int = 256
    hg_down: str = "ave_pool"
    norm: str = "group"
    skip_hourglass: bool = False
    mlp_dim: tuple[int, ...] = (257, 1024, 512, 256, 128, 1)
    mlp_dim_3d: tuple[int, ...] = (128, 1024, 512, 256, 128, 1)
    mlp_dim_joint: tuple[int, ...] = (0, 1024, 512, 256, 128, 1)
    face_hidden_dim: int = 32
    face_blocks: int = 5

    _SEQUENCES: ClassVar[tuple[str, ...]] = ("unet_maps", "mlp_dim", "mlp_dim_3d", "mlp_dim_joint")

    def __post_init__(self) -> None:
        super().__post_init__()
        _require(self.norm in _NORMS, f"norm must be one of {', '.join(_NORMS)}; got {self.norm}.")
        _require(
            self.hg_down in _HG_DOWNS, f"hg_down must be one of {', '.join(_HG_DOWNS)}; got {self.hg_down}."
        )
        _require(self.num_stack >= 1, f"num_stack must be at least 1; got {self.num_stack}.")
        _require(self.filter_dim % 16 == 0, f"filter_dim must be a multiple of 16; got {self.filter_dim}.")
        for name in ("mlp_dim", "mlp_dim_3d", "mlp_dim_joint"):
            _require_depth(name, getattr(self, name))
        _check_width("mlp_dim", self.mlp_dim[0], self.pixel_dim, "image feature, depth and skipped stem")

    @property
    def pixel_dim(self) -> int:
        """Channels of one pixel feature: image feature, depth, and the stem's where it is skipped through."""
        return self.hourglass_dim + 1 + (self.filter_dim // 4 if self.skip_hourglass else 0)

    @property
    def mlp_channels(self) -> tuple[int, ...]:
        """``mlp_dim`` with its first entry derived."""
        return (self.pixel_dim, *self.mlp_dim[1:])


@dataclass(frozen=True)
class ColorConfig(FaceBranchConfig):
    """The coarse and the fine colour network.

    Attributes:
        norm_color: normalisation of the image encoders: "group", "batch" or "instance".
        ngf: channels of the encoder's first layer; its feature has four times as many.
        num_resnet_blocks: residual blocks of the encoders.
        use_tanh: tanh after the encoder's last block.
        shape_feature_dim: channels of the frozen shape network's image feature.
        mlp_dim_color: coarse MLP; the layer ``len // 2`` in the middle is handed to the fine network (phi).
        mlp_dim_color_fine: fine body MLP and 2D branch of the fine face head.
        mlp_dim_3d_color: 3D branch; the first is the grid's feature width.
        mlp_dim_joint_color: joint branch; the first is always derived.
        load_size_fine: like ``load_size``, for the fine network.
        color_loss_type: "l1" or "mse".
        pointnet2_points: points kept by the two set abstractions of the vertex encoder.
        pointnet2_neighbors: neighbours grouped around each.
        pointnet2_radii: their radii in the unit cube.
        pointnet2_width: base width of the vertex encoder's layers.
    """

    norm_color: str = "group"
    ngf: int = 64
    num_resnet_blocks: int = 6
    use_tanh: bool = False
    shape_feature_dim: int = 256
    mlp_dim_color: tuple[int, ...] = (513, 1024, 512, 256, 128, 3)
    mlp_dim_color_fine: tuple[int, ...] = (513, 1024, 512, 256, 128, 3)
    mlp_dim_3d_color: tuple[int, ...] = (128, 1024, 512, 256, 128, 3)
    mlp_dim_joint_color: tuple[int, ...] = (0, 1024, 512, 256, 128, 3)
    load_size_fine: int = 1024
    color_loss_type: str = "l1"
    pointnet2_points: tuple[int, ...] = (512, 128)
    pointnet2_neighbors: tuple[int, ...] = (32, 64)
    pointnet2_radii: tuple[float, ...] = (0.2, 0.4)
    pointnet2_width: int = 64

    _SEQUENCES: ClassVar[tuple[str, ...]] = (
        "unet_maps",
        "mlp_dim_color",
        "mlp_dim_color_fine",
        "mlp_dim_3d_color",
        "mlp_dim_joint_color",
        "pointnet2_points",
        "pointnet2_neighbors",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "pointnet2_radii", tuple(float(value) for value in self.pointnet2_radii))
        _require(
            self.norm_color in _NORMS,
            f"norm_color must be one of {', '.join(_NORMS)}; got {self.norm_color}.",
        )
        _require(
            self.color_loss_type in _COLOR_LOSSES,
            f"color_loss_type must be one of {', '.join(_COLOR_LOSSES)}; got {self.color_loss_type}.",
        )
        for name in ("mlp_dim_color", "mlp_dim_color_fine", "mlp_dim_3d_color", "mlp_dim_joint_color"):
            _require_depth(name, getattr(self, name))
        _check_width(
            "mlp_dim_color", self.mlp_dim_color[0], self.coarse_dim, "shape feature, image feature and depth"
        )
        _check_width(
            "mlp_dim_color_fine", self.mlp_dim_color_fine[0], self.fine_dim, "image feature, phi and depth"
        )

    @property
    def coarse_dim(self) -> int:
        """Channels of the coarse pixel feature: shape feature, own image feature, depth."""
        return self.shape_feature_dim + 4 * self.ngf + 1

    @property
    def phi_dim(self) -> int:
        """Channels of the coarse activation that the fine network receives."""
        return self.mlp_dim_color[(len(self.mlp_dim_color) - 1) // 2 + 1]

    @property
    def fine_dim(self) -> int:
        """Channels of the fine pixel feature: own image feature, phi, depth."""
        return 4 * self.ngf + self.phi_dim + 1

    @property
    def depth_scale_fine(self) -> float:
        """Factor from z_ndc to the fine network's depth feature."""
        return (self.load_size_fine // 2) / self.z_size
