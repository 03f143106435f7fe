import hypothesis.strategies as st
from hypothesis import given

from broker.store import bodies
from protocol.model import Change, Job, Link, Node, Operation, Rule

finite = st.floats(allow_nan=False, allow_infinity=False)
odd_text = st.text(st.characters(exclude_categories=()), max_size=20)
"""Also with halves of surrogate pairs, which JSON from elsewhere may bring."""
plain = st.none() | st.booleans() | st.integers(-(2**60), 2**60) | finite | odd_text


@given(
    st.one_of(
        st.builds(Node, odd_text, odd_text, x=finite, source=st.none() | odd_text),
        st.builds(Link, odd_text, odd_text, odd_text, order=st.integers(0, 2**40)),
        st.builds(Job, odd_text, odd_text, created=finite, error=st.none() | odd_text, live=st.booleans()),
        st.builds(
            Operation,
            st.integers(0, 2**40),
            odd_text,
            st.lists(
                st.builds(
                    Change,
                    st.just("update"),
                    st.just("node"),
                    odd_text,
                    st.dictionaries(st.sampled_from(["prompt", "x", "settings.steps"]), plain),
                ),
                max_size=3,
            ).map(tuple),
        ),
    )
)
def test_what_is_dumped_is_built_again(value: object) -> None:
    assert bodies.build(type(value), bodies.dump(type(value), value)) == value


@given(st.lists(st.builds(Rule, odd_text, odd_text, finite), max_size=3).map(tuple))
def test_a_patch_is_a_fact_that_comes_back_as_rules(rules: tuple[Rule, ...]) -> None:
    assert bodies.read_fact("patch", bodies.dump_fact(rules)) == rules


def test_what_cannot_be_read_is_said_without_its_words(caplog) -> None:
    assert bodies.read(Node, '{"id": "a", "x": "a secret"}', "node a") is None
    assert bodies.read(Node, "a secret", "node a") is None
    assert "x: " in caplog.text and "secret" not in caplog.text


def test_blobs_are_found_wherever_they_are_spoken_of() -> None:
    name, other = "0" * 64, "f" * 64
    change = Change("update", "node", "a", {"source": name, "deep": [{"mask": other}], "prompt": "a" * 70})
    assert bodies.blobs(bodies.dump(tuple[Change, ...], (change,)), "{}") == {name, other}
