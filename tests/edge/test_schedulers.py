"""Every scheduler by name, through the real pipelines."""

import threading
from typing import Any

import diffusers
import families
import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, DiffusionPipeline, DPMSolverMultistepScheduler, EulerDiscreteScheduler

from edge import schedulers
from edge.models import shelf
from protocol.errors import AlphaloomError
from protocol.model import SCHEDULERS

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::RuntimeWarning")
diffusers.utils.logging.disable_progress_bar()


@pytest.fixture(scope="module")
def pipelines(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folders: dict[str, Any] = {"embedded": shelf.find(shelf.EMBEDDED).source}
    for family in ("sd15", "sd21", "sdxl", "sdxl_turbo", "lcm_sdxl"):
        folders[family] = families.save(family, tmp_path_factory.mktemp(family))
    loaded = {}
    for family, folder in folders.items():
        loaded[family] = DiffusionPipeline.from_pretrained(folder, use_safetensors=True, dtype=torch.float32)
        loaded[family].set_progress_bar_config(disable=True)
        loaded[family].own = loaded[family].scheduler
    return loaded


def make(pipeline: Any, name: str, steps: int, seed: int = 1, **more: Any) -> np.ndarray:
    """(h, w, 3), 0..1."""
    pipeline.scheduler = schedulers.fresh(name, pipeline.own, steps)
    settings = {"width": 64, "height": 64, "num_inference_steps": steps, "guidance_scale": 4.0, "output_type": "np"} | more
    if "prompt_embeds" not in settings:
        settings["prompt"] = "red marble"
    return pipeline(generator=torch.Generator().manual_seed(seed), **settings).images[0]


@pytest.mark.parametrize("name", ["", *SCHEDULERS])
def test_every_scheduler_makes_a_finite_picture_with_every_family(pipelines: dict[str, Any], name: str) -> None:
    for family, pipeline in pipelines.items():
        for steps in (1, 2, 8):
            assert np.isfinite(make(pipeline, name, steps)).all(), (family, steps)


@pytest.mark.parametrize("name", SCHEDULERS)
@pytest.mark.parametrize("steps", [12, 25])
def test_every_scheduler_makes_what_was_asked_for(pipelines: dict[str, Any], name: str, steps: int) -> None:
    red, green, blue = make(pipelines["embedded"], name, steps, width=128, height=128).mean(axis=(0, 1))
    assert red > 0.55 and green < 0.3 and blue < 0.3


@pytest.mark.parametrize("name", SCHEDULERS)
def test_every_scheduler_can_start_from_a_picture(pipelines: dict[str, Any], name: str) -> None:
    for family in ("embedded", "sd15", "sdxl"):
        pipeline = diffusers.AutoPipelineForImage2Image.from_pipe(pipelines[family])
        pipeline.set_progress_bar_config(disable=True)
        pipeline.own = pipelines[family].own
        source = torch.full((1, 3, 64, 64), 0.5)
        for strength in (0.2, 0.6, 1.0):
            made = make(pipeline, name, 5, image=source, strength=strength, width=None, height=None)
            assert np.isfinite(made).all(), (family, strength)


def test_what_the_model_was_trained_with_stays(pipelines: dict[str, Any]) -> None:
    for pipeline in pipelines.values():
        own = pipeline.own.config
        for name in SCHEDULERS:
            config = schedulers.fresh(name, pipeline.own).config
            for key in ("beta_start", "beta_end", "beta_schedule", "num_train_timesteps", "prediction_type"):
                assert config[key] == own[key]
            assert not config.get("clip_sample", False) and not config.get("thresholding", False)
    turbo = pipelines["sdxl_turbo"].own
    assert {schedulers.fresh(n, turbo).config.timestep_spacing for n in SCHEDULERS} == {"trailing"}


def test_one_solvers_ways_do_not_go_over_to_another() -> None:
    odd = DPMSolverMultistepScheduler(
        algorithm_type="sde-dpmsolver++", use_karras_sigmas=True, solver_order=3, solver_type="heun", **families.NOISE
    )
    assert not schedulers.fresh("euler", odd).config.use_karras_sigmas
    assert schedulers.fresh("deis", odd).config.algorithm_type == "deis"
    assert schedulers.fresh("dpm++_2m", odd).config.solver_order == 2
    assert schedulers.fresh("", odd).config == odd.config


def test_each_is_new_and_the_models_own_stays_as_it_was() -> None:
    own = DDIMScheduler(**families.NOISE)
    before = dict(own.config)
    for name in ("", *SCHEDULERS):
        first, second = schedulers.fresh(name, own), schedulers.fresh(name, own)
        assert first is not second and own not in (first, second)
        first.set_timesteps(3)
        second.set_timesteps(5)
        assert len(first.timesteps) < len(second.timesteps)
    assert dict(own.config) == before and own.num_inference_steps is None


def test_jobs_at_the_same_time_do_not_disturb_each_other(pipelines: dict[str, Any]) -> None:
    """Two pipelines over one set of weights, each with a job of its own scheduler.

    The prompt is encoded before: a tokenizer keeps the padding of the call it is in, and is no part of what is shown here.
    """
    first = pipelines["embedded"]
    names = ("dpm++_2m_sde", "unipc")
    wanted, unwanted = first.encode_prompt("red marble", "cpu", 1, True)
    encoded = {"prompt_embeds": wanted, "negative_prompt_embeds": unwanted}
    alone = [make(first, name, 6, **encoded) for name in names]
    sharing = [type(first)(**first.components) for _ in names]
    found: dict[int, list[np.ndarray]] = {0: [], 1: []}
    together = threading.Barrier(2)

    def work(n: int) -> None:
        sharing[n].own = first.own
        sharing[n].set_progress_bar_config(disable=True)
        for _ in range(3):
            together.wait()
            found[n].append(make(sharing[n], names[n], 6, **encoded))

    threads = [threading.Thread(target=work, args=(n,)) for n in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for n in (0, 1):
        assert all(np.array_equal(picture, alone[n]) for picture in found[n]) and len(found[n]) == 3


def test_a_name_means_exactly_what_it_makes(pipelines: dict[str, Any]) -> None:
    for pipeline in pipelines.values():
        for name in SCHEDULERS:
            made = schedulers.fresh(name, pipeline.own)
            assert schedulers.name_of(made) == name
    names = {family: schedulers.name_of(pipeline.own) for family, pipeline in pipelines.items()}
    assert names == {
        "embedded": "ddim",
        "sd15": "pndm",
        "sd21": "ddim",
        "sdxl": "euler",
        "sdxl_turbo": "euler_a",
        "lcm_sdxl": "lcm",
    }


def test_a_scheduler_that_no_name_means_has_none() -> None:
    assert schedulers.name_of(EulerDiscreteScheduler(use_exponential_sigmas=True)) == ""
    assert schedulers.name_of(DDIMScheduler(clip_sample=True)) == ""
    assert schedulers.name_of(diffusers.FlowMatchEulerDiscreteScheduler()) == ""


@pytest.mark.parametrize("name", ["Euler", "ddim ", "__init__", "nan"])
def test_an_unknown_name_says_which_there_are(name: str) -> None:
    with pytest.raises(AlphaloomError, match=r"euler_karras") as caught:
        schedulers.fresh(name, DDIMScheduler())
    assert caught.value.code == "unknown_scheduler" and caught.value.detail["scheduler"] == name


def test_a_model_that_predicts_something_else_keeps_its_own() -> None:
    own = DDIMScheduler(prediction_type="sample")
    assert schedulers.fresh("", own).config.prediction_type == "sample"
    with pytest.raises(AlphaloomError, match="Leave the scheduler empty") as caught:
        schedulers.fresh("heun", own)
    assert caught.value.code == "unsupported_scheduler"


@pytest.mark.parametrize("name", ["lcm", "tcd"])
def test_more_steps_than_a_scheduler_can_do_are_refused(name: str) -> None:
    schedulers.fresh(name, DDIMScheduler(), 50)
    with pytest.raises(AlphaloomError, match="at most 50 steps") as caught:
        schedulers.fresh(name, DDIMScheduler(), 51)
    assert caught.value.detail["field"] == "steps"
