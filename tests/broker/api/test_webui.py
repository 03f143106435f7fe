"""The PyPI client `webuiapi`, unchanged, and plain requests, against a real broker process."""

import asyncio
import base64
import io
import json
import subprocess
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
import requests
from conftest import PYTHON, ROOT, Programs
from peers import Peer, get, joined, send
from picture_files import jpeg, png, saved
from PIL import Image
from webuiapi import WebUIApi

from broker.api import webui_forms
from protocol import messages as m

SIDE = 64


def api(broker: str, **options: Any) -> WebUIApi:
    return WebUIApi(port=int(broker.rpartition(":")[2]), **options)


def post(broker: str, path: str, **fields: Any) -> tuple[int, Any]:
    return send(broker, f"/sdapi/v1/{path}", json.dumps(fields).encode())


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


# -- with the embedded model --


@pytest.fixture(scope="module")
def studio(start_programs: Callable[[], Programs], tmp_path_factory: pytest.TempPathFactory) -> str:
    """A broker and an edge with the embedded model."""
    programs = start_programs()
    broker = programs.broker(tmp_path_factory.mktemp("studio"), name="studio")
    programs.edge(broker)
    return broker


def pixels(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture.convert("RGB"))


def test_webuiapi_makes_a_picture_of_words_and_the_same_seed_makes_the_same(studio: str) -> None:
    made = [
        api(studio).txt2img(prompt="mossy (stone:1.2)", negative_prompt="red", seed=7, steps=2, width=96, height=SIDE)
        for _ in range(2)
    ]
    for one in made:
        assert one.image.size == (96, SIDE)
        assert one.info["seed"] == 7 and one.info["all_seeds"] == [7] and one.info["steps"] == 2
        assert "Seed: 7" in one.info["infotexts"][0] and one.info["infotexts"][0].startswith("mossy (stone:1.2)\n")
        assert one.info["sd_model_name"] == "texture-tiny"
        assert one.parameters["prompt"] == "mossy (stone:1.2)"
    assert np.array_equal(pixels(made[0].image), pixels(made[1].image))
    other = api(studio).txt2img(prompt="mossy (stone:1.2)", negative_prompt="red", seed=8, steps=2, width=96, height=SIDE)
    assert not np.array_equal(pixels(made[0].image), pixels(other.image))


def test_a_call_for_several_pictures_has_consecutive_seeds_and_chance_chooses_the_first(studio: str) -> None:
    made = api(studio).txt2img(prompt="waves", seed=-1, steps=1, batch_size=2, n_iter=2, width=SIDE, height=SIDE)
    first = made.info["seed"]
    assert made.info["all_seeds"] == [first, first + 1, first + 2, first + 3] and len(made.images) == 4
    alone = api(studio).txt2img(prompt="waves", seed=first + 2, steps=1, width=SIDE, height=SIDE)
    assert np.array_equal(pixels(made.images[2]), pixels(alone.image))


def test_webuiapi_makes_a_picture_of_a_picture(studio: str) -> None:
    source = Image.linear_gradient("L").convert("RGB")
    made = api(studio).img2img(images=[source], prompt="lava", seed=3, steps=4, denoising_strength=0.5, width=SIDE, height=SIDE)
    assert made.image.size == (SIDE, SIDE)
    assert made.info["denoising_strength"] == 0.5 and made.parameters["init_images"] is None
    same = pixels(source.resize((SIDE, SIDE), Image.Resampling.LANCZOS))
    assert not np.array_equal(pixels(made.image), same)


@pytest.mark.parametrize("invert", [0, 1])
def test_webuiapi_paints_anew_what_the_mask_says_and_the_rest_keeps_its_very_pixels(studio: str, invert: int) -> None:
    noise = np.random.default_rng(5).integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8)
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[16:48, 16:48] = 255
    made = api(studio).img2img(
        images=[Image.fromarray(noise)],
        mask_image=Image.fromarray(mask),
        inpainting_mask_invert=invert,
        prompt="water",
        seed=1,
        steps=4,
        width=SIDE,
        height=SIDE,
    )
    kept = (mask == 0) != bool(invert)
    assert np.array_equal(pixels(made.image)[kept], noise[kept])
    assert not np.array_equal(pixels(made.image)[~kept], noise[~kept])
    assert {"mask_blur", "inpaint_full_res"} <= set(made.info["not_used"])


async def test_webuiapi_in_its_async_mode(studio: str) -> None:
    made = await api(studio).txt2img(prompt="bricks", seed=2, steps=1, width=SIDE, height=SIDE, use_async=True)
    assert made.image.size == (SIDE, SIDE)


def test_what_webuiapi_asks_about_models_and_the_like(studio: str) -> None:
    client = api(studio)
    assert {"texture-tiny", "sd-turbo"} <= set(client.util_get_model_names())  # the one that is loaded, one to be pulled
    assert client.util_get_current_model() == "texture-tiny"
    client.util_set_model("texture-tin")
    assert client.get_options()["sd_model_checkpoint"] == "texture-tiny"
    assert {"Automatic", "Euler a", "DPM++ 2M", "LCM"} <= set(client.util_get_sampler_names())
    assert client.util_get_scheduler_names() == ["automatic", "karras", "uniform"]
    assert "lcm-lora-sd1" in [lora["name"] for lora in client.get_loras()]
    client.util_wait_for_ready()
    client.refresh_checkpoints()
    assert client.get_scripts() == {"txt2img": [], "img2img": []}
    for ask in (client.get_upscalers, client.get_sd_vae, client.get_face_restorers, client.get_prompt_styles):
        assert ask() == []
    assert client.get_embeddings()["loaded"] == {} and client.get_memory() and client.get_cmd_flags() == {}


# -- with an edge in the test's hands --


@pytest.fixture(scope="module")
def broker(start_programs: Callable[[], Programs], tmp_path_factory: pytest.TempPathFactory) -> str:
    return start_programs().broker(tmp_path_factory.mktemp("data"))


@asynccontextmanager
async def edge(broker: str, **more: Any) -> AsyncIterator[Peer]:
    more = {"model": "m-one", "models": {"m-two": ""}, "max_side": 512} | more
    async with joined(broker, "edge", name="hands", **more) as peer:
        await peer.hear(m.Hello)
        yield peer


async def finish(peer: Peer, run: m.Run) -> None:
    asked = run.request
    await peer.say(m.Result(run.job, run.attempt, asked, png(asked.width, asked.height)))


async def asking(broker: str, path: str = "txt2img", **fields: Any) -> Any:
    return await asyncio.to_thread(post, broker, path, **({"prompt": "x", "width": SIDE, "height": SIDE} | fields))


async def test_what_is_asked_is_what_the_edge_gets(broker: str) -> None:
    async with edge(broker) as peer:
        asked = asyncio.create_task(
            asking(
                broker,
                prompt="a (b:1.3), (c: 0.5)",
                negative_prompt="(d:2)",
                steps=9,
                cfg_scale=3.5,
                seed=11,
                override_settings={"sd_model_checkpoint": "m-two", "CLIP_stop_at_last_layers": 2},
                sampler_name="DPM++ 3M SDE",
                scheduler="exponential",
                styles=["oil"],
                seed_resize_from_h=0,
                unheard_of=1,
            )
        )
        run = await peer.hear(m.Run)
        await finish(peer, run)
        status, made = await asked
    request = run.request
    assert (request.phrases[0].text, request.negative) == ("a (b)1.3, (c)0.5", "(d)2")
    assert (request.steps, request.guidance, request.seed, request.model) == (9, 3.5, 11, "m-two")
    assert status == 200 and base64.b64decode(made["images"][0]) == png(SIDE, SIDE)
    info = json.loads(made["info"])
    assert info["not_used"] == [
        "override_settings.CLIP_stop_at_last_layers", "sampler_name", "scheduler", "styles", "unheard_of"
    ]  # fmt: skip
    assert info["jobs"] == [run.job]


@pytest.mark.parametrize(
    ("path", "fields", "code"),
    [
        ("txt2img", {"width": 100}, "bad_value"),
        ("txt2img", {"width": 10**400}, "bad_value"),
        ("txt2img", {"steps": 0}, "bad_value"),
        ("txt2img", {"cfg_scale": float("nan")}, "invalid_request"),
        ("txt2img", {"seed": 2**31}, "bad_value"),
        ("txt2img", {"seed": 2**31 - 1, "batch_size": 2}, "bad_value"),
        ("txt2img", {"batch_size": 4, "n_iter": 5}, "bad_value"),
        ("txt2img", {"batch_size": 0}, "invalid_request"),
        ("txt2img", {"prompt": ["x"]}, "invalid_request"),
        ("txt2img", {"prompt": "\ud800"}, "invalid_request"),
        ("txt2img", {"prompt": "x" * 5000}, "bad_value"),
        ("txt2img", {"subseed_strength": 1.5}, "bad_value"),
        ("txt2img", {"subseed": 2**31, "subseed_strength": 0.5}, "bad_value"),
        ("txt2img", {"prompt": "x <lora:ink:much>"}, "bad_lora"),
        ("txt2img", {"script_name": "X/Y/Z plot"}, "unknown_script"),
        ("txt2img", {"alwayson_scripts": {"ControlNet": {"args": [1]}}}, "unknown_script"),
        ("txt2img", {"override_settings": {"sd_model_checkpoint": "m-three"}}, "unknown_model"),
        ("txt2img", {"override_settings": {"sd_model_checkpoint": 3}}, "invalid_request"),
        ("img2img", {"junk": [0] * 120_000}, "message_too_large"),
        ("img2img", {}, "no_source"),
        ("img2img", {"init_images": ["!"]}, "bad_picture"),
        ("img2img", {"init_images": ["http://127.0.0.1/a.png"]}, "bad_picture"),
        ("img2img", {"init_images": [base64_of(b"GIF89a")]}, "bad_picture"),
        ("img2img", {"init_images": [base64_of(png(5000, 5000))]}, "bad_picture"),
        ("img2img", {"init_images": [base64_of(png())], "mask": base64_of(png()[:60])}, "bad_picture"),
        ("img2img", {"init_images": [base64_of(b"x" * (33 << 20))]}, "message_too_large"),
        ("options", {"sd_model_checkpoint": "m-three"}, "unknown_model"),
    ],
)
async def test_what_cannot_be_is_an_error_in_both_forms(broker: str, path: str, fields: dict[str, Any], code: str) -> None:
    async with edge(broker):
        status, problem = await asking(broker, path, **fields)
    assert problem["code"] == problem["error"] == code and problem["message"] == problem["errors"]
    assert status in (413, 422) and isinstance(problem["detail"], dict)


async def test_bytes_that_are_no_json_are_an_error(broker: str) -> None:
    async with edge(broker):
        for body in (b"{", b"\xff", b"[1]", b"[" * 100_000):
            status, problem = await asyncio.to_thread(send, broker, "/sdapi/v1/txt2img", body)
            assert (status, problem["code"]) == (422, "invalid_request")


async def test_without_an_edge_it_says_so_at_once(broker: str) -> None:
    status, problem = await asking(broker)
    assert (status, problem["code"]) == (503, "no_edge")


async def test_why_a_picture_could_not_be_made_is_told(broker: str) -> None:
    async with edge(broker) as peer:
        asked = asyncio.create_task(asking(broker, batch_size=2))
        run = await peer.hear(m.Run)
        await peer.say(m.JobFailed(run.job, run.attempt, "bad_prompt", "The brackets cannot be read."))
        status, problem = await asked
    assert (status, problem["code"], problem["message"]) == (422, "job_failed", "The brackets cannot be read.")
    assert get(broker, "/health")["jobs"] == 0  # the other one went with it


async def test_a_chosen_model_is_the_callers_next_jobs(broker: str) -> None:
    async with edge(broker) as peer:
        assert (await asking(broker, "options", sd_model_checkpoint="m-two"))[0] == 200
        assert get(broker, "/sdapi/v1/options")["sd_model_checkpoint"] == "m-two"
        asked = asyncio.create_task(asking(broker))
        run = await peer.hear(m.Run)
        await finish(peer, run)
        await asked
        assert run.request.model == "m-two"
        await asking(broker, "options", sd_model_checkpoint="")
        assert get(broker, "/sdapi/v1/options")["sd_model_checkpoint"] == "m-one"
        assert [model["title"] for model in get(broker, "/sdapi/v1/sd-models")] == ["m-one", "m-two"]


async def test_samplers_tiling_variation_and_loras_are_what_the_edge_gets(broker: str) -> None:
    asked = {
        "prompt": "a <lora:ink:0.5>",
        "sampler_name": "DPM++ 2M",
        "seed": 5,
        "subseed": 9,
        "subseed_strength": 0.25,
        "batch_size": 2,
        "tiling": True,
    }
    runs = []
    async with edge(broker, slots=2) as peer:
        asking_for = asyncio.create_task(asking(broker, **asked))
        for _ in range(2):
            runs.append(await peer.hear(m.Run))
        for run in runs:
            await finish(peer, run)
        info = json.loads((await asking_for)[1]["info"])
    requests = sorted((run.request for run in runs), key=lambda one: one.variation_seed)
    first = requests[0]
    assert first.phrases[0].text == "a" and [(lora.id, lora.weight) for lora in first.loras] == [("ink", 0.5)]
    assert (first.scheduler, first.tiling, first.variation) == ("dpm++_2m_karras", "xy", 0.25)
    assert [(one.seed, one.variation_seed) for one in requests] == [(5, 9), (5, 10)]
    assert info["all_seeds"] == [5, 5] and info["all_subseeds"] == [9, 10] and info["subseed_strength"] == 0.25
    assert info["sampler_name"] == "DPM++ 2M Karras" and not info["not_used"] and info["prompt"] == asked["prompt"]
    said = info["infotexts"][0]
    assert said.startswith("a <lora:ink:0.5>\n") and "Variation seed: 9, Variation seed strength: 0.25, Tiling: True" in said


def test_a_subseed_that_plays_no_part_makes_no_request_another() -> None:
    fields = {"prompt": "a", "seed": 5, "batch_size": 2}
    plain, again, asked = (webui_forms.requests(webui_forms.Txt2Img(**fields, **more), "") for more in ({}, {}, {"subseed": 9}))
    assert plain == again == asked and [one.seed for one in plain] == [5, 6]


async def test_a_preview_is_seen_while_it_is_made(broker: str) -> None:
    async with edge(broker) as peer, joined(broker, name="local") as client:
        asked = asyncio.create_task(asking(broker))
        run = await peer.hear(m.Run)
        await peer.say(m.Preview(run.job, jpeg(32, 32), run.attempt))
        await client.hear(m.Preview)
        seen = get(broker, "/sdapi/v1/progress")["current_image"]
        assert base64.b64decode(seen) == jpeg(32, 32)
        assert get(broker, "/sdapi/v1/progress?skip_current_image=true")["current_image"] is None
        await finish(peer, run)
        await asked
    assert get(broker, "/sdapi/v1/progress")["current_image"] is None


async def test_progress_goes_from_nothing_to_nothing(broker: str) -> None:
    idle = get(broker, "/sdapi/v1/progress")
    assert idle["progress"] == 0 and idle["state"]["job_count"] == 0
    async with edge(broker) as peer:
        asked = asyncio.create_task(asking(broker, batch_size=2))
        run = await peer.hear(m.Run)
        await finish(peer, run)
        run = await peer.hear(m.Run)
        async with joined(broker, name="local") as client:
            await client.hear(m.Snapshot)
            await peer.say(m.Progress(run.job, 3, 4, run.attempt))
            await client.hear(m.Progress)
        half = get(broker, "/sdapi/v1/progress")
        assert half["progress"] == (1 + 3 / 4) / 2 and half["eta_relative"] > 0 and half["current_image"] is None
        state = half["state"]
        assert (state["job_count"], state["job_no"], state["sampling_step"], state["sampling_steps"]) == (2, 1, 3, 4)
        await finish(peer, run)
        assert (await asked)[0] == 200
    assert get(broker, "/sdapi/v1/progress")["progress"] == 0


async def test_interrupt_ends_what_runs_and_gives_what_was_done(broker: str) -> None:
    async with edge(broker, slots=1) as peer, joined(broker, name="local") as client:
        asked = asyncio.create_task(asking(broker, batch_size=3, seed=4))
        first = await peer.hear(m.Run)
        await finish(peer, first)
        await client.job(first.job, "done")  # the edge has the next one a little before the disk has this one
        run = await peer.hear(m.Run)
        assert (await asking(broker, "interrupt"))[0] == 200
        assert (await peer.hear(m.Cancel)).job == run.job
        status, made = await asked
        assert status == 200 and len(made["images"]) == 1
        info = json.loads(made["info"])
        assert info["all_seeds"] == [4] and info["interrupted"]


async def test_interrupted_before_the_first_picture_it_is_an_error(broker: str) -> None:
    async with edge(broker) as peer:
        asked = asyncio.create_task(asking(broker))
        await peer.hear(m.Run)
        await asking(broker, "interrupt")
        assert (await asked)[1]["code"] == "interrupted"


async def test_skip_ends_one_picture_and_the_others_go_on(broker: str) -> None:
    async with edge(broker) as peer:
        asked = asyncio.create_task(asking(broker, batch_size=2, seed=4))
        run = await peer.hear(m.Run)
        await asking(broker, "skip")
        await peer.hear(m.Cancel)
        await peer.say(m.JobFailed(run.job, run.attempt, "cancelled", ""))
        await finish(peer, await peer.hear(m.Run))
        assert json.loads((await asked)[1]["info"])["all_seeds"] == [5]


async def test_who_hangs_up_has_cancelled(broker: str) -> None:
    address = broker.replace("ws://", "")
    host, _, port = address.rpartition(":")
    async with edge(broker) as peer:
        _, writer = await asyncio.open_connection(host, int(port))
        body = json.dumps({"prompt": "x", "width": SIDE, "height": SIDE, "batch_size": 2}).encode()
        head = f"POST /sdapi/v1/txt2img HTTP/1.1\r\nHost: {address}\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        run = await peer.hear(m.Run)
        writer.close()
        assert (await peer.hear(m.Cancel)).job == run.job
        assert get(broker, "/health")["jobs"] == 0


async def fetched(broker: str, blob: str | None) -> Image.Image:
    answer = await asyncio.to_thread(requests.get, f"{broker.replace('ws', 'http')}/v1/blobs/{blob}")
    return Image.open(io.BytesIO(answer.content))


@pytest.mark.parametrize(("mode", "size"), [(0, (40, 20)), (1, (64, 64)), (2, (64, 64)), (3, (40, 20))])
async def test_a_source_is_cropped_or_filled_as_asked_and_else_left_to_the_edge(
    broker: str, mode: int, size: tuple[int, int]
) -> None:
    source = Image.new("RGB", (40, 20), "green")
    source.paste("red", (0, 0, 4, 20))
    out = io.BytesIO()
    source.save(out, "PNG")
    async with edge(broker) as peer:
        asked = asyncio.create_task(
            asking(broker, "img2img", init_images=["data:image/png;base64," + base64_of(out.getvalue())], resize_mode=mode)
        )
        run = await peer.hear(m.Run)
        await finish(peer, run)
        info = json.loads((await asked)[1]["info"])
    seen = await fetched(broker, run.request.source)
    assert seen.size == size and ("resize_mode" in info["not_used"]) == (mode == 3)
    if mode == 1:  # the sides are gone
        assert seen.getpixel((1, 32)) == (0, 128, 0)
    if mode == 2:  # all of it is there, and goes on above it
        assert seen.getpixel((1, 32)) == (255, 0, 0) and seen.getpixel((1, 1)) == (255, 0, 0)


async def test_a_transparent_mask_says_by_what_is_opaque(broker: str) -> None:
    mask = Image.new("RGBA", (SIDE, SIDE), (0, 0, 0, 0))
    mask.paste((0, 0, 0, 255), (0, 0, 10, 10))
    out = io.BytesIO()
    mask.save(out, "PNG")
    async with edge(broker) as peer:
        sent = {"init_images": [base64_of(png())], "mask": base64_of(out.getvalue())}
        asked = asyncio.create_task(asking(broker, "img2img", **sent))
        run = await peer.hear(m.Run)
        await finish(peer, run)
        assert (await asked)[0] == 200
    seen = await fetched(broker, run.request.mask)
    assert run.request.task == "inpaint" and (seen.getpixel((1, 1)), seen.getpixel((30, 30))) == (255, 0)


@pytest.mark.parametrize(("mode", "size"), [(0, (20, 40)), (1, (SIDE, SIDE)), (2, (SIDE, SIDE)), (3, (20, 40))])
async def test_a_source_and_its_mask_are_turned_upright_and_of_one_size(broker: str, mode: int, size: tuple[int, int]) -> None:
    source = Image.new("RGB", (40, 20), "blue")
    source.paste("red", (0, 0, 20, 20))
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter: what is on the left is on top
    out = io.BytesIO()
    source.save(out, "JPEG", exif=exif, quality=95)
    mask = Image.new("L", (10, 20))
    mask.paste(255, (0, 0, 10, 10))
    async with edge(broker) as peer:
        sent = {"init_images": [base64_of(out.getvalue())], "mask": base64_of(saved(mask)), "resize_mode": mode}
        asked = asyncio.create_task(asking(broker, "img2img", **sent))
        run = await peer.hear(m.Run)
        await finish(peer, run)
        assert (await asked)[0] == 200
    (seen, masked) = [await fetched(broker, blob) for blob in (run.request.source, run.request.mask)]
    assert seen.size == masked.size == size and not seen.getexif().get(0x0112)
    middle, top, bottom = size[0] // 2, size[1] // 4, size[1] * 3 // 4
    assert seen.getpixel((middle, top))[0] > 200 and seen.getpixel((middle, bottom))[2] > 200
    assert (masked.getpixel((middle, top)), masked.getpixel((middle, bottom))) == (255, 0)


# -- with tokens --


@pytest.fixture(scope="module")
def guarded(
    start_programs: Callable[[], Programs], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, dict[str, str]]]:
    """A broker that needs tokens, and some."""
    data = tmp_path_factory.mktemp("guarded")
    tokens = {}
    for name, role in (("ann", "editor"), ("bob", "editor"), ("vic", "viewer"), ("rig", "edge")):
        command = [PYTHON, "-m", "broker", "token", "add", name, "--role", role, "--data", str(data)]
        tokens[name] = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    options = ("--no-eeg", "--host", "0.0.0.0", "--allowed-hosts", "127.0.0.1")
    yield start_programs().broker(data, *options, name="guarded").replace("0.0.0.0", "127.0.0.1"), tokens


async def test_webuiapis_password_is_the_token_and_interrupt_ends_nobody_elses_pictures(
    guarded: tuple[str, dict[str, str]],
) -> None:
    broker, tokens = guarded
    ann, bob = (api(broker, username=name, password=tokens[name]) for name in ("ann", "bob"))
    made: dict[str, Any] = {}

    def make(name: str, client: WebUIApi) -> None:
        try:
            made[name] = client.txt2img(prompt=name, width=SIDE, height=SIDE)
        except RuntimeError as error:
            made[name] = error

    async with edge(broker, token=tokens["rig"], slots=2) as peer:
        threads = [threading.Thread(target=make, args=pair) for pair in (("ann", ann), ("bob", bob))]
        for thread in threads:
            thread.start()
        runs = {run.request.phrases[0].text: run for run in [await peer.hear(m.Run), await peer.hear(m.Run)]}
        await asyncio.to_thread(ann.interrupt)
        assert (await peer.hear(m.Cancel)).job == runs["ann"].job
        assert (await asyncio.to_thread(bob.get_progress))["state"]["job_count"] == 1
        await finish(peer, runs["bob"])
        for thread in threads:
            await asyncio.to_thread(thread.join)
    assert "interrupted" in str(made["ann"]) and made["bob"].image.size == (SIDE, SIDE)


async def test_who_has_no_token_or_only_looks_on_makes_nothing(guarded: tuple[str, dict[str, str]]) -> None:
    broker, tokens = guarded
    for options, status in (({}, 401), ({"username": "x", "password": "y"}, 401)):
        with pytest.raises(RuntimeError, match=str(status)):
            await asyncio.to_thread(lambda options=options: api(broker, **options).txt2img(prompt="x"))
    viewer = api(broker, username="vic", password=tokens["vic"])
    assert viewer.get_progress()["progress"] == 0
    with pytest.raises(RuntimeError, match="forbidden"):
        await asyncio.to_thread(lambda: viewer.txt2img(prompt="x"))
