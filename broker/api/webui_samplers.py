"""Our schedulers, as the AUTOMATIC1111 API names samplers and their noise schedules. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from protocol.samplers import OWN, SAMPLERS

_KARRAS = " karras"
_ALIASES = {
    "k_euler": "euler", "k_euler_a": "euler a", "k_euler_ancestral": "euler a", "k_lms": "lms", "k_heun": "heun",
    "k_dpm_2": "dpm2", "k_dpm_2_a": "dpm2 a", "k_dpm_2_ancestral": "dpm2 a", "k_dpmpp_2m": "dpm++ 2m",
    "k_dpmpp_2m_sde": "dpm++ 2m sde", "k_lcm": "lcm", "pndm": "plms",
}  # fmt: skip
_OURS = {name.casefold(): ours for ours, name in SAMPLERS.items()}
_SELF_KARRAS = ("dpm++ 2m", "dpm++ 2m sde")
"""There, these have Karras' schedule (the second one nearly) unless another is asked for."""
_SCHEDULES = ("", "automatic", "uniform", "karras")


@dataclass(frozen=True)
class Chosen:
    scheduler: str
    """As protocol.model.SCHEDULERS; empty: the model's own."""
    knows_sampler: bool = True
    knows_schedule: bool = True


def choose(sampler: str, schedule: str) -> Chosen:
    """What is asked for, as near as we have it: an unknown sampler leaves it to the model, an unknown schedule to that."""
    name, wanted = sampler.strip().casefold(), schedule.strip().casefold()
    base = name.removesuffix(_KARRAS)
    base = _ALIASES.get(base, base)
    if base in ("", OWN.casefold()):
        return Chosen("", True, wanted in _SCHEDULES[:2])
    if base not in _OURS:
        return Chosen("", False, wanted in _SCHEDULES[:2])
    is_karras = name.endswith(_KARRAS) or wanted == "karras" or (wanted in _SCHEDULES[:2] and base in _SELF_KARRAS)
    has_karras = base + _KARRAS in _OURS
    ours = _OURS[base + _KARRAS * (is_karras and has_karras)]
    return Chosen(ours, True, wanted in _SCHEDULES and (wanted != "karras" or has_karras))


def name_of(scheduler: str) -> str:
    return SAMPLERS.get(scheduler, OWN)


def samplers() -> list[dict[str, Any]]:
    """With the model's own first."""
    names = [OWN, *(name for name in SAMPLERS.values() if not name.casefold().endswith(_KARRAS))]
    aliases = {name: [alias for alias, meant in _ALIASES.items() if meant == name.casefold()] for name in names}
    return [{"name": name, "aliases": aliases[name], "options": {}} for name in names]


def schedulers() -> list[dict[str, Any]]:
    rest = {"aliases": None, "default_rho": -1.0, "need_inner_model": False}
    return [{"name": name, "label": name.capitalize()} | rest for name in _SCHEDULES if name]
