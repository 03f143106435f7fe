import pytest
import torch

from edge import noise
from edge.noise import slerp


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


SHAPE = (1, 4, 8, 8)


def test_noise_between_two_seeds_stays_as_long_as_noise_is() -> None:
    start, middle, end = (noise.between(1, 2, t, SHAPE) for t in (0.0, 0.5, 1.0))
    torch.testing.assert_close(start, noise.of_seed(1, SHAPE)[0])
    torch.testing.assert_close(end, noise.of_seed(2, SHAPE)[0])
    assert middle.norm().item() == pytest.approx((start.norm().item() + end.norm().item()) / 2, rel=1e-4)


def test_the_generator_goes_on_where_the_noise_ended() -> None:
    plain = torch.Generator().manual_seed(3)
    torch.randn(SHAPE, generator=plain)
    torch.testing.assert_close(torch.randn(4, generator=noise.generator(3, SHAPE)), torch.randn(4, generator=plain))
