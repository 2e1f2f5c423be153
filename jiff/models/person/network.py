"""The prior-held person network: distance to the clothed surface, and its colour, at points around a fitted body.

Beside the published networks, which know a face prior only. What the fitted body (with the fitted face) says of a point -
signed distance, normal, canonical place, visibility - joins the pixel's feature, as in PaMIR (Zheng et al., TPAMI 2021) and
ICON (Xiu et al., CVPR 2022); the answer is the body's distance plus a correction, and the pixel's colour plus a correction.
A second encoder looks at the head in a close-up; near the close-up's border the two answers pass into each other.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from jiff.models.person.config import PersonConfig
from jiff.models.person.encoder import Encoder

_HALF_WIDTH, _CENTER_Y = 102.4, 90.0
_FREQUENCIES = (2.0, 4.0, 8.0)
_PLACE = 6 * len(_FREQUENCIES)
_REACH = 6.0
"""World units that a correction of one means."""
_MOST = 20.0
_PIXEL = 5
"""RGB, mask, distance to its border: what a point sees of its own pixel."""
_BORDER = 0.2
"""Part of the close-up's half width over which it passes into the whole view."""


@dataclass(frozen=True)
class PersonPictures:
    """What a network looks at.

    Attributes:
        view, head: [B, 11, S, S] see ``network_picture``.
        head_window: [B, 4] x, y, z of the close-up's middle and half its width, world units.
    """

    view: Tensor
    head: Tensor
    head_window: Tensor


@dataclass(frozen=True)
class PersonFeatures:
    """Encoded pictures; ``head`` is None without close-ups."""

    view: Tensor
    head: Tensor | None
    pictures: PersonPictures


@dataclass(frozen=True)
class PersonAnswer:
    """Answers at points.

    Attributes:
        distance: [B, N] signed distance to the surface, positive inside, world units; blended.
        view_distance: [B, N] of the whole view alone.
        head_distance: [B, N] of the close-up alone, 0 where it does not count; None without it.
        head_weight: [B, N] what the close-up counts for, in [0, 1].
        rgb, view_rgb, head_rgb: [B, N, 3] in [0, 1] likewise; None where colours were not asked for.
    """

    distance: Tensor
    view_distance: Tensor
    head_distance: Tensor | None
    head_weight: Tensor
    rgb: Tensor | None = None
    view_rgb: Tensor | None = None
    head_rgb: Tensor | None = None


def network_picture(rgb: Tensor, mask: Tensor, border: Tensor, maps: Tensor) -> Tensor:
    """Return [B, 11, S, S]: RGB on gray, mask, distance to its border, maps, all in [-1, 1].

    Args:
        rgb: [B, 3, S, S] in [0, 1].
        mask: [B, 1, S, S] in [0, 1].
        border: [B, 1, S, S] in [-1, 1], see ``jiff.photo.view_inputs.mask_distance``.
        maps: [B, 6, S, S] uint8, see ``BodyPrior.maps``.
    """
    there = (maps[:, 5:] > 0).to(rgb.dtype)
    values = (maps[:, :5].to(rgb.dtype) - 128.0) / 127.0 * there
    return torch.cat([(rgb * 2 - 1) * mask, mask * 2 - 1, border, values, there], dim=1)


class _Head(nn.Module):
    """Points' features to a correction of distance and, for surface points, of colour."""

    def __init__(self, inputs: int, hidden: tuple[int, ...]) -> None:
        super().__init__()
        self.distance = _mlp((inputs, *hidden, 1))
        self.color = _mlp((inputs, *hidden[1:], 3))


def _mlp(channels: tuple[int, ...]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for index, (a, b) in enumerate(itertools.pairwise(channels)):
        layers += [nn.Linear(a, b)] + ([nn.SiLU()] if index < len(channels) - 2 else [])
    last = layers[-1]
    # It starts with the body, and with the pixels' own colours.
    if isinstance(last, nn.Linear):
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
    return nn.Sequential(*layers)


class PersonNetwork(nn.Module):
    """See the module."""

    def __init__(self, config: PersonConfig) -> None:
        super().__init__()
        self.config = config
        self.view_encoder = Encoder(config.view_channels, config.feature_dim)
        point = _PIXEL + (3 + 3 + 3 + 1 + _PLACE if config.body else 1)
        self.view_head = _Head(config.feature_dim + point, config.hidden)
        self.head_encoder: Encoder | None = None
        self.head_head: _Head | None = None
        if config.close_up:
            self.head_encoder = Encoder(config.head_channels, config.head_feature_dim)
            self.head_head = _Head(config.feature_dim + config.head_feature_dim + point + 3, config.hidden)

    def encode(self, pictures: PersonPictures) -> PersonFeatures:
        """Return features of pictures."""
        head = None if self.head_encoder is None else self.head_encoder(self._known(pictures.head))
        return PersonFeatures(self.view_encoder(self._known(pictures.view)), head, pictures)

    def _known(self, picture: Tensor) -> Tensor:
        if self.config.body:
            return picture
        return torch.cat([picture[:, :_PIXEL], torch.zeros_like(picture[:, _PIXEL:])], dim=1)

    def query(
        self,
        features: PersonFeatures,
        points_world: Tensor,
        prior: Tensor,
        *,
        distances: bool = True,
        colors: bool = False,
    ) -> PersonAnswer:
        """Return the answers at points.

        Args:
            features: of B people.
            points_world: [B, N, 3].
            prior: [B, N, 8] what the bodies say of them, see ``PointPrior.stacked``.
            distances: whether distances are wanted; without them they are the bodies'.
            colors: whether colours are wanted.
        """
        pictures = features.pictures
        ndc = torch.stack(
            [points_world[..., 0] / _HALF_WIDTH, (_CENTER_Y - points_world[..., 1]) / _HALF_WIDTH], dim=-1
        )
        pixel = _sample(pictures.view[:, :_PIXEL], ndc)
        point = torch.cat([pixel, self._of_body(points_world, prior)], dim=-1)
        seen = torch.cat([_sample(features.view, ndc), point], dim=-1)
        start = (
            prior[..., 0].clamp(-_MOST, _MOST)
            if self.config.body
            else points_world.new_zeros(prior.shape[:-1])
        )
        view = start + _REACH * self.view_head.distance(seen)[..., 0].float() if distances else start
        view_rgb = (pixel[..., :3] + 1) / 2 + self.view_head.color(seen).float() if colors else None
        if features.head is None or self.head_head is None:
            return PersonAnswer(view, view, None, torch.zeros_like(view), view_rgb, view_rgb)
        window = pictures.head_window[:, None]
        local = (points_world - window[..., :3]) / window[..., 3:]
        at = torch.stack([local[..., 0], -local[..., 1]], dim=-1)
        part = ((0.95 - local.abs().amax(dim=-1)) / _BORDER).clamp(0, 1)
        weight = part * part * (3 - 2 * part)
        near = weight > 0
        close_pixel = _sample(pictures.head[:, :3], at)[near]
        close = torch.cat([seen[near], _sample(features.head, at)[near], close_pixel], dim=-1)
        head = view
        if distances:
            values = start[near] + _REACH * self.head_head.distance(close)[..., 0].float()
            head = torch.zeros_like(view).masked_scatter(near, values)
        distance = torch.lerp(view, head, weight)
        if view_rgb is None:
            return PersonAnswer(distance, view, head, weight)
        own = (close_pixel + 1) / 2 + self.head_head.color(close).float()
        head_rgb = torch.zeros_like(view_rgb).masked_scatter(near[..., None].expand_as(view_rgb), own)
        rgb = torch.lerp(view_rgb, head_rgb, weight[..., None])
        return PersonAnswer(distance, view, head, weight, rgb, view_rgb, head_rgb)

    def _of_body(self, points_world: Tensor, prior: Tensor) -> Tensor:
        if not self.config.body:
            return points_world[..., 2:] / 60.0
        distance, normal, place, visible = prior.split([1, 3, 3, 1], dim=-1)
        scales = torch.cat(
            [distance / 20.0, (distance / 5.0).clamp(-1, 1), torch.tanh(distance / 1.5)], dim=-1
        )
        waves = [f(place * k) for k in _FREQUENCIES for f in (torch.sin, torch.cos)]
        return torch.cat([scales, normal, place, visible, *waves], dim=-1)

    def occupancy(self, distance: Tensor) -> Tensor:
        """Return occupancies of signed distances, one half at the surface."""
        return torch.sigmoid(distance / self.config.sharpness)


def _sample(image: Tensor, at: Tensor) -> Tensor:
    """Return [B, N, C] bilinear values of images [B, C, H, W] at NDC places [B, N, 2] (y down); borders go on outside."""
    found = functional.grid_sample(
        image, at[:, :, None].to(image.dtype), mode="bilinear", padding_mode="border", align_corners=False
    )
    return found[..., 0].transpose(1, 2)


def person_loss(
    network: PersonNetwork, answer: PersonAnswer, distance: Tensor, of_head: Tensor
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the loss of labelled points and its parts.

    Cross-entropy of the occupancy, and the error of the distance: outside the true one, inside at least the given one, which
    inner surfaces make too small.

    Args:
        network: that answered.
        answer: at the points.
        distance: [B, N] signed distance of the points.
        of_head: [B, N] 1 for points that belong to the close-up.
    """

    def error(found: Tensor) -> Tensor:
        inside = (distance > 0).to(found.dtype)
        crossed = functional.binary_cross_entropy_with_logits(
            found / network.config.sharpness, inside, reduction="none"
        )
        near = distance.clamp(-_REACH, _REACH)
        off = torch.where(
            distance > 0, functional.relu(near - found), (found.clamp(min=-_REACH) - near).abs()
        )
        return crossed + 0.3 * off

    of_view = 1 - of_head
    view_error = error(answer.view_distance)
    view = (view_error * (0.3 + 0.7 * of_view)).sum() / (0.3 + 0.7 * of_view).sum()
    parts = {"body": view.detach()}
    loss = view
    if answer.head_distance is not None:
        weight = (answer.head_weight > 0.05).to(view.dtype)
        head = (error(answer.head_distance) * weight).sum() / weight.sum().clamp(min=1)
        loss = loss + head
        parts["head"] = head.detach()
    return loss, parts


def color_loss(answer: PersonAnswer, target: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the loss of coloured surface points, target [B, M, 3] in [0, 1], and its parts."""
    if answer.view_rgb is None:
        raise ValueError("the answer holds no colours")
    view = (answer.view_rgb - target).abs().mean()
    parts, loss = {"color": view.detach()}, view
    if answer.head_rgb is not None:
        weight = (answer.head_weight[..., None] > 0.05).to(view.dtype)
        head = ((answer.head_rgb - target).abs() * weight).sum() / (3 * weight.sum()).clamp(min=1)
        loss = loss + head
        parts["head_color"] = head.detach()
    return loss, parts
