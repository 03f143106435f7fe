"""What all stages of the training of the embedded model share: checkpoints, rates, seamless convolutions, captions' states."""

from __future__ import annotations

import math
import re
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


class Clock:
    """A stage's time budget that survives restarts, and its checkpoint."""

    def __init__(self, path: Path, minutes: float, parts: dict[str, Any]):
        self.path, self.budget, self.parts = path, minutes * 60, parts
        self.spent = 0.0
        if path.exists():
            state = torch.load(path, map_location=DEVICE, weights_only=True)
            self.spent = state.pop("spent")
            for name, part in parts.items():
                part.load_state_dict(state[name])
        self.last = self.saved = time.monotonic()

    @property
    def progress(self) -> float:
        return min(1.0, self.spent / self.budget) if self.budget else 1.0

    def tick(self) -> bool:
        """Count the time since the last tick; save now and then. False when the budget is used up."""
        now = time.monotonic()
        self.spent, self.last = self.spent + now - self.last, now
        done = self.spent >= self.budget
        if done or now - self.saved > 60:
            self.saved = now
            state = {name: part.state_dict() for name, part in self.parts.items()}
            torch.save(state | {"spent": self.spent}, self.path.with_suffix(".part"))
            self.path.with_suffix(".part").replace(self.path)
        return not done


def set_rate(optimizer: torch.optim.Optimizer, peak: float, progress: float) -> None:
    """Linear warm-up over the first hundredth, then cosine to zero."""
    rate = peak * min(1.0, progress / 0.01 + 0.02) * 0.5 * (1 + math.cos(math.pi * progress))
    for group in optimizer.param_groups:
        group["lr"] = rate


class Steps:
    """An optimizer's steps, of which a batch with an unusual gradient is left out: a few of them can undo hours."""

    def __init__(self, optimizer: torch.optim.Optimizer):
        self._optimizer = optimizer
        self._parameters = [one for group in optimizer.param_groups for one in group["params"]]
        self._usual = 0.0

    def __call__(self) -> None:
        size = float(nn.utils.clip_grad_norm_(self._parameters, 2 * self._usual or 1.0))
        if size < 5 * self._usual or not self._usual:
            self._optimizer.step()
        self._optimizer.zero_grad()
        # What is left out counts a little: the usual size may have grown for good.
        self._usual = 0.98 * self._usual + 0.02 * min(2 * self._usual, size) if self._usual else min(1.0, size)


class _Wrap(torch.autograd.Function):
    """(n, c, h, w) with a pixel of the other side around. Training took half as long again with the edge's padding."""

    @staticmethod
    def forward(_: Any, x: Tensor) -> Tensor:
        wide = F.pad(x, (1, 1, 1, 1))
        wide[:, :, 1:-1, 0], wide[:, :, 1:-1, -1] = x[:, :, :, -1], x[:, :, :, 0]
        wide[:, :, 0], wide[:, :, -1] = wide[:, :, -2], wide[:, :, 1]
        return wide

    @staticmethod
    def backward(_: Any, *gradients: Tensor) -> Tensor:
        wide = gradients[0].clone()
        wide[:, :, 1] += wide[:, :, -1]
        wide[:, :, -2] += wide[:, :, 0]
        inner = wide[:, :, 1:-1, 1:-1].contiguous(memory_format=torch.channels_last)
        inner[:, :, :, -1] += wide[:, :, 1:-1, 0]
        inner[:, :, :, 0] += wide[:, :, 1:-1, -1]
        return inner


def seamless(net: Any) -> Any:
    """Let every 3x3 convolution see the left edge beyond the right one and the top beyond the bottom, also in training."""

    def of(convolution: nn.Conv2d) -> Any:
        return lambda x, weight, bias: F.conv2d(_Wrap.apply(x), weight, bias, convolution.stride)

    for part in net.modules():
        if isinstance(part, nn.Conv2d) and part.kernel_size == (3, 3):
            assert part.padding == (1, 1) and part.groups == 1 and part.dilation == (1, 1)
            part.__dict__["_conv_forward"] = of(part)
    return net


_WEIGHTED = re.compile(r"\(([^()]+)\)(\d+(?:\.\d+)?)")


def fragments(caption: str) -> list[tuple[str, float]]:
    """Texts and their weights: of `(calm)0.8 sea` they are "calm", 0.8 and "sea", 1."""
    found, at = [], 0
    for match in _WEIGHTED.finditer(caption):
        found += [(caption[at : match.start()], 1.0), (match[1], float(match[2]))]
        at = match.end()
    return [(text, weight) for text, weight in [*found, (caption[at:], 1.0)] if text.strip()]


class Words:
    """Captions to what the edge gives the UNet for them: weights do in training what compel makes of them later."""

    def __init__(self, tokenizer: Any, encoder: Any):
        self.encoder, self.length = encoder, tokenizer.model_max_length
        self._begin, self._end, self._pad = tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id
        self._tokens = lru_cache(50_000)(lambda text: tokenizer(text, add_special_tokens=False).input_ids)

    def __call__(self, captions: list[str]) -> tuple[Tensor, list[int]]:
        """(n, length, width) states, and where each caption ends.

        A weight w above 1 moves a word's states away from the empty caption's by that factor; one below 1 also mixes in
        the states of the caption without the word, tan((1 - w) pi / 2) of them to one (compel's arithmetic).
        """
        rows: list[list[int]] = [[self._begin, self._end]]
        masks: list[list[int]] = [[1, 1]]
        weights: list[list[float]] = [[]]
        plan, ends = [], []
        for caption in captions:
            ids, per_token, spans = [self._begin], [1.0], []
            for text, weight in fragments(caption):
                tokens = self._tokens(text)[: self.length - 1 - len(ids)]
                spans.append((len(ids), len(ids) + len(tokens), weight))
                ids, per_token = [*ids, *tokens], [*per_token, *[weight] * len(tokens)]
            ids.append(self._end)
            ends.append(len(ids) - 1)
            lighter = [(a, b, w) for a, b, w in spans if w < 1 and b > a]
            plan.append((len(rows), [math.tan((1 - w) * math.pi / 2) for _, _, w in lighter]))
            for a, b in [(0, 0), *((a, b) for a, b, _ in lighter)]:
                rows.append(ids)
                masks.append([0 if a <= n < b else 1 for n in range(len(ids))])
                weights.append(per_token)
        tokens, mask = self._full(rows, self._pad).to(DEVICE), self._full(masks, 1).to(DEVICE)
        states = self.encoder(tokens, mask).last_hidden_state
        factors = self._full(weights, 1).to(DEVICE, states.dtype)[..., None]
        states = states[:1] + (states - states[:1]) * factors
        mixed = []
        for first, shares in plan:
            share = torch.tensor([1.0, *shares], device=DEVICE)
            mixed.append(((share / share.sum())[:, None, None] * states[first : first + len(share)]).sum(0))
        return torch.stack(mixed), ends

    def _full(self, rows: list[Any], fill: int) -> Tensor:
        return torch.tensor([[*row, *[fill] * (self.length - len(row))] for row in rows])
