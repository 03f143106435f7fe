"""Train the embedded text-to-texture model and write it as a plain diffusers folder.

    python scripts/train_model.py [--out FOLDER] [--work FOLDER] [--images N] [--minutes A T U]

Each stage is resumable from its checkpoint in --work: draw procedural textures (scripts/textures.py); train the
autoencoder on crops; train the text encoder to tell what a caption says; train the UNet on latents (v-prediction with
zero terminal SNR: Lin et al., "Common Diffusion Noise Schedules and Sample Steps are Flawed", 2024).
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path

import numpy as np
import textures
import torch
import torch.nn.functional as F
from diffusers import AutoencoderTiny, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from tqdm import tqdm
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

ROOT = Path(__file__).resolve().parent.parent
PICTURE = 128  # pixels a side of a training picture
LATENT = 4  # pixels a side of a latent
SMALL_CROP_SHARE = 0.6  # of the UNet's time goes to small crops, which train three times as fast
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "edge/models/texture-tiny")
    parser.add_argument("--work", type=Path, default=ROOT / "out/train", help="drawn textures and checkpoints")
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--minutes", type=float, nargs=3, default=(10, 2, 24), metavar=("AUTOENCODER", "TEXT", "UNET"))
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(options.seed)

    pictures, described = dataset(options.work, options.images, options.seed)
    vae = train_autoencoder(options.work, pictures, options.minutes[0])
    latents = encode(options.work, vae, pictures)
    tokenizer = make_tokenizer(options.work, described)
    text_encoder = train_text_encoder(options.work, tokenizer, options.minutes[1])
    unet = train_unet(options.work, tokenizer, text_encoder, latents, described, options.minutes[2])
    save(options.out, vae, tokenizer, text_encoder, unet, options)


# -- data -------------------------------------------------------------------------------------------------


def dataset(work: Path, count: int, seed: int) -> tuple[torch.Tensor, list[textures.Texture]]:
    """`count` textures as a (count, 3, PICTURE, PICTURE) uint8 tensor, with their descriptions."""
    images, words = work / "pictures.npy", work / "pictures.json"
    if not words.exists():
        pictures = np.empty((count, PICTURE, PICTURE, 3), np.uint8)
        described = []
        with ProcessPoolExecutor() as pool:
            seeds = ([seed, n] for n in range(count))
            drawn = pool.map(_draw, seeds, chunksize=64)
            for n, (texture, picture) in enumerate(tqdm(drawn, "drawing textures", count)):
                pictures[n] = picture
                described.append(asdict(texture))
        np.save(images, pictures)
        words.write_text(json.dumps(described))
    pictures = torch.from_numpy(np.load(images)).permute(0, 3, 1, 2).contiguous()
    return pictures, [textures.Texture(**t) for t in json.loads(words.read_text())]


def _draw(seed: list[int]) -> tuple[textures.Texture, np.ndarray]:
    rng = np.random.default_rng(seed)
    texture = textures.draw(rng)
    return texture, textures.render(texture, rng, PICTURE)


def make_tokenizer(work: Path, described: list[textures.Texture]) -> CLIPTokenizer:
    """A small byte-pair vocabulary in which every word of the captions is one token."""
    rng = np.random.default_rng(0)
    corpus = [textures.caption(t, rng) for t in described for _ in range(3)]
    tokenizer = CLIPTokenizer().train_new_from_iterator(corpus, vocab_size=1024)
    tokenizer.model_max_length = 77
    tokenizer.save_pretrained(work / "tokenizer")
    return tokenizer


# -- training ---------------------------------------------------------------------------------------------


class Clock:
    """A stage's time budget that survives restarts, and its checkpoint."""

    def __init__(self, path: Path, minutes: float, parts: dict[str, torch.nn.Module | torch.optim.Optimizer]):
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
        return min(1.0, self.spent / self.budget)

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


def train_autoencoder(work: Path, pictures: torch.Tensor, minutes: float) -> AutoencoderTiny:
    # No norms, which would wash out flat colours, and no work at full resolution but the last convolution.
    vae = AutoencoderTiny(
        encoder_block_out_channels=(48, 48, 48),
        decoder_block_out_channels=(48, 48, 48),
        num_encoder_blocks=(0, 1, 3),
        num_decoder_blocks=(3, 2, 0),
        latent_channels=4,  # the stock inpaint pipeline takes no other number
    ).to(DEVICE, memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(vae.parameters(), lr=1e-3, weight_decay=1e-4, fused=True)
    clock = Clock(work / "autoencoder.pt", minutes, {"vae": vae, "optimizer": optimizer})
    error, bar = 0.03, tqdm(desc="autoencoder", unit="step")
    while clock.tick():
        set_rate(optimizer, 3e-3 * anneal(clock.progress))
        batch = crops(pictures, 16, 64).to(DEVICE).float() / 127.5 - 1
        with torch.autocast(DEVICE.type, torch.bfloat16):
            latents = vae.encode(batch).latents
            back = vae.decode(latents).sample.float()
        difference = back - batch
        loss = difference.abs().mean() + difference.square().mean() + 0.5 * edges(difference)
        (loss + 1e-4 * latents.square().mean()).backward()
        step(optimizer, vae.parameters())
        error = 0.98 * error + 0.02 * float(difference.detach().square().mean())
        bar.set_postfix(psnr=f"{10 * math.log10(4 / error):.1f} dB", refresh=False)
        bar.update()
    return vae.eval()


def encode(work: Path, vae: AutoencoderTiny, pictures: torch.Tensor) -> torch.Tensor:
    """Latents, scaled to unit variance, (count, 4, 32, 32). Sets the autoencoder's scaling factor."""
    path = work / "latents.pt"
    if not path.exists():
        with torch.inference_mode():
            parts = [
                vae.encode(batch.to(DEVICE).float() / 127.5 - 1).latents.cpu() for batch in tqdm(pictures.split(64), "encoding")
            ]
        torch.save(torch.cat(parts), path)
    latents = torch.load(path, weights_only=True)
    vae.register_to_config(scaling_factor=round(1 / float(latents.std()), 4))
    return latents * vae.config.scaling_factor


def train_text_encoder(work: Path, tokenizer: CLIPTokenizer, minutes: float) -> CLIPTextModel:
    """Learn to tell family, colours and attributes from a caption, at every position behind its end.

    The UNet's cross-attention then finds all of it wherever it looks, from its first step on; text encoder and UNet
    trained together from nothing had learnt no colour after 40 minutes on two cores.
    """
    encoder = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=160,
            intermediate_size=480,
            num_hidden_layers=2,
            num_attention_heads=5,
            max_position_embeddings=tokenizer.model_max_length,
            projection_dim=160,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    ).to(DEVICE)
    families = len(textures.FAMILIES)
    head = torch.nn.Linear(160, families + 6 + len(textures.PAIRS)).to(DEVICE)
    both = torch.nn.ModuleDict({"encoder": encoder, "head": head})
    optimizer = torch.optim.AdamW(both.parameters(), lr=1e-3, weight_decay=1e-3, fused=True)
    clock = Clock(work / "text.pt", minutes, {"both": both, "optimizer": optimizer})
    rng = np.random.default_rng(int(clock.spent) + 2)
    right, bar = 0.0, tqdm(desc="text encoder", unit="step")
    while clock.tick():
        set_rate(optimizer, 1e-3 * anneal(clock.progress))
        drawn = [textures.draw(rng) for _ in range(64)]
        tokens = tokenize(tokenizer, [textures.caption(t, rng) for t in drawn])
        ends = (tokens == tokenizer.eos_token_id).int().argmax(1).cpu().numpy()
        places = torch.from_numpy(rng.integers(ends[:, None], tokens.shape[1], (len(drawn), 4))).to(DEVICE)
        states = encoder(tokens).last_hidden_state
        seen = head(states.gather(1, places[..., None].expand(-1, -1, states.shape[-1])))
        family = torch.tensor([textures.FAMILIES.index(t.family) for t in drawn], device=DEVICE)
        numbers = torch.tensor(
            [[*textures.COLOURS[t.main], *textures.COLOURS[t.second], *t.attributes.values()] for t in drawn], device=DEVICE
        )
        guess = seen[..., :families].flatten(0, 1)
        named = F.cross_entropy(guess, family.repeat_interleave(4))
        (named + 10 * F.mse_loss(seen[..., families:], numbers[:, None].expand(-1, 4, -1))).backward()
        step(optimizer, both.parameters())
        right = 0.98 * right + 0.02 * float((guess.argmax(-1) == family.repeat_interleave(4)).float().mean())
        bar.set_postfix(families=f"{right:.0%}", refresh=False)
        bar.update()
    return encoder.eval().requires_grad_(False)


def train_unet(
    work: Path,
    tokenizer: CLIPTokenizer,
    text_encoder: CLIPTextModel,
    latents: torch.Tensor,
    described: list[textures.Texture],
    minutes: float,
) -> UNet2DConditionModel:
    unet = UNet2DConditionModel(
        sample_size=64,
        in_channels=4,
        out_channels=4,
        layers_per_block=1,
        block_out_channels=(32, 64, 96, 144),
        down_block_types=("DownBlock2D", "DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
        cross_attention_dim=160,
        attention_head_dim=(1, 2, 3, 4),  # diffusers takes these as numbers of heads
        norm_num_groups=8,
    ).to(DEVICE, memory_format=torch.channels_last)
    average = torch.optim.swa_utils.AveragedModel(unet, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.998))
    optimizer = torch.optim.AdamW(unet.parameters(), lr=1e-3, weight_decay=1e-3, fused=True)
    clock = Clock(work / "unet.pt", minutes, {"unet": unet, "average": average, "optimizer": optimizer})
    scheduler = make_scheduler()
    rng = np.random.default_rng(int(clock.spent) + 1)
    smooth, bar = 1.0, tqdm(desc="unet", unit="step")
    while clock.tick():
        set_rate(optimizer, 1e-3 * anneal(clock.progress))
        side, count = (16, 64) if clock.progress < SMALL_CROP_SHARE else (32, 32)
        chosen = rng.integers(0, len(latents), count)
        clean = crops(latents, count, side, chosen).to(DEVICE)
        captions = ["" if rng.random() < 0.1 else textures.caption(described[n], rng) for n in chosen]
        noise = torch.randn_like(clean)
        times = noisy_times(count, scheduler.config.num_train_timesteps).to(DEVICE)
        with torch.autocast(DEVICE.type, torch.bfloat16):
            words = text_encoder(tokenize(tokenizer, captions)).last_hidden_state
            guess = unet(scheduler.add_noise(clean, noise, times), times, words).sample.float()
        target = scheduler.get_velocity(clean, noise, times)
        # The second part is the error of colours over areas, which the first hardly sees behind the noise.
        loss = F.mse_loss(guess, target) + 2 * F.mse_loss(F.avg_pool2d(guess, 8), F.avg_pool2d(target, 8))
        loss.backward()
        step(optimizer, unet.parameters())
        average.update_parameters(unet)
        smooth = 0.99 * smooth + 0.01 * float(loss.detach())
        bar.set_postfix(loss=f"{smooth:.4f}", crop=side * LATENT, refresh=False)
        bar.update()
    unet.load_state_dict(average.module.state_dict())
    return unet.eval()


def noisy_times(count: int, steps: int) -> torch.Tensor:
    """Half of them from the noisiest fifth: only there must a picture's colours come from its caption.

    Averaged over a picture, colours are visible through far more noise than details are.
    """
    low = torch.where(torch.rand(count) < 0.5, 0, int(0.8 * steps))
    return (low + torch.rand(count) * (steps - low)).long().clamp_max(steps - 1)


def make_scheduler() -> DDIMScheduler:
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


def tokenize(tokenizer: CLIPTokenizer, captions: list[str]) -> torch.Tensor:
    """Padded to the full length, as the pipeline does it."""
    length = tokenizer.model_max_length
    return tokenizer(captions, padding="max_length", max_length=length, truncation=True, return_tensors="pt").input_ids.to(
        DEVICE
    )


def crops(source: torch.Tensor, count: int, side: int, chosen: np.ndarray | None = None) -> torch.Tensor:
    """Random (count, C, side, side) crops; `chosen` says of which pictures."""
    if chosen is None:
        chosen = np.random.randint(0, len(source), count)
    rows, columns = (np.random.randint(0, source.shape[axis] - side + 1, count) for axis in (2, 3))
    cut = [source[n, :, y : y + side, x : x + side] for n, y, x in zip(chosen, rows, columns, strict=True)]
    return torch.stack(cut)


def edges(x: torch.Tensor) -> torch.Tensor:
    """Mean absolute gradient: what a blurry picture gets wrong."""
    return x.diff(dim=-1).abs().mean() + x.diff(dim=-2).abs().mean()


def anneal(progress: float) -> float:
    """Linear warm-up, then cosine to zero."""
    return min(1.0, progress / 0.01 + 0.02) * 0.5 * (1 + math.cos(math.pi * progress))


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate


def step(optimizer: torch.optim.Optimizer, parameters: itertools.chain | object) -> None:
    torch.nn.utils.clip_grad_norm_(parameters, 1.0)
    optimizer.step()
    optimizer.zero_grad()


# -- result -----------------------------------------------------------------------------------------------


def save(out, vae, tokenizer, text_encoder, unet, options) -> None:
    pipeline = StableDiffusionPipeline(
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=make_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.to(torch.float16).save_pretrained(out, safe_serialization=True)
    size = sum(f.stat().st_size for f in out.rglob("*") if f.is_file()) / 1e6
    print(f"{out}: {size:.1f} MB, {options.images} pictures, {options.minutes} minutes")


if __name__ == "__main__":
    main()
