import pytest
import torch

from edge.conditioning import slerp


def test_slerp_starts_and_ends_where_it_should() -> None:
    a, b = torch.randn(1, 5, 8), torch.randn(1, 5, 8)
    torch.testing.assert_close(slerp(a, b, 0.0), a)
    torch.testing.assert_close(slerp(a, b, 1.0), b)


def test_equal_steps_turn_by_equal_angles() -> None:
    a, b = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    for t in (0.1, 0.5, 0.9):
        there = slerp(a, b, t)
        assert torch.atan2(there[0, 1], there[0, 0]).item() == pytest.approx(t * torch.pi / 2, abs=1e-5)


def test_lengths_go_straight_from_one_to_the_other() -> None:
    a, b = 2 * torch.tensor([[1.0, 0.0]]), 6 * torch.tensor([[0.0, 1.0]])
    assert slerp(a, b, 0.25).norm().item() == pytest.approx(3.0, abs=1e-5)


@pytest.mark.parametrize("other", [1.0, 1 + 1e-7, 0.0])
def test_parallel_and_empty_vectors_do_no_harm(other: float) -> None:
    a = torch.ones(1, 2, 4)
    assert torch.isfinite(slerp(a, a * other, 0.5)).all()
