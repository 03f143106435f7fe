"""A node's pictures of before: pages, and what of a job is the node's own."""

import json

import pytest

from addon.core.past import PAGE, Past, settings_of
from protocol import model, wire

RUN = model.ResolvedRequest("txt2img", (model.Phrase("red moss"),), "blur", 64, 128, 4, 3.5, 0.6, 7, model="tiny")
NODE = model.Node("n", "blue")


def page(first: int, count: int) -> bytes:
    """Jobs, the newest first."""
    jobs = [model.Job(f"j{at}", "n", "done", picture=f"p{at}") for at in range(first, first - count, -1)]
    return json.dumps([wire.plain(job) for job in jobs]).encode()


def test_older_pages_come_behind_and_newer_pictures_before() -> None:
    past = Past("n")
    past.hear(page(99, PAGE))
    assert not past.is_whole and past.path("main", older=True).endswith("&before=j76")
    past.hear(page(75, 3), older=True)
    assert past.is_whole and len(past.jobs) == PAGE + 3
    past.hear(page(101, PAGE))
    assert [job.id for job in past.jobs[:3]] == ["j101", "j100", "j99"] and len(past.jobs) == PAGE + 5
    assert past.is_whole


def test_what_is_no_history_is_said() -> None:
    past = Past("n")
    for answer in (b"{", b"[1]", b"5"):
        with pytest.raises(ValueError):
            past.hear(answer)


def test_a_jobs_settings_and_words_come_back_where_they_are_the_nodes_own() -> None:
    run = model.Job("j", "n", resolved=RUN)
    fields = settings_of(model.Map({"n": NODE}), NODE, run)
    assert fields["prompt"] == "red moss" and fields["negative"] == "blur"
    assert (fields["settings.seed"], fields["settings.steps"], fields["settings.height"]) == (7, 4, 128)
    assert "settings.strength" not in fields  # it plays no part in a picture from words alone


def test_words_that_parents_or_eeg_spoke_with_are_not_made_the_nodes_own() -> None:
    run = model.Job("j", "n", resolved=RUN)
    linked = model.Map({"n": NODE, "k": model.Node("k")}, {"l": model.Link("l", "k", "n")})
    assert "prompt" not in settings_of(linked, NODE, run)
    alone = model.Map({"n": NODE})
    for target, has_words in (("cold/warm", False), ("(moss)", False), ("guidance", True)):
        moved = model.Modulation(0, ("s",), (model.Move("calm", 1, 1, target, 0, 1),))
        modulated = model.Job("j", "n", resolved=RUN, modulation=moved)
        assert ("prompt" in settings_of(alone, NODE, modulated)) == has_words
    assert settings_of(alone, NODE, model.Job("j", "n")) == {}
