"""What the training of the embedded model stands on: captions as the edge reads them, seams, going on where it was."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import textures
import torch
import train_model
import train_tools
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel

from edge import device, tiling
from edge.conditioning import Conditioner
from edge.engine import Engine
from edge.models import shelf
from edge.orders import Order
from protocol.model import Phrase, ResolvedRequest


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A tokenizer as it is trained, and a text encoder that never was."""
    tokenizer = train_model.make_tokenizer(tmp_path_factory.mktemp("tokenizer"), captions=2000)
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    torch.manual_seed(0)
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=tokenizer.model_max_length,
        pad_token_id=tokenizer.pad_token_id,
        **ends,
    )
    return SimpleNamespace(tokenizer=tokenizer, text_encoder=CLIPTextModel(config).eval())


@torch.inference_mode()
def test_weights_do_in_training_what_they_do_in_the_edge(text: Any) -> None:
    rng = np.random.default_rng(5)
    captions = ["", "red marble", "(calm)0.83, red marble", "(wild)1.3 (dark)0.4 moss"]
    captions += [textures.caption(textures.draw(rng), rng) for _ in range(12)]
    learnt, _ = train_tools.Words(text.tokenizer, text.text_encoder)(captions)
    conditioner = Conditioner(text)
    for caption, states in zip(captions, learnt, strict=True):
        sent = conditioner.encode((Phrase(caption),), "", False).tensors["prompt_embeds"][0]
        torch.testing.assert_close(states, sent, atol=1e-5, rtol=1e-4, msg=lambda text, said=caption: f"{said}: {text}")


def test_any_text_has_tokens_and_comes_back(text: Any) -> None:
    for said in ("moss, 8k photo no. 7!", "zyxwv {odd} @words"):
        ids = text.tokenizer(said).input_ids
        assert text.tokenizer.unk_token_id not in ids[1:-1] or text.tokenizer.unk_token_id == text.tokenizer.eos_token_id
        assert text.tokenizer.decode(ids, skip_special_tokens=True).replace(" ", "") == said.replace(" ", "")


def test_seamless_convolutions_are_the_edges(text: Any) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 5, 3, padding=1), nn.SiLU(), nn.Conv2d(5, 2, 3, stride=2, padding=1))
    picture = torch.randn(2, 3, 8, 12, requires_grad=True)
    tiling.apply((net,), "xy")
    wanted = net(picture)
    (gradient,) = torch.autograd.grad(wanted.square().sum(), picture)
    tiling.apply((net,), "")
    made = train_tools.seamless(net)(picture)
    torch.testing.assert_close(made, wanted)
    torch.testing.assert_close(torch.autograd.grad(made.square().sum(), picture)[0], gradient)


def test_the_whole_training_runs_and_goes_on_where_it_was(tmp_path: Path) -> None:
    """Seconds of each stage, so nothing is learnt; but what is written is a model that the edge can use."""
    command = [sys.executable, "scripts/train_model.py", "--work", tmp_path / "work", "--out", tmp_path / "model"]
    command += ["--small", "48", "--large", "32", "--minutes", "0.03", "0.03", "0.06"]
    weights = []
    for _ in range(2):
        subprocess.run(command, check=True, capture_output=True, timeout=300)
        weights.append({file.parent.name: file.read_bytes() for file in (tmp_path / "model").rglob("*.safetensors")})
    assert set(weights[0]) == {"vae", "text_encoder", "unet"}
    assert weights[0] == weights[1]  # everybody's time was spent
    assert sum(map(len, weights[0].values())) < 16e6
    engine = Engine(shelf.Model("new", str(tmp_path / "model"), 4, tiling="xy"), device.choose("cpu", "float32"))
    order = Order(ResolvedRequest("txt2img", (Phrase("red marble, (calm)0.5"),), "", 64, 64, None, 0.0, 0.6, 1))
    assert engine.run(order).pixels.shape == (64, 64, 3)
