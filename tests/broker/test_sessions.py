import pydantic
import pytest

from broker.sessions import parse
from protocol import VERSION, edits, wire
from protocol import messages as m
from protocol.errors import AlphaloomError
from protocol.model import Node


def test_a_valid_message_is_built() -> None:
    message = m.Edit("e", (edits.create(Node("n", "x")),))
    assert parse(wire.encode(message)) == message


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ("nonsense", "malformed_message"),
        ('{"type": "Nonsense"}', "unknown_message"),
        ('{"type": "Snapshot"}', "unexpected_message"),
        ('{"type": "Cancel"}', "invalid_message"),
        ('{"type": "Edit", "id": "e", "changes": [{"verb": "explode", "kind": "node", "id": "n"}]}', "invalid_message"),
        ('{"type": "Generate", "node": "n", "job": "j", "priority": "high"}', "invalid_message"),
        ('{"type": "Cancel", "job": "' + "x" * 300_000 + '"}', "message_too_large"),
    ],
)
def test_anything_else_is_a_structured_error(data: str, code: str) -> None:
    with pytest.raises(AlphaloomError) as caught:
        parse(data)
    assert caught.value.code == code


@pytest.mark.parametrize(
    "fields",
    [
        '"version": 2, "role": "editor", "name": "x", "models": [], "fingerprint": ""',
        '"version": 2, "role": "edge", "name": "e", "model": "m", "models": ["m"], "fingerprint": "%s"' % ("ab" * 32),
        '"version": 2, "role": "edge"',
        '"version": %s, "colour": 7' % ("9" * 4000),
    ],
)
def test_a_hello_of_another_version_is_told_so_whatever_its_fields_were(fields: str) -> None:
    with pytest.raises(AlphaloomError, match=rf"version \d{{1,20}}, this broker {VERSION}") as caught:
        parse('{"type": "Hello", ' + fields + "}")
    assert caught.value.code == "version_mismatch" and caught.value.detail["mine"] == VERSION


def test_the_error_names_the_field_the_value_and_what_was_asked() -> None:
    with pytest.raises(AlphaloomError, match=r"priority.*'high'") as caught:
        parse('{"type": "Generate", "node": "n", "job": "j", "priority": "high"}')
    assert caught.value.detail == {"field": "priority", "job": "j"}


@pytest.mark.parametrize(
    "data",
    ['{"type": "Edit", "id": "e", "changes": [%s]}', '{"type": "Hello", "version": 3, "role": "edge", "models": [%s]}'],
)
def test_the_first_of_many_wrong_items_is_enough(data: str) -> None:
    """To describe them all would take most of a second."""
    with pytest.raises(AlphaloomError) as caught:
        parse(data % ",".join(["{}"] * 80_000))
    assert caught.value.code == "invalid_message"
    cause = caught.value.__context__
    assert isinstance(cause, pydantic.ValidationError) and cause.error_count() <= 4
