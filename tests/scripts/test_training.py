"""What the training of the embedded model stands on: captions as the edge reads them, seams, and the distillation's sums."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import textures
import torch
import train_model
import train_stages
import train_tools
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel

from edge import tiling
from edge.conditioning import Conditioner
from protocol.model import Phrase


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


def test_a_step_of_ddim_is_the_schedulers() -> None:
    scheduler = train_stages.make_scheduler()
    scheduler.set_timesteps(4)
    noisy, velocity = torch.randn(2, 1, 4, 4, 4)
    kept = scheduler.alphas_cumprod
    for now in (999, 749, 499, 249):
        then = kept[now - 250] if now > 250 else torch.ones(())
        made = train_stages.ddim(velocity, noisy, (kept[now] ** 0.5, (1 - kept[now]) ** 0.5), (then**0.5, (1 - then) ** 0.5))
        torch.testing.assert_close(made, scheduler.step(velocity, now, noisy).prev_sample, atol=1e-4, rtol=1e-4)
