"""The stages of the embedded model's training: autoencoder, text encoder, UNet."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import textures
import torch
import torch.nn.functional as F
from diffusers import DDIMScheduler, UNet2DConditionModel
from torch import Tensor, nn
from tqdm import tqdm
from train_tools import DEVICE, Clock, Steps, Words, seamless, set_rate
from transformers import CLIPTextConfig, CLIPTextModel

from edge import tiling
from edge.models.pixel_autoencoder import PixelAutoencoder

Set = tuple[Tensor, Tensor, list[textures.Texture]]
"""Pictures or latents, the noise that they were drawn from, and what they are."""
LAST = 999
"""The time of nothing but noise."""
SMALL_SHARE, UNSAID = 0.65, 0.04
"""Of the UNet's time with small pictures; of captions that say nothing."""
STEPS = 4
"""Of the sampler, by default."""
HARDER = {"cracks": 4.0, "flames": 4.0, "rust": 3.0, "dots": 1.7, "marble": 1.7, "grass": 1.3, "water": 1.3}
"""How often these families come for each time of another: their edges are all that they are, and are learnt last."""


def autoencoder(work: Path, pictures: Tensor, minutes: float) -> PixelAutoencoder:
    """Learn pictures from crops of 64 pixels: their values and, against blur, their slopes."""
    vae = PixelAutoencoder().to(DEVICE, memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(vae.parameters(), lr=1e-3, weight_decay=1e-4, fused=True)
    step = Steps(optimizer)
    clock = Clock(work / "autoencoder.pt", minutes, {"vae": vae, "optimizer": optimizer})
    error, bar = 0.03, tqdm(desc="autoencoder", unit="step", mininterval=20)
    while clock.tick():
        set_rate(optimizer, 1.2e-3, clock.progress)
        batch = (crops(pictures, 16, 64).to(DEVICE).float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)
        with torch.autocast(DEVICE.type, torch.bfloat16):
            latents = vae.encode(batch).latents
            back = vae.decode(latents).sample.float()
        difference = back - batch
        slopes = difference.diff(dim=-1).abs().mean() + difference.diff(dim=-2).abs().mean()
        loss = 0.4 * difference.abs().mean() + 4 * difference.square().mean() + 0.2 * slopes
        (loss + 1e-4 * latents.float().square().mean()).backward()
        step()
        error = 0.98 * error + 0.02 * float(difference.detach().square().mean())
        bar.set_postfix(psnr=f"{10 * math.log10(4 / error):.1f} dB", refresh=False)
        bar.update()
    return vae.eval()


def crops(source: Tensor, count: int, side: int) -> Tensor:
    """Random (count, C, side, side) crops."""
    chosen = np.random.randint(0, len(source), count)
    rows, columns = (np.random.randint(0, source.shape[axis] - side + 1, count) for axis in (2, 3))
    return torch.stack([source[n, :, y : y + side, x : x + side] for n, y, x in zip(chosen, rows, columns, strict=True)])


def encode(work: Path, vae: PixelAutoencoder, sets: dict[str, Set]) -> dict[str, Set]:
    """Latents of unit variance, (n, 4, side / 4, side / 4), seamless as the pictures are. Sets the scaling factor."""
    latents = {}
    tiling.apply((vae,), "xy")
    for name, (pictures, *_) in sets.items():
        path = work / f"latents_{name}.pt"
        if not path.exists():
            with torch.inference_mode(), torch.autocast(DEVICE.type, torch.bfloat16):
                parts = [
                    vae.encode(batch.to(DEVICE).float() / 127.5 - 1).latents.half().cpu()
                    for batch in tqdm(pictures.split(64), f"encoding {name}", mininterval=10)
                ]
            torch.save(torch.cat(parts), path)
        latents[name] = torch.load(path, weights_only=True)
    factor = round(1 / float(latents["large"].float().std()), 4)
    vae.register_to_config(scaling_factor=factor)
    return {name: ((latents[name].float() * factor).bfloat16(), *rest) for name, (_, *rest) in sets.items()}


def text_encoder(work: Path, tokenizer: Any, minutes: float) -> CLIPTextModel:
    """Learn to tell family, colours and attributes from a caption, at every position behind its end.

    The UNet then has all of it from its first step on; text encoder and UNet trained together from nothing had learnt no
    colour after 40 minutes on two cores.
    """
    width = 160
    encoder = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=width,
            intermediate_size=480,
            num_hidden_layers=2,
            num_attention_heads=5,
            max_position_embeddings=tokenizer.model_max_length,
            projection_dim=width,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    ).to(DEVICE)
    families, turns = textures.FAMILIES, textures.TURNS
    head = nn.Linear(width, len(families) + len(turns) + 6 + len(textures.PAIRS)).to(DEVICE)
    both = nn.ModuleDict({"encoder": encoder, "head": head})
    optimizer = torch.optim.AdamW(both.parameters(), lr=1e-3, weight_decay=1e-3, fused=True)
    step = Steps(optimizer)
    clock = Clock(work / "text.pt", minutes, {"both": both, "optimizer": optimizer})
    words = Words(tokenizer, encoder)
    rng = np.random.default_rng(int(clock.spent) + 2)
    right, off, bar = 0.0, 1.0, tqdm(desc="text encoder", unit="step", mininterval=20)
    while clock.tick():
        set_rate(optimizer, 1.5e-3, clock.progress)
        drawn = [textures.draw(rng) for _ in range(64)]
        states, ends = words([textures.caption(t, rng) for t in drawn])
        places = torch.from_numpy(rng.integers(np.array(ends)[:, None], states.shape[1], (len(drawn), 4))).to(DEVICE)
        seen = head(states.gather(1, places[..., None].expand(-1, -1, width))).flatten(0, 1)
        family, turn, numbers = seen.split([len(families), len(turns), 6 + len(textures.PAIRS)], 1)
        is_family = torch.tensor([families.index(t.family) for t in drawn], device=DEVICE).repeat_interleave(4)
        is_turn = torch.tensor([turns.index(t.turn) for t in drawn], device=DEVICE).repeat_interleave(4)
        are = [[*textures.COLOURS[t.main], *textures.COLOURS[t.second], *t.drawn.values()] for t in drawn]
        # A weight above 1 is in its own word's states only.
        wanted = torch.tensor(are, device=DEVICE).clamp(-1, 1).repeat_interleave(4, 0)
        loss = F.cross_entropy(family, is_family) + F.cross_entropy(turn, is_turn) + 10 * F.mse_loss(numbers, wanted)
        loss.backward()
        step()
        right = 0.98 * right + 0.02 * float((family.argmax(-1) == is_family).float().mean())
        off = 0.98 * off + 0.02 * float((numbers - wanted).detach().abs().mean())
        bar.set_postfix(families=f"{right:.1%}", off=f"{off:.3f}", refresh=False)
        bar.update()
    return encoder.eval().requires_grad_(False)


def make_unet() -> UNet2DConditionModel:
    """What a caption says holds for a whole texture: it goes with the time into every block, as factors and shifts of its
    channels, and there is no attention, which took a quarter of the time. Four times the resolution is halved: so the net
    can tell places of the 64 pixels apart that the regular patterns count in.
    """
    return UNet2DConditionModel(
        sample_size=64,
        in_channels=4,
        out_channels=4,
        layers_per_block=1,
        block_out_channels=(32, 80, 112, 128, 96),
        down_block_types=("DownBlock2D",) * 5,
        mid_block_type="UNetMidBlock2D",
        up_block_types=("UpBlock2D",) * 5,
        cross_attention_dim=160,
        addition_embed_type="text",
        addition_embed_type_num_heads=8,
        resnet_time_scale_shift="scale_shift",
        norm_num_groups=8,
    ).to(DEVICE, memory_format=torch.channels_last)


def make_scheduler() -> DDIMScheduler:
    """Zero terminal SNR: Lin et al., "Common Diffusion Noise Schedules and Sample Steps are Flawed", 2024."""
    return DDIMScheduler(
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.012,
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        set_alpha_to_one=True,
        clip_sample=False,
        steps_offset=1,
    )


def unet(work: Path, tokenizer: Any, encoder: CLIPTextModel, sets: dict[str, Set], minutes: float) -> UNet2DConditionModel:
    """Velocity prediction (Salimans and Ho, "Progressive Distillation", 2022), mostly with the noise that each texture was
    drawn from: from pure noise on there is one right answer, so a few steps do, without distillation.

    Now and then with any other noise, so that it can also change pictures that it did not make. Each step's own guess is not
    trained on: it halved the error of what four steps make, and blurred it.
    """
    net = seamless(make_unet())
    average = torch.optim.swa_utils.AveragedModel(net, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.996))
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=1e-3, fused=True)
    step = Steps(optimizer)
    clock = Clock(work / "unet.pt", minutes, {"unet": net, "average": average, "optimizer": optimizer})
    scheduler, words = make_scheduler(), Words(tokenizer, encoder)
    rng = np.random.default_rng(int(clock.spent) + 3)
    turn, smooth, bar = 0, 1.0, tqdm(desc="unet", unit="step", mininterval=20)
    often = {name: shares(described) for name, (*_, described) in sets.items()}
    scheduler.set_timesteps(STEPS)
    own = scheduler.timesteps
    while clock.tick():
        set_rate(optimizer, 7e-4, clock.progress)
        name, count = ("small", 64) if clock.progress < SMALL_SHARE else ("large", 16)
        clean, noise, states = batch(sets[name], often[name], count, words, rng)
        kind = torch.rand(count)  # a third nothing but noise, a third the sampler's other times, a third any
        times = torch.where(kind < 0.65, own[torch.randint(1, STEPS, (count,))], torch.randint(0, LAST + 1, (count,)))
        times = torch.where(kind < 0.3, LAST, times).to(DEVICE)
        others = (torch.rand(count, device=DEVICE) < 0.25) & (times < 0.9 * LAST)
        noise = torch.where(others.view(-1, 1, 1, 1), torch.randn_like(noise), noise)
        with torch.autocast(DEVICE.type, torch.bfloat16):
            guess = net(scheduler.add_noise(clean, noise, times), times, states).sample.float()
        difference = guess - scheduler.get_velocity(clean, noise, times)
        # The last part is the error of colours over areas.
        areas = F.avg_pool2d(difference, 4).square().mean()
        (difference.square().mean() + 0.3 * difference.abs().mean() + areas).backward()
        step()
        if (turn := turn + 1) % 4 == 0:
            average.update_parameters(net)
        smooth = 0.99 * smooth + 0.01 * float(difference.detach().square().mean())
        bar.set_postfix(error=f"{smooth:.4f}", set=name, refresh=False)
        bar.update()
    net.load_state_dict(average.module.state_dict())
    return net.eval()


def shares(described: list[textures.Texture]) -> np.ndarray:
    """How often each comes, of 1: (n,)."""
    often = np.array([HARDER.get(texture.family, 1.0) for texture in described])
    return np.asarray(often / often.sum())


def batch(source: Set, often: np.ndarray, count: int, words: Words, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Latents, the noise that they were drawn from, and the states of new captions. `often` is how often each comes, of 1."""
    latents, noises, described = source
    chosen = rng.choice(len(latents), count, p=often)
    # What repeats regularly does so in steps of 64 pixels.
    shift = tuple(int(n) for n in 16 * rng.integers(0, latents.shape[-1] // 16, 2))
    clean, noise = (
        of[chosen].to(DEVICE, torch.float32).roll(shift, (2, 3)).contiguous(memory_format=torch.channels_last)
        for of in (latents, noises)
    )
    captions = ["" if rng.random() < UNSAID else textures.caption(described[n], rng) for n in chosen]
    with torch.no_grad(), torch.autocast(DEVICE.type, torch.bfloat16):
        states, _ = words(captions)
    return clean, noise, states
