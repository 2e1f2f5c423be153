"""The ResNet-50 that reads 257 face coefficients off a 224-px crop (Deng et al. 2019), with the published keys."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from jiff.base.errors import AssetError
from jiff.face.models.bfm import mat_array, read_mat

if TYPE_CHECKING:
    from numpy.typing import NDArray

HEADS = {"fcid": 80, "fcex": 64, "fctex": 80, "fcangles": 3, "fcgamma": 27, "fcXY": 2, "fcZ": 1}
"""Output heads in the order of the coefficient vector."""
CROP_SIZE = 224
TARGET_SCALE = 102.0


class _Bottleneck(nn.Module):
    def __init__(self, width_in: int, width: int, stride: int, project: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width_in, width, 1, stride=stride, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.downsample: nn.Module | None = None
        if project:
            self.downsample = nn.Sequential(
                nn.Conv2d(width_in, 4 * width, 1, stride=stride, bias=False), nn.BatchNorm2d(4 * width)
            )

    def forward(self, x: Tensor) -> Tensor:
        out = torch.relu(self.bn1(self.conv1(x)))
        out = torch.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        return torch.relu(out + (x if self.downsample is None else self.downsample(x)))


class CoefficientNetwork(nn.Module):
    """ResNet-50 (He et al. 2016, stride in the first 1x1 convolution) with one linear head per coefficient group."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        width_in = 64
        for number, (width, blocks) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3)), start=1):
            layers: list[nn.Module] = []
            for block in range(blocks):
                stride = 2 if block == 0 and number > 1 else 1
                layers.append(_Bottleneck(width_in, width, stride, project=block == 0))
                width_in = 4 * width
            setattr(self, f"layer{number}", nn.Sequential(*layers))
        for name, size in HEADS.items():
            setattr(self, name, nn.Conv2d(2048, size, 1))

    def forward(self, crop_bgr: Tensor) -> Tensor:
        """Return coefficients [B, 257] of crops [B, 3, 224, 224], BGR 0-255 as the published weights expect."""
        x = self.maxpool(torch.relu(self.bn1(self.conv1(crop_bgr))))
        for number in range(1, 5):
            x = getattr(self, f"layer{number}")(x)
        x = nn.functional.avg_pool2d(x, 7, stride=1)
        return torch.cat([getattr(self, name)(x).flatten(1) for name in HEADS], dim=1)


def load_coefficient_network(path: Path) -> CoefficientNetwork:
    """Return the network with the weights of ``params.pt`` (a state dict, or a dict that holds one).

    Raises:
        AssetError: missing, truncated, or of another network.
    """
    if not path.is_file():
        raise AssetError(f"{path}: is missing; `jiff assets list` says where to ask for it.")
    try:
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise AssetError(
            f"{path}: is not a complete file of plain tensors ({type(error).__name__}); get it again."
        ) from error
    network = CoefficientNetwork()
    wanted = network.state_dict()
    for key in ("state_dict", "net_recon", "model"):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    state = _renamed(state) if isinstance(state, dict) else {}
    missing = [key for key in wanted if key not in state and not key.endswith("num_batches_tracked")]
    if missing:
        raise AssetError(
            f"{path}: lacks {missing[0]} and {len(missing) - 1} more tensors; it holds another network."
        )
    wrong = [key for key in wanted if key in state and state[key].shape != wanted[key].shape]
    if wrong:
        raise AssetError(
            f"{path}: {wrong[0]} has shape {tuple(state[wrong[0]].shape)}; it holds another network."
        )
    network.load_state_dict({key: state[key] for key in wanted if key in state}, strict=False)
    return network.eval()


def _renamed(state: dict[str, Any]) -> dict[str, Any]:
    """Return a state dict under this network's keys; the newer port calls the trunk ``backbone`` and the heads a list."""
    heads = dict(zip((f"final_layers.{k}" for k in range(len(HEADS))), HEADS))
    renamed = {}
    for key, value in state.items():
        key = key.removeprefix("module.").removeprefix("backbone.")
        for old, new in heads.items():
            if key.startswith(old + "."):
                key = new + key[len(old) :]
        renamed[key] = value
    return renamed


def crop_transform(
    five_px: NDArray[np.float64], template: NDArray[np.float64]
) -> tuple[float, NDArray[np.float64]]:
    """Return scale and offset [2] of the crop: p -> scale * p + offset takes a picture to its 224-px crop.

    The least-squares scale and shift from the template to the landmarks (no turn), as published.

    Args:
        five_px: [5, 2] detector landmarks, y down.
        template: [5, 3] of ``similarity_Lm3D_all.mat`` (y up).
    """
    y_up = five_px * [1.0, -1.0]
    flat = template[:, :2]
    rows = np.zeros((10, 8))
    rows[:5, :3], rows[:5, 3] = template, 1.0
    rows[5:, 4:7], rows[5:, 7] = template, 1.0
    solution = np.linalg.lstsq(rows, np.concatenate([y_up[:, 0], y_up[:, 1]]), rcond=None)[0]
    first, second = np.linalg.norm(solution[0:3]), np.linalg.norm(solution[4:7])
    spread = float(first + second) / 2
    if len(flat) != 5 or spread <= 0:
        raise AssetError("the landmark template is degenerate; get similarity_Lm3D_all.mat again.")
    scale = TARGET_SCALE / spread
    center = np.array([solution[3], -solution[7]])
    return scale, CROP_SIZE / 2 - scale * center


def five_template(path: Path) -> NDArray[np.float64]:
    """Return the [5, 3] landmark template of ``similarity_Lm3D_all.mat`` (68 rows there).

    Raises:
        AssetError: missing or of another layout.
    """
    marks = mat_array(read_mat(path), "lm", (68, 3), path).astype(np.float64)
    rows = np.stack([marks[30], marks[[36, 39]].mean(0), marks[[42, 45]].mean(0), marks[48], marks[54]])
    return rows[[1, 2, 0, 3, 4]]
