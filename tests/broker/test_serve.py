import socket
from pathlib import Path

import pytest
import trustme

from broker import serve
from broker.settings import Settings
from protocol.errors import AlphaloomError


@pytest.fixture(scope="module")
def pems(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pems")
    authority = trustme.CA()
    for name in ("one", "other"):
        made = authority.issue_cert("localhost", "127.0.0.1")
        made.cert_chain_pems[0].write_to_path(folder / f"{name}.crt")
        made.private_key_pem.write_to_path(folder / f"{name}.key")
        made.private_key_and_cert_chain_pem.write_to_path(folder / f"{name}.both")
    (folder / "text").write_text("no PEM")
    return folder


def test_a_certificate_with_its_key_in_one_file_or_two_is_taken(pems: Path) -> None:
    serve.check_certificate(Settings(certfile=pems / "one.crt", keyfile=pems / "one.key"))
    serve.check_certificate(Settings(certfile=pems / "one.both"))
    serve.check_certificate(Settings())


@pytest.mark.parametrize(
    ("certificate", "key"),
    [("nowhere", "one.key"), ("one.crt", "nowhere"), ("one.crt", "other.key"), ("text", "one.key"), ("one.crt", None)],
)
def test_what_tls_cannot_use_is_said_before_anything_listens(pems: Path, certificate: str, key: str | None) -> None:
    with pytest.raises(AlphaloomError) as refused:
        serve.check_certificate(Settings(certfile=pems / certificate, keyfile=key and pems / key))
    assert refused.value.code == "bad_certificate"
    assert (key if key == "nowhere" else certificate) in refused.value.message


def test_the_address_is_what_was_asked_for_with_the_port_that_was_found() -> None:
    settings = Settings(port=0)
    with serve.listen(settings) as listener:
        port = listener.getsockname()[1]
        # Otherwise small answers wait 40 ms for the other side's acknowledgement; what is accepted inherits it.
        assert listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert port and serve.address(settings, listener) == f"ws://127.0.0.1:{port}"
        with pytest.raises(AlphaloomError) as refused:
            serve.listen(Settings(port=port))
        assert refused.value.code == "no_port" and str(port) in refused.value.message
        assert f"{port + 1} --data" in refused.value.message, "two brokers on one folder are refused"


@pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6")
def test_it_listens_on_ipv6_where_it_is_told_to() -> None:
    settings = Settings(port=0, host="[::1]")
    try:
        listener = serve.listen(settings)
    except AlphaloomError:
        pytest.skip("this machine has no ::1")
    with listener:
        assert serve.address(settings, listener).startswith("ws://[::1]:")


@pytest.mark.parametrize("host", ["no.such.host.invalid", "203.0.113.7"])
def test_an_address_that_is_not_this_machines_is_said(host: str) -> None:
    with pytest.raises(AlphaloomError) as refused:
        serve.listen(Settings(port=0, host=host))
    assert refused.value.code == "no_port" and host in refused.value.message


def test_a_proxys_word_counts_only_where_it_was_named() -> None:
    async def app(*_: object) -> None: ...

    assert not serve.server(Settings(), app).config.proxy_headers
    trusting = serve.server(Settings(trusted_proxies=("10.0.0.1",)), app).config
    assert trusting.proxy_headers and trusting.forwarded_allow_ips == ["10.0.0.1"]


def test_small_answers_do_not_wait_for_the_other_sides_acknowledgement() -> None:
    with serve.listen(Settings(port=0)) as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
