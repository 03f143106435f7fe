import pytest

from broker.outbox import LIMIT, LIMIT_BYTES, Letter, Outbox, SlowPeer
from protocol import messages as m
from protocol import wire
from protocol.model import Change, Event, Frame, Operation, Place, Presence


async def test_messages_leave_in_order() -> None:
    outbox = Outbox()
    for n in range(5):
        outbox.put(m.Cancel(str(n)))
    assert [wire.decode(await outbox.get()).job for _ in range(5)] == list("01234")


async def test_frames_and_progress_coalesce_to_the_newest() -> None:
    outbox = Outbox()
    for n in range(10_000):
        outbox.put(m.Features(Frame(float(n), {})))
        outbox.put(m.Progress("a", n, 9))
        outbox.put(m.Progress("b", n, 9))
    last = [wire.decode(await outbox.get()) for _ in range(3)]
    assert last == [m.Features(Frame(9999.0, {})), m.Progress("a", 9999, 9), m.Progress("b", 9999, 9)]


async def test_each_performers_newest_frame_is_kept() -> None:
    outbox = Outbox()
    for n in range(3):
        for stream in ("one", "two"):
            outbox.put(m.Features(Frame(float(n), {}, stream)))
    last = [wire.decode(await outbox.get()).frame for _ in range(2)]
    assert last == [Frame(2.0, {}, "one"), Frame(2.0, {}, "two")]


async def test_a_peer_too_far_behind_is_given_up() -> None:
    outbox = Outbox()
    for n in range(LIMIT + 1):
        outbox.put(m.Cancel(str(n)))
    with pytest.raises(SlowPeer):
        await outbox.get()


async def test_a_peer_that_takes_no_pictures_is_given_up_before_they_fill_the_memory() -> None:
    outbox, picture = Outbox(), Letter(m.Picture("n", "j", "b", "image/png", bytes(1 << 20)))
    for _ in range((LIMIT_BYTES >> 20) + 1):
        outbox.post(picture)
    with pytest.raises(SlowPeer):
        await outbox.get()


async def test_a_live_nodes_pictures_coalesce_to_the_newest_and_it_comes_after_what_was_said_before_it() -> None:
    outbox = Outbox()
    for n in range(2 * (LIMIT_BYTES >> 20)):
        outbox.put(m.Picture("a", "j", str(n), "image/png", bytes(1 << 20), live=True))
    outbox.put(m.Picture("b", "j", "other", "image/png", b"", live=True))
    outbox.put(m.Picture("a", "j", "asked", "image/png", b""))
    outbox.put(m.Picture("a", "j", "newest", "image/png", b"", live=True))
    assert [wire.decode(await outbox.get()).blob for _ in range(3)] == ["other", "asked", "newest"]


async def test_live_pictures_fill_no_memory_either() -> None:
    outbox = Outbox()
    for n in range((LIMIT_BYTES >> 20) + 1):
        outbox.put(m.Picture(str(n), "j", "b", "image/png", bytes(1 << 20), live=True))
    with pytest.raises(SlowPeer):
        await outbox.get()


async def test_who_is_slow_loses_previews_and_never_the_picture() -> None:
    outbox = Outbox()
    for n in range(3):
        outbox.put(m.Preview("j", b"n%d" % n, 1, "n"))
        outbox.put(m.Pulling("k", 1, "large", n, 3))
    outbox.put(m.Preview("j", b"own", 1))
    for message in (m.Preview("j", b"other", 1, "other"), m.Picture("n", "j", "b", "image/png", b"made")):
        outbox.put(message)
    assert [wire.decode(await outbox.get()) for _ in range(4)] == [
        m.Pulling("k", 1, "large", 2, 3),
        m.Preview("j", b"own", 1),
        m.Preview("j", b"other", 1, "other"),
        m.Picture("n", "j", "b", "image/png", b"made"),
    ]
    assert not outbox._waiting and not outbox._bytes


async def test_what_happened_in_frames_that_were_replaced_is_told_with_the_newest() -> None:
    outbox = Outbox()
    for n in range(3):
        outbox.put(m.Features(Frame(float(n), {}, events=(Event("blink", float(n)),))))
    newest = wire.decode(await outbox.get()).frame
    assert newest.time == 2.0 and [event.time for event in newest.events] == [0.0, 1.0, 2.0]


@pytest.mark.parametrize(
    "message",
    [
        m.Edited(Operation(3, "e", (Change("update", "node", "n", {"settings.steps": None, "x": 1.5}),), "ann", 2.0)),
        m.Present(Presence("c", "ann", ("n",))),
        m.Waiting({"j": Place(1, None)}),
        m.Drain(),
        m.Picture("n", "j", "b", "image/png", b"\x89PNG"),
        m.Error("code", "with \u2028 and é", {"value": [1, None]}),
        m.Error("code", "half a pair: \ud800"),
    ],
    ids=lambda message: type(message).__name__,
)
async def test_letters_are_encoded_as_the_protocol_says_and_once(message: object) -> None:
    letter = Letter(message)
    assert wire.decode(letter.data) == message == wire.decode(wire.encode(message))
    assert letter.data is letter.data
