"""From phrases to what a pipeline is conditioned on: weights by compel, blending by slerp.

Nothing is encoded twice: the text encoder's answers are kept by their tokens. So a weight that moves, `(calm)0.80`, costs
arithmetic on what is there already, and so does a blend.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pyparsing
import torch
from compel import Compel, ReturnedEmbeddingsType

from protocol.errors import AlphaloomError
from protocol.model import Phrase

from .noise import slerp

TEXTS, ENCODINGS = 128, 32
"""How many are kept: whole texts in the CPU's memory, what the encoder says on the device."""

# compel's grammar goes back and forth: without a memory each level of brackets takes four times as long as the one before,
# and a prompt of twenty characters stops an edge for minutes.
pyparsing.ParserElement.enable_packrat(None)


@dataclass(frozen=True)
class Conditioning:
    """Keyword arguments of a pipeline call, each a tensor of one sample."""

    tensors: dict[str, torch.Tensor]

    @property
    def length(self) -> int:
        """In tokens; only equal ones go into one batch."""
        return self.tensors["prompt_embeds"].shape[1]


class Conditioner:
    """Encodes prompts for one pipeline. Its Stable Diffusion has one text encoder or, with SDXL, two."""

    def __init__(self, pipeline: Any):
        self._two = getattr(pipeline, "text_encoder_2", None) is not None
        if self._two:
            self._compel = Compel(
                tokenizer=[pipeline.tokenizer, pipeline.tokenizer_2],
                text_encoder=[_Remembering(pipeline.text_encoder), _Remembering(pipeline.text_encoder_2)],
                returned_embeddings_type=ReturnedEmbeddingsType.PENULTIMATE_HIDDEN_STATES_NON_NORMALIZED,
                requires_pooled=[False, True],
                truncate_long_prompts=False,
            )
        else:
            encoder: Any = _Remembering(pipeline.text_encoder)
            self._compel = Compel(tokenizer=pipeline.tokenizer, text_encoder=encoder, truncate_long_prompts=False)
        self._text = lru_cache(TEXTS)(self._encode)

    def encode(self, phrases: tuple[Phrase, ...], negative: str, guided: bool) -> Conditioning:
        """The negative one only where guidance needs it.

        Raises AlphaloomError `bad_prompt` for a text whose brackets cannot be read.
        """
        texts = [self._text(text) for text in (*(phrase.text for phrase in phrases), *([negative] if guided else []))]
        embeddings = self._padded([embeddings for embeddings, _ in texts])
        pooled = [pooled for _, pooled in texts]
        found = {"prompt_embeds": _blend(embeddings, phrases), "pooled_prompt_embeds": _blend(pooled, phrases)}
        if guided:
            found |= {"negative_prompt_embeds": embeddings[-1], "negative_pooled_prompt_embeds": pooled[-1]}
        tensors = {name: value for name, value in found.items() if value is not None}
        if not all(torch.isfinite(tensor).all() for tensor in tensors.values()):
            raise AlphaloomError("bad_prompt", "The prompt's weights are too large; most are between 0.3 and 1.6.")
        return Conditioning(tensors)

    def _padded(self, texts: list[torch.Tensor]) -> list[torch.Tensor]:
        """All as long as the longest, with what the encoder says of an empty text."""
        longest = max(text.shape[1] for text in texts)
        if all(text.shape[1] == longest for text in texts):
            return texts
        empty = self._text("")[0]
        fill = empty.repeat(1, -(-longest // empty.shape[1]), 1)
        return [torch.cat([text, fill[:, : longest - text.shape[1]]], dim=1) for text in texts]

    def _encode(self, text: str) -> tuple[torch.Tensor, torch.Tensor | None]:
        try:
            found = self._compel(text)
        except (torch.OutOfMemoryError, MemoryError):
            raise
        except Exception as problem:  # compel and its parser raise many kinds, AssertionError among them
            reason = str(problem).splitlines()[0] if str(problem) else type(problem).__name__
            raise AlphaloomError(
                "bad_prompt", f"The prompt {text[:120]!r} cannot be read: {reason}. Weights are written '(word)1.3'."
            ) from None
        embeddings, pooled = found if self._two else (found, None)
        if not isinstance(embeddings, torch.Tensor):
            raise AlphaloomError("bad_prompt", f"The prompt {text[:120]!r} cannot be read; blend with a second phrase instead.")
        return embeddings.cpu(), None if pooled is None else pooled.cpu()


def _blend(texts: list[Any], phrases: tuple[Phrase, ...]) -> torch.Tensor | None:
    """The phrases' embeddings by their shares; what comes after them is another's."""
    first, *others = texts[: len(phrases)]
    for phrase, other in zip(phrases[1:], others, strict=True):
        if first is not None:
            t = phrase.share / (phrases[0].share + phrase.share or 1.0)
            first = slerp(first, other, t)
    return first


class _Remembering:
    """A text encoder that does not encode the same tokens twice. All else is the encoder's own.

    It answers in float32 whatever it computes in: weights and blends move by less than a bfloat16 can tell.
    """

    dtype = torch.float32

    def __init__(self, encoder: Any):
        self._encoder = encoder
        self._kept = lru_cache(ENCODINGS)(self._forward)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._encoder, name)

    def __call__(
        self, ids: torch.Tensor, mask: torch.Tensor | None = None, output_hidden_states: bool = False, return_dict: bool = True
    ) -> Any:
        return self._kept(_rows(ids), None if mask is None else _rows(mask), output_hidden_states)

    def _forward(self, ids: tuple[tuple[int, ...], ...], mask: tuple[tuple[int, ...], ...] | None, hidden: bool) -> Any:
        device = self._encoder.device
        found = self._encoder(
            torch.tensor(ids, device=device),
            None if mask is None else torch.tensor(mask, device=device),
            output_hidden_states=hidden,
            return_dict=True,
        )
        if hidden:
            found.hidden_states = found.hidden_states[-2:]  # compel reads the last but one; the others are megabytes
        for name, value in found.items():
            found[name] = tuple(one.float() for one in value) if isinstance(value, tuple) else value.float()
        return found


def _rows(tensor: torch.Tensor) -> tuple[tuple[int, ...], ...]:
    return tuple(map(tuple, tensor.tolist()))
