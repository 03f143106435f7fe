"""The routes of AUTOMATIC1111's web UI that its clients use, so that they work with us unchanged.

What is asked here are ordinary jobs without a node. Who hangs up has cancelled them.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from base64 import b64encode
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.routing import APIRoute

from protocol import messages as m
from protocol.errors import AlphaloomError
from protocol.model import MAIN_ROOM, Job, ResolvedRequest, new_id

from ..hub import Hub
from ..who import Who
from . import problems, webui_forms, webui_pictures, webui_samplers
from .access import Editor, TheHub, TheSettings, Viewer
from .models import TheModels
from .webui_forms import Img2Img, Made, Options, Txt2Img


class _Route(APIRoute):
    """Its errors have, beside ours, the fields that these clients look for."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_or_tell(request: Request) -> Response:
            try:
                return await handle(request)
            except AlphaloomError as error:
                request.app.state.hub.metrics.error(error.code)
                return problems.response(error, more={"error": error.code, "errors": error.message, "body": ""})

        return handle_or_tell


router = APIRouter(tags=["AUTOMATIC1111"], responses=problems.declared(), route_class=_Route)


@dataclass(eq=False)
class _Call:
    """One call for pictures that has not been answered yet."""

    count: int
    began: float = field(default_factory=time.monotonic)
    at: float = field(default_factory=time.time)
    jobs: list[str] = field(default_factory=list)
    interrupted: bool = False


class Desk:
    """What each caller is at, and which model they have chosen. It is forgotten when the broker ends."""

    def __init__(self) -> None:
        self._calls: dict[str, list[_Call]] = {}
        self._chosen: dict[str, str] = {}

    @contextlib.contextmanager
    def call(self, person: str, count: int) -> Iterator[_Call]:
        call = _Call(count)
        calls = self._calls.setdefault(person, [])
        calls.append(call)
        try:
            yield call
        finally:
            calls.remove(call)
            if not calls:
                del self._calls[person]

    def calls(self, person: str) -> list[_Call]:
        """Oldest first."""
        return self._calls.get(person, [])

    def choose(self, person: str, model: str) -> None:
        self._chosen[person] = model

    def chosen(self, person: str, hub: Hub) -> str:
        """Empty where they have chosen none, or no edge has it any longer."""
        model = self._chosen.get(person, "")
        return model if model in _models(hub) else ""


async def _desk(request: Request) -> Desk:
    state = request.app.state
    if not hasattr(state, "webui_desk"):
        state.webui_desk = Desk()
    desk: Desk = state.webui_desk
    return desk


TheDesk = Annotated[Desk, Depends(_desk)]


def _json_body(kind: Any) -> dict[str, Any]:
    """Bodies may be large: they are read on a thread."""
    return {"requestBody": {"content": {"application/json": {"schema": kind.model_json_schema()}}}}


# -- pictures --


@router.post("/sdapi/v1/txt2img", response_model=Made, responses=problems.declared(409), openapi_extra=_json_body(Txt2Img))
async def txt2img(request: Request, who: Editor, hub: TheHub, desk: TheDesk) -> Response:
    form = await hub.store.blobs.decode(webui_forms.parse, Txt2Img, await request.body())
    asked = webui_forms.requests(form, _model(form, who, hub, desk))
    return await _made(request, who, hub, desk, form, asked)


@router.post("/sdapi/v1/img2img", response_model=Made, responses=problems.declared(404, 409), openapi_extra=_json_body(Img2Img))
async def img2img(request: Request, who: Editor, hub: TheHub, desk: TheDesk, settings: TheSettings) -> Response:
    """With a mask, what is white in it is painted anew."""
    blobs = hub.store.blobs
    form = await blobs.decode(webui_forms.parse, Img2Img, await request.body())
    asked = webui_forms.requests(form, _model(form, who, hub, desk))
    source, mask = await blobs.decode(webui_pictures.keep, blobs, form, settings.max_binary_bytes)
    return await _made(request, who, hub, desk, form, webui_forms.with_pictures(asked, source, mask))


def _model(form: Txt2Img, who: Who, hub: Hub, desk: Desk) -> str:
    if not hub.work.edges:
        raise AlphaloomError("no_edge", "No edge is connected, so nobody makes pictures. Start one: python -m edge")
    named = form.checkpoint
    return _known_model(named, hub) if named else desk.chosen(who.person, hub)


async def _made(request: Request, who: Who, hub: Hub, desk: Desk, form: Txt2Img, asked: list[ResolvedRequest]) -> Response:
    with desk.call(who.person, len(asked)) as call:
        try:
            for one in asked:
                call.jobs.append((await hub.generate(who, MAIN_ROOM, m.Generate("", new_id(), 0, one))).id)
            ended = await _unless_gone(request, [_end(hub, job) for job in call.jobs])
        finally:
            _cancel(hub, who, call.jobs)
    done = [job for job in ended if job.state == "done"]
    if not done:
        raise AlphaloomError("interrupted", "It was interrupted before a picture was done.")
    batch = webui_forms.Batch(form, done, len(done) < len(ended))
    return Response(await hub.store.blobs.run(_body, hub, batch), media_type="application/json")


async def _end(hub: Hub, id: str) -> Job:
    job = await hub.ended(id)
    if job.state == "failed":
        raise AlphaloomError("job_failed", job.error or "The picture could not be made.", job=id)
    return job


async def _unless_gone(request: Request, waits: list[Coroutine[Any, Any, Job]]) -> list[Job]:
    """What they all come to. Raises the first error; AlphaloomError `interrupted` when the client hangs up."""
    ends: asyncio.Future[list[Job]] = asyncio.gather(*waits)
    gone: asyncio.Future[None] = asyncio.create_task(_gone(request))
    both: set[asyncio.Future[Any]] = {ends, gone}
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if not ends.done():
            raise AlphaloomError("interrupted", "The client hung up.")
        return ends.result()
    finally:
        for each in both:
            each.cancel()
        await asyncio.gather(*both, return_exceptions=True)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _running(hub: Hub, call: _Call) -> list[str]:
    return [job for job in call.jobs if job in hub.work.open and hub.work.open[job].state == "running"]


def _cancel(hub: Hub, who: Who, jobs: list[str]) -> None:
    for job in jobs:
        if job in hub.work.open:
            hub.cancel(who, job)


def _body(hub: Hub, batch: webui_forms.Batch) -> bytes:
    return webui_forms.answer(batch, [hub.store.blobs.get(job.picture or "") for job in batch.done])


# -- how it goes --


@router.post("/sdapi/v1/interrupt")
async def interrupt(who: Editor, hub: TheHub, desk: TheDesk) -> dict[str, Any]:
    """End one's own calls that are being run. Those behind them, and what others have asked for, go on."""
    for call in desk.calls(who.person):
        if _running(hub, call):
            call.interrupted = True
            _cancel(hub, who, call.jobs)
    return {}


@router.post("/sdapi/v1/skip")
async def skip(who: Editor, hub: TheHub, desk: TheDesk) -> None:
    """End one's own pictures that are being made. The others of the same calls go on."""
    for call in desk.calls(who.person):
        _cancel(hub, who, _running(hub, call))


@router.get("/sdapi/v1/progress")
async def progress(who: Viewer, hub: TheHub, desk: TheDesk, skip_current_image: bool = False) -> dict[str, Any]:
    """Of one's own oldest call; `current_image` is a JPEG."""
    calls = desk.calls(who.person)
    call = calls[0] if calls else _Call(0)
    open = [job for job in call.jobs if job in hub.work.open]
    ended = len(call.jobs) - len(open)
    steps = [steps for job in open if (steps := hub.work.progress(job))]
    step, of = steps[0] if steps else (0, 0)
    part = (ended + sum(min(step, of) / of for step, of in steps if step > 0 and of > 0)) / (call.count or 1)
    elapsed = time.monotonic() - call.began
    return {
        "progress": min(1.0, part),
        "eta_relative": elapsed / part - elapsed if part else 0.0,
        "state": {
            "skipped": False,
            "interrupted": call.interrupted,
            "stopping_generation": False,
            "job": f"{ended + 1} out of {call.count}" if open else "",
            "job_count": call.count,
            "job_timestamp": time.strftime("%Y%m%d%H%M%S", time.localtime(call.at)) if calls else "0",
            "job_no": ended,
            "sampling_step": step,
            "sampling_steps": of,
        },
        "current_image": None if skip_current_image else _preview(hub, open),
        "textinfo": None,
    }


def _preview(hub: Hub, jobs: list[str]) -> str | None:
    """What the first of them that has one looks like."""
    found = filter(None, map(hub.gallery.previews.newest, jobs))
    newest = next(found, None)
    return b64encode(newest).decode() if newest else None


# -- models and options --


def _models(hub: Hub) -> list[str]:
    """Those that make what names none first."""
    edges = hub.work.edges
    found = [*(edge.default for edge in edges), *(model for edge in edges for model in sorted(edge.models))]
    return [model for model in dict.fromkeys(found) if model]


def _known_model(name: str, hub: Hub) -> str:
    known = _models(hub)
    if name not in known:
        raise AlphaloomError(
            "unknown_model",
            f"No edge has a model that is called {name[:80]!r}. Those that are here: {', '.join(known)[:1000] or 'none'}.",
            model=name[:80],
        )
    return name


@router.get("/sdapi/v1/options")
async def get_options(who: Viewer, hub: TheHub, desk: TheDesk) -> dict[str, Any]:
    model = desk.chosen(who.person, hub) or next(iter(_models(hub)), "")
    return {"sd_model_checkpoint": model, "sd_checkpoint_hash": "", "samples_format": "png", "CLIP_stop_at_last_layers": 1}


@router.post("/sdapi/v1/options", openapi_extra=_json_body(Options))
async def set_options(request: Request, who: Editor, hub: TheHub, desk: TheDesk) -> None:
    """`sd_model_checkpoint` is the model of one's own next pictures. Other options are not kept."""
    model = webui_forms.parse(Options, await request.body()).sd_model_checkpoint
    if model is not None:
        desk.choose(who.person, _known_model(model, hub) if model else "")


@router.get("/sdapi/v1/sd-models")
async def sd_models(who: Viewer, hub: TheHub) -> list[dict[str, Any]]:
    return [
        {"title": model, "model_name": model, "hash": None, "sha256": None, "filename": model, "config": None}
        for model in _models(hub)
    ]


@router.get("/sdapi/v1/loras")
async def loras(who: Viewer, entries: TheModels) -> list[dict[str, Any]]:
    """Those of the manifest, for `<lora:NAME:WEIGHT>` in a prompt."""
    return [{"name": one.id, "alias": one.id, "path": one.id, "metadata": {}} for one in entries if one.kind == "lora"]


# -- what is the same for everybody, always --

_CONSTANT: dict[str, Any] = {
    "samplers": webui_samplers.samplers(),
    "schedulers": webui_samplers.schedulers(),
    "scripts": {"txt2img": [], "img2img": []},
    "script-info": [],
    "cmd-flags": {},
    "memory": {"ram": {}, "cuda": {}},
    "embeddings": {"loaded": {}, "skipped": {}},
    "upscalers": [],
    "latent-upscale-modes": [],
    "sd-vae": [],
    "hypernetworks": [],
    "face-restorers": [],
    "realesrgan-models": [],
    "prompt-styles": [],
    "artist-categories": [],
    "artists": [],
}


def _add(path: str, constant: Any) -> None:
    async def get(who: Viewer) -> Any:
        return constant

    router.add_api_route(f"/sdapi/v1/{path}", get, name=path, summary="Always the same")


for _path, _value in _CONSTANT.items():
    _add(_path, _value)


@router.post("/sdapi/v1/refresh-checkpoints")
async def refresh_checkpoints(who: Viewer) -> None:
    """Edges say by themselves which models they have."""
