"""From phrases to what a pipeline is conditioned on: weights by compel, blending by slerp."""

from __future__ import annotations

from typing import Any

import torch
from compel import Compel, ReturnedEmbeddingsType

from protocol.errors import AlphaloomError
from protocol.model import Phrase


class Conditioner:
    """Encodes prompts for one pipeline. Its Stable Diffusion has one text encoder or, with SDXL, two."""

    def __init__(self, pipeline: Any):
        self._two = getattr(pipeline, "text_encoder_2", None) is not None
        if self._two:
            self._compel = Compel(
                tokenizer=[pipeline.tokenizer, pipeline.tokenizer_2],
                text_encoder=[pipeline.text_encoder, pipeline.text_encoder_2],
                returned_embeddings_type=ReturnedEmbeddingsType.PENULTIMATE_HIDDEN_STATES_NON_NORMALIZED,
                requires_pooled=[False, True],
            )
        else:
            self._compel = Compel(tokenizer=pipeline.tokenizer, text_encoder=pipeline.text_encoder)

    @torch.inference_mode()
    def encode(self, phrases: tuple[Phrase, ...], negative: str, guided: bool) -> dict[str, Any]:
        """Keyword arguments for a pipeline call; the negative ones only where guidance needs them.

        Raises AlphaloomError `bad_prompt` for a text whose brackets cannot be read.
        """
        embeddings, pooled = self._text(phrases[0].text)
        for phrase in phrases[1:]:
            other, other_pooled = self._text(phrase.text)
            t = phrase.share / (phrases[0].share + phrase.share or 1.0)
            embeddings = slerp(embeddings, other, t)
            if pooled is not None and other_pooled is not None:
                pooled = slerp(pooled, other_pooled, t)
        found = {"prompt_embeds": embeddings, "pooled_prompt_embeds": pooled}
        if guided:
            found["negative_prompt_embeds"], found["negative_pooled_prompt_embeds"] = self._text(negative)
        return {name: value for name, value in found.items() if value is not None}

    def _text(self, text: str) -> tuple[torch.Tensor, torch.Tensor | None]:
        try:
            found = self._compel(text)
        except torch.OutOfMemoryError:
            raise
        except Exception as problem:  # compel and its parser raise many kinds, AssertionError among them
            reason = str(problem).splitlines()[0] if str(problem) else type(problem).__name__
            raise AlphaloomError(
                "bad_prompt", f"The prompt {text[:120]!r} cannot be read: {reason}. Weights are written '(word)1.3'."
            ) from None
        return found if self._two else (found, None)


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
