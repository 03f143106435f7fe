import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker import jobs
from protocol.errors import AlphaloomError
from protocol.model import ENDED, Job, Phrase, ResolvedRequest

RESOLVED = ResolvedRequest("txt2img", (Phrase("a"),), "", 64, 64, None, 4.0, 1.0, 0)
NOW = 100.0
STEPS = {
    "start": lambda job: jobs.start(job, RESOLVED, None),
    "finish": lambda job: jobs.finish(job, "blob", RESOLVED, NOW),
    "remember": lambda job: jobs.remember(job, "blob", RESOLVED, None, NOW),
    "fail": lambda job: jobs.fail(job, "why", NOW),
    "lose": lambda job: jobs.lose(job, NOW),
    "cancel": lambda job: jobs.cancel(job, NOW),
    "supersede": lambda job: jobs.supersede(job, NOW),
}


def test_a_job_runs_and_is_done() -> None:
    job = jobs.finish(jobs.start(Job("j", "n"), RESOLVED, None), "blob", RESOLVED, NOW)
    assert (job.state, job.attempt, job.picture, job.ended) == ("done", 1, "blob", NOW)


def test_a_lost_job_is_tried_three_times_and_then_fails_with_the_reason() -> None:
    job = Job("j", "n")
    for attempt in (1, 2):
        job = jobs.lose(jobs.start(job, RESOLVED, None), NOW)
        assert (job.state, job.attempt) == ("queued", attempt)
    job = jobs.lose(jobs.start(job, RESOLVED, None), NOW, "its edge said nothing")
    assert job.state == "failed" and job.error == "3 attempts came to nothing; the last because its edge said nothing."


def test_a_queued_job_cannot_finish() -> None:
    with pytest.raises(AlphaloomError, match="is queued"):
        jobs.finish(Job("j", "n"), "blob", RESOLVED, NOW)


@given(st.lists(st.sampled_from(sorted(STEPS)), max_size=30))
def test_nothing_brings_an_ended_job_back_and_attempts_never_pass_three(steps: list[str]) -> None:
    job = Job("j", "n")
    for step in steps:
        before = job
        try:
            job = STEPS[step](job)
        except AlphaloomError:
            assert job is before
        else:
            assert before.state not in ENDED
        assert job.attempt <= jobs.MAX_ATTEMPTS
        assert jobs.has_ended(job) == (job.state in ENDED) == bool(job.ended)
