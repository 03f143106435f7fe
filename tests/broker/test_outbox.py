import pytest

from broker.outbox import LIMIT, Outbox, SlowPeer
from protocol import messages as m
from protocol import wire
from protocol.model import Frame


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
