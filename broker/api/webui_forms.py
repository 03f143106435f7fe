"""What the AUTOMATIC1111 API is asked and answers, and what that is in our words. Pure."""

from __future__ import annotations

import json
import random
import re
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, TypeVar

import pydantic
from pydantic_core import to_json

from protocol import VERSION, check
from protocol.errors import AlphaloomError
from protocol.model import Job, Phrase, ResolvedRequest

from . import webui_samplers

F = TypeVar("F", bound=pydantic.BaseModel)

MAX_PICTURES = 16
"""Of one call: all of them are in memory when it is answered."""
MAX_COMMAS = 100_000
"""A body may be as large as pictures are; made of small things, it would be many times that in memory."""
_STAND_IN = "0" * 64


class Txt2Img(pydantic.BaseModel):
    """Fields beyond these are taken, too: the answer's `info` names those that were not used."""

    model_config = pydantic.ConfigDict(extra="allow", allow_inf_nan=False)

    prompt: str = ""
    negative_prompt: str = ""
    seed: int = -1
    """-1: by chance. Further pictures have the seeds after it."""
    steps: int | None = None
    """None: as many as the model likes."""
    cfg_scale: float = 7.0
    width: int = 512
    height: int = 512
    batch_size: int = pydantic.Field(1, ge=1)
    n_iter: int = pydantic.Field(1, ge=1)
    sampler_name: str = ""
    """An unknown one leaves it to the model, which brings its own."""
    sampler_index: str = ""
    """Its older name."""
    scheduler: str = ""
    """The noise schedule: `automatic`, `uniform` or `karras`."""
    tiling: bool = False
    """On both axes."""
    subseed: int = -1
    """-1: by chance. Further pictures have those after it, and the same seed, where `subseed_strength` is not 0."""
    subseed_strength: float = 0
    """0..1: how far the noise goes from that of `seed` to that of `subseed`."""
    override_settings: dict[str, Any] = {}
    """`sd_model_checkpoint` is used: the model of these pictures."""
    send_images: bool = True
    script_name: str = ""
    """None is known."""
    alwayson_scripts: dict[str, Any] = {}
    """None is known."""

    @property
    def sampler(self) -> webui_samplers.Chosen:
        return webui_samplers.choose(self.sampler_name or self.sampler_index, self.scheduler)

    @property
    def checkpoint(self) -> str:
        """Raises AlphaloomError `invalid_request`."""
        name = self.override_settings.get("sd_model_checkpoint") or ""
        if not isinstance(name, str):
            raise AlphaloomError("invalid_request", f"override_settings.sd_model_checkpoint is {name!r:.80}, not a name.")
        return name

    @pydantic.model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, value: Any) -> Any:
        return {name: item for name, item in value.items() if item is not None} if isinstance(value, dict) else value


class Img2Img(Txt2Img):
    init_images: Annotated[list[str], pydantic.FailFast()] = []
    """Base64, also as a data URL. The first is used."""
    denoising_strength: float = 0.75
    mask: str = ""
    """Base64: white is painted anew, black keeps its very pixels; where it is transparent in places, what is opaque is."""
    inpainting_mask_invert: int = pydantic.Field(0, ge=0, le=1)
    mask_blur: float = 0
    """Not used."""
    resize_mode: int = pydantic.Field(0, ge=0, le=3)
    """0: stretched; 1: cropped; 2: its edges go on; 3: as 0."""


class Options(pydantic.BaseModel):
    """Others are taken, and change nothing."""

    model_config = pydantic.ConfigDict(extra="allow")

    sd_model_checkpoint: str | None = None
    """The model of the caller's next pictures; empty: any."""


class Made(pydantic.BaseModel):
    """An answer with pictures."""

    images: list[str]
    """PNG in base64."""
    parameters: dict[str, Any]
    info: str
    """JSON: the seeds, how each picture was made, and in `not_used` the fields that were not."""


def parse(kind: type[F], body: bytes) -> F:
    """Raises AlphaloomError `invalid_request` or `message_too_large`."""
    if body.count(b",") > MAX_COMMAS:
        raise AlphaloomError("message_too_large", f"The body has more than {MAX_COMMAS} fields and items.")
    try:
        return kind.model_validate_json(body or b"{}")
    except pydantic.ValidationError as problem:
        found = problem.errors(include_url=False, include_context=False)
        errors = [{"field": ".".join(map(str, one["loc"])), "message": one["msg"]} for one in found[:20]]
        where = errors[0]["field"] or "the body"
        raise AlphaloomError("invalid_request", f"{where}: {errors[0]['message']}.", field=where, errors=errors) from None


def requests(form: Txt2Img, model: str) -> list[ResolvedRequest]:
    """One for each picture; the pictures that they are made of are put in later, by `with_pictures`.

    Raises AlphaloomError for what cannot be made.
    """
    scripts = [form.script_name] * bool(form.script_name) + list(form.alwayson_scripts)
    if scripts:
        raise AlphaloomError("unknown_script", f"Script {scripts[0][:80]!r} not found: this broker has none.")
    count = form.batch_size * form.n_iter
    if count > MAX_PICTURES:
        raise AlphaloomError(
            "bad_value", f"{count} pictures are asked for; the most of one call is {MAX_PICTURES}.", field="batch_size"
        )
    seed, subseed = (_chance(count) if one == -1 else one for one in (form.seed, form.subseed))
    first = ResolvedRequest(
        task="txt2img",
        phrases=(Phrase(_weighted(form.prompt)),),
        negative=_weighted(form.negative_prompt),
        width=form.width,
        height=form.height,
        steps=form.steps,
        guidance=form.cfg_scale,
        strength=1.0,
        seed=seed,
        model=model,
        scheduler=form.sampler.scheduler,
        tiling="xy" if form.tiling else "",
        variation=form.subseed_strength,
        variation_seed=subseed if form.subseed_strength else ResolvedRequest.variation_seed,
    )
    if isinstance(form, Img2Img):
        first = replace(
            first,
            task="inpaint" if form.mask else "img2img",
            strength=form.denoising_strength,
            source=_STAND_IN if form.init_images else None,
            mask=_STAND_IN if form.mask else None,
        )
    moved = "variation_seed" if form.subseed_strength else "seed"
    made = [replace(first, **{moved: getattr(first, moved) + further}) for further in range(count)]
    check.request(made[0])
    check.request(made[-1])
    return made


def _chance(count: int) -> int:
    """A seed that has so many after it."""
    return random.randint(0, check.SEED[1] - count)


def with_pictures(asked: list[ResolvedRequest], source: str, mask: str | None) -> list[ResolvedRequest]:
    return [replace(one, source=source, mask=mask) for one in asked]


_WEIGHT = re.compile(r"\(([^()\[\]:]+):\s*([0-9]+(?:\.[0-9]*)?)\s*\)")


def _weighted(prompt: str) -> str:
    """`(moss:1.3)` as our edges understand it: `(moss)1.3`."""
    return _WEIGHT.sub(r"(\1)\2", prompt)


# -- what was not used --

_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "eta": (1,),
    "s_noise": (1,),
    "image_cfg_scale": (1.5,),
    "initial_noise_multiplier": (1,),
    "inpainting_fill": (1,),
    # What they ask for is so.
    "override_settings_restore_afterwards": (True,),
    "do_not_save_samples": (True,),
    "do_not_save_grid": (True,),
}
_OF_MASKS = ("inpainting_fill", "inpaint_full_res", "inpaint_full_res_padding")
_OF_HIRES = ("denoising_strength", "firstphase_width", "firstphase_height")
_MAX_NAMED = 50


def not_used(form: Txt2Img) -> list[str]:
    """The names of fields that say something to which we are deaf."""
    extra = form.model_extra or {}
    found = [name for name, value in extra.items() if _says(form, name, value)]
    if not form.sampler.knows_sampler:
        found.append("sampler_name" if form.sampler_name else "sampler_index")
    if not form.sampler.knows_schedule:
        found.append("scheduler")
    settings = form.override_settings.items()
    found += [f"override_settings.{name}" for name, value in settings if value and name != "sd_model_checkpoint"]
    if isinstance(form, Img2Img):
        found += ["mask_blur"] * bool(form.mask and form.mask_blur)
        found += ["resize_mode"] * (form.resize_mode == 3)
        found += ["init_images[1:]"] * (len(form.init_images) > 1)
    return sorted(name[:80] for name in found)[:_MAX_NAMED]


def _says(form: Txt2Img, name: str, value: Any) -> bool:
    if name in _OF_MASKS and not (isinstance(form, Img2Img) and form.mask):
        return False
    if (name in _OF_HIRES or name.startswith("hr_")) and not (form.model_extra or {}).get("enable_hr"):
        return False
    if name == "inpainting_fill":  # its 0 says something
        return value not in _NEUTRAL[name]
    return bool(value) and value != "None" and value not in _NEUTRAL.get(name, ())


# -- the answer --


@dataclass(frozen=True)
class Batch:
    """What came of one call."""

    form: Txt2Img
    done: Sequence[Job]
    interrupted: bool


def answer(batch: Batch, pictures: Sequence[bytes]) -> bytes:
    """As Made. Nothing is looked through twice: pictures are large."""
    sent = pictures if batch.form.send_images else ()
    images = b",".join(b'"' + b64encode(picture) + b'"' for picture in sent)
    parameters = batch.form.model_dump(include=set(type(batch.form).model_fields))
    for name in ("init_images", "mask"):
        if name in parameters:
            parameters[name] = None
    parts = [b'{"images":[', images, b'],"parameters":', to_json(parameters), b',"info":', to_json(_info(batch)), b"}"]
    return b"".join(parts)


def _info(batch: Batch) -> str:
    form, jobs = batch.form, batch.done
    made = [job.resolved for job in jobs if job.resolved]
    seeds = [one.seed for one in made]
    first = made[0]
    return json.dumps(
        {
            "prompt": form.prompt,
            "all_prompts": [form.prompt] * len(made),
            "negative_prompt": form.negative_prompt,
            "all_negative_prompts": [form.negative_prompt] * len(made),
            "seed": seeds[0],
            "all_seeds": seeds,
            "subseed": first.variation_seed,
            "all_subseeds": [one.variation_seed for one in made],
            "subseed_strength": first.variation,
            "width": first.width,
            "height": first.height,
            "sampler_name": webui_samplers.name_of(first.scheduler),
            "cfg_scale": first.guidance,
            "steps": first.steps,
            "batch_size": form.batch_size,
            "restore_faces": False,
            "face_restoration_model": None,
            "sd_model_name": first.model,
            "sd_model_hash": None,
            "sd_vae_name": None,
            "sd_vae_hash": None,
            "seed_resize_from_w": 0,
            "seed_resize_from_h": 0,
            "denoising_strength": None if first.task == "txt2img" else first.strength,
            "extra_generation_params": {},
            "index_of_first_image": 0,
            "infotexts": [_infotext(form, one) for one in made],
            "styles": [],
            "job_timestamp": str(int(jobs[0].created)),
            "clip_skip": 1,
            "is_using_inpainting_conditioning": False,
            "version": f"Alphaloom {VERSION}",
            "interrupted": batch.interrupted,
            "jobs": [job.id for job in jobs],
            "not_used": not_used(form),
        }
    )


def _infotext(form: Txt2Img, made: ResolvedRequest) -> str:
    said = {
        "Steps": made.steps,
        "Sampler": webui_samplers.name_of(made.scheduler),
        "CFG scale": made.guidance,
        "Seed": made.seed,
        "Size": f"{made.width}x{made.height}",
        "Model": made.model,
    }
    if made.variation:
        said |= {"Variation seed": made.variation_seed, "Variation seed strength": made.variation}
    if made.tiling:
        said["Tiling"] = True
    if made.task != "txt2img":
        said["Denoising strength"] = made.strength
    said["Version"] = f"Alphaloom {VERSION}"
    negative = f"\nNegative prompt: {form.negative_prompt}" if form.negative_prompt else ""
    return f"{form.prompt}{negative}\n" + ", ".join(f"{name}: {value}" for name, value in said.items())
