from picture_files import png

from broker.dispatch import Edge
from broker.executions import Executions, decided, wrong_with
from protocol import messages as m
from protocol.model import Phrase, ResolvedRequest

REQUEST = ResolvedRequest("txt2img", (Phrase("a"),), "", 64, 64, None, 4.0, 1.0, 0)


def an_edge(fingerprint: str = "f") -> Edge:
    return Edge(m.Hello(2, "edge", model="m", fingerprint=fingerprint))


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


def test_only_the_png_that_was_asked_for_is_right() -> None:
    def said(data: bytes, steps: int | None = 4) -> str:
        return wrong_with(m.Result("j", 1, ResolvedRequest("txt2img", (), "", 1, 1, steps, 1, 1, 0), data), REQUEST)

    assert said(png(64, 64)) == ""
    assert "no PNG" in said(b"GIF89a") and "no PNG" in said(png(64, 64)[:8])
    assert "32x64 pixels instead of 64x64" in said(png(32, 64))
    assert "1000000 steps" in said(png(64, 64), 1_000_000)
