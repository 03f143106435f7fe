import pytest

from broker.outbox import Letter
from broker.people import Client
from broker.who import Who
from protocol import messages as m
from protocol import wire
from protocol.errors import AlphaloomError
from protocol.model import Event, Frame

WHO = Who("ann", "editor")


async def drain(client: Client) -> list[m.Features]:
    client.put(m.Status(0, ""))
    found = []
    while not isinstance(message := wire.decode(await client.outbox.get()), m.Status):
        found.append(message)
    return found


async def play(client: Client, seconds: float, hz: float = 10.0) -> list[m.Features]:
    heard = []
    for n in range(round(seconds * hz)):
        one = Frame(n / hz, {}, "headset", events=(Event("blink", n / hz),))
        client.offer(Letter(m.Features(one)), one, n / hz)
        heard += await drain(client)
    return heard


async def test_who_has_not_asked_hears_no_frames() -> None:
    assert await play(Client(WHO, "main"), 1.0) == []


@pytest.mark.parametrize(("asked", "heard"), [(20.0, 50), (10.0, 50), (5.0, 25), (1.0, 5)])
async def test_frames_come_as_often_as_asked_and_no_event_is_lost(asked: float, heard: int) -> None:
    client = Client(WHO, "main")
    client.subscribe(asked)
    frames = await play(client, 5.0)
    assert len(frames) == heard
    blinks = [event.time for message in frames for event in message.frame.events]
    assert blinks == sorted(set(blinks)) and len(blinks) > 50 - 10 / asked


async def test_more_than_twenty_a_second_are_not_given() -> None:
    for wrong in (21.0, -1.0, float("nan")):
        with pytest.raises(AlphaloomError, match="frames_hz"):
            Client(WHO, "main").subscribe(wrong)


def test_a_selection_names_what_is_there() -> None:
    client = Client(WHO, "main")
    client.select(("a", "gone", "b"), {"a", "b"})
    assert client.presence.selected == ("a", "b")
    with pytest.raises(AlphaloomError, match="1001"):
        client.select(tuple("a" * 1001), {"a"})
