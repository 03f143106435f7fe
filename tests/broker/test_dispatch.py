from broker.dispatch import Edge, Wanted, choose
from broker.executions import Execution
from protocol import messages as m
from protocol.model import Phrase, ResolvedRequest

ANY = Wanted("txt2img", "", 256)


def an_edge(name: str, **more) -> Edge:
    return Edge(m.Hello(2, "edge", name, **{"max_side": 512, "model": "small"} | more))


def busy(edge: Edge, jobs: int = 1) -> Edge:
    for n in range(jobs):
        request = ResolvedRequest("txt2img", (Phrase("a"),), "", 64, 64, None, 4.0, 1.0, 0)
        edge.running[str(n)] = Execution(str(n), 1, request, "", edge, False, 0.0, 0.0)
    return edge


def test_what_an_edge_cannot_do_it_is_not_given() -> None:
    edge = an_edge("e", tasks=("txt2img",))
    assert choose([edge], ANY) is edge
    assert choose([edge], Wanted("inpaint", "", 256)) is None
    assert choose([edge], Wanted("txt2img", "", 513)) is None
    assert choose([edge], Wanted("txt2img", "large", 256)) is None


def test_the_edge_with_the_model_warm_goes_before_one_that_would_load_it() -> None:
    cold, warm = an_edge("cold", models={"large": "f"}), an_edge("warm", model="large")
    assert choose([cold, warm], Wanted("txt2img", "large", 256)) is warm
    assert choose([cold, busy(warm)], Wanted("txt2img", "large", 256)) is cold


def test_a_model_on_an_edges_disk_goes_before_one_that_must_be_pulled() -> None:
    lacks, has = an_edge("lacks", models={"large": ""}), an_edge("has", models={"large": "f"})
    large = Wanted("txt2img", "large", 256)
    assert choose([lacks, has], large) is has
    assert choose([lacks, busy(has)], large) is lacks
    assert choose([lacks, has], large, tried={has.number}) is lacks


def test_an_edges_own_model_need_not_be_pulled_though_it_has_no_fingerprint() -> None:
    lacks, home = an_edge("lacks", model="large", models={"small": ""}), an_edge("home", models={"large": "f"})
    home.model = "large"
    assert (home.nearness(""), home.nearness("small"), lacks.nearness("small")) == (1, 1, 2)
    assert choose([lacks, home], Wanted("txt2img", "small", 256)) is home


def test_who_asks_for_no_model_gets_an_edges_own_whatever_it_ran_last() -> None:
    moved, home = an_edge("moved", models={"large": "f", "small": "f"}), an_edge("home")
    moved.model = "large"
    assert choose([moved, home], ANY) is home
    assert choose([moved, busy(home)], ANY) is moved
    assert choose([home, moved], Wanted("txt2img", "large", 256)) is moved


def test_a_live_node_stays_on_its_edge_while_that_is_free() -> None:
    first, second = an_edge("first"), an_edge("second")
    second.remember(("main", "n"))
    assert choose([first, second], ANY, ("main", "n")) is second
    assert choose([first, busy(second)], ANY, ("main", "n")) is first


def test_the_idlest_is_taken_and_none_beyond_its_slots() -> None:
    wide, narrow = busy(an_edge("wide", slots=4)), an_edge("narrow")
    assert choose([wide, narrow], ANY) is narrow
    assert choose([wide, busy(narrow)], ANY) is wide
    assert choose([busy(wide, 4)], ANY) is None


def test_neither_a_leaving_nor_a_silent_edge_is_given_anything() -> None:
    leaving, silent = an_edge("leaving"), an_edge("silent")
    leaving.draining = silent.silent = True
    assert choose([leaving, silent], ANY) is None
