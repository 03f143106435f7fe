"""An edge's connection, job by job, against a broker's end that the test holds. The engine's steps are the test's, too."""

import asyncio
import contextlib
import hashlib
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import pytest
import trustme
import websockets
from fake_broker import FakeEdgeBroker, fake_broker
from fake_engine import FakeEngine
from peers import Peer

from edge import client, worker
from protocol import VERSION, address
from protocol import messages as m
from protocol.errors import AlphaloomError
from protocol.model import Lora, Phrase, ResolvedRequest

ASK = ResolvedRequest("txt2img", (Phrase("red"),), "", 64, 64, 4, 4.0, 0.6, 1)


@pytest.fixture
def engine():
    made = FakeEngine()
    yield made
    made.let(1000)


@asynccontextmanager
async def at_work(broker: FakeEdgeBroker, engine, drain: asyncio.Event | None = None, **more) -> AsyncIterator[asyncio.Task]:
    target = client.Broker(address.parse(broker.address), **{k: more.pop(k) for k in ("token", "cafile") if k in more})
    task = asyncio.create_task(client.serve(engine, engine, engine.offer, target, "box", drain, **more))
    try:
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, AlphaloomError):
            await task


async def test_the_hello_says_what_the_edge_is_and_can(engine) -> None:
    async with fake_broker() as broker, at_work(broker, engine, token="secret"):
        hello, _ = await broker.edges.get()
    offer = {"model": "stub", "models": {"stub": "ab"}, "tasks": ("txt2img", "img2img"), "max_side": 512, "slots": 2}
    assert hello == m.Hello(VERSION, "edge", "box", "secret", **offer)


async def test_a_job_goes_through_step_by_step(engine) -> None:
    engine.let(4)
    async with fake_broker() as broker, at_work(broker, engine):
        edge = await broker.edge()
        await edge.say(m.Run("j", 2, ASK))
        assert await edge.hear(m.Progress) == m.Progress("j", 1, 4, 2)
        assert await edge.hear(m.Result) == m.Result("j", 2, ASK, b"picture", "ab")


async def test_a_job_that_is_cancelled_ends_within_one_step(engine) -> None:
    async with fake_broker() as broker, at_work(broker, engine):
        edge = await broker.edge()
        await edge.say(m.Run("j", 1, ASK))
        engine.let(1)
        await edge.hear(m.Progress)
        await edge.say(m.Cancel("j"))
        assert (await edge.hear(m.JobFailed)).code == "cancelled"
        engine.let(1)  # the step it was in
        await edge.say(m.Run("k", 1, ASK))
        engine.let(4)
        assert (await edge.hear(m.Result)).job == "k"
        assert len(engine.began) == 2 and not engine.step.acquire(blocking=False)


async def test_a_job_that_is_cancelled_while_it_waits_for_the_device_never_begins(engine) -> None:
    async with fake_broker() as broker, at_work(broker, engine):
        edge = await broker.edge()
        await edge.say(m.Run("j", 1, ASK))
        engine.let(1)
        await edge.hear(m.Progress)
        await edge.say(m.Run("k", 1, ASK), m.Cancel("k"))
        assert (await edge.hear(m.JobFailed)).job == "k"
        engine.let(3)
        assert (await edge.hear(m.Result)).job == "j"
        await edge.say(m.Run("l", 1, ASK))
        engine.let(4)
        assert (await edge.hear(m.Result)).job == "l"
    assert len(engine.began) == 2


async def test_a_job_is_cancelled_while_its_source_is_on_the_way(engine) -> None:
    async with fake_broker() as broker, at_work(broker, engine):
        edge = await broker.edge()
        broker.hold = asyncio.Event()
        name = broker.put(b"source")
        await edge.say(m.Run("j", 1, with_source(name)))
        await broker.asked.wait()
        await edge.say(m.Cancel("j"))
        assert (await edge.hear(m.JobFailed)).code == "cancelled"
        broker.hold.set()
    assert not engine.began


async def test_the_lease_is_kept_while_a_job_runs_and_only_then(engine) -> None:
    async with fake_broker() as broker, at_work(broker, engine, heartbeat_s=0.02):
        edge = await broker.edge()
        await edge.say(m.Run("j", 1, ASK), m.Run("k", 1, asking("red", "nothing that goes with it", 4)))
        assert await edge.hear(m.Heartbeat, lambda beat: len(beat.jobs) == 2) == m.Heartbeat(("j", "k"))
        engine.let(4)
        await edge.hear(m.Result)
        assert await edge.hear(m.Heartbeat, lambda beat: "j" not in beat.jobs) == m.Heartbeat(("k",))


async def test_an_edge_whose_device_hangs_keeps_no_lease_and_ends(engine, monkeypatch) -> None:
    monkeypatch.setattr(client, "Worker", lambda engine: worker.Worker(engine, stall_s=0.05))
    async with fake_broker() as broker, at_work(broker, engine, heartbeat_s=0.02) as task:
        edge = await broker.edge()
        await edge.say(m.Run("j", 1, ASK))
        with pytest.raises(AlphaloomError, match="start the edge again") as caught:
            await task
        with pytest.raises(websockets.ConnectionClosed):
            while True:
                await edge.hear(m.Heartbeat)
    assert caught.value.code == "edge_stalled"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_an_edge_whose_thread_died_keeps_no_lease_and_ends(engine, monkeypatch) -> None:
    monkeypatch.setattr(worker, "_outcome", lambda call: exec("raise SystemExit"))
    async with fake_broker() as broker, at_work(broker, engine, heartbeat_s=0.02) as task:
        await (await broker.edge()).say(m.Run("j", 1, ASK))
        with pytest.raises(AlphaloomError, match="has died"):
            await task


@pytest.mark.parametrize("problem", [RuntimeError("boom"), SystemExit("boom"), MemoryError("boom"), StopIteration("boom")])
async def test_whatever_the_engine_raises_ends_the_job_and_not_the_edge(engine, monkeypatch, problem) -> None:
    def fail(*_):
        monkeypatch.undo()
        raise problem

    monkeypatch.setattr(engine, "make", fail)
    engine.let(4)
    async with fake_broker() as broker, at_work(broker, engine):
        edge = await broker.edge()
        await edge.say(m.Run("j", 1, ASK))
        failed = await edge.hear(m.JobFailed)
        assert failed.code == "edge_error" and "boom" in failed.message
        await edge.say(m.Run("k", 1, ASK))
        assert (await edge.hear(m.Result)).job == "k"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("'/home/ann/my models/mine' holds 'x.bin'.", "'mine' holds 'x.bin'."),
        ("No file in directory /home/ann/models/org@mine/unet.", "No file in directory unet."),
        ("~/models/mine, and 'C:\\\\Users\\\\ann\\\\mine' or D:\\models\\mine", "mine, and 'mine' or mine"),
        (
            "https://hub.example/a/b is not at 1/2 of org/name: '(cold)0.4'",
            "https://hub.example/a/b is not at 1/2 of org/name: '(cold)0.4'",
        ),
    ],
)
async def test_no_path_of_this_machine_is_told_to_the_broker(engine, monkeypatch, said: str, told: str) -> None:
    for problem in (AlphaloomError("unsafe_model", said), OSError(said)):
        monkeypatch.setattr(engine, "make", lambda orders, problem=problem: [problem])
        async with fake_broker() as broker, at_work(broker, engine):
            edge = await broker.edge()
            await edge.say(m.Run("j", 1, ASK))
            assert (await edge.hear(m.JobFailed)).message.removeprefix("OSError: ") == told


@pytest.mark.parametrize("by", ["itself", "the broker"])
async def test_a_drained_edge_finishes_its_job_takes_no_other_and_leaves(engine, by: str) -> None:
    drain = asyncio.Event()
    async with fake_broker() as broker, at_work(broker, engine, drain) as task:
        edge = await broker.edge()
        await edge.say(m.Run("j", 1, ASK))
        engine.let(1)
        await edge.hear(m.Progress)
        drain.set() if by == "itself" else await edge.say(m.Drain())
        await edge.hear(m.Drain)
        await edge.say(m.Run("late", 1, ASK))
        engine.let(3)
        assert (await edge.hear(m.Result)).job == "j"
        await task
    assert len(engine.began) == 1


async def test_an_idle_edge_that_is_drained_leaves_at_once(engine) -> None:
    drain = asyncio.Event()
    async with fake_broker() as broker, at_work(broker, engine, drain) as task:
        await broker.edge()
        drain.set()
        await task


async def test_a_result_of_a_lost_connection_is_thrown_away(engine) -> None:
    async with fake_broker() as broker, at_work(broker, engine):
        first = await broker.edge()
        await first.say(m.Run("j", 1, ASK))
        engine.let(1)
        await first.hear(m.Progress)
        await first.socket.close()
        second = await broker.edge()
        engine.let(1)
        await second.say(m.Run("j", 2, ASK))
        engine.let(4)
        assert (await second.hear(m.Progress)).attempt == 2
        assert (await second.hear(m.Result)).attempt == 2


async def test_an_edge_comes_back_to_a_broker_that_was_away_and_leaves_when_drained_meanwhile(engine) -> None:
    drain = asyncio.Event()
    async with fake_broker() as broker:
        port = address.parse(broker.address).ws.split(":")[2].split("/")[0]
        waiting = at_work(broker, engine, drain)
        task = await waiting.__aenter__()
        await broker.edge()
    async with fake_broker(port=int(port)) as broker:
        await broker.edge()
    drain.set()
    await task


async def test_pauses_grow_to_a_bound_and_differ() -> None:
    pauses = [client._pause(tries) for tries in range(40)]
    assert 0.2 < pauses[0] <= 0.5 and max(pauses) <= 30 and min(pauses[10:]) >= 15
    assert len(set(pauses)) == 40


async def test_a_newer_attempt_of_the_same_job_goes_before_the_older(engine) -> None:
    async with fake_broker() as broker, at_work(broker, engine):
        edge = await broker.edge()
        await edge.say(m.Run("j", 1, ASK))
        engine.let(1)
        await edge.hear(m.Progress)
        await edge.say(m.Run("j", 2, ASK))
        assert await edge.hear(m.JobFailed) == m.JobFailed("j", 1, "cancelled", "It was cancelled.")
        engine.let(5)
        assert (await edge.hear(m.Result)).attempt == 2


async def test_what_a_newer_broker_says_is_passed_over(engine) -> None:
    async with fake_broker() as broker, at_work(broker, engine):
        edge = await broker.edge()
        engine.let(4)
        await edge.say('{"type": "Explode"}', "no JSON", m.Cancel("unknown"), m.Run("j", 1, ASK))
        assert (await edge.hear(m.Result)).job == "j"


async def test_a_refusal_ends_the_edge_with_the_brokers_words(engine) -> None:
    async with fake_broker(m.Error("unauthorized", "Your token is not known.")) as broker, at_work(broker, engine) as task:
        with pytest.raises(AlphaloomError, match="not known"):
            await task


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@asynccontextmanager
async def tls_broker(authority: trustme.CA) -> AsyncIterator[FakeEdgeBroker]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    async with fake_broker(tls=context) as broker:
        yield broker


async def test_tls_with_a_certificate_of_ones_own_for_jobs_and_sources(engine, authority: trustme.CA, tmp_path: Path) -> None:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    async with tls_broker(authority) as broker, at_work(broker, engine, cafile=str(tmp_path / "ca.pem"), token="secret"):
        assert isinstance(await made(await broker.edge(), engine, "j", broker.put(b"source")), m.Result)


async def test_a_broker_that_nobody_vouches_for_is_not_trusted(engine, authority: trustme.CA) -> None:
    async with tls_broker(authority) as broker, at_work(broker, engine) as task:
        with pytest.raises(AlphaloomError, match="--cafile"):
            await task


async def test_a_cafile_that_is_none_is_refused_by_name(engine, tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere.pem", Path(__file__)):
        with pytest.raises(AlphaloomError, match=path.name):
            client.Broker(address.parse("wss://127.0.0.1"), cafile=str(path)).tls()


async def test_a_refusal_that_is_for_now_is_waited_out_by_an_edge_that_was_in_before(engine, monkeypatch) -> None:
    monkeypatch.setattr(client, "RETRY_S", (0.01, 0.02))
    async with fake_broker() as broker, at_work(broker, engine):
        first = await broker.edge()
        welcome, broker.answer = broker.answer, m.Error("too_many_connections", "Come back later.")
        await first.socket.close()
        await (await broker.edge()).socket.close()
        broker.answer = welcome
        while True:
            edge = await broker.edge()
            engine.let(4)
            with contextlib.suppress(websockets.ConnectionClosed):
                await edge.say(m.Run("j", 1, ASK))
                assert (await edge.hear(m.Result)).job == "j"
                break


# -- batches ----------------------------------------------------------------------------------------------


def asking(words: str, negative: str = "", steps: int = 1) -> ResolvedRequest:
    return replace(ASK, phrases=(Phrase(words),), negative=negative, steps=steps)


async def test_what_waits_and_fits_is_made_at_once_and_the_oldest_goes_first(engine) -> None:
    async with fake_broker() as broker, at_work(broker, engine):
        edge = await broker.edge()
        await edge.say(m.Run("0", 1, asking("first", steps=2)))
        engine.let(1)
        await edge.hear(m.Progress)
        others = [("1", "a", ""), ("2", "b", "other"), ("3", "c", ""), ("4", "d", ""), ("5", "e", ""), ("6", "f", "other")]
        await edge.say(*(m.Run(job, 1, asking(words, negative)) for job, words, negative in others))
        await edge.say(m.Run("7", 1, asking("g", steps=2)), m.Cancel("7"))
        await edge.hear(m.JobFailed)
        engine.let(4)
        for _ in range(7):
            await edge.hear(m.Result)
    assert engine.batches == [["first"], ["a", "c", "d"], ["b", "f"], ["e"]]


async def test_another_model_is_loaded_when_it_is_its_turn_and_no_sooner(engine) -> None:
    async with fake_broker() as broker, at_work(broker, engine):
        edge = await broker.edge()
        await edge.say(m.Run("0", 1, replace(asking("first", steps=2), model="a")))
        engine.let(1)
        await edge.hear(m.Progress)
        for job, model in enumerate("abab", 1):
            await edge.say(m.Run(str(job), 1, replace(asking(str(job)), model=model)))
        await edge.say(m.Run("gone", 1, ASK), m.Cancel("gone"))
        await edge.hear(m.JobFailed)
        engine.let(3)
        for _ in range(5):
            await edge.hear(m.Result)
    assert engine.batches == [["first"], ["1", "3"], ["2", "4"]]
    assert [model for model, _ in groupby(engine.asked_for)] == ["a", "b"]


async def test_one_of_a_batch_that_cannot_be_prepared_fails_alone(engine) -> None:
    engine.unprepared = "bad"
    async with fake_broker() as broker, at_work(broker, engine):
        edge = await broker.edge()
        await edge.say(m.Run("0", 1, asking("first")))
        await edge.say(*(m.Run(words, 1, asking(words)) for words in ("a", "bad", "c")))
        assert await edge.hear(m.JobFailed) == m.JobFailed("bad", 1, "bad_prompt", "It cannot be read.")
        engine.let(3)
        assert {(await edge.hear(m.Result)).job for _ in range(3)} == {"0", "a", "c"}


async def test_previews_are_sent_where_somebody_looks(engine) -> None:
    async with fake_broker() as broker, at_work(broker, engine):
        edge = await broker.edge()
        engine.let(2)
        await edge.say(m.Run("j", 3, asking("a"), previews=True))
        assert await edge.hear(m.Preview) == m.Preview("j", b"jpeg", 3)
        await edge.hear(m.Result)
        await edge.say(m.Run("k", 1, asking("a")))
        assert isinstance(await edge.hear((m.Preview, m.Result)), m.Result)  # type: ignore[arg-type]


async def test_what_a_job_names_is_pulled_before_it_runs_and_that_is_told(engine) -> None:
    named = replace(ASK, model="big", loras=(Lora("moss"),), control="depth", depth="", steps=1)
    async with fake_broker() as broker, at_work(broker, engine):
        edge = await broker.edge()
        named = replace(named, depth=broker.put(b"depth"))
        engine.let(1)
        await edge.say(m.Run("j", 1, named))
        assert await edge.hear(m.Pulling) == m.Pulling("j", 1, "big", 50, 200)
        await edge.hear(m.Result)
    assert engine.pulled == [("big", "model"), ("moss", "lora"), ("depth", "controlnet")]


# -- sources ----------------------------------------------------------------------------------------------


def with_source(name: str) -> ResolvedRequest:
    return ResolvedRequest("img2img", (Phrase("red"),), "", 64, 64, 1, 4.0, 0.6, 1, source=name)


async def made(edge: Peer, engine: FakeEngine, job: str, source: str) -> object:
    engine.let(1)
    await edge.say(m.Run(job, 1, with_source(source)))
    return await edge.hear((m.Result, m.JobFailed))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["http://127.0.0.1:9/secret", "../models", "A" * 64, ""])
async def test_a_broker_cannot_send_an_edge_elsewhere(engine, name: str) -> None:
    async with fake_broker() as broker, at_work(broker, engine):
        edge = await broker.edge()
        with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as elsewhere:
            asked = name.replace(":9/", f":{elsewhere.getsockname()[1]}/")
            await edge.say(m.Run("j", 1, with_source(asked or "x")))
            failed = await edge.hear(m.JobFailed)
            elsewhere.setblocking(False)
            with pytest.raises(BlockingIOError):
                elsewhere.accept()
    assert failed.code == "unreachable_source" and not broker.fetched


async def test_a_source_is_fetched_once_with_the_token_in_a_header(engine) -> None:
    async with fake_broker() as broker, at_work(broker, engine, token="secret"):
        edge, name = await broker.edge(), broker.put(b"source")
        for job in "ab":
            assert isinstance(await made(edge, engine, job, name), m.Result)
        assert engine.sources == [b"source"] * 2
        assert broker.fetched == {name: 1} and broker.authorization == ["Bearer secret"]


async def test_the_sources_used_last_are_kept_up_to_a_bound(engine, monkeypatch) -> None:
    monkeypatch.setattr(client.Blobs.__init__, "__defaults__", ("", None, 250))
    async with fake_broker() as broker, at_work(broker, engine):
        edge = await broker.edge()
        one, two, three = (broker.put(bytes([n]) * 100) for n in range(3))
        for job, source in enumerate((one, two, one, three, one, two)):
            assert isinstance(await made(edge, engine, f"j{job}", source), m.Result)
        assert broker.fetched == {one: 1, two: 2, three: 1}


async def test_a_source_that_is_not_what_it_is_called_too_large_or_missing_fails_its_job(engine, monkeypatch) -> None:
    monkeypatch.setattr("edge.blobs.MAX_BINARY_BYTES", 1000)
    async with fake_broker() as broker, at_work(broker, engine):
        edge = await broker.edge()
        forged = hashlib.sha256(b"source").hexdigest()
        broker.blobs[forged] = b"something else"
        for name, word in ((forged, "what came is"), (broker.put(b"x" * 1001), "more than 1000"), ("0" * 64, "404")):
            failed = await made(edge, engine, name, name)
            assert isinstance(failed, m.JobFailed) and failed.code == "unreachable_source" and word in failed.message
    assert not engine.began
