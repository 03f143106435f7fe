from addon.mirror import Mirror
from protocol import messages as m
from protocol.model import Feature, Frame, Job, Link, Map, Node, Performer


def mirror() -> Mirror:
    made = Mirror()
    made.apply(m.Snapshot(Map({"a": Node("a")}), (), (), 1, "off"))
    return made


def test_edits_are_mirrored() -> None:
    here = mirror()
    for message in (m.PutNode(Node("b")), m.PutLink(Link("l", "a", "b")), m.PutLink(Link("k", "a", "b", "image"))):
        here.apply(message)
    here.apply(m.DeleteLink("k"))
    assert here.map == Map({"a": Node("a"), "b": Node("b")}, {"l": Link("l", "a", "b")})
    here.apply(m.DeleteLink("l"))
    here.apply(m.DeleteNode("b"))
    assert here.map == Map({"a": Node("a")})


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


def test_ended_jobs_do_not_pile_up() -> None:
    here = mirror()
    for n in range(50):
        here.apply(m.JobChanged(Job(str(n), "a", "done")))
    assert len(here.jobs) == 1


def test_a_picture_names_its_nodes_blob_and_one_of_a_deleted_node_is_passed_over() -> None:
    here = mirror()
    here.apply(m.Picture("a", "j", "blob", "image/png", b""))
    here.apply(m.Picture("gone", "j", "blob", "image/png", b""))
    assert here.map.nodes == {"a": Node("a", picture="blob")}


def test_frames_status_and_errors_are_kept() -> None:
    here = mirror()
    frame = Frame(1.0, {"alpha": Feature(0.5, 1.0, 1.0, 1.0)})
    here.apply(m.Features(frame))
    performer = Performer("MyHeadset", 256.0, {"AF7": "frontal"})
    here.apply(m.Status(2, "MyHeadset", (performer,), True))
    here.apply(m.Error("x", "that went wrong"))
    assert (here.frame, here.edges, here.eeg, here.error) == (frame, 2, "MyHeadset", "that went wrong")
    assert here.performers == (performer,) and here.sham
