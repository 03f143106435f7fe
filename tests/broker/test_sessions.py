import pytest

from broker.sessions import parse
from protocol import messages as m
from protocol import wire
from protocol.errors import AlphaloomError
from protocol.model import Node


def test_a_valid_message_is_built() -> None:
    message = m.PutNode(Node("n", "x"))
    assert parse(wire.encode(message)) == message


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ("nonsense", "malformed_message"),
        ('{"type": "Nonsense"}', "unknown_message"),
        ('{"type": "Snapshot"}', "unexpected_message"),
        ('{"type": "Cancel"}', "invalid_message"),
        ('{"type": "PutNode", "node": {"id": "n", "task": "explode"}}', "invalid_message"),
        ('{"type": "PutNode", "node": {"id": "n", "settings": {"width": "wide"}}}', "invalid_message"),
        ('{"type": "Cancel", "job": "' + "x" * 300_000 + '"}', "message_too_large"),
    ],
)
def test_anything_else_is_a_structured_error(data: str, code: str) -> None:
    with pytest.raises(AlphaloomError) as caught:
        parse(data)
    assert caught.value.code == code


def test_the_error_names_the_field_and_the_value() -> None:
    with pytest.raises(AlphaloomError, match=r"node\.task.*'explode'"):
        parse('{"type": "PutNode", "node": {"id": "n", "task": "explode"}}')
