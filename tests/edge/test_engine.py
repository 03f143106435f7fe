"""The embedded model through the real diffusers pipelines."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageDraw

from edge import models
from edge.engine import Engine
from edge.worker import Cancelled
from protocol.errors import AlphaloomError
from protocol.model import Phrase, ResolvedRequest

ASK = ResolvedRequest("txt2img", (Phrase("red marble"),), "", 128, 128, 6, 4.0, 0.6, 1)


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(models.find(models.EMBEDDED), "cpu")


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), float)


def png(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


SOURCE = png(Image.new("RGB", (128, 128), (30, 60, 200)))


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
    shown = [
        pixels(engine.run(replace(ASK, phrases=(Phrase(f"{colour} marble"),), steps=12, seed=s))[0]).reshape(-1, 3)
        for s in range(3)
    ]
    others = {(200, 20, 20), (30, 160, 40), (25, 55, 210), (240, 240, 240), (13, 13, 15)} - {rgb}
    median = np.median(np.concatenate(shown), axis=0)
    distance = {c: float(np.linalg.norm(median - c)) for c in (rgb, *others)}
    assert min(distance, key=distance.__getitem__) == rgb, (median, distance)


def test_the_resolved_request_alone_reproduces_the_picture(engine: Engine) -> None:
    first, ran = engine.run(replace(ASK, steps=None))
    assert (ran.model, ran.steps) == ("texture-tiny", 12)
    engine.run(replace(ASK, seed=2))
    again, _ = engine.run(ran)
    assert again == first


def test_another_seed_is_another_picture(engine: Engine) -> None:
    assert engine.run(ASK)[0] != engine.run(replace(ASK, seed=2))[0]


def test_size_is_as_asked(engine: Engine) -> None:
    picture, _ = engine.run(replace(ASK, width=192, height=64))
    assert Image.open(io.BytesIO(picture)).size == (192, 64)


def test_img2img_keeps_more_of_its_source_the_weaker_it_is(engine: Engine) -> None:
    source = pixels(SOURCE)
    change = [
        np.abs(pixels(engine.run(replace(ASK, task="img2img", strength=s, steps=10), SOURCE)[0]) - source).mean()
        for s in (0.0, 0.3, 1.0)
    ]
    assert change[0] < change[1] < change[2]


def test_inpaint_leaves_what_is_not_masked_untouched(engine: Engine) -> None:
    mask = Image.new("L", (128, 128), 0)
    ImageDraw.Draw(mask).rectangle((32, 32, 95, 95), fill=255)
    made = pixels(engine.run(replace(ASK, task="inpaint", strength=1.0), SOURCE, png(mask))[0])
    outside = np.asarray(mask) == 0
    assert np.abs(made - pixels(SOURCE))[outside].max() <= 2
    assert np.abs(made - pixels(SOURCE))[~outside].mean() > 10


def test_progress_counts_every_step(engine: Engine) -> None:
    seen: list[tuple[int, int]] = []
    engine.run(ASK, on_step=lambda step, steps: seen.append((step, steps)))
    assert seen == [(n, 6) for n in range(1, 7)]


def test_cancelling_stops_within_one_step_and_the_next_job_runs(engine: Engine) -> None:
    seen: list[int] = []
    with pytest.raises(Cancelled):
        engine.run(ASK, on_step=lambda step, steps: seen.append(step), cancelled=lambda: len(seen) >= 2)
    assert seen == [1, 2]
    engine.run(ASK)


def test_one_that_was_cancelled_before_does_no_step(engine: Engine) -> None:
    seen: list[int] = []
    with pytest.raises(Cancelled):
        engine.run(ASK, on_step=lambda step, steps: seen.append(step), cancelled=lambda: True)
    assert not seen


def test_tasks_share_one_set_of_weights(engine: Engine) -> None:
    pipelines = list(engine._pipelines.values())
    for name in ("unet", "vae", "text_encoder"):
        assert len({id(getattr(p, name)) for p in pipelines}) == 1


def test_blending_moves_from_one_prompt_to_the_other(engine: Engine) -> None:
    def at(t: float) -> np.ndarray:
        return pixels(engine.run(replace(ASK, phrases=(Phrase("red marble", 1 - t), Phrase("blue marble", t))))[0])

    ends = at(0.0), at(1.0)
    np.testing.assert_array_equal(ends[0], pixels(engine.run(ASK)[0]))
    middle = at(0.5)
    assert all(np.abs(middle - end).mean() < np.abs(ends[0] - ends[1]).mean() for end in ends)


def test_a_words_weight_bends_the_picture(engine: Engine) -> None:
    plain, bent = (engine.run(replace(ASK, phrases=(Phrase(t),)))[0] for t in ("red marble", "red marble, (turbulent)0.80"))
    assert plain != bent


@pytest.mark.parametrize(
    ("request_", "source", "code"),
    [
        (replace(ASK, task="explode"), None, "unknown_task"),
        (replace(ASK, model="another"), None, "wrong_model"),
        (replace(ASK, task="img2img"), None, "bad_source"),
        (replace(ASK, task="img2img"), b"no picture", "bad_source"),
        (replace(ASK, phrases=(Phrase('("a", "b").blend(1)'),)), None, "bad_prompt"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_requests_are_structured_errors_and_the_engine_lives_on(
    engine: Engine, request_: ResolvedRequest, source: bytes | None, code: str
) -> None:
    with pytest.raises(AlphaloomError) as caught:
        engine.run(request_, source)
    assert caught.value.code == code
    engine.run(replace(ASK, steps=1))


@pytest.mark.parametrize("prompt", ["((", "))", "a (b", "(word)", "(word)1.3.4", "😀", '"', "a" * 3000, "(((x)1.2)0.5)9"])
def test_odd_prompts_make_a_picture_or_say_why_they_do_not(engine: Engine, prompt: str) -> None:
    try:
        engine.run(replace(ASK, phrases=(Phrase(prompt),), steps=1))
    except AlphaloomError as error:
        assert error.code == "bad_prompt"


def test_a_folder_that_is_no_model_says_so(tmp_path) -> None:
    (tmp_path / "model_index.json").write_text('{"_class_name": "Nonsense"}')
    with pytest.raises(AlphaloomError, match="Cannot load") as caught:
        Engine(models.find(str(tmp_path)), "cpu")
    assert caught.value.code == "unsupported_model"
