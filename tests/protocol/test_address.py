import pytest

from protocol import address
from protocol.errors import AlphaloomError


@pytest.mark.parametrize(
    ("text", "ws", "http"),
    [
        ("ws://127.0.0.1:4444", "ws://127.0.0.1:4444/v1/ws", "http://127.0.0.1:4444"),
        ("localhost", "ws://127.0.0.1:4444/v1/ws", "http://127.0.0.1:4444"),
        ("https://paint.example:8443", "wss://paint.example:8443/v1/ws", "https://paint.example:8443"),
        ("[::1]:5000", "ws://[::1]:5000/v1/ws", "http://[::1]:5000"),
    ],
)
def test_an_address_has_a_websocket_and_an_http_form(text: str, ws: str, http: str) -> None:
    assert address.parse(text) == address.Address(ws, http)


@pytest.mark.parametrize("text", ["", "ftp://x", "ws://:4444", "ws://host:notaport", "ws://host:99999"])
def test_what_is_no_address_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(AlphaloomError, match=r"ws://127\.0\.0\.1:4444"):
        address.parse(text)
