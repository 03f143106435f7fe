from dataclasses import replace

import pytest
from picture_files import png

from broker.dispatch import Edge
from broker.executions import Executions, decided, filled_in, wrong_with
from protocol import messages as m
from protocol.model import Phrase, ResolvedRequest

REQUEST = ResolvedRequest("txt2img", (Phrase("a"),), "", 64, 64, None, 4.0, 1.0, 0)


def an_edge(fingerprint: str = "f") -> Edge:
    return Edge(m.Hello(2, "edge", model="m", models={"m": fingerprint}))


def test_those_who_want_the_same_share_it_until_none_is_left() -> None:
    executions, edge = Executions(), an_edge()
    one = executions.begin("a", 1, REQUEST, "key", edge, 15.0)
    executions.join(one, "b")
    assert executions.equal("key") is one and executions.of("b") is one and edge.running == {"a": one}
    assert executions.let_go("a") is None and one.jobs == {"b"}
    assert executions.let_go("b") is one and executions.equal("key") is None and not executions.all()
    assert executions.let_go("b") is None and edge.running  # until the edge has answered


def test_what_has_landed_is_wanted_by_nobody_twice() -> None:
    executions = Executions()
    one = executions.begin("b", 1, REQUEST, "key", an_edge(), 15.0)
    executions.join(one, "a")
    assert executions.land(one) == ["a", "b"] and executions.land(one) == [] and executions.of("a") is None


def test_a_newer_one_of_the_same_key_is_not_forgotten_with_the_older() -> None:
    executions = Executions()
    old = executions.begin("a", 1, REQUEST, "key", an_edge(), 15.0)
    new = executions.begin("b", 1, REQUEST, "key", an_edge(), 15.0)
    executions.land(old)
    assert executions.equal("key") is new


def test_a_request_is_decided_by_the_edge_that_runs_it() -> None:
    request, key = decided(REQUEST, an_edge())
    assert request.model == "m" and key and key != decided(REQUEST, an_edge("g"))[1]
    assert decided(REQUEST, an_edge(""))[1] == ""


def test_what_is_remembered_is_remembered_by_its_own_models_fingerprint() -> None:
    edge = Edge(m.Hello(3, "edge", model="m", models={"m": "f", "other": "g", "absent": ""}))
    own, other, absent = (decided(replace(REQUEST, model=model), edge) for model in ("", "other", "absent"))
    assert own == decided(replace(REQUEST, model="m"), edge) and own[1] != other[1] and absent[1] == ""


def test_an_edge_fills_in_what_it_chose_and_nothing_else() -> None:
    said = replace(REQUEST, model="m", steps=4, guidance=1.0, scheduler="lcm", seed=7, negative="x", width=128)
    assert filled_in(REQUEST, said) == replace(REQUEST, model="m", steps=4, guidance=1.0, scheduler="lcm")
    assert filled_in(replace(REQUEST, model="asked"), said).model == "asked"


@pytest.mark.parametrize(
    "wrong",
    [{"steps": 0}, {"guidance": 31.0}, {"guidance": float("nan")}, {"scheduler": "magic"}, {"scheduler": "x" * 10_000}],
    ids=str,
)
def test_what_an_edge_cannot_have_done_is_no_result(wrong: dict) -> None:
    problem = wrong_with(m.Result("j", 1, replace(REQUEST, **wrong), png(64, 64)), REQUEST)
    assert next(iter(wrong)) in problem and len(problem) < 200


def test_only_the_png_that_was_asked_for_is_right() -> None:
    def said(data: bytes, steps: int | None = 4) -> str:
        return wrong_with(m.Result("j", 1, ResolvedRequest("txt2img", (), "", 1, 1, steps, 1, 1, 0), data), REQUEST)

    assert said(png(64, 64)) == ""
    assert "no PNG" in said(b"GIF89a") and "no PNG" in said(png(64, 64)[:8])
    assert "32x64 pixels instead of 64x64" in said(png(32, 64))
    assert "1000000 steps" in said(png(64, 64), 1_000_000)
