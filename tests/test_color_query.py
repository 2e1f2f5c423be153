"""Colours from products sampled on the map equal the networks' own query."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import tiny_person
import torch

from jiff.geometry.camera import Camera
from jiff.inference.fields import ColorField
from jiff.models.color_coarse import ColorCoarseNetwork
from jiff.models.color_fine import ColorFineNetwork
from jiff.models.color_query import ColorQuery
from jiff.models.presets import color_preset, shape_preset
from jiff.models.shape import ShapeNetwork


class Case:
    """Random tiny networks with features of one person, and points around the body inside the view."""

    def __init__(self, no_residual: bool) -> None:
        torch.manual_seed(1)
        generator = torch.Generator().manual_seed(2)
        shape = ShapeNetwork(shape_preset("tiny")).eval()
        options = {"no_residual": no_residual}
        self.coarse_network = ColorCoarseNetwork(color_preset("tiny", **options)).eval()
        self.fine_network = ColorFineNetwork(color_preset("tiny", **options)).eval()
        with torch.no_grad():
            for network in (self.coarse_network, self.fine_network):
                for parameter in network.parameters():
                    if parameter.ndim > 1:
                        parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2)

            def image(size: int) -> torch.Tensor:
                return torch.rand(1, 1, 3, size, size, generator=generator) * 2 - 1

            face = tiny_person.face_input()
            features = shape.encode(image(shape.config.load_size), face)
            self.coarse = self.coarse_network.encode(image(self.coarse_network.config.load_size), features)
            self.fine = self.fine_network.encode(image(self.fine_network.config.load_size_fine), face)
        spread = torch.tensor([200.0, 200.0, 120.0])
        self.points = (torch.rand(5000, 3, generator=generator) - 0.5) * spread + torch.tensor(
            [0.0, 90.0, 0.0]
        )
        self.calib = torch.from_numpy(Camera().calib).float()

    def exact(self, fine: bool) -> torch.Tensor:
        with torch.no_grad():
            coarse = self.coarse_network.query(self.coarse, self.points[None], self.calib[None, None])
            if not fine:
                return coarse.rgb[0]
            args = (self.fine, self.points[None], self.calib[None, None], coarse.phi)
            return self.fine_network.query(*args).rgb[0]

    def ours(self, fine: bool, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        query = ColorQuery(
            *(self.coarse_network, self.coarse),
            *(self.fine_network, self.fine if fine else None),
            *(self.calib, dtype, 700),
        )
        return query(self.points)


@pytest.mark.parametrize("no_residual", [False, True])
@pytest.mark.parametrize("fine", [False, True])
def test_sampled_products_give_the_networks_colours(fine: bool, no_residual: bool) -> None:
    case = Case(no_residual)
    exact = case.exact(fine)
    assert exact.std(dim=0).min() > 0.05
    torch.testing.assert_close(case.ours(fine), exact, atol=2e-5, rtol=0)


def test_face_branch_is_used_inside_its_box_only() -> None:
    case = Case(False)
    inside = tiny_person.face_input().mask(case.points[None])[0]
    assert 10 < int(inside.sum()) < 1000
    exact, body = case.exact(True), None
    ours = case.ours(True)
    torch.testing.assert_close(ours[inside], exact[inside], atol=2e-5, rtol=0)
    case.fine = type(case.fine)(case.fine.images, case.fine.views, None)
    body = case.ours(True)
    assert float((body[inside] - ours[inside]).abs().mean()) > 0.01
    torch.testing.assert_close(body[~inside], ours[~inside])


def test_half_precision_stays_within_a_step_of_eight_bits() -> None:
    case = Case(False)
    error = (case.ours(True, torch.bfloat16) - case.exact(True)).abs() * 127.5
    assert float(error.mean()) < 1.0


def test_few_points_and_several_views_go_the_plain_way() -> None:
    coarse = Case(False).coarse
    assert ColorQuery.suits(coarse, 5000) and not ColorQuery.suits(coarse, 100)
    assert not ColorQuery.suits(type(coarse)(coarse.shape, coarse.own, 2), 5000)
    assert not ColorQuery.suits(type(coarse)(coarse.shape[..., :8, :8], coarse.own, 1), 5000)


def test_maps_of_two_sizes_go_the_plain_way() -> None:
    """A colour network may have been trained with images of another size than the shape network."""
    case = Case(False)
    case.coarse = type(case.coarse)(case.coarse.shape[..., :8, :8], case.coarse.own, 1)
    networks = SimpleNamespace(color_coarse=case.coarse_network, color_fine=None)
    field = ColorField(networks, case.coarse, None, case.calib[None, None])  # type: ignore[arg-type]
    ours = torch.from_numpy(field(case.points.numpy())).float()
    torch.testing.assert_close(ours, (case.exact(False) * 0.5 + 0.5).clamp(0, 1), atol=1e-5, rtol=0)
