from pathlib import Path

import pytest

from broker.asking import MAX_PRIORITY, Limits, check_asked, check_bounds
from broker.rooms import Room
from broker.store import Blobs
from protocol import edits
from protocol import messages as m
from protocol.errors import AlphaloomError
from protocol.model import Node, Phrase, ResolvedRequest

REQUEST = ResolvedRequest("txt2img", (Phrase("moss"),), "", 64, 64, 4, 4.0, 1.0, 0)


@pytest.fixture
def room() -> Room:
    made = Room("main")
    made.edit("ann", "e", [edits.create(Node("n"))], 1.0)
    return made


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (m.Generate("nowhere", "j"), "unknown_node"),
        (m.Generate("", "j"), "unknown_node"),
        (m.Generate("n", "j", MAX_PRIORITY + 1), "bad_value"),
        (m.Generate("n", "j", request=REQUEST), "bad_value"),
        (m.Generate("", "j", request=ResolvedRequest("img2img", (Phrase("x"),), "", 64, 64, 4, 4.0, 1.0, 0)), "no_source"),
    ],
)
def test_what_cannot_be_made_is_refused(room: Room, tmp_path: Path, asked: m.Generate, code: str) -> None:
    blobs = Blobs(tmp_path)
    with pytest.raises(AlphaloomError) as caught:
        check_asked(asked, room, blobs)
    blobs.close()
    assert caught.value.code == code


def test_a_node_or_a_request_may_be_asked_for(room: Room, tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    check_asked(m.Generate("n", "j", MAX_PRIORITY), room, blobs)
    check_asked(m.Generate("", "j", request=REQUEST), room, blobs)
    blobs.close()


def test_a_bound_says_whose_it_is() -> None:
    limits, asked = Limits(of_person=2, in_all=3), m.Generate("n", "j")
    check_bounds(asked, limits, 1, 2)
    for open_, words in (((2, 2), "2 of your jobs"), ((0, 3), "3 jobs are open")):
        with pytest.raises(AlphaloomError, match=words) as caught:
            check_bounds(asked, limits, *open_)
        assert caught.value.code == "queue_full" and caught.value.detail["limit"] in (2, 3)
