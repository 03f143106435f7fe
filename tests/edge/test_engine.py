"""The embedded model through the real diffusers pipelines."""

import io
import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from PIL import Image, ImageDraw

from edge import device
from edge.engine import Engine
from edge.models import shelf
from edge.orders import Cancelled, Order
from protocol.errors import AlphaloomError
from protocol.model import Lora, Phrase, ResolvedRequest

ASK = ResolvedRequest("txt2img", (Phrase("red marble"),), "", 128, 128, 6, 4.0, 0.6, 1)
CHANGE = replace(ASK, task="img2img", source="a" * 64)
PAINT = replace(ASK, task="inpaint", source="a" * 64, mask="b" * 64, strength=1.0)


@pytest.fixture(scope="module")
def engine() -> Engine:
    return embedded("float32")


def embedded(dtype: str) -> Engine:
    """Free in guidance and tiling, whatever the model's own entry says of them."""
    return Engine(replace(shelf.find(shelf.EMBEDDED), guidance=None, tiling=""), device.choose("cpu", dtype))


def made(engine: Engine, request: ResolvedRequest, source: bytes | None = None, mask: bytes | None = None) -> np.ndarray:
    return engine.run(Order(request, source, mask)).pixels.astype(float)


def png(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


BLUE = (30, 60, 200)
SOURCE = png(Image.new("RGB", (128, 128), BLUE))


@pytest.mark.parametrize(
    ("colour", "rgb"),
    [
        ("red", (200, 20, 20)),
        ("green", (30, 160, 40)),
        ("blue", (25, 55, 210)),
        ("white", (240, 240, 240)),
        ("black", (13, 13, 15)),
    ],
)
def test_a_picture_shows_its_prompts_colour(engine: Engine, colour: str, rgb: tuple[int, int, int]) -> None:
    words = replace(ASK, phrases=(Phrase(f"{colour} marble"),), steps=None, guidance=1.0)
    shown = [made(engine, replace(words, seed=seed)).reshape(-1, 3) for seed in range(3)]
    others = {(200, 20, 20), (30, 160, 40), (25, 55, 210), (240, 240, 240), (13, 13, 15)} - {rgb}
    median = np.median(np.concatenate(shown), axis=0)
    distance = {c: float(np.linalg.norm(median - c)) for c in (rgb, *others)}
    assert min(distance, key=distance.__getitem__) == rgb, (median, distance)


def test_the_resolved_request_alone_reproduces_the_picture(engine: Engine) -> None:
    first = engine.run(Order(replace(ASK, steps=None)))
    assert (first.request.model, first.request.steps) == ("texture-tiny", 4)
    made(engine, replace(ASK, seed=2))
    np.testing.assert_array_equal(made(engine, first.request), first.pixels)


@pytest.mark.parametrize("guidance", [1.0, 4.0])
def test_it_is_the_picture_that_the_bare_pipeline_makes(engine: Engine, guidance: float) -> None:
    bare = StableDiffusionPipeline.from_pretrained(shelf.find(shelf.EMBEDDED).source, dtype=torch.float32)
    bare.unet.to(memory_format=torch.channels_last)
    bare.vae.to(memory_format=torch.channels_last)
    generator = torch.Generator().manual_seed(ASK.seed)
    more = {"num_inference_steps": ASK.steps, "guidance_scale": guidance, "generator": generator, "output_type": "np"}
    picture = bare(ASK.phrases[0].text, width=ASK.width, height=ASK.height, **more).images[0]
    np.testing.assert_array_equal(made(engine, replace(ASK, guidance=guidance)), (picture * 255).round())


def test_what_a_model_is_used_with_is_part_of_the_resolved_request() -> None:
    model = replace(shelf.find(shelf.EMBEDDED), guidance=0.0, tiling="xy")
    engine = Engine(model, device.choose("cpu", "float32"))
    asked = replace(ASK, steps=None, guidance=7.0, negative="red")
    assert engine.prepare(Order(asked)).request == replace(
        asked, model="texture-tiny", steps=4, guidance=0.0, tiling="xy", scheduler="ddim"
    )
    assert engine.prepare(Order(replace(asked, tiling="x"))).request.tiling == "x"


def test_bfloat16_makes_nearly_the_same_picture_as_float32(engine: Engine) -> None:
    other = embedded("bfloat16")
    for seed in range(3):
        one, two = (made(each, replace(ASK, seed=seed, steps=12)) for each in (engine, other))
        assert 10 * np.log10(255**2 / ((one - two) ** 2).mean()) > 35


def test_another_seed_is_another_picture(engine: Engine) -> None:
    assert (made(engine, ASK) != made(engine, replace(ASK, seed=2))).any()


def test_size_is_as_asked(engine: Engine) -> None:
    assert made(engine, replace(ASK, width=192, height=64)).shape == (64, 192, 3)


def test_img2img_keeps_more_of_its_source_the_weaker_it_is(engine: Engine) -> None:
    change = [
        np.abs(made(engine, replace(CHANGE, strength=strength, steps=10), SOURCE) - BLUE).mean() for strength in (0.0, 0.3, 1.0)
    ]
    assert change[0] < change[1] < change[2]


@pytest.mark.parametrize("steps", [1, 3, 49, 98, 103])
def test_the_weakest_change_is_one_step(engine: Engine, steps: int) -> None:
    seen: list[int] = []
    order = Order(replace(CHANGE, strength=0.0, steps=steps), SOURCE, on_step=lambda step, _: seen.append(step))
    engine.run(order)
    assert seen in ([1], [1, 2])  # spaced from behind, 103 steps are 104


@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_inpaint_leaves_what_is_not_masked_untouched(engine: Engine, strength: float) -> None:
    mask = Image.new("L", (128, 128), 0)
    ImageDraw.Draw(mask).rectangle((32, 32, 95, 95), fill=255)
    change = np.abs(made(engine, replace(PAINT, strength=strength), SOURCE, png(mask)) - BLUE)
    outside = np.asarray(mask) == 0
    assert change[outside].max() == 0
    assert change[~outside].mean() > 10 * strength


def test_progress_counts_every_step(engine: Engine) -> None:
    seen: list[tuple[int, int]] = []
    engine.run(Order(ASK, on_step=lambda step, steps: seen.append((step, steps))))
    assert seen == [(n, 6) for n in range(1, 7)]


def test_cancelling_stops_within_one_step_and_the_next_job_runs(engine: Engine) -> None:
    seen: list[int] = []
    with pytest.raises(Cancelled):
        engine.run(Order(ASK, on_step=lambda step, steps: seen.append(step), cancelled=lambda: len(seen) >= 2))
    assert seen == [1, 2]
    made(engine, ASK)


def test_one_that_was_cancelled_before_does_no_step(engine: Engine) -> None:
    seen: list[int] = []
    with pytest.raises(Cancelled):
        engine.run(Order(ASK, on_step=lambda step, steps: seen.append(step), cancelled=lambda: True))
    assert not seen


def test_tasks_share_one_set_of_weights(engine: Engine) -> None:
    pipelines = engine._pipelines.all()
    assert len(pipelines) == 3
    for name in ("unet", "vae", "text_encoder"):
        assert len({id(getattr(pipeline, name)) for pipeline in pipelines}) == 1


def test_a_words_weight_bends_the_picture(engine: Engine) -> None:
    plain, bent = (made(engine, replace(ASK, phrases=(Phrase(t),))) for t in ("red marble", "red marble, (turbulent)0.80"))
    assert (plain != bent).any()


# -- live --


def test_when_only_eeg_moves_no_text_is_encoded_and_no_source(engine: Engine) -> None:
    source = png(Image.new("RGB", (128, 128), (200, 60, 20)))
    texts, sources = Calls(engine._pipelines.first.text_encoder), Calls(engine._pipelines.vae.encoder)
    moved = [
        replace(CHANGE, phrases=(Phrase(f"mossy bark, (calm){1.01 + t / 10:.2f}", 1 - t), Phrase("hot lava", t)), seed=5)
        for t in (0.1, 0.4, 0.9)
    ]
    engine.run(Order(moved[0], source))
    assert texts.count > 0 and sources.count == 1
    texts.count = sources.count = 0
    others = ({"guidance": 6.0}, {"strength": 0.9}, {"variation": 0.3}, {"seed": 6})
    for request in (*moved[1:], *(replace(moved[0], **other) for other in others)):
        engine.run(Order(request, source))
    assert texts.count == 0 and sources.count == 0


class Calls:
    """Counts how often a module runs."""

    def __init__(self, module: torch.nn.Module):
        self.count = 0
        module.register_forward_hook(self._count)

    def _count(self, *_: object) -> None:
        self.count += 1


def test_a_batch_gives_each_the_picture_that_it_would_have_had_alone(engine: Engine) -> None:
    asked = [
        replace(ASK, phrases=(Phrase(words),), seed=seed, guidance=guidance, negative=negative)
        for words, seed, guidance, negative in (("red", 1, 3.0, ""), ("blue clouds", 2, 7.0, "dark"), ("grass", 3, 2.0, ""))
    ]
    ready = [engine.prepare(Order(request)) for request in asked]
    assert len({one.shape for one in ready}) == 1
    together = engine.make(ready)
    assert [one.batch for one in together] == [3, 3, 3]
    for one, request in zip(together, asked, strict=True):
        assert np.abs(one.pixels - made(engine, request)).max() <= 2


def test_what_cannot_be_made_at_once_has_another_shape(engine: Engine) -> None:
    others = [
        ASK,
        replace(ASK, width=64),
        replace(ASK, steps=5),
        replace(ASK, guidance=1.0),
        replace(ASK, scheduler="euler"),
        replace(ASK, tiling="x"),
        replace(ASK, phrases=(Phrase("long " * 100),)),
    ]
    assert len({engine.prepare(Order(request)).shape for request in others}) == len(others)


def test_a_batch_goes_on_while_one_of_it_is_still_wanted(engine: Engine) -> None:
    steps: list[int] = []
    gone, wanted = (
        engine.prepare(Order(replace(ASK, seed=seed), cancelled=cancelled, on_step=lambda step, _: steps.append(step)))
        for seed, cancelled in ((1, lambda: True), (2, lambda: False))
    )
    assert len(engine.make([gone, wanted])) == 2
    with pytest.raises(Cancelled):
        engine.make([gone, gone])


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    "move",
    [
        lambda t: {"phrases": (Phrase("red marble", 1 - t), Phrase("blue clouds", t))},
        lambda t: {"variation": t, "variation_seed": 77},
        lambda t: {"phrases": (Phrase(f"red marble, (turbulent){0.5 + t:.2f}"),)},
    ],
    ids=["blend", "noise", "weight"],
)
def test_equal_steps_of_t_are_near_equal_steps_of_the_picture(dtype: str, move) -> None:
    engine = embedded(dtype)
    pictures = [made(engine, replace(ASK, width=64, height=64, **move(step / 20))) for step in range(21)]
    steps = [np.sqrt(((one - other) ** 2).mean()) for one, other in pairwise(pictures)]
    assert max(steps) <= 3 * np.median(steps)


def test_a_blend_begins_and_ends_at_its_parents(engine: Engine) -> None:
    for t, words in ((0.0, "red marble"), (1.0, "blue marble")):
        blended = made(engine, replace(ASK, phrases=(Phrase("red marble", 1 - t), Phrase("blue marble", t))))
        assert np.abs(blended - made(engine, replace(ASK, phrases=(Phrase(words),)))).max() <= 1


def test_a_variation_begins_and_ends_at_its_seeds(engine: Engine) -> None:
    for variation, seed in ((0.0, 1), (1.0, 77)):
        varied = made(engine, replace(ASK, variation=variation, variation_seed=77))
        assert np.abs(varied - made(engine, replace(ASK, seed=seed))).max() <= 1


def test_previews_come_while_it_runs_and_grow_towards_the_picture(engine: Engine, monkeypatch) -> None:
    monkeypatch.setattr("edge.engine.PREVIEW_S", 0.0)
    monkeypatch.setattr("edge.engine.PREVIEW_SHARE", math.inf)
    seen: list[bytes] = []
    picture = engine.run(Order(replace(ASK, steps=12), on_preview=seen.append))
    assert len(seen) == 11  # after the last step there is the picture
    small = [np.asarray(Image.open(io.BytesIO(jpeg)).resize((16, 16), Image.Resampling.BOX), float) for jpeg in seen]
    end = np.asarray(Image.fromarray(picture.pixels).resize((16, 16), Image.Resampling.BOX), float)
    away = [np.abs(one - end).mean() for one in small]
    assert away[-1] < away[0] and away[-1] < 12


# -- what cannot be made --


@pytest.mark.parametrize(
    ("request_", "source", "code"),
    [
        (replace(ASK, task="explode"), None, "unknown_task"),
        (replace(ASK, model="another"), None, "wrong_model"),
        (replace(ASK, width=100), None, "bad_value"),
        (replace(ASK, steps=100_000), None, "bad_value"),
        (replace(ASK, steps=0), None, "bad_value"),
        (replace(ASK, phrases=(Phrase("(red)" + "9" * 60),)), None, "bad_prompt"),
        (replace(ASK, guidance=math.nan), None, "bad_value"),
        (replace(ASK, scheduler="magic"), None, "bad_value"),
        (replace(ASK, loras=(Lora("nobody/nothing"),)), None, "unknown_model"),
        (CHANGE, None, "bad_source"),
        (CHANGE, b"no picture", "bad_source"),
        (replace(ASK, phrases=(Phrase('("a", "b").blend(1)'),)), None, "bad_prompt"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_requests_are_structured_errors_and_the_engine_lives_on(
    engine: Engine, request_: ResolvedRequest, source: bytes | None, code: str
) -> None:
    steps = Calls(engine._pipelines.unet)
    with pytest.raises(AlphaloomError) as caught:
        engine.run(Order(request_, source))
    assert caught.value.code == code
    assert steps.count == 0
    made(engine, replace(ASK, steps=1))


@pytest.mark.parametrize("depth", [10, 30, 300])
@pytest.mark.parametrize("closed", [True, False])
def test_however_deep_brackets_are_the_edge_goes_on(engine: Engine, depth: int, closed: bool) -> None:
    prompt = "(" * depth + "red" + ")" * depth * closed
    try:
        made(engine, replace(ASK, phrases=(Phrase(prompt),), steps=1))
    except AlphaloomError as error:
        assert error.code == "bad_prompt"


@pytest.mark.parametrize("prompt", ["((", "))", "a (b", "(word)", "(word)1.3.4", "😀", '"', "a" * 3000, "(((x)1.2)0.5)9"])
def test_odd_prompts_make_a_picture_or_say_why_they_do_not(engine: Engine, prompt: str) -> None:
    try:
        made(engine, replace(ASK, phrases=(Phrase(prompt),), steps=1))
    except AlphaloomError as error:
        assert error.code == "bad_prompt"


def test_the_end_of_a_long_prompt_counts(engine: Engine) -> None:
    long = "grey " * 90
    one, other = (made(engine, replace(ASK, phrases=(Phrase(long + end),), negative="x")) for end in ("red", "blue"))
    assert (one != other).any()


def test_what_is_not_finite_is_an_error_and_not_a_black_picture(engine: Engine, monkeypatch) -> None:
    monkeypatch.setattr(engine._autoencoder, "decode", lambda latents: torch.full((1, 3, 128, 128), math.nan))
    with pytest.raises(AlphaloomError) as caught:
        made(engine, ASK)
    assert caught.value.code == "not_finite"


def test_a_batch_that_is_too_large_is_made_one_by_one(engine: Engine, monkeypatch) -> None:
    decode = engine._autoencoder.decode

    def only_one(latents: torch.Tensor) -> torch.Tensor:
        if len(latents) > 1:
            raise torch.OutOfMemoryError
        return decode(latents)

    monkeypatch.setattr(engine._autoencoder, "decode", only_one)
    monkeypatch.setattr(engine, "_most", {})
    found = engine.make([engine.prepare(Order(replace(ASK, seed=seed))) for seed in (1, 2)])
    assert [one.batch for one in found] == [1, 1]
    assert engine.most(engine.prepare(Order(ASK))) == 1 < engine.most(engine.prepare(Order(replace(ASK, width=64))))


def test_one_of_a_batch_that_is_too_large_alone_or_gone_does_the_others_no_harm(engine: Engine, monkeypatch) -> None:
    decode, calls = engine._autoencoder.decode, []

    def only_the_third(latents: torch.Tensor) -> torch.Tensor:
        calls.append(len(latents))
        if len(latents) > 1 or len(calls) <= 3:
            raise torch.OutOfMemoryError
        return decode(latents)

    monkeypatch.setattr(engine._autoencoder, "decode", only_the_third)
    monkeypatch.setattr(engine, "_most", {})
    monkeypatch.setattr(engine, "_too_much", {})
    gone = [False]
    orders = [Order(replace(ASK, seed=1)), Order(replace(ASK, seed=2), cancelled=lambda: gone[0]), Order(replace(ASK, seed=3))]
    ready = [engine.prepare(order) for order in orders]
    gone[0] = True
    too_large, cancelled, picture = engine.make(ready)
    assert too_large.code == "out_of_memory" and isinstance(cancelled, Cancelled)
    np.testing.assert_array_equal(picture.pixels, made(engine, replace(ASK, seed=3)))


def test_a_folder_that_is_no_model_says_so(tmp_path) -> None:
    (tmp_path / "model_index.json").write_text('{"_class_name": "Nonsense"}')
    with pytest.raises(AlphaloomError, match="Cannot load") as caught:
        Engine(shelf.Model("bad", str(tmp_path), 25), device.choose("cpu", "float32"))
    assert caught.value.code == "unsupported_model"
