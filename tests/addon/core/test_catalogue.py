"""Which models there are, from what the broker says."""

import json

import pytest

from addon.core.catalogue import Catalogue, Offer

MODELS = json.dumps(
    [
        {"id": "turbo", "kind": "model", "size": 2_500_000_000},
        {"id": "tiny", "kind": "model", "size": 0},
        {"id": "moss", "kind": "lora", "size": 9_000_000},
        {"id": "depth", "kind": "controlnet"},
    ]
).encode()
EDGES = json.dumps(
    [{"model": "tiny", "models": {"tiny": "abc", "own": "def", "moss": "x"}}, {"model": "", "models": {}}]
).encode()


def heard() -> Catalogue:
    made = Catalogue()
    made.hear(MODELS, EDGES)
    return made


def test_what_is_loaded_comes_first_and_what_must_be_pulled_last() -> None:
    assert heard().of("model") == [
        Offer("tiny", "model", "loaded"),
        Offer("own", "model", "on an edge"),
        Offer("turbo", "model", "to be pulled, 2.5 GB"),
    ]


def test_loras_and_controlnets_are_no_models() -> None:
    assert [offer.id for offer in heard().of("lora")] == ["moss"]
    assert heard().of("controlnet") == [Offer("depth", "controlnet", "to be pulled")]
    assert heard().problem("moss") == "'moss' is a lora, no model"


def test_a_model_that_nobody_has_is_said_and_nothing_before_it_is_known() -> None:
    assert "'sd9'" in heard().problem("sd9")
    assert heard().problem("turbo") == heard().problem("own") == heard().problem("") == ""
    assert Catalogue().problem("sd9") == ""


@pytest.mark.parametrize("models", [b"no json", b"[1]", b'[{"kind": "model"}]', b'{"a": 1}'])
def test_an_answer_that_is_no_list_of_models_leaves_what_was_known(models: bytes) -> None:
    known = heard()
    with pytest.raises(ValueError):
        known.hear(models, EDGES)
    assert known.offers == heard().offers
