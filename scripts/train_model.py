"""Train the embedded text-to-texture model and write it as a plain diffusers folder.

    python scripts/train_model.py [--out FOLDER] [--work FOLDER] [--small N] [--large N] [--minutes A T U]

Each stage can be stopped and goes on from its checkpoint in --work: draw procedural textures (scripts/textures.py); train
the autoencoder on crops of them; train the text encoder to tell what a caption says; train the UNet on latents
(scripts/train_stages.py). Delete a checkpoint to train its stage again.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
import textures  # noqa: E402
import torch  # noqa: E402
import train_stages  # noqa: E402
from diffusers import StableDiffusionPipeline  # noqa: E402
from patterns import LATENT  # noqa: E402
from tqdm import tqdm  # noqa: E402
from transformers import CLIPTokenizer  # noqa: E402

SMALL, LARGE = 64, 128
"""Pixels a side of training pictures: most is learnt from small ones, cheaply, what spans more from large ones."""
WORDS = 40
"""Tokens of a prompt; the edge sends longer ones in pieces."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "edge/models/texture-tiny")
    parser.add_argument("--work", type=Path, default=ROOT / "out/train", help="drawn textures and checkpoints")
    parser.add_argument("--small", type=int, default=40_000, help=f"pictures of {SMALL} pixels")
    parser.add_argument("--large", type=int, default=24_000, help=f"pictures of {LARGE} pixels")
    names = ("AUTOENCODER", "TEXT", "UNET")
    parser.add_argument("--minutes", type=float, nargs=3, default=(10, 3, 90), metavar=names)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(options.seed)
    work = options.work

    small = dataset(work / "small", options.small, [options.seed + 1], SMALL)
    large = dataset(work / "large", options.large, [options.seed], LARGE)
    autoencoder, text, unet = options.minutes
    vae = train_stages.autoencoder(work, large[0], autoencoder)
    sets = train_stages.encode(work, vae, {"small": small, "large": large})
    tokenizer = make_tokenizer(work)
    encoder = train_stages.text_encoder(work, tokenizer, text)
    save(options.out, vae, tokenizer, encoder, train_stages.unet(work, tokenizer, encoder, sets, unet))


def dataset(path: Path, count: int, seed: list[int], size: int) -> train_stages.Set:
    """`count` textures as a (count, 3, size, size) uint8 tensor, the noise of each, and what they are."""
    images, noises, words = path.with_suffix(".npy"), path.with_suffix(".noise.npy"), path.with_suffix(".json")
    if not words.exists():
        pictures = np.empty((count, size, size, 3), np.uint8)
        noise = np.empty((count, 4, size // LATENT, size // LATENT), np.float16)
        described = []
        with ProcessPoolExecutor() as pool:
            drawn = pool.map(_draw, [([*seed, n], size) for n in range(count)], chunksize=64)
            for n, found in enumerate(tqdm(drawn, f"drawing {size}x{size}", count, mininterval=10)):
                texture, noise[n], pictures[n] = found
                described.append(asdict(texture))
        np.save(images, pictures)
        np.save(noises, noise)
        words.write_text(json.dumps(described))
    pictures = torch.from_numpy(np.load(images)).permute(0, 3, 1, 2)
    return pictures, torch.from_numpy(np.load(noises)), [textures.Texture(**t) for t in json.loads(words.read_text())]


def _draw(what: tuple[list[int], int]) -> tuple[textures.Texture, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(what[0])
    texture = textures.draw(rng)
    noise = rng.standard_normal((4, what[1] // LATENT, what[1] // LATENT)).astype(np.float16)
    return texture, noise, textures.render_from(texture, noise.astype(float))


def make_tokenizer(work: Path, captions: int = 30_000) -> CLIPTokenizer:
    """A small byte-pair vocabulary in which nearly every word of the captions is one token, and any text is some."""
    if (work / "tokenizer").exists():  # made again, the same words would have other numbers
        return CLIPTokenizer.from_pretrained(work / "tokenizer")
    rng = np.random.default_rng(0)
    corpus = [textures.caption(textures.draw(rng), rng) for _ in range(captions)]
    # Bytes that it never saw, within words and at their ends, would be unknown.
    every = [*range(33, 0x600), *range(0x800, 0xD800, 64), *range(0xE000, 0x10000, 64), *range(0x1F300, 0x1FB00)]
    corpus += [f"{chr(n)}{chr(n)} {chr(n)}" for n in every]
    tokenizer = CLIPTokenizer().train_new_from_iterator(corpus, vocab_size=1700)
    tokenizer.model_max_length = WORDS
    tokenizer.save_pretrained(work / "tokenizer")
    return tokenizer


def save(out: Path, vae: Any, tokenizer: CLIPTokenizer, encoder: Any, unet: Any) -> None:
    pipeline = StableDiffusionPipeline(
        vae=vae,
        text_encoder=encoder,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=train_stages.make_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.to(torch.float16).save_pretrained(out, safe_serialization=True)
    size = sum(f.stat().st_size for f in out.rglob("*") if f.is_file()) / 1e6
    print(f"{out}: {size:.1f} MB")


if __name__ == "__main__":
    main()
