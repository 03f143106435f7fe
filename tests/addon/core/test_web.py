"""HTTP beside the WebSocket, stepped, against a real broker process and a server that breaks off. No Blender needed."""

import asyncio
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from ticking import tick_until

from addon.core import web
from addon.core.connection import Answer, Connection
from protocol import address
from protocol.errors import AlphaloomError


@pytest.fixture
def connection() -> Iterator[Connection]:
    made = Connection()
    yield made
    made.close()


def answer(connection: Connection, method: str, path: str, body: bytes = b"") -> bytes | AlphaloomError:
    """What comes back, through the connection."""
    found: list[bytes | AlphaloomError] = []
    connection.ask(method, path, found.append, body)

    def heard() -> bool:
        for each in [x for x in connection.inbox if isinstance(x, Answer)]:
            each.then(each.said)
        return bool(found)

    tick_until(connection, heard)
    return found[0]


def png() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(file, "PNG")
    return file.getvalue()


def test_a_picture_goes_up_and_comes_down_again(programs, connection: Connection, tmp_path: Path) -> None:
    connection.open(programs.broker(tmp_path / "data"))
    said = answer(connection, "POST", "/v1/blobs", png())
    assert isinstance(said, bytes)
    assert answer(connection, "GET", f"/v1/blobs/{json.loads(said)['blob']}") == png()


def test_what_the_broker_refuses_is_said_in_its_words(programs, connection: Connection, tmp_path: Path) -> None:
    connection.open(programs.broker(tmp_path / "data"))
    refused = answer(connection, "POST", "/v1/blobs", b"no picture")
    assert isinstance(refused, AlphaloomError) and refused.code == "bad_picture"
    unknown = answer(connection, "GET", "/nowhere")
    assert isinstance(unknown, AlphaloomError)
    broken = answer(connection, "GET", "/v1/models with a blank")
    assert isinstance(broken, AlphaloomError) and broken.code == "bad_request"


def test_without_a_connection_the_answer_is_that_there_is_none(connection: Connection) -> None:
    refused = answer(connection, "GET", "/v1/models")
    assert isinstance(refused, AlphaloomError) and refused.code == "offline"


async def asked(reply: bytes) -> bytes:
    """What a server that says `reply`, whatever it is asked, is taken to have said."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(reply)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        return await web.ask(address.parse(f"127.0.0.1:{port}"), "token", "GET", "/")


@pytest.mark.parametrize("reply", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", b"no HTTP at all\r\n\r\n"])
async def test_an_answer_that_breaks_off_is_an_error_and_not_half_an_answer(reply: bytes) -> None:
    with pytest.raises(AlphaloomError) as refused:
        await asked(reply)
    assert refused.value.code == "no_broker"


async def test_too_long_an_answer_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "LIMIT", 3)
    with pytest.raises(AlphaloomError) as refused:
        await asked(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlong")
    assert refused.value.code == "too_large"


async def test_nobody_there_is_said_with_where() -> None:
    with pytest.raises(AlphaloomError, match=r"127\.0\.0\.1:9"):
        await web.ask(address.parse("127.0.0.1:9"), "", "GET", "/health")


@pytest.mark.parametrize("token", ["żółw", "two\nlines"])
def test_a_token_that_no_header_can_hold_is_said(programs, connection: Connection, tmp_path: Path, token: str) -> None:
    connection.open(programs.broker(tmp_path / "data"))
    connection.token = token
    refused = answer(connection, "GET", "/v1/models")
    assert isinstance(refused, AlphaloomError) and refused.code == "bad_token" and token not in refused.message


def test_a_path_that_is_no_text_of_the_web_is_said(programs, connection: Connection, tmp_path: Path) -> None:
    connection.open(programs.broker(tmp_path / "data"))
    refused = answer(connection, "GET", "/v1/żółw")
    assert isinstance(refused, AlphaloomError) and refused.code == "bad_request"
