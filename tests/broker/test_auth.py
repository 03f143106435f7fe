import base64
import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker import auth
from broker.auth import Auth
from broker.store import Store, Token
from broker.who import Who
from protocol import VERSION
from protocol import messages as m
from protocol.errors import AlphaloomError

HERE = "127.0.0.1"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path)
    yield made
    made.close()


def give(store: Store, name: str, role: str) -> str:
    secret, token = auth.issue(name, role, store.tokens(), 1.0)
    store.put_token(token)
    return secret


def begun(store: Store, is_open: bool = False, **more: object) -> Auth:
    made = Auth(store, is_open, **more)  # type: ignore[arg-type]
    made.begin()
    return made


def hello(role: str, token: str = "", name: str = "ada") -> m.Hello:
    return m.Hello(VERSION, role, name, token)


def refused(code: str) -> object:
    return pytest.raises(AlphaloomError, check=lambda error: error.code == code)


def test_a_token_is_256_random_bits_and_only_its_hash_is_kept(store: Store) -> None:
    secret = give(store, "ada", "editor")
    assert secret.startswith("al_") and len(base64.urlsafe_b64decode(secret[3:] + "=")) == 32
    assert give(store, "bob", "editor") != secret
    kept = store.tokens()[0]
    assert kept == Token("ada", "editor", hashlib.sha256(secret.encode()).hexdigest(), 1.0)
    assert secret not in "".join(str(path.read_bytes()) for path in store.folder.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("name", "role", "code"), [("a b", "editor", "bad_id"), ("ada", "boss", "bad_role"), ("bob", "editor", "token_exists")]
)
def test_a_token_that_cannot_be_is_refused(store: Store, name: str, role: str, code: str) -> None:
    give(store, "bob", "editor")
    with refused(code):
        auth.issue(name, role, store.tokens(), 1.0)


def test_elsewhere_nothing_starts_without_a_token(store: Store) -> None:
    with refused("token_needed") as told:
        begun(store)
    assert "python -m broker token add" in told.value.message
    give(store, "ada", "editor")
    begun(store)


def test_on_this_machine_nobody_needs_a_token(store: Store) -> None:
    doors = begun(store, is_open=True)
    assert doors.admit(hello("editor"), HERE, loopback=True) == Who("ada", "editor")
    assert doors.admit(hello("viewer", name=""), HERE, loopback=True) == Who("local", "viewer")
    assert doors.caller(None, HERE, loopback=True) == Who("local", "admin")


def test_a_token_that_is_given_is_checked_on_this_machine_too(store: Store) -> None:
    secret = give(store, "bob", "viewer")
    doors = begun(store, is_open=True)
    assert doors.admit(hello("editor", secret), HERE, loopback=True) == Who("bob", "viewer")
    assert doors.caller(f"Bearer {secret}", HERE, loopback=True) == Who("bob", "viewer")
    with refused("bad_token"):
        doors.admit(hello("editor", secret + "x"), HERE, loopback=True)


@pytest.mark.parametrize(("is_open", "loopback"), [(False, True), (True, False), (False, False)])
def test_who_needs_a_token_and_has_none_is_told_so(store: Store, is_open: bool, loopback: bool) -> None:
    give(store, "ada", "editor")
    doors = begun(store, is_open)
    with refused("token_needed"):
        doors.admit(hello("viewer"), "192.0.2.1", loopback)
    for header in (None, "", "Bearer ", "Basic " + base64.b64encode(b"ada:").decode()):
        with pytest.raises(AlphaloomError) as told:
            doors.caller(header, "192.0.2.1", loopback)
        assert told.value.code in ("token_needed", "bad_token")


@pytest.mark.parametrize(
    ("asked", "most", "granted"),
    [
        ("editor", "editor", "editor"),
        ("viewer", "editor", "viewer"),
        ("editor", "viewer", "viewer"),
        ("admin", "editor", "editor"),
        ("editor", "admin", "editor"),
        ("edge", "edge", "edge"),
        ("edge", "admin", "edge"),
        ("edge", "editor", None),
        ("viewer", "edge", None),
        ("client", "admin", None),
        ("", "admin", None),
    ],
)
def test_a_tokens_role_is_the_most_that_somebody_gets(store: Store, asked: str, most: str, granted: str | None) -> None:
    secret = give(store, "bob", most)
    doors = begun(store)
    if granted is None:
        with refused("bad_role"):
            doors.admit(hello(asked, secret), "192.0.2.1", False)
    else:
        who = doors.admit(hello(asked, secret, name="somebody else"), "192.0.2.1", False)
        assert who == Who("bob", granted), "the token's name goes before the one that is said"  # type: ignore[arg-type]


def test_a_request_shows_its_token_as_bearer_or_as_basics_password(store: Store) -> None:
    secret = give(store, "bob", "editor")
    doors = begun(store)
    basic = base64.b64encode(f"whoever:{secret}".encode()).decode()
    for header in (f"Bearer {secret}", f"bearer  {secret} ", f"Basic {basic}", f"BASIC {basic}"):
        assert doors.caller(header, "192.0.2.1", False) == Who("bob", "editor")


@pytest.mark.parametrize("header", ["Bearer", "Digest x", "Basic ä", "Basic x", "Basic /w==", "Bearer a\ud800", "x" * 9999])
def test_a_header_that_is_no_token_is_answered(store: Store, header: str) -> None:
    doors = begun(store, is_open=True)
    with refused("bad_token"):
        doors.caller(header, HERE, True)


def test_too_many_wrong_tokens_of_an_address_have_to_wait_and_others_do_not(store: Store) -> None:
    secret = give(store, "bob", "editor")
    clock = Clock()
    doors = begun(store, failures=3, clock=clock)
    for _ in range(3):
        with refused("bad_token"):
            doors.caller("Bearer wrong", "192.0.2.1", False)
    for _ in range(5):
        with refused("too_many_attempts"):
            doors.admit(hello("viewer", "wrong"), "192.0.2.1", False)
    with refused("bad_token"):
        doors.caller("Bearer wrong", "192.0.2.2", False)
    assert doors.caller(f"Bearer {secret}", "192.0.2.1", False).person == "bob", "who shares the address is not locked out"
    clock.now += auth.FORGIVE_S
    with refused("bad_token"):
        doors.caller("Bearer wrong", "192.0.2.1", False)


async def test_a_new_token_counts_without_a_restart_and_one_taken_away_shows_its_holder_out(store: Store) -> None:
    bob = give(store, "bob", "editor")
    give(store, "eve", "editor")
    doors = begun(store)
    shown_out: list[str] = []
    with (
        doors.watch(bob, lambda: shown_out.append("bob")),
        doors.watch(bob, lambda: shown_out.append("bob again")),
        doors.watch("", lambda: shown_out.append("local")),
    ):
        cid = give(store, "cid", "viewer")
        await doors.read()
        assert doors.caller(f"Bearer {cid}", HERE, False) == Who("cid", "viewer") and shown_out == []
        store.drop_token("bob")
        await doors.read()
        assert sorted(shown_out) == ["bob", "bob again"]
        with refused("bad_token"):
            doors.caller(f"Bearer {bob}", HERE, False)
    store.drop_token("eve")
    await doors.read()
    assert sorted(shown_out) == ["bob", "bob again"]


async def test_another_role_shows_the_holder_out_so_that_they_come_back_with_it(store: Store) -> None:
    secret, token = auth.issue("bob", "editor", [], 1.0)
    store.put_token(token)
    doors = begun(store)
    shown_out: list[str] = []
    with doors.watch(secret, lambda: shown_out.append("bob")):
        store.put_token(Token("bob", "viewer", token.hash, 2.0))
        await doors.read()
    assert shown_out == ["bob"] and doors.caller(f"Bearer {secret}", HERE, False).role == "viewer"


async def test_tokens_are_read_again_by_themselves(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "REREAD_S", 0.001)
    give(store, "bob", "editor")
    doors = begun(store)
    cid = give(store, "cid", "viewer")
    async with doors.kept_up():
        while True:
            try:
                assert doors.caller(f"Bearer {cid}", HERE, False).person == "cid"
                break
            except AlphaloomError:
                await store.run(store.tokens)
