import pytest

from broker.api.webui_samplers import Chosen, choose, name_of, samplers, schedulers
from protocol.model import SCHEDULERS
from protocol.samplers import SAMPLERS


@pytest.mark.parametrize(
    ("sampler", "schedule", "ours"),
    [
        ("", "", ""),
        ("Automatic", "automatic", ""),
        ("Euler a", "", "euler_a"),
        ("k_euler_ancestral", "", "euler_a"),
        ("euler", "Automatic", "euler"),
        ("Euler", "Karras", "euler_karras"),
        ("DPM++ 2M", "", "dpm++_2m_karras"),
        ("DPM++ 2M", "uniform", "dpm++_2m"),
        ("DPM++ 2M Karras", "", "dpm++_2m_karras"),
        ("k_dpmpp_2m_sde", "karras", "dpm++_2m_sde_karras"),
        ("PLMS", "", "pndm"),
    ],
)
def test_a_sampler_is_one_of_our_schedulers(sampler: str, schedule: str, ours: str) -> None:
    assert choose(sampler, schedule) == Chosen(ours)


def test_what_is_unknown_is_said_and_the_rest_is_done() -> None:
    assert choose("DPM adaptive", "") == Chosen("", knows_sampler=False)
    assert choose("Euler", "exponential") == Chosen("euler", knows_schedule=False)
    assert choose("Heun", "Karras") == Chosen("heun", knows_schedule=False)
    assert choose("", "karras") == Chosen("", knows_schedule=False)


def test_every_scheduler_has_a_name_that_means_it() -> None:
    assert SAMPLERS.keys() == set(SCHEDULERS)
    for ours in SCHEDULERS:
        assert choose(name_of(ours), "" if "karras" in ours else "uniform").scheduler == ours
    assert name_of("") == "Automatic" and samplers()[0]["name"] == "Automatic"
    assert [one["label"] for one in schedulers()] == ["Automatic", "Uniform", "Karras"]
