from addon.core.mirror import Mirror
from protocol import edits
from protocol import messages as m
from protocol.model import Change, Feature, Frame, Job, Link, Map, Node, Operation, Performer, Place, Presence

A, B, L = Node("a"), Node("b"), Link("l", "a", "b")


def mirror() -> Mirror:
    made = Mirror()
    made.apply(m.Snapshot(Map({"a": A}, {}, 1), (), (), 1, "off", operation="o1"))
    return made


def edited(revision: int, *changes: Change, id: str = "theirs") -> m.Edited:
    return m.Edited(Operation(revision, id, changes))


def update(node: str, **fields: object) -> Change:
    return Change("update", "node", node, fields)


def test_everybodys_edits_are_mirrored_and_what_changed_is_said() -> None:
    here = mirror()
    assert here.apply(edited(2, edits.create(B), edits.create(L))) == {"b", "l"}
    assert here.map == Map({"a": A, "b": B}, {"l": L}, 2)
    assert here.apply(edited(3, Change("delete", "link", "l"), Change("delete", "node", "b"))) == {"b", "l"}
    assert here.map == Map({"a": A}, {}, 3)


def test_ones_own_edit_shows_at_once_and_stays_when_it_is_answered() -> None:
    here = mirror()
    assert here.begin(m.Edit("mine", (update("a", prompt="red"),))) == {"a"}
    assert here.map.nodes["a"].prompt == "red"
    here.apply(edited(2, update("a", x=1.0)))
    assert here.map.nodes["a"] == Node("a", "red", x=1.0)
    here.apply(edited(3, update("a", prompt="red"), id="mine"))
    assert here.map == Map({"a": Node("a", "red", x=1.0)}, {}, 3) and not here.pending


def test_a_refused_edit_is_said_and_taken_back_to_what_the_broker_has() -> None:
    here = mirror()
    here.begin(m.Edit("mine", (update("a", x=5.0), edits.create(B))))
    here.apply(edited(2, update("a", x=1.0)))
    assert here.map.nodes["a"].x == 5.0
    assert here.apply(m.Error("bad_value", "no", about="mine")) == {"a", "b"}
    assert here.map == Map({"a": Node("a", x=1.0)}, {}, 2) and here.error == "no"


def test_a_node_that_is_being_deleted_takes_its_links_along() -> None:
    here = mirror()
    here.apply(edited(2, edits.create(B), edits.create(L)))
    here.begin(m.Edit("mine", (Change("delete", "node", "a"),)))
    assert here.map.links == {} and here.map.parents("b", "prompt") == []


def test_who_comes_back_hears_what_was_missed_and_keeps_edits_under_way() -> None:
    here = mirror()
    here.begin(m.Edit("arrived", (update("a", prompt="red"),)))
    here.begin(m.Edit("lost", (update("a", x=2.0),)))
    missed = (Operation(2, "arrived", (update("a", prompt="red"),)), Operation(3, "theirs", (edits.create(B),)))
    assert here.apply(m.Snapshot(None, (), (), 1, "off", missed=missed)) == {"b"}
    assert here.map.nodes == {"a": Node("a", "red", x=2.0), "b": B} and here.pending.keys() == {"lost"}


def test_who_was_away_for_too_long_hears_everything_and_what_has_gone_is_said() -> None:
    here = mirror()
    here.apply(edited(2, edits.create(B)))
    assert here.apply(m.Snapshot(Map({"a": A, "c": Node("c")}, {}, 900), (), (), 1, "off")) == {"b", "c"}


def test_an_operation_that_is_known_already_changes_nothing() -> None:
    here = mirror()
    here.apply(edited(2, update("a", x=1.0)))
    here.apply(edited(3, update("a", x=2.0)))
    here.apply(edited(2, update("a", x=1.0)))
    assert here.map.nodes["a"].x == 2.0


def test_people_come_select_and_leave() -> None:
    here = Mirror()
    ada, bo = Presence("c1", "Ada"), Presence("c2", "Bo", ("a",))
    here.apply(m.Snapshot(Map(), (), (), 0, "off", people=(ada,)))
    here.apply(m.Present(bo))
    assert here.people == {"c1": ada, "c2": bo}
    here.apply(m.Present(Presence("c1", "Ada", here=False)))
    assert here.people == {"c2": bo}


def test_ones_own_waiting_jobs_have_places() -> None:
    here = mirror()
    here.apply(m.Waiting({"j": Place(2, 1.5)}))
    assert here.places == {"j": Place(2, 1.5)}


def test_a_jobs_life_in_one_line() -> None:
    here = mirror()
    for message, line in (
        (m.JobChanged(Job("j", "a")), "queued"),
        (m.JobChanged(Job("j", "a", "running", 1)), "running"),
        (m.Progress("j", 2, 8, 1), "step 2 of 8"),
        (m.JobChanged(Job("j", "a", "done", 1)), ""),
        (m.JobChanged(Job("k", "a", "failed", error="no prompt")), "failed: no prompt"),
        (m.JobChanged(Job("i", "a")), "queued"),
    ):
        here.apply(message)
        assert here.state_of("a") == line


def test_a_job_that_waits_for_its_model_says_how_far_that_is() -> None:
    here = mirror()
    here.apply(m.JobChanged(Job("j", "a", "running", 1)))
    assert here.runs("j") and here.is_made("a") and not here.runs("k") and not here.is_made("b")
    for message, line in (
        (m.Pulling("j", 1, "sd-turbo", 2_000_000, 5_000_000), "pulling sd-turbo 40 %"),
        (m.Pulling("j", 1, "x" * 60, 2_000_000, 0), f"pulling {'x' * 24} 2 MB"),
        (m.Progress("j", 1, 8, 1), "step 1 of 8"),
        (m.Pulling("j", 1, "ink", 1, 2), "pulling ink 50 %"),
        (m.JobChanged(Job("j", "a", "failed", 1, error="no way")), "failed: no way"),
        (m.Pulling("unheard of", 1, "ink", 1, 2), "failed: no way"),
    ):
        here.apply(message)
        assert here.state_of("a") == line
    assert not here.is_made("a")


def test_ended_jobs_do_not_pile_up() -> None:
    here = mirror()
    for n in range(50):
        here.apply(m.JobChanged(Job(str(n), "a", "done")))
    assert len(here.jobs) == 1


def test_frames_status_and_errors_are_kept() -> None:
    here = mirror()
    frame = Frame(1.0, {"alpha": Feature(0.5, 1.0, 1.0, 1.0)})
    here.apply(m.Features(frame))
    performer = Performer("MyHeadset", 256.0, {"AF7": "frontal"})
    here.apply(m.Status(2, "MyHeadset", (performer,), True))
    here.apply(m.Error("x", "that went wrong"))
    assert (here.frame, here.edges, here.eeg, here.error) == (frame, 2, "MyHeadset", "that went wrong")
    assert here.performers == (performer,) and here.sham


def test_each_performers_newest_frame_is_kept_and_the_firsts_by_itself() -> None:
    here = mirror()
    first, second = (Frame(1.0, {}, stream) for stream in ("one", "two"))
    here.apply(m.Features(second))
    assert here.frame is second  # nobody has said who performs
    here.apply(m.Status(0, "", (Performer("one", 256.0, {}), Performer("two", 256.0, {}))))
    here.apply(m.Features(first))
    here.apply(m.Features(second))
    assert here.frame is first and here.frames == {"one": first, "two": second}


def test_an_idle_rule_is_no_error() -> None:
    here = mirror()
    here.apply(m.Error("idle_rule", "Rule 1 is idle: why"))
    assert here.error == ""
