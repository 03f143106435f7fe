"""Folders of the real architectures, with small random weights, through the whole engine."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from diffusers import (
    AutoencoderKL,
    EulerDiscreteScheduler,
    PNDMScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from PIL import Image
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from edge import models
from edge.engine import Engine
from protocol.model import Phrase, ResolvedRequest

ASK = ResolvedRequest(
    "txt2img", (Phrase("red (marble)1.2", 0.5), Phrase("blue, (calm)0.4", 0.5)), "ugly", 64, 64, 3, 5.0, 0.7, 1
)


def parts(**unet: Any) -> dict[str, Any]:
    return {
        "vae": AutoencoderKL(
            block_out_channels=(8, 16),
            latent_channels=4,
            norm_num_groups=4,
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
        ),
        "tokenizer": CLIPTokenizer.from_pretrained(Path(models.find(models.EMBEDDED).source) / "tokenizer"),
        "unet": UNet2DConditionModel(
            sample_size=32,
            layers_per_block=1,
            block_out_channels=(16, 32),
            norm_num_groups=8,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            attention_head_dim=4,
            **unet,
        ),
        "feature_extractor": None,
    }


def text_encoder(kind: type) -> Any:
    size = {"hidden_size": 32, "intermediate_size": 37, "num_hidden_layers": 3, "num_attention_heads": 4, "projection_dim": 32}
    return kind(CLIPTextConfig(vocab_size=1024, bos_token_id=0, eos_token_id=1, pad_token_id=1, **size))


def sd15() -> Any:
    return StableDiffusionPipeline(
        **parts(cross_attention_dim=32),
        text_encoder=text_encoder(CLIPTextModel),
        scheduler=PNDMScheduler(skip_prk_steps=True, steps_offset=1),
        safety_checker=None,
        requires_safety_checker=False,
    )


def sdxl() -> Any:
    both = parts(
        cross_attention_dim=64,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=32 + 6 * 8,
    )
    return StableDiffusionXLPipeline(
        **both,
        tokenizer_2=both["tokenizer"],
        text_encoder=text_encoder(CLIPTextModel),
        text_encoder_2=text_encoder(CLIPTextModelWithProjection),
        scheduler=EulerDiscreteScheduler(),
    )


@pytest.mark.parametrize("family", [sd15, sdxl])
def test_every_task_runs_on_a_local_folder(family: Any, tmp_path: Path) -> None:
    family().save_pretrained(tmp_path / "model", safe_serialization=True)
    engine = Engine(models.find(str(tmp_path / "model")), "cpu")
    picture, ran = engine.run(ASK)
    assert ran.model == "model"
    for task in ("img2img", "inpaint"):
        changed, _ = engine.run(replace(ASK, task=task), picture, picture)
        assert Image.open(io.BytesIO(changed)).size == (64, 64)
