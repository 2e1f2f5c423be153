"""Laws of the networks: a batch is its items, views are a set, options do what they say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from networks import Subjects, random_subjects
from torch import Tensor, nn

from jiff.base.errors import ConfigError
from jiff.models.color_coarse import ColorCoarseNetwork
from jiff.models.color_fine import ColorFineNetwork
from jiff.models.config import ColorConfig, ShapeConfig
from jiff.models.face_input import FaceInput, no_face
from jiff.models.presets import color_preset, shape_preset
from jiff.models.shape import ShapeNetwork

Run = Callable[[nn.Module, Subjects], tuple[dict[str, Tensor], Tensor]]


def run_shape(network: Any, subjects: Subjects) -> tuple[dict[str, Tensor], Tensor]:
    features = network.encode(subjects.images, subjects.face)
    prediction = network.query(features, subjects.points, subjects.calibs)
    answers = {"body": prediction.body.transpose(0, 1), "fused": prediction.fused(subjects.labels * 9.0)}
    answers["face"] = prediction.face.transpose(0, 1)
    return answers, network.loss(prediction, subjects.labels)[0]


def run_fine(network: Any, subjects: Subjects) -> tuple[dict[str, Tensor], Tensor]:
    phi = subjects.points[..., :1].sin().expand(-1, -1, network.config.phi_dim)
    features = network.encode(subjects.images_hi, subjects.face)
    prediction = network.query(features, subjects.points, subjects.calibs, phi)
    return {"rgb": prediction.rgb, "body": prediction.body}, network.loss(prediction, subjects.rgb)[0]


def run_coarse(network: Any, subjects: Subjects) -> tuple[dict[str, Tensor], Tensor]:
    torch.manual_seed(1)
    shape = ShapeNetwork(shape_preset("tiny")).eval().to(subjects.images.dtype)
    features = network.encode(subjects.images, shape.encode(subjects.images, None))
    prediction = network.query(features, subjects.points, subjects.calibs)
    return {"rgb": prediction.rgb, "phi": prediction.phi}, network.loss(prediction, subjects.rgb)[0]


NETWORKS: list[tuple[str, Callable[[], nn.Module], Run]] = [
    ("shape", lambda: ShapeNetwork(shape_preset("tiny")), run_shape),
    ("pifu", lambda: ShapeNetwork(shape_preset("tiny", face_branch=False)), run_shape),
    ("fixed_cube", lambda: ShapeNetwork(shape_preset("tiny", cube_follows_face=False)), run_shape),
    ("2d_head", lambda: ShapeNetwork(shape_preset("tiny", branch_3d=False)), run_shape),
    ("no_joint_branch", lambda: ShapeNetwork(shape_preset("tiny", joint_head=False)), run_shape),
    ("single_head", lambda: ShapeNetwork(shape_preset("tiny", single_head=True)), run_shape),
    ("fine_no_joint_branch", lambda: ColorFineNetwork(color_preset("tiny", joint_head=False)), run_fine),
    ("coarse", lambda: ColorCoarseNetwork(color_preset("tiny")), run_coarse),
    ("fine", lambda: ColorFineNetwork(color_preset("tiny")), run_fine),
]


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize(("build", "run"), [n[1:] for n in NETWORKS], ids=[n[0] for n in NETWORKS])
def test_batch_equals_single_runs(build: Callable[[], nn.Module], run: Run, training: bool) -> None:
    network, single = build().double().train(training), build().double().train(training)
    single.load_state_dict(network.state_dict())
    subjects = random_subjects().double()
    together, loss = run(network, subjects)
    loss.backward()  # type: ignore[no-untyped-call]
    losses = []
    for index in range(3):
        alone, item_loss = run(single, subjects.item(index))
        for name, value in alone.items():
            assert value.shape[0] == 1
            # An item alone without face points has no face predictions at all in evaluation.
            if value.shape[1:] == together[name].shape[1:]:
                torch.testing.assert_close(together[name][index], value[0], rtol=1e-7, atol=1e-9)
            else:
                assert not training and index == 1 and not together[name][index].any()
        (item_loss / 3).backward()  # type: ignore[no-untyped-call]
        losses.append(item_loss)
    torch.testing.assert_close(loss, torch.stack(losses).mean())
    for (name, ours), theirs in zip(network.named_parameters(), single.parameters(), strict=True):
        if ours.grad is None:
            assert theirs.grad is None or not theirs.grad.any(), name
        else:
            torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-6, atol=1e-9, msg=name)
    for (name, ours), theirs in zip(network.named_buffers(), single.buffers(), strict=True):
        torch.testing.assert_close(ours, theirs, msg=name)


def test_training_reaches_every_parameter_even_without_face_points() -> None:
    network = ShapeNetwork(shape_preset("tiny")).train()
    subjects = random_subjects().item(1)
    run_shape(network, subjects)[1].backward()  # type: ignore[no-untyped-call]
    without = [n for n, p in network.named_parameters() if p.requires_grad and p.grad is None]
    assert without == []
    head = network.surface_classifier_multiLoss
    assert head is not None
    assert all(not p.grad.any() for p in head.parameters() if p.grad is not None)


def test_face_predictions_are_zero_off_the_box_and_box_borders_count() -> None:
    subjects = random_subjects()
    points = subjects.points.clone()
    points[0, :4] = torch.tensor([[-12.0, 140.0, 0], [12.0, 175.0, 99], [12.01, 150.0, 0], [0.0, 139.99, 0]])
    network = ShapeNetwork(shape_preset("tiny")).train()
    prediction = network.query(network.encode(subjects.images, subjects.face), points, subjects.calibs)
    assert prediction.face_mask[0, :4].tolist() == [True, True, False, False]
    assert prediction.face.shape == (6, 3, points.shape[1])
    assert not prediction.face[:, ~prediction.face_mask].any()
    assert (prediction.face[:, prediction.face_mask] > 0).all()
    assert prediction.face_mask[1].sum() == 0 and prediction.face_mask[2].sum() > 20


def test_outside_the_image_is_empty() -> None:
    network = ShapeNetwork(shape_preset("tiny")).eval()
    subjects = random_subjects().item(0)
    points = torch.tensor([[[102.0, 90.0, 0], [103.0, 90.0, 0], [0.0, 193.0, 0], [0.0, -12.0, 0]]])
    body = network.query(network.encode(subjects.images, None), points, subjects.calibs).body[0, 0]
    assert body[0] > 0 and body[3] > 0 and not body[1:3].any()


def test_fusion_follows_the_distance() -> None:
    network = ShapeNetwork(shape_preset("tiny")).eval()
    subjects = random_subjects()
    prediction = network.query(
        network.encode(subjects.images, subjects.face), subjects.points, subjects.calibs
    )
    mask, body, face = prediction.face_mask, prediction.body[-1], prediction.face[-1]
    assert torch.equal(prediction.fused(torch.zeros_like(body))[mask], face[mask])
    assert torch.equal(prediction.fused()[mask], face[mask])
    torch.testing.assert_close(prediction.fused(torch.full_like(body, 1e3)), body)
    at_ten = 0.36787944 * face + (1 - 0.36787944) * body
    torch.testing.assert_close(prediction.fused(torch.full_like(body, 10.0))[mask], at_ten[mask])
    assert torch.equal(prediction.fused(torch.zeros_like(body))[~mask], body[~mask])


def test_turning_subject_and_prior_together_changes_nothing_in_the_grid() -> None:
    """A prior stored frontal and seen at yaw 90 equals the prior turned by hand and seen at yaw 0."""
    network = ShapeNetwork(shape_preset("tiny", cube_follows_face=False)).eval()
    vertices = random_subjects().face.vertices_world[0]
    turned = torch.stack((vertices[:, 2], vertices[:, 1], -vertices[:, 0]), dim=1)
    box = torch.tensor([[-50.0, 50.0, 0.0, 200.0]])
    seen = network.encode_face(FaceInput([vertices], box, torch.tensor([90.0])))
    by_hand = network.encode_face(FaceInput([turned], box, torch.tensor([0.0])))
    assert seen is not None and by_hand is not None and seen.grid is not None and by_hand.grid is not None
    torch.testing.assert_close(seen.grid.dense(), by_hand.grid.dense(), rtol=1e-4, atol=1e-4)
    assert seen.grid.dense().std() > 0.01


@pytest.mark.parametrize("kind", ["shape", "coarse", "fine"])
def test_views_are_a_set(kind: str) -> None:
    """Two equal views answer as one; the order of different views does not matter."""
    _, build, run = next(entry for entry in NETWORKS if entry[0] == kind)
    network = build().eval()
    one, two = random_subjects(), random_subjects(views=2)

    def first_views(order: list[int]) -> Subjects:
        return Subjects(
            two.images[:, order],
            two.images_hi[:, order],
            two.points,
            two.labels,
            two.rgb,
            two.calibs[:, order] * torch.tensor([1.0, 0.9])[order][None, :, None, None],
            two.face,
        )

    doubled = Subjects(
        one.images.repeat(1, 2, 1, 1, 1),
        one.images_hi.repeat(1, 2, 1, 1, 1),
        one.points,
        one.labels,
        one.rgb,
        one.calibs.repeat(1, 2, 1, 1),
        one.face,
    )
    with torch.no_grad():
        single, double = run(network, one)[0], run(network, doubled)[0]
        forward, backward = run(network, first_views([0, 1]))[0], run(network, first_views([1, 0]))[0]
    for name, value in single.items():
        torch.testing.assert_close(value, double[name], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(forward[name], backward[name], rtol=1e-4, atol=1e-5)
        assert not torch.allclose(forward[name], value, atol=1e-3)


@pytest.mark.parametrize(
    "options",
    [
        {"norm": "batch"},
        {"norm": "instance"},
        {"hg_down": "conv64"},
        {"hg_down": "conv128"},
        {"skip_hourglass": True, "mlp_dim": [0, 32, 24, 16, 1]},
        {"no_residual": True},
        {"num_stack": 3, "num_hourglass": 2},
        {"hourglass_dim": 24, "mlp_dim": [25, 32, 24, 16, 8, 1]},
        {"init": "normal"},
    ],
    ids=lambda options: "-".join(options),
)
def test_shape_options_train_and_evaluate(options: dict[str, Any]) -> None:
    config = shape_preset("tiny", **options)
    network = ShapeNetwork(config).train()
    subjects = random_subjects(count=50)
    answers, loss = run_shape(network, subjects)
    loss.backward()  # type: ignore[no-untyped-call]
    assert answers["body"].shape == (3, config.num_stack, 50)
    assert answers["face"].shape == (3, 3 * config.num_stack, 50)
    assert network.image_filter.conv1.weight.grad is not None
    assert network.image_filter.conv1.weight.grad.abs().sum() > 0
    evaluated = run_shape(network.eval(), subjects)[0]
    assert evaluated["body"].shape == (3, 1, 50) and evaluated["face"].shape == (3, 1, 50)


@pytest.mark.parametrize(
    "options",
    [{"use_tanh": True}, {"norm_color": "batch"}, {"norm_color": "instance"}, {"color_loss_type": "mse"}],
)
def test_color_options_train(options: dict[str, Any]) -> None:
    network = ColorFineNetwork(color_preset("tiny", **options)).train()
    answers, loss = run_fine(network, random_subjects(count=50))
    loss.backward()  # type: ignore[no-untyped-call]
    assert answers["rgb"].abs().max() <= 1 and torch.isfinite(loss)


@pytest.mark.parametrize("name", ["demo", "tiny"])
def test_presets_fit_together(name: str) -> None:
    shape, color = shape_preset(name), color_preset(name)
    assert color.shape_feature_dim == shape.hourglass_dim
    assert shape.depth_scale == pytest.approx(ShapeConfig().depth_scale)
    assert color.depth_scale_fine == pytest.approx(ColorConfig().depth_scale_fine)
    assert ShapeConfig.from_dict(shape.to_dict()) == shape
    assert ColorConfig.from_dict(color.to_dict()) == color


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"mlp_dim": [300, 8, 8, 1]}, "257"),
        ({"norm": "layer"}, "layer"),
        ({"grid_resolution": 30}, "multiple of 8"),
        ({"stacks": 2}, "stacks"),
        ({"num_stack": 0}, "num_stack"),
        ({"mlp_dim": "abc"}, "wrong kind"),
    ],
)
def test_bad_configurations_are_named(options: dict[str, Any], word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        ShapeConfig.from_dict(options)


def test_unknown_preset() -> None:
    with pytest.raises(ConfigError, match="paper, demo, tiny"):
        shape_preset("huge")


def test_wrong_shapes_are_rejected() -> None:
    with pytest.raises(ValueError, match="box_world"):
        FaceInput([torch.zeros(5, 3)], torch.zeros(4), torch.zeros(1))
    with pytest.raises(ValueError, match="vertices_world"):
        FaceInput([torch.zeros(5, 2)], torch.zeros(1, 4), torch.zeros(1))
    network = ShapeNetwork(shape_preset("tiny"))
    features = network.encode(random_subjects().images, no_face(3))
    with pytest.raises(ValueError, match="calibs"):
        network.query(features, torch.zeros(3, 5, 3), torch.zeros(3, 4, 4))


def test_without_the_joint_branch_the_mean_of_the_other_two_answers() -> None:
    network = ShapeNetwork(shape_preset("tiny", joint_head=False))
    head = network.surface_classifier_multiLoss
    assert head is not None and not any("joint" in name for name, _ in head.named_parameters())
    pixel, grid = torch.randn(1, 7, network.config.pixel_dim), torch.randn(7, network.config.mlp_dim_3d[0])
    two, three = head.train()(pixel, grid)
    assert not torch.equal(two, three)
    torch.testing.assert_close(head.eval()(pixel, grid), [(two + three) / 2])
    assert head.branches == ("2d", "3d")
