"""Scatter operations: closed forms, gradients, and agreement with torch-scatter where it is installed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from jiff.base.errors import ConfigError
from jiff.ops import backend
from jiff.ops.scatter import scatter_max, scatter_max_torch, scatter_mean, scatter_mean_torch

Scatter = Callable[[Tensor, Tensor, int], Tensor]
TWINS: list[tuple[str, Scatter, Scatter]] = [
    ("mean", scatter_mean, scatter_mean_torch),
    ("max", scatter_max, scatter_max_torch),
]


def random_rows(dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(4)
    index = torch.randint(0, 9, (60,), generator=generator)
    index[index == 5] = 6
    return torch.randn(60, 3, generator=generator, dtype=dtype) - 2.0, index


@pytest.mark.parametrize(("name", "operation"), [(t[0], t[1]) for t in TWINS], ids=["mean", "max"])
def test_equals_a_loop(name: str, operation: Scatter) -> None:
    values, index = random_rows()
    result = operation(values, index, 12)
    for row in range(12):
        members = values[index == row]
        expected = torch.zeros(3)
        if len(members):
            expected = members.mean(dim=0) if name == "mean" else members.amax(dim=0)
        torch.testing.assert_close(result[row], expected)
    assert (index == 5).sum() == 0 and not result[5].any()
    assert operation(values[:0], index[:0], 4).eq(torch.zeros(4, 3)).all()


@pytest.mark.parametrize("twin", [t[2] for t in TWINS], ids=["mean", "max"])
def test_gradients(twin: Scatter) -> None:
    values, index = random_rows(torch.float64)
    values.requires_grad_()
    assert torch.autograd.gradcheck(lambda rows: twin(rows, index, 12), (values,))


@pytest.mark.parametrize(("operation", "twin"), [t[1:] for t in TWINS], ids=["mean", "max"])
def test_accelerated_equals_twin(operation: Scatter, twin: Scatter, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch_scatter", reason="torch-scatter is not installed", exc_type=ImportError)
    monkeypatch.setenv("JIFF_OPS", "torch_scatter")
    values, index = random_rows()
    cotangent = torch.randn(12, 3)
    results = []
    for run in (operation, twin):
        rows = values.clone().requires_grad_()
        result = run(rows, index, 12)
        result.backward(cotangent)
        assert rows.grad is not None
        results.append((result.detach(), rows.grad))
    torch.testing.assert_close(results[0][0], results[1][0])
    torch.testing.assert_close(results[0][1], results[1][1])


@pytest.mark.parametrize("operation", [scatter_mean, scatter_max])
def test_wrong_shapes_are_rejected(operation: Scatter) -> None:
    with pytest.raises(ValueError, match=r"\[P, C\]"):
        operation(torch.zeros(4), torch.zeros(4, dtype=torch.int64), 2)
    with pytest.raises(ValueError, match=r"\(3,\)"):
        operation(torch.zeros(4, 2), torch.zeros(3, dtype=torch.int64), 2)
    with pytest.raises(TypeError, match="int64"):
        operation(torch.zeros(4, 2), torch.zeros(4, dtype=torch.int32), 2)


def test_backend_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(backend.available()) == set(backend.ACCELERATORS)
    monkeypatch.setenv("JIFF_OPS", "torch")
    assert all(backend.accelerator(name, cuda=True) is None for name in ("scatter_max", "knn"))
    monkeypatch.setenv("JIFF_OPS", "tensorflow")
    with pytest.raises(ConfigError, match=r"'tensorflow'.*torch_scatter"):
        backend.accelerator("knn", cuda=False)
    missing = [name for name, found in backend.available().items() if not found]
    for name in missing:
        monkeypatch.setenv("JIFF_OPS", name)
        with pytest.raises(ConfigError, match=name):
            backend.accelerator(backend.ACCELERATORS[name][0], cuda=False)
        other = next(
            operation for key, ops in backend.ACCELERATORS.items() if key != name for operation in ops
        )
        assert backend.accelerator(other, cuda=True) is None
