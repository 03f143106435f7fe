"""The noise that a picture is made of: the same for the same seed on every device, and held ready."""

from __future__ import annotations

from functools import lru_cache

import torch

HELD = 32


def slerp(a: torch.Tensor, b: torch.Tensor, t: float) -> torch.Tensor:
    """Spherical interpolation along the last axis, lengths interpolated linearly.

    Shoemake, "Animating rotation with quaternion curves", SIGGRAPH 1985; where vectors are nearly parallel the
    formula loses its footing and a straight line is as good.
    """
    length_a, length_b = a.norm(dim=-1, keepdim=True), b.norm(dim=-1, keepdim=True)
    unit_a, unit_b = a / length_a.clamp_min(1e-9), b / length_b.clamp_min(1e-9)
    angle = (unit_a * unit_b).sum(-1, keepdim=True).clamp(-1, 1).acos()
    sine = angle.sin()
    direction = (((1 - t) * angle).sin() * unit_a + (t * angle).sin() * unit_b) / sine.clamp_min(1e-9)
    bent = direction * ((1 - t) * length_a + t * length_b)
    return torch.where(sine < 1e-3, (1 - t) * a + t * b, bent)


@lru_cache(HELD)
def of_seed(seed: int, shape: tuple[int, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    """Standard normal noise of a shape, float32, and the generator's state after it: what stochastic schedulers go on from."""
    generator = torch.Generator("cpu").manual_seed(seed)
    return torch.randn(shape, generator=generator), generator.get_state()


@lru_cache(HELD)
def between(seed: int, other: int, t: float, shape: tuple[int, ...]) -> torch.Tensor:
    """At `t` on the way from one seed's noise to another's, as one vector: it stays as long as noise is."""
    start = of_seed(seed, shape)[0]
    if t == 0 or seed == other:
        return start
    return slerp(start.flatten(), of_seed(other, shape)[0].flatten(), t).view(shape)


def generator(seed: int, shape: tuple[int, ...]) -> torch.Generator:
    """As it stands after the first noise was drawn from it."""
    made = torch.Generator("cpu")
    made.set_state(of_seed(seed, shape)[1])
    return made
