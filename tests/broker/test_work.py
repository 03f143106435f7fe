"""Jobs and edges with a real store, without sockets."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from desk import ADMIN, ANN, BOB, REQUEST, Desk, open_desk
from picture_files import png

from broker.dispatch import MAX_PULLING, Edge
from broker.people import Client
from broker.store import Store
from broker.who import Who
from protocol import edits, wire
from protocol import messages as m
from protocol.errors import AlphaloomError
from protocol.model import Link, Lora, Modulation, Move, Phrase, ResolvedRequest, Settings, new_id


def code_of(caught: pytest.ExceptionInfo[AlphaloomError]) -> str:
    return caught.value.code


# -- from asking to the end --


async def test_a_job_is_done_and_its_picture_is_the_nodes(desk: Desk, store: Store) -> None:
    edge = desk.edge()
    desk.node("n")
    await desk.ask("j", "n")
    run = await desk.answer(edge)
    job = await desk.end("j")
    assert (job.state, job.attempt, job.person, job.resolved.model) == ("done", 1, "ann", "m")
    assert desk.hub.room("main").map.nodes["n"].picture == job.picture and run.request.phrases == (Phrase("n"),)
    assert store.blobs.get(job.picture) == png(64, 64) and desk.ends == {"j": ["queued", "running", "done"]}


async def test_asking_twice_with_one_id_is_one_job_before_and_after_its_end(desk: Desk) -> None:
    edge = desk.edge()
    first = await desk.ask("j")
    assert (await desk.ask("j")).id == first.id
    await desk.answer(edge)
    done = await desk.end("j")
    assert await desk.ask("j") == done and not desk.work.open
    with pytest.raises(AlphaloomError) as caught:
        await desk.ask("j", who=BOB)
    assert code_of(caught) == "job_exists"


async def test_what_was_asked_directly_is_checked_as_a_node_is(desk: Desk) -> None:
    for wrong, code in (
        (ResolvedRequest("txt2img", (), "", 64, 64, 4, 4.0, 1.0, 0), "bad_value"),
        (ResolvedRequest("txt2img", (Phrase("x"),), "", 63, 64, 4, 4.0, 1.0, 0), "bad_value"),
        (ResolvedRequest("img2img", (Phrase("x"),), "", 64, 64, 4, 4.0, 1.0, 0), "no_source"),
        (ResolvedRequest("inpaint", (Phrase("x"),), "", 64, 64, 4, 4.0, 1.0, 0, source="a" * 64), "no_mask"),
        (ResolvedRequest("img2img", (Phrase("x"),), "", 64, 64, 4, 4.0, 1.0, 0, source="a" * 64), "unknown_blob"),
    ):
        with pytest.raises(AlphaloomError) as caught:
            await desk.hub.generate(ANN, "main", m.Generate("", "j", request=wrong))
        assert code_of(caught) == code
    desk.node("n")
    with pytest.raises(AlphaloomError, match="leave node empty"):
        fine = ResolvedRequest("txt2img", (Phrase("x"),), "", 64, 64, 4, 4.0, 1.0, 0)
        await desk.hub.generate(ANN, "main", m.Generate("n", "j", request=fine))
    assert not desk.work.open


async def test_a_viewer_asks_for_nothing(desk: Desk) -> None:
    with pytest.raises(AlphaloomError) as caught:
        await desk.ask("j", who=Who("eve", "viewer"))
    assert code_of(caught) == "forbidden"


async def test_a_person_has_a_bound_and_the_others_have_theirs(store: Store) -> None:
    async for desk in open_desk(store, of_person=2, in_all=3):
        for job in ("a", "b"):
            await desk.ask(job)
        with pytest.raises(AlphaloomError, match="2 of your jobs are open"):
            await desk.ask("c")
        await desk.ask("c", who=BOB)
        with pytest.raises(AlphaloomError, match="3 jobs are open"):
            await desk.ask("d", who=BOB)
        desk.hub.cancel(ANN, "a")
        await desk.ask("e")


async def test_people_take_turns_at_an_edge(desk: Desk) -> None:
    for n in range(3):
        await desk.ask(f"a{n}")
    await desk.ask("b0", who=BOB)
    edge = desk.edge()
    assert [(await desk.answer(edge)).job for _ in range(4)] == ["a0", "b0", "a1", "a2"]


async def test_waiting_jobs_have_a_place_and_after_the_first_a_time(desk: Desk) -> None:
    edge = desk.edge()
    for n in range(3):
        await desk.ask(f"j{n}", seed=n)
    places = desk.work.places()["ann"]
    assert {id: place.position for id, place in places.items()} == {"j1": 1, "j2": 2} and places["j1"].seconds is None
    await desk.answer(edge)
    await desk.end("j0")
    assert (desk.work.places()["ann"]["j2"].seconds or 0) > 0


async def test_a_job_waits_for_the_picture_it_starts_from(desk: Desk) -> None:
    edge = desk.edge(slots=2)
    desk.node("a")
    desk.node("b", Link("ab", "a", "b", "image"), task="img2img")
    await desk.ask("b1", "b")
    failed = await desk.end("b1")
    assert failed.state == "failed" and "generate the parent's picture first" in failed.error
    await desk.ask("a1", "a")
    await desk.ask("b2", "b")
    assert (await desk.answer(edge)).job == "a1"
    run = await desk.answer(edge)
    assert run.job == "b2" and run.request.source == (await desk.end("a1")).picture


# -- cancelling --


async def test_cancel_ends_ones_own_job_only_and_an_admins_any(desk: Desk) -> None:
    edge = desk.edge()
    await desk.ask("a")
    await desk.ask("b", who=BOB, seed=1)
    run = await desk.heard(edge)
    with pytest.raises(AlphaloomError) as caught:
        desk.hub.cancel(BOB, "a")
    assert code_of(caught) == "not_yours"
    desk.hub.cancel(ANN, "a")
    assert (await desk.end("a")).state == "cancelled" and (await desk.heard(edge, m.Cancel)).job == "a"
    desk.hub.cancel(ADMIN, "b")
    assert (await desk.end("b")).state == "cancelled"
    assert edge.running  # until it has answered
    await desk.work.handle_edge(edge, m.JobFailed("a", run.attempt, "cancelled", ""))
    assert not edge.running and desk.ends == {"a": ["queued", "running", "cancelled"], "b": ["queued", "cancelled"]}


async def test_a_deleted_node_takes_along_what_waits_but_not_what_another_has_running(desk: Desk, store: Store) -> None:
    edge = desk.edge()
    desk.node("n")
    await desk.ask("running", "n", who=BOB)
    await desk.ask("waiting", "n", who=BOB)
    run = await desk.heard(edge)
    desk.hub.edit(ANN, "main", m.Edit("e", (edits.Change("delete", "node", "n"),)))
    assert (await desk.end("waiting")).error == "The node was deleted by ann."
    await desk.answer(edge, run)
    job = await desk.end("running")
    assert job.state == "done" and desk.hub.room("main").deleted["node", "n"].item.picture == job.picture
    assert [one.id for one in await store.run(store.history, "main", "n")] == ["running"]


# -- edges that die --


async def test_what_a_dead_edge_ran_goes_to_the_next_and_its_word_no_longer_counts(desk: Desk) -> None:
    first = desk.edge("first")
    await desk.ask("j")
    old = await desk.heard(first)
    desk.work.leave_edge(first)
    second = desk.edge("second")
    run = await desk.heard(second)
    assert (old.attempt, run.attempt) == (1, 2)
    with pytest.raises(AlphaloomError) as caught:
        await desk.answer(second, old)
    assert code_of(caught) == "not_your_job"
    await desk.answer(second, run)
    assert (await desk.end("j")).attempt == 2 and desk.ends["j"] == ["queued", "running", "queued", "running", "done"]


async def test_a_third_lost_attempt_is_the_last(desk: Desk) -> None:
    await desk.ask("j")
    for _ in range(3):
        edge = desk.edge()
        await desk.heard(edge)
        desk.work.leave_edge(edge)
    job = await desk.end("j")
    assert job.state == "failed" and "3 attempts came to nothing" in job.error


async def test_a_silent_edge_loses_its_job_and_gets_none_until_it_speaks(store: Store) -> None:
    async for desk in open_desk(store, lease=0.0):
        silent = desk.edge("silent")
        await desk.ask("j")
        run = await desk.heard(silent)
        desk.work.tick()
        assert silent.silent and (await desk.heard(silent, m.Cancel)).job == "j"
        other = desk.edge("other")
        await desk.answer(other)
        assert (await desk.end("j")).state == "done"
        with pytest.raises(AlphaloomError):
            await desk.answer(silent, run)
        assert silent.free


async def test_heartbeats_and_progress_keep_a_job(desk: Desk) -> None:
    edge = desk.edge()
    await desk.ask("j")
    run = await desk.heard(edge)
    for message in (m.Heartbeat(("j", "another's")), m.Progress("j", 1, 4, run.attempt)):
        edge.running["j"].lease_end = 0.0
        await desk.work.handle_edge(edge, message)
        desk.work.tick()
        assert edge.running["j"].jobs == {"j"}
    assert desk.work.progress("j") == (1, 4)


async def test_an_attempt_that_never_ends_is_ended(store: Store) -> None:
    async for desk in open_desk(store, attempt=0.0):
        edge = desk.edge()
        await desk.ask("j")
        await desk.heard(edge)
        await desk.work.handle_edge(edge, m.Heartbeat(("j",)))
        desk.work.tick()
        assert (await desk.heard(edge, m.Cancel)).job == "j"


async def test_a_restart_goes_on_where_it_was(store: Store) -> None:
    async for desk in open_desk(store):
        edge = desk.edge()
        desk.node("n")
        await desk.ask("running", "n")
        await desk.ask("waiting", seed=1)
        await desk.heard(edge)
        await desk.hub.settled()
    async for desk in open_desk(store):
        assert {job.id: (job.state, job.attempt) for job in desk.work.open.values()} == {
            "running": ("queued", 1),
            "waiting": ("queued", 0),
        }
        edge = desk.edge()
        for _ in range(2):
            await desk.answer(edge)
        assert (await desk.end("running")).attempt == 2
        assert (await desk.ask("running", "n")).state == "done"


async def test_a_draining_edge_finishes_what_it_has_and_gets_no_more(desk: Desk) -> None:
    edge = desk.edge()
    await desk.ask("a")
    await desk.ask("b", seed=1)
    run = await desk.heard(edge)
    await desk.work.handle_edge(edge, m.Drain())
    await desk.answer(edge, run)
    assert (await desk.end("a")).state == "done" and desk.work.open["b"].state == "queued" and not edge.running


async def test_what_waits_for_an_edge_that_is_leaving_waits_on(store: Store) -> None:
    async for desk in open_desk(store, no_edge=0.0):
        edge = desk.edge()
        desk.work.drain(edge)
        await desk.ask("j")
        for _ in range(2):
            desk.work.tick()
        assert desk.work.open["j"].state == "queued"


async def test_a_job_that_crosses_its_edges_leaving_loses_no_attempt(store: Store) -> None:
    async for desk in open_desk(store, attempts=1):
        first = desk.edge()
        await desk.ask("answered")
        run = await desk.heard(first)
        await desk.work.handle_edge(first, m.Drain())
        await desk.work.handle_edge(first, m.JobFailed(run.job, run.attempt, "draining", "I am leaving."))
        second = desk.edge()
        await desk.heard(second)
        desk.work.drain(second)
        desk.work.leave_edge(second)
        assert (await desk.answer(desk.edge())).attempt == 3
        assert (await desk.end("answered")).state == "done"


async def test_a_restart_of_the_broker_costs_no_attempt(store: Store) -> None:
    for attempt in (1, 2, 3, 4):
        async for desk in open_desk(store):
            edge = desk.edge()
            if attempt == 1:
                await desk.ask("j")
            assert (await desk.heard(edge)).attempt == attempt
            await desk.hub.settled()


@pytest.mark.parametrize("code", ["edge_error", "out_of_memory", "unreachable_source"])
async def test_what_one_edge_cannot_do_another_tries_and_if_there_is_none_the_reason_is_told(desk: Desk, code: str) -> None:
    first, second = desk.edge("first"), desk.edge("second")
    await desk.ask("j")
    for edge in (first, second):
        run = await desk.heard(edge)
        await desk.work.handle_edge(edge, m.JobFailed("j", run.attempt, code, f"{edge.name} cannot."))
    job = await desk.end("j")
    assert (job.state, job.attempt, job.error) == ("failed", 2, "second cannot.")


async def test_a_job_that_was_begun_goes_on_as_it_was_whatever_its_node_says_now(desk: Desk) -> None:
    first = desk.edge()
    desk.node("n", prompt="moss")
    await desk.ask("j", "n")
    await desk.heard(first)
    desk.hub.edit(ANN, "main", m.Edit("e", (edits.Change("update", "node", "n", {"prompt": "sand"}),)))
    desk.work.leave_edge(first)
    assert (await desk.heard(desk.edge())).request.phrases == (Phrase("moss"),)


async def test_an_edge_may_take_its_time_to_send_what_it_has_made(store: Store) -> None:
    async for desk in open_desk(store, lease=0.0):
        edge = desk.edge()
        await desk.ask("j")
        run = await desk.heard(edge)
        await desk.work.handle_edge(edge, m.Progress("j", 4, 4, run.attempt))
        desk.work.tick()
        assert not edge.silent and desk.work.open["j"].state == "running"


async def test_a_job_that_nobody_runs_is_tried_again(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    edge = desk.edge()
    await desk.ask("j")
    await desk.heard(edge)
    desk.work._executions.land(edge.running.pop("j"))  # as a mistake of ours would
    desk.work.tick()
    assert (await desk.heard(edge)).attempt == 2 and "run by nobody" in caplog.text


async def test_a_map_that_is_deleted_while_a_job_is_asked_for_takes_no_job(store: Store) -> None:
    async for desk in open_desk(store):
        desk.hub.create_room(ANN, "attic")
        await desk.ask("known")
        desk.hub.cancel(ANN, "known")
        request = ResolvedRequest("txt2img", (Phrase("x"),), "", 64, 64, 4, 4.0, 1.0, 0)
        desk.work.ledger._knows_all = False  # so that the disk is asked
        asking = asyncio.create_task(desk.hub.generate(ANN, "attic", m.Generate("", "j", request=request)))
        await asyncio.sleep(0)
        desk.hub.drop_room(ADMIN, "attic")
        with pytest.raises(AlphaloomError, match="was deleted"):
            await asking
        desk.work.tick()


# -- what is not run --


async def test_an_equal_request_is_remembered_and_its_end_is_as_any_other(desk: Desk) -> None:
    edge = desk.edge(models={"m": "f"})
    desk.node("n")
    await desk.ask("a", "n")
    await desk.answer(edge)
    first = await desk.end("a")
    assert (await desk.ask("b", "n", who=BOB)).state == "done"
    second = await desk.end("b")
    assert second.cached and second.picture == first.picture and desk.ends["b"] == ["queued", "done"]


async def test_a_full_queue_does_not_keep_back_what_is_remembered(desk: Desk) -> None:
    edge = desk.edge(models={"m": "f"})
    await desk.ask("a")
    await desk.answer(edge)
    await desk.end("a")
    await desk.ask("busy", seed=1)
    await desk.ask("again")
    assert (await desk.end("again")).cached


async def test_equal_requests_in_flight_are_run_once_and_one_who_cancels_takes_it_from_nobody(desk: Desk) -> None:
    edge = desk.edge(models={"m": "f"})
    await desk.ask("a")
    run = await desk.heard(edge)
    await desk.ask("b", who=BOB)
    await desk.ask("c", who=BOB)
    assert desk.work.open["b"].state == "running"
    desk.hub.cancel(ANN, "a")
    await desk.answer(edge, run)
    ends = [await desk.end(job) for job in "abc"]
    assert [job.state for job in ends] == ["cancelled", "done", "done"] and ends[1].picture == ends[2].picture
    assert not edge.running and not desk.work.open


async def test_when_all_have_cancelled_the_edge_is_told(desk: Desk) -> None:
    edge = desk.edge(models={"m": "f"})
    await desk.ask("a")
    await desk.heard(edge)
    await desk.ask("b", who=BOB)
    desk.hub.cancel(ANN, "a")
    desk.hub.cancel(BOB, "b")
    assert (await desk.heard(edge, m.Cancel)).job == "a"


async def test_those_who_shared_a_lost_run_share_the_next(desk: Desk) -> None:
    first = desk.edge(models={"m": "f"})
    await desk.ask("a")
    await desk.heard(first)
    await desk.ask("b", who=BOB)
    desk.work.leave_edge(first)
    second = desk.edge(models={"m": "f"})
    await desk.answer(second)
    assert [(await desk.end(job)).state for job in "ab"] == ["done", "done"]


async def test_an_edge_without_a_fingerprint_is_not_remembered(desk: Desk) -> None:
    edge = desk.edge()
    for job in "ab":
        await desk.ask(job)
        await desk.answer(edge)
        assert not (await desk.end(job)).cached


async def result(desk: Desk, edge: Edge, run: m.Run, fingerprint: str = "", **filled_in: Any) -> None:
    said = replace(run.request, **filled_in)
    await desk.work.handle_edge(edge, m.Result(run.job, run.attempt, said, png(64, 64), fingerprint))


async def test_a_model_that_was_pulled_is_remembered_from_its_first_picture_on(desk: Desk) -> None:
    edge = desk.edge(models={"m": "f", "large": ""})
    desk.node("n", settings=Settings(64, 64, model="large"))
    await desk.ask("a", "n")
    await result(desk, edge, await desk.heard(edge), "g")
    assert (await desk.end("a")).resolved.model == "large" and edge.models == {"m": "f", "large": "g"}
    await desk.ask("b", "n")
    assert (await desk.end("b")).cached


async def test_what_made_a_picture_is_loaded_though_its_edge_said_nothing_before(desk: Desk) -> None:
    edge = desk.edge(models={"m": "f", "large": ""})
    desk.node("n", settings=Settings(64, 64, model="large"))
    await desk.ask("a", "n")
    run = await desk.heard(edge)
    assert edge.model == "m"  # the other must be pulled first
    await result(desk, edge, run)
    assert edge.model == "large"
    await desk.end("a")


async def test_what_an_edge_makes_with_other_weights_is_not_taken_for_the_same(desk: Desk) -> None:
    edge = desk.edge(models={"m": "f"})
    await desk.ask("a")
    await result(desk, edge, await desk.heard(edge), "newer")
    await desk.end("a")
    await desk.ask("same")
    assert (await desk.end("same")).cached
    desk.work.leave_edge(edge)
    older = desk.edge("older", models={"m": "f"})
    await desk.ask("other")
    await desk.answer(older)
    assert not (await desk.end("other")).cached


async def test_what_is_made_with_a_lora_or_a_controlnet_is_remembered_for_nobody(desk: Desk) -> None:
    """Its file may be another on each edge, or another tomorrow."""
    edge = desk.edge(models={"m": "f"}, slots=2)
    depth = desk.hub.store.blobs.put(png(64, 64))
    for more in ({"loras": (Lora("ink", 0.5),)}, {"control": "depth", "depth": depth}):
        runs = []
        for _ in "ab":  # at the same time
            await desk.hub.generate(ANN, "main", m.Generate("", new_id(), request=replace(REQUEST, **more)))
            runs.append(await desk.heard(edge))
        for run in runs:
            await result(desk, edge, run, "f")
            assert not (await desk.end(run.job)).cached
        await desk.hub.generate(ANN, "main", m.Generate("", new_id(), request=replace(REQUEST, **more)))
        run = await desk.answer(edge)
        assert not (await desk.end(run.job)).cached
    assert not len(desk.work.cache)


async def test_what_the_edge_chose_is_kept_with_the_job(desk: Desk) -> None:
    edge = desk.edge()
    await desk.ask("j")
    await result(desk, edge, await desk.heard(edge), steps=2, guidance=1.0, scheduler="lcm", seed=99)
    made = (await desk.end("j")).resolved
    assert (made.steps, made.guidance, made.scheduler, made.seed) == (2, 1.0, "lcm", 0)


async def test_the_edge_is_told_of_the_eeg_only_for_a_node_that_wants_it_in_its_files(desk: Desk) -> None:
    edge = desk.edge(models={"m": "f"})
    moved = Modulation(1.0, ("Muse",), (Move("alpha", 0.5, 1.0, "guidance", 4.0, 5.0),))
    desk.work._orders.resolve = lambda job: (replace(REQUEST, seed=7), moved)  # type: ignore[method-assign]
    desk.node("opted", settings=Settings(64, 64, eeg_in_file=True))
    desk.node("private")
    for job in ("a", "b"):
        await desk.ask(job, "opted")
        run = await desk.answer(edge)
        assert run.modulation == moved and not (await desk.end(job)).cached
    await desk.ask("c", "private")
    run = await desk.answer(edge)
    assert run.modulation is None and (await desk.end("c")).modulation == moved
    await desk.ask("d", "private")
    assert (await desk.end("d")).cached


async def test_the_edge_gets_loras_beside_the_words_and_the_job_keeps_what_was_asked(desk: Desk) -> None:
    edge = desk.edge()
    asked = replace(REQUEST, phrases=(Phrase("moss <lora:ink:0.5>"),))
    await desk.hub.generate(ANN, "main", m.Generate("", "j", request=asked))
    run = await desk.answer(edge)
    assert (run.request.phrases, run.request.loras) == ((Phrase("moss"),), (Lora("ink", 0.5),))
    job = await desk.end("j")
    assert job.request == asked and job.resolved.loras == (Lora("ink", 0.5),)
    with pytest.raises(AlphaloomError, match="cannot be read"):
        await desk.hub.generate(ANN, "main", m.Generate("", "k", request=replace(REQUEST, phrases=(Phrase("<lora:a:b>"),))))


async def test_a_depth_map_must_be_there(desk: Desk) -> None:
    with pytest.raises(AlphaloomError) as caught:
        desk.node("n", depth="ab" * 32)
    assert code_of(caught) == "unknown_blob"
    with pytest.raises(AlphaloomError) as caught:
        asked = replace(REQUEST, control="depth", depth="ab" * 32)
        await desk.hub.generate(ANN, "main", m.Generate("", "k", request=asked))
    assert code_of(caught) == "unknown_blob"


async def test_the_cache_outlives_the_broker(store: Store) -> None:
    async for desk in open_desk(store):
        edge = desk.edge(models={"m": "f"})
        await desk.ask("a")
        await desk.answer(edge)
        await desk.end("a")
    async for desk in open_desk(store):
        desk.edge(models={"m": "f"})
        await desk.ask("b")
        assert (await desk.end("b")).cached


async def test_a_newer_job_of_a_live_node_takes_the_place_of_the_one_that_waits(desk: Desk) -> None:
    edge = desk.edge()
    desk.node("n")
    await desk.ask("first", "n", live=True)
    run = await desk.heard(edge)
    await desk.ask("second", "n", live=True)
    await desk.ask("third", "n", live=True)
    assert (await desk.end("second")).state == "superseded"
    await desk.answer(edge, run)
    await desk.end("first")
    assert (await desk.answer(edge)).job == "third"


# -- what cannot be --


async def test_what_no_edge_can_make_fails_after_a_while_with_the_reason(store: Store) -> None:
    async for desk in open_desk(store, no_edge=0.0):
        desk.edge(max_side=128)
        desk.node("n", settings=Settings(256, 256))
        await desk.ask("j", "n")
        desk.work.tick()
        job = await desk.end("j")
        assert job.state == "failed" and "256 pixels a side; the largest is 128" in job.error


async def test_a_job_does_not_wait_for_ever(store: Store) -> None:
    async for desk in open_desk(store, wait=0.0):
        await desk.ask("j")
        desk.work.tick()
        assert "No edge had time" in (await desk.end("j")).error


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"GIF89a", "no PNG"), (png(32, 32), "32x32 pixels instead of 64x64"), (b"\x89PNG\r\n\x1a\n", "no PNG")],
)
async def test_what_an_edge_sends_is_looked_at(desk: Desk, data: bytes, reason: str) -> None:
    edge = desk.edge()
    await desk.ask("j")
    await desk.answer(edge, data=data)
    job = await desk.end("j")
    assert job.state == "failed" and reason in job.error


@pytest.mark.parametrize("steps", [0, 151, 10**400])
async def test_steps_that_no_edge_takes_fail_the_job_and_do_not_strand_it(desk: Desk, steps: int) -> None:
    edge = desk.edge()
    await desk.ask("j")
    run = await desk.heard(edge)
    said = m.Result("j", run.attempt, replace(run.request, steps=steps), png(run.request.width, run.request.height))
    await desk.work.handle_edge(edge, said)
    assert "steps" in (await desk.end("j")).error and edge.free


async def test_a_job_that_fails_at_its_edge_says_why(desk: Desk) -> None:
    edge = desk.edge()
    await desk.ask("j")
    run = await desk.heard(edge)
    await desk.work.handle_edge(edge, m.JobFailed("j", run.attempt, "out_of_memory", "It does not fit."))
    assert (await desk.end("j")).error == "It does not fit." and edge.free


async def test_the_owner_of_a_picture_without_a_node_gets_it_and_others_do_not(desk: Desk) -> None:
    mine, others = Client(ANN, "main"), Client(BOB, "main")
    for client in (mine, others):
        desk.hub.join(client)
    edge = desk.edge()
    await desk.ask("j")
    await desk.answer(edge)
    await desk.end("j")
    desk.hub.tell(None, m.Status(99, ""))
    kinds: list[list[type]] = [[], []]
    for client, found in zip((mine, others), kinds, strict=True):
        while not (isinstance(message := wire.decode(await client.outbox.get()), m.Status) and message.edges == 99):
            found.append(type(message))
    assert m.Picture in kinds[0] and m.JobChanged in kinds[0]
    assert m.Picture not in kinds[1] and m.JobChanged not in kinds[1]


# -- models that must be pulled first --


async def pull(desk: Desk, edge: Edge, run: m.Run, received: int, size: int = 100, model: str = "large") -> None:
    await desk.work.handle_edge(edge, m.Pulling(run.job, run.attempt, model, received, size))


async def test_a_job_that_waits_for_a_model_takes_no_slot_and_says_how_far_it_is(desk: Desk) -> None:
    client = desk.client()
    edge = desk.edge(models={"m": "f", "large": ""})
    desk.node("n", settings=Settings(64, 64, model="large"))
    await desk.ask("pulls", "n")
    waits = await desk.heard(edge)
    await desk.ask("other")
    await pull(desk, edge, waits, 5)
    await pull(desk, edge, waits, 10)
    run = await desk.heard(edge)
    assert run.job == "other" and run.request.model == "m" and not edge.free and edge.model == "m"
    assert desk.work.pulling("pulls") == m.Pulling("pulls", 1, "large", 10, 100)
    assert [message.received for message in await desk.told(client) if isinstance(message, m.Pulling)] == [10]
    await desk.answer(edge, run)
    await desk.work.handle_edge(edge, m.Progress("pulls", 1, 4, 1))
    assert desk.work.pulling("pulls") is None and not edge.free and edge.model == "large"
    await desk.answer(edge, waits)
    assert (await desk.end("pulls")).state == "done" and edge.free


async def test_only_so_many_jobs_wait_for_models_at_an_edge(desk: Desk) -> None:
    edge = desk.edge(models={"m": "f", "large": ""})
    for n in range(MAX_PULLING + 1):
        desk.node(f"n{n}", settings=Settings(64, 64, model="large"))
        await desk.ask(f"j{n}", f"n{n}")
        assert not edge.free
        await pull(desk, edge, await desk.heard(edge), n)
        assert edge.free == (n < MAX_PULLING)


async def test_while_its_model_comes_a_job_is_not_too_slow_but_while_nothing_comes_it_is(store: Store) -> None:
    async for desk in open_desk(store, attempt=100.0):
        edge = desk.edge(models={"m": ""})
        await desk.ask("j")
        run = await desk.heard(edge)
        execution = edge.running["j"]
        for n in range(5):
            await pull(desk, edge, run, n)
            execution.began -= 60.0  # a minute goes by
            execution.grew -= 60.0
        desk.work.tick()
        assert edge.running["j"] is execution
        for _ in range(2):
            await pull(desk, edge, run, 4)
            execution.began -= 60.0
            execution.grew -= 60.0
        desk.work.tick()
        assert edge.running["j"].attempt == 2


@pytest.mark.parametrize(
    "wrong", [{"received": -1}, {"size": 10**400}, {"model": ""}, {"model": "a\nb"}, {"model": "x" * 201}], ids=str
)
async def test_a_pull_that_cannot_be_is_refused(desk: Desk, wrong: dict[str, Any]) -> None:
    edge = desk.edge()
    await desk.ask("j")
    run = await desk.heard(edge)
    with pytest.raises(AlphaloomError) as caught:
        await pull(desk, edge, run, **{"received": 1} | wrong)
    assert code_of(caught) == "bad_value" and desk.work.pulling("j") is None
