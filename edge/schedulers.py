"""Schedulers by the field's usual names, each job its own: one keeps the state of the run that it is in."""

from __future__ import annotations

from typing import Any

import diffusers

from protocol.errors import AlphaloomError
from protocol.model import SCHEDULERS

_PLAIN = {"use_karras_sigmas": False, "use_exponential_sigmas": False, "use_beta_sigmas": False}
# From the endless noise of a schedule whose last signal is zero, Karras' spacing spends most steps where nothing is to be
# seen, and DPM++ loses count of them. It begins where the schedule as it was before would.
_KARRAS = _PLAIN | {"use_karras_sigmas": True, "rescale_betas_zero_snr": False}
# Latents are not bounded as pixels are; yet two classes clip them unless told not to.
_UNCLIPPED = {"clip_sample": False}
_DPM = {"solver_order": 2, "solver_type": "midpoint", "final_sigmas_type": "zero"}

_KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "ddim": ("DDIMScheduler", _UNCLIPPED),
    "ddpm": ("DDPMScheduler", _UNCLIPPED),
    # Its Runge-Kutta warm-up, which no Stable Diffusion uses, needs more steps than some ask for.
    "pndm": ("PNDMScheduler", {"skip_prk_steps": True}),
    "lms": ("LMSDiscreteScheduler", _PLAIN),
    "euler": ("EulerDiscreteScheduler", _PLAIN),
    "euler_karras": ("EulerDiscreteScheduler", _KARRAS),
    "euler_a": ("EulerAncestralDiscreteScheduler", {}),
    "heun": ("HeunDiscreteScheduler", _PLAIN | _UNCLIPPED),
    "dpm2": ("KDPM2DiscreteScheduler", _PLAIN),
    "dpm2_a": ("KDPM2AncestralDiscreteScheduler", _PLAIN),
    "dpm++_2m": ("DPMSolverMultistepScheduler", _PLAIN | _DPM | {"algorithm_type": "dpmsolver++"}),
    "dpm++_2m_karras": ("DPMSolverMultistepScheduler", _KARRAS | _DPM | {"algorithm_type": "dpmsolver++"}),
    "dpm++_2m_sde": ("DPMSolverMultistepScheduler", _PLAIN | _DPM | {"algorithm_type": "sde-dpmsolver++"}),
    "dpm++_2m_sde_karras": ("DPMSolverMultistepScheduler", _KARRAS | _DPM | {"algorithm_type": "sde-dpmsolver++"}),
    "unipc": ("UniPCMultistepScheduler", _PLAIN | {"solver_order": 2, "solver_type": "bh2", "final_sigmas_type": "zero"}),
    "deis": ("DEISMultistepScheduler", _PLAIN | {"solver_order": 2, "solver_type": "logrho", "algorithm_type": "deis"}),
    "lcm": ("LCMScheduler", _UNCLIPPED),
    "tcd": ("TCDScheduler", _UNCLIPPED),
}
assert set(_KINDS) == set(SCHEDULERS)


def fresh(name: str, model_scheduler: Any, steps: int = 1) -> Any:
    """A new scheduler of this name for the model whose own is given; "" is a new one of the model's own.

    What the model was trained with (its noise levels, what it predicts, which time steps) stays as its own scheduler says;
    what belongs to another way of solving does not come along.
    Raises AlphaloomError `unknown_scheduler`; `unsupported_scheduler` for a model that predicts something else than noise
    or velocity; `bad_value` for more steps than it can do.
    """
    if name not in ("", *_KINDS):
        raise AlphaloomError(
            "unknown_scheduler", f"No scheduler is called {name!r}. Use {', '.join(SCHEDULERS)}.", scheduler=name
        )
    predicts = model_scheduler.config.get("prediction_type", "epsilon")
    if name and predicts not in ("epsilon", "v_prediction"):
        raise AlphaloomError(
            "unsupported_scheduler",
            f"This model predicts {predicts!r}, which {name!r} cannot solve. Leave the scheduler empty: the model's own.",
            scheduler=name,
        )
    kind, settings = _KINDS[name] if name else (type(model_scheduler).__name__, {})
    made = getattr(diffusers, kind).from_config(model_scheduler.config, **settings)
    # LCM and TCD can only do steps that their teacher did.
    most = made.config.get("original_inference_steps") or made.config.num_train_timesteps
    if steps > most:
        raise AlphaloomError(
            "bad_value", f"{kind} does at most {most} steps with this model, not {steps}.", field="steps", steps=steps
        )
    return made


def name_of(scheduler: Any) -> str:
    """The name whose fresh scheduler does exactly as this one does; "" where none does."""
    for name, (kind, settings) in _KINDS.items():
        own = type(scheduler)
        if own.__name__ == kind and _settings(own.from_config(scheduler.config, **settings)) == _settings(scheduler):
            return name
    return ""


def _settings(scheduler: Any) -> dict[str, Any]:
    return {key: value for key, value in scheduler.config.items() if not key.startswith("_")}
