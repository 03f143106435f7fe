"""Small random-weight pipelines of each real architecture, LoRAs and ControlNets for them; saved, they load as the real ones.

What a family's configuration says (blocks, text encoders, prediction, scheduler) is as in its published model; only the
channels are few. Pictures are 8 pixels a latent, as theirs.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    ControlNetModel,
    DDIMScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    LatentConsistencyModelPipeline,
    LCMScheduler,
    PNDMScheduler,
    StableDiffusionInpaintPipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from peft import LoraConfig, get_peft_model_state_dict
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from edge.models import pixel_autoencoder  # noqa: F401 -- diffusers finds it by name, and only where it is loaded already

TOKENIZER = Path(__file__).resolve().parents[1] / "edge" / "models" / "texture-tiny" / "tokenizer"
NOISE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
"""Of all Stable Diffusions."""
ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")


def vae(force_upcast: bool = False) -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(8, 8, 16, 16),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=4,
        sample_size=64,
        force_upcast=force_upcast,
        scaling_factor=0.13025 if force_upcast else 0.18215,
    )


def unet(**more: Any) -> UNet2DConditionModel:
    """As SD 1.5's: attention on all levels but the lowest."""
    settings = {
        "sample_size": 16,
        "layers_per_block": 1,
        "block_out_channels": (16, 32, 32, 32),
        "norm_num_groups": 8,
        "down_block_types": (*("CrossAttnDownBlock2D",) * 3, "DownBlock2D"),
        "up_block_types": ("UpBlock2D", *("CrossAttnUpBlock2D",) * 3),
        "attention_head_dim": 4,
        "cross_attention_dim": 32,
    }
    return UNet2DConditionModel(**(settings | more))


def unet_of_sd2(**more: Any) -> UNet2DConditionModel:
    return unet(use_linear_projection=True, attention_head_dim=(2, 4, 4, 4), **more)


def unet_of_sdxl(**more: Any) -> UNet2DConditionModel:
    """Attention on the lower two of three levels; the picture's size and the pooled text come with the time."""
    return unet(
        block_out_channels=(16, 32, 32),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=(2, 4, 4),
        transformer_layers_per_block=(1, 1, 2),
        use_linear_projection=True,
        cross_attention_dim=64,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=32 + 6 * 8,
        **more,
    )


def text_encoder(kind: type = CLIPTextModel, act: str = "quick_gelu") -> Any:
    """`act` is "quick_gelu" for OpenAI's CLIP, "gelu" for OpenCLIP."""
    return kind(
        CLIPTextConfig(
            vocab_size=1024,
            hidden_size=32,
            intermediate_size=37,
            num_hidden_layers=3,
            num_attention_heads=4,
            projection_dim=32,
            hidden_act=act,
            bos_token_id=0,
            eos_token_id=1,
            pad_token_id=1,
        )
    )


def tokenizer() -> CLIPTokenizer:
    return CLIPTokenizer.from_pretrained(TOKENIZER)


def _sd(unet: UNet2DConditionModel, scheduler: Any, act: str = "quick_gelu", kind: Any = StableDiffusionPipeline) -> Any:
    return kind(
        vae=vae(),
        text_encoder=text_encoder(act=act),
        tokenizer=tokenizer(),
        unet=unet,
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def _xl(scheduler: Any, **more: Any) -> Any:
    return StableDiffusionXLPipeline(
        vae=vae(force_upcast=True),
        text_encoder=text_encoder(),
        text_encoder_2=text_encoder(CLIPTextModelWithProjection, "gelu"),
        tokenizer=tokenizer(),
        tokenizer_2=tokenizer(),
        unet=unet_of_sdxl(**more),
        scheduler=scheduler,
    )


def sd15() -> Any:
    return _sd(unet(), PNDMScheduler(skip_prk_steps=True, steps_offset=1, **NOISE))


def sd15_inpaint() -> Any:
    """Its UNet sees the mask and the masked picture: nine channels."""
    scheduler = PNDMScheduler(skip_prk_steps=True, steps_offset=1, **NOISE)
    return _sd(unet(in_channels=9), scheduler, kind=StableDiffusionInpaintPipeline)


def sd21() -> Any:
    scheduler = DDIMScheduler(
        prediction_type="v_prediction", clip_sample=False, set_alpha_to_one=False, steps_offset=1, **NOISE
    )
    return _sd(unet_of_sd2(upcast_attention=True), scheduler, "gelu")


def sd_turbo() -> Any:
    return _sd(unet_of_sd2(), EulerDiscreteScheduler(timestep_spacing="trailing", **NOISE), "gelu")


def sdxl() -> Any:
    return _xl(EulerDiscreteScheduler(timestep_spacing="leading", steps_offset=1, **NOISE))


def sdxl_turbo() -> Any:
    return _xl(EulerAncestralDiscreteScheduler(timestep_spacing="trailing", **NOISE))


def lcm() -> Any:
    """Guidance is an input of its UNet."""
    return _sd(unet(time_cond_proj_dim=8), LCMScheduler(**NOISE), kind=LatentConsistencyModelPipeline)


def lcm_sdxl() -> Any:
    return _xl(LCMScheduler(**NOISE), time_cond_proj_dim=8)


FAMILIES: dict[str, Callable[[], Any]] = {
    make.__name__: make for make in (sd15, sd15_inpaint, sd21, sd_turbo, sdxl, sdxl_turbo, lcm, lcm_sdxl)
}


def save(family: str, folder: Path, seed: int = 0) -> Path:
    """A model of this family in diffusers format; the same weights for the same seed."""
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        FAMILIES[family]().save_pretrained(folder, safe_serialization=True)
    return folder


def save_lora(family: str, folder: Path, seed: int = 0, convolutions: bool = False) -> Path:
    """A LoRA of rank 2 on the UNet's attention, with `convolutions` on its 3×3 ones too; strong enough to be seen."""
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        pipeline = FAMILIES[family]()
        targets = (*ATTENTION, "conv1", "conv2") if convolutions else ATTENTION
        pipeline.unet.add_adapter(LoraConfig(r=2, lora_alpha=2, init_lora_weights=False, target_modules=list(targets)))
        layers = {name: torch.randn_like(value) * 0.3 for name, value in get_peft_model_state_dict(pipeline.unet).items()}
        pipeline.save_lora_weights(folder, unet_lora_layers=layers)
    return folder


def save_controlnet(family: str, folder: Path, seed: int = 0) -> Path:
    """A ControlNet for this family (for LCM, that of what it was distilled from). A new one says nothing, its last layers
    being zero; this one speaks."""
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        control = ControlNetModel.from_unet(FAMILIES[family]().unet, conditioning_channels=3)
        with torch.no_grad():
            for name, weights in control.named_parameters():
                if name.startswith("controlnet_") and weights.count_nonzero() == 0:
                    weights.normal_(std=0.3)
        control.save_pretrained(folder, safe_serialization=True)
    return folder
