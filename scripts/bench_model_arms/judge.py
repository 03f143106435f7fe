"""Which family and which main colour a picture shows, by a small network that has only ever seen drawn textures."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import patterns
import textures
import torch
from bench_model_arms import prompts
from torch import Tensor, nn
from torch.nn import functional

ROOT = Path(__file__).resolve().parents[2]
SIDE = 128
"""Pixels a side of what it learns from. What it judges may have other sizes: features keep theirs."""
TINTS = 0.35
"""How much of their tints its lessons keep: what it judges was asked for without, so a colour is what it is called."""
COLOURS = tuple(textures.COLOURS)


@dataclass(frozen=True)
class Seen:
    family: str
    main: str


class Judge(nn.Module):
    """It tells the family by what the whole picture has; that says where to look for the main colour. Of cream and
    white, or of gold and orange, the wrong one is wrong."""

    def __init__(self, width: int = 24):
        super().__init__()
        self.near = _layer(4, width, 5)
        self.far = nn.Sequential(*(_layer(width * a, width * b, 3) for a, b in ((1, 2), (2, 4), (4, 6))))
        features = 2 * width + 12 * width
        self.family = nn.Linear(features, len(textures.FAMILIES))
        self.where = nn.Linear(features, width)
        self.colour = nn.Sequential(nn.Linear(6, 96), nn.SiLU(), nn.Linear(96, len(COLOURS)))

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """(n, 3, h, w) of -1..1 to what speaks for each family (n, families) and for each main colour (n, colours)."""
        near = self.near(torch.cat([pictures, structure(pictures)], 1))
        features = torch.cat([_pooled(near), _pooled(self.far(near))], 1)
        shares = torch.einsum("nchw,nc->nhw", near, self.where(features)).flatten(1).softmax(1)
        colours = functional.avg_pool2d(pictures, 2).flatten(2)
        main = torch.einsum("ncp,np->nc", colours, shares)
        return self.family(features), self.colour(3 * torch.cat([main, main - colours.mean(2)], 1))

    @torch.inference_mode()
    def look(self, pictures: Sequence[np.ndarray]) -> list[Seen]:
        """At pictures (h, w, 3) uint8 of one size."""
        self.eval()
        found = []
        for start in range(0, len(pictures), 32):
            family, colour = self(_tensor(np.stack(pictures[start : start + 32])))
            both = zip(family.argmax(1).tolist(), colour.argmax(1).tolist(), strict=True)
            found += [Seen(textures.FAMILIES[one], COLOURS[other]) for one, other in both]
        return found


def structure(pictures: Tensor) -> Tensor:
    """What differs most in each picture, whatever its colours are: (n, 1, h, w), zero mean, unit variance, few high values."""
    apart = pictures - pictures.mean((2, 3), keepdim=True)
    _, axes = torch.linalg.eigh(torch.einsum("nchw,ndhw->ncd", apart, apart))
    found = torch.einsum("nchw,nc->nhw", apart, axes[..., -1])[:, None]
    found = found / (found.std((1, 2, 3), keepdim=True) + 1e-3)
    return torch.where((found**3).mean((1, 2, 3), keepdim=True) < 0, -found, found)


def _layer(channels: int, out: int, side: int) -> nn.Sequential:
    """Half as high and wide."""
    return nn.Sequential(nn.Conv2d(channels, out, side, 2, side // 2, bias=False), nn.BatchNorm2d(out), nn.SiLU())


def _pooled(features: Tensor) -> Tensor:
    """How much of each there is, and how unevenly."""
    return torch.cat([features.mean((2, 3)), features.std((2, 3))], 1)


def trained(pictures: int, rounds: int, note: Callable[[str], None] = print) -> Judge:
    """One that has seen so many drawn textures so often; from out/bench where these textures were learnt before."""
    sources = [Path(module.__file__ or "") for module in (textures, patterns, prompts)] + [Path(__file__)]
    made = hashlib.sha256(b"\0".join([*(source.read_bytes() for source in sources), b"%d %d" % (pictures, rounds)]))
    file = ROOT / "out/bench" / f"judge-{made.hexdigest()[:16]}.pt"
    judge = Judge()
    if file.exists():
        judge.load_state_dict(torch.load(file, weights_only=True))
        return judge
    note(f"a judge learns from {pictures} drawn textures (once; some minutes)")
    learn(judge, pictures, rounds)
    file.parent.mkdir(parents=True, exist_ok=True)
    torch.save(judge.state_dict(), file)
    return judge


def learn(judge: Judge, pictures: int, rounds: int) -> None:
    shown, family, colour = lessons(prompts.JUDGE, pictures)
    torch.manual_seed(0)
    chance = np.random.default_rng(prompts.JUDGE)
    batch = min(32, pictures)
    optimizer = torch.optim.AdamW(judge.parameters(), lr=3e-3, weight_decay=1e-2)
    steps = rounds * (pictures // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    judge.train().to(memory_format=torch.channels_last)
    for _ in range(rounds):
        order = chance.permutation(pictures)[: pictures // batch * batch].reshape(-1, batch)
        for chosen in order:
            guesses = judge(_worn(_tensor(shown[chosen]), chance))
            loss = sum(
                functional.cross_entropy(guess, truth[chosen], label_smoothing=0.05)
                for guess, truth in zip(guesses, (family, colour), strict=True)
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    judge.eval()


def lessons(use: int, pictures: int) -> tuple[np.ndarray, Tensor, Tensor]:
    """Drawn textures (n, SIDE, SIDE, 3) uint8, and the numbers of their families and main colours."""
    described = [prompts.drawn(use, number, TINTS) for number in range(pictures)]

    def draw(number: int) -> np.ndarray:
        return textures.render(described[number], prompts.rng(use, number, 2), SIDE)

    with ThreadPoolExecutor(2) as pool:
        shown = np.stack(list(pool.map(draw, range(pictures))))
    family = torch.tensor([textures.FAMILIES.index(one.family) for one in described])
    return shown, family, torch.tensor([COLOURS.index(one.main) for one in described])


def _worn(pictures: Tensor, chance: np.random.Generator) -> Tensor:
    """Moved around, a little blurred, lighter or darker, and noisy: a model's pictures are not as clean as drawn ones."""
    pictures = pictures.roll(tuple(chance.integers(0, SIDE, 2)), (2, 3))
    blur = chance.uniform(0, 1)
    if blur > 0.3:
        sharp = torch.tensor([0.25 * blur, 1 - 0.5 * blur, 0.25 * blur])
        kernel = torch.outer(sharp, sharp).expand(3, 1, 3, 3)
        pictures = functional.conv2d(functional.pad(pictures, (1, 1, 1, 1), "circular"), kernel, groups=3)
    light = torch.from_numpy(chance.normal(1, 0.05, (len(pictures), 1, 1, 1))).float()
    noise = torch.from_numpy(chance.uniform(0, 0.05, (len(pictures), 1, 1, 1))).float()
    return ((pictures + 1) * light - 1 + noise * torch.randn_like(pictures)).contiguous(memory_format=torch.channels_last)


def _tensor(pictures: np.ndarray) -> Tensor:
    """(n, h, w, 3) uint8 to (n, 3, h, w) of -1..1, a pixel's channels together."""
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1
