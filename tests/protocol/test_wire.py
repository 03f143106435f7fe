from dataclasses import replace

import pytest

from protocol import messages as m
from protocol import wire
from protocol.errors import AlphaloomError
from protocol.model import (
    Change,
    Event,
    Feature,
    Frame,
    Job,
    Latency,
    Link,
    Lora,
    Map,
    Modulation,
    Move,
    Node,
    Operation,
    Performer,
    Phrase,
    Place,
    Presence,
    ResolvedRequest,
    Rule,
    Settings,
)

RESOLVED = ResolvedRequest("inpaint", (Phrase("a", 0.25), Phrase("b", 0.75)), "", 64, 64, None, 4.0, 0.5, 7, mask="ab")
MOVE = Move("alpha", 0.5, 1.5, "blend", 0.0, 1.0)
JOB = Job(
    "j", "n", "done", 1, 1.5, "jam", "Ada", 2, True, resolved=RESOLVED, modulation=Modulation(2.0, ("Muse", "Unicorn"), (MOVE,))
)
CHANGES = (Change("update", "node", "n", {"settings.steps": None, "x": 1.5}), Change("delete", "link", "l"))
OPERATION = Operation(7, "o", CHANGES, "Ada", 3.5, undoes=2)
FEATURES = {"alpha": Feature(0.5, 1.5, 0.9, 7.0, Latency(0.1, 1.0)), "log_alpha": Feature(1.2, None, 0.9, 7.0)}
FRAME = Frame(2.0, FEATURES, "Muse", {"TP9": 0.9}, "held", 0.01, (Event("blink", 6.5), Event("marker", 6.6, "go")))
MUSE = Performer("Muse", 256.0, {"TP9": "temporal"}, "microvolts", {"calm": "no posterior site"}, "ab", 10.2)


@pytest.mark.parametrize(
    "message",
    [
        m.Hello(
            1, "edge", "box", "secret", model="model", models={"model": "ab", "other": ""}, tasks=("txt2img",), max_side=512
        ),
        m.Hello(1, "editor", "Ada", room="jam", revision=5, operation="o"),
        m.Edit("o", CHANGES),
        m.Edited(OPERATION),
        m.Generate("", "j", 3, RESOLVED),
        m.Present(Presence("c", "Ada", ("n",), False)),
        m.Waiting({"j": Place(1, None), "k": Place(2, 1.5)}),
        m.Heartbeat(("j", "k")),
        m.Drain(),
        m.Snapshot(Map({"n": Node("n", settings=Settings(steps=3))}, {"l": Link("l", "n", "n")}, 5), (), (JOB,), 1, "off"),
        m.Snapshot(None, (), (), 0, "off", missed=(OPERATION,), operation="o", people=(Presence("c", "Ada"),)),
        m.Snapshot(Map(), (Rule("alpha", "cold/warm", 1.0, performer=2),), (), 0, "Muse", (MUSE,), True),
        m.Features(FRAME),
        m.Status(1, "Muse", (MUSE,), True),
        m.SetSham(True),
        m.Picture("n", "j", "blob", "image/png", b"\x00\xff{}"),
        m.Result("j", 2, RESOLVED, b"", "f"),
        m.Run("j", 2, replace(RESOLVED, loras=(Lora("ink", 0.5),), depth="cd"), JOB.modulation),
        m.Preview("j", b"\xff\xd8\xff", 2, "n"),
        m.Pulling("j", 2, "large", 5, 10**10),
        m.Error("code", "message", {"value": 3}),
    ],
    ids=lambda message: type(message).__name__,
)
def test_what_is_encoded_decodes_to_the_same(message: object) -> None:
    assert wire.decode(wire.encode(message)) == message


def test_only_messages_with_a_payload_are_binary() -> None:
    assert isinstance(wire.encode(m.Cancel("j")), str)
    assert isinstance(wire.encode(m.Picture("n", "j", "b", "image/png", b"")), bytes)


@pytest.mark.parametrize(
    "data",
    ["", "hello", "[]", "null", "{}", '{"type": 3}', "{" * 5000, "[" * 100_000, b"", b"\x00\x00\x00\xff{}", b"\xff" * 20,
     '{"type": "Edit", "id": "e", "changes": [{"x": NaN}]}'],
    ids=lambda data: repr(data[:20]),
)  # fmt: skip
def test_what_is_no_message_is_refused_with_a_reason(data: str | bytes) -> None:
    with pytest.raises(AlphaloomError) as caught:
        wire.split(data)
    assert caught.value.code in ("malformed_message", "unknown_message")


def test_an_unknown_message_is_named() -> None:
    with pytest.raises(AlphaloomError, match="'Explode'"):
        wire.split('{"type": "Explode"}')


def test_fields_of_a_newer_peer_are_left_out() -> None:
    assert wire.decode('{"type": "Cancel", "job": "j", "why": "new"}') == m.Cancel("j")


def test_a_field_of_the_wrong_type_is_malformed() -> None:
    with pytest.raises(AlphaloomError, match="Progress"):
        wire.decode('{"type": "Progress", "job": "j", "step": "one", "steps": 2}')
