"""Whom models are taken from."""

import ssl
from collections.abc import Iterator

import httpx
import pytest
import trustme
from file_server import FileServer, Served

from edge.models.network import Network, is_public
from protocol.errors import AlphaloomError


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer() as made:
        made.files["/file"] = Served(b"the file")
        yield made


def get(network: Network, url: str, secret: str = "") -> bytes:
    with network.get(url, secret=secret) as answer:
        return answer.read()


def refused(network: Network, url: str) -> AlphaloomError:
    with pytest.raises(AlphaloomError) as caught:
        get(network, url)
    return caught.value


def test_a_host_that_the_user_allows_may_be_this_machine_and_plain_http(server: FileServer) -> None:
    assert get(Network(["127.0.0.1"]), f"{server.url}/file") == b"the file"


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/file",
        "https://huggingface.co.example.org/file",
        "https://nothuggingface.co/file",
        "https://hf.co@example.org/file",
        "https://user:password@huggingface.co/file",
        "https://huggingface.co:8443/file",
        "http://huggingface.co/file",
        "ftp://huggingface.co/file",
        "file:///etc/passwd",
        "https://127.0.0.1/file",
        "https://[::1]/file",
        "https://0x7f000001/file",
        "/file",
        "https://",
        "",
    ],
)
def test_nobody_else_is_asked(url: str) -> None:
    def resolve(host: str, port: int) -> list[str]:
        pytest.fail(f"{host} was looked up")

    error = refused(Network(resolve=resolve), url)
    assert error.code == "bad_host" and ("--allow-host" in error.message or "no address" in error.message)


@pytest.mark.parametrize("name", ["*", "*.example.org", "http://example.org", "example.org:80", "a b", ""])
def test_only_an_exact_name_can_be_allowed(name: str) -> None:
    with pytest.raises(AlphaloomError, match="no host's name"):
        Network([name])


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
        "224.0.1.1", "240.0.0.1", "255.255.255.255", "198.18.0.1", "192.0.2.1", "::1", "::", "fe80::1%eth0", "fc00::1",
        "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1", "2002:7f00:1::", "2002:a00:1::1",
        "2001:db8::1",
    ],
)  # fmt: skip
def test_a_good_name_that_leads_to_a_private_address_is_not_followed(address: str) -> None:
    assert not is_public(address)
    error = refused(Network(resolve=lambda host, port: ["8.8.8.8", address]), "https://huggingface.co/file")
    assert error.code == "bad_host" and error.detail["address"] == address


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "64:ff9b::808:808", "::ffff:8.8.8.8"])
def test_addresses_of_the_internet_are_public(address: str) -> None:
    assert is_public(address)


def test_redirects_are_followed_to_whom_is_allowed(server: FileServer) -> None:
    server.redirects["/a"] = "/b"
    server.redirects["/b"] = f"http://localhost:{server.port}/file"
    network = Network(["127.0.0.1", "localhost"], resolve=lambda host, port: ["127.0.0.1"])
    assert get(network, f"{server.url}/a") == b"the file"
    assert refused(Network(["127.0.0.1"]), f"{server.url}/a").detail["host"] == "localhost"


def test_a_redirect_to_a_private_address_is_refused_whatever_it_is_called(server: FileServer) -> None:
    server.redirects["/a"] = "https://cdn.hf.co/file"
    network = Network(["127.0.0.1"], resolve=lambda host, port: ["127.0.0.1" if host == "127.0.0.1" else "169.254.169.254"])
    error = refused(network, f"{server.url}/a")
    assert (error.code, error.detail) == ("bad_host", {"host": "cdn.hf.co", "address": "169.254.169.254"})


def test_redirects_without_end_or_to_nowhere_are_errors(server: FileServer) -> None:
    server.redirects |= {"/round": "/round", "/wrong": "http://[", "/none": ""}
    network = Network(["127.0.0.1"])
    assert refused(network, f"{server.url}/round").code == "unreachable_model"
    assert refused(network, f"{server.url}/wrong").code == "bad_host"
    assert refused(network, f"{server.url}/none").code == "unreachable_model"


def test_a_secret_is_for_the_first_host_only(server: FileServer) -> None:
    server.redirects |= {"/a": "/b", "/b": f"http://localhost:{server.port}/file"}
    network = Network(["127.0.0.1", "localhost"], resolve=lambda host, port: ["127.0.0.1"])
    get(network, f"{server.url}/a", "hf_secret")
    said = [asked.headers.get("Authorization") for asked in server.asked]
    assert said == ["Bearer hf_secret", "Bearer hf_secret", None]


@pytest.fixture
def authority(monkeypatch: pytest.MonkeyPatch, tmp_path) -> trustme.CA:  # type: ignore[no-untyped-def]
    made = trustme.CA()
    made.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    return made


def test_tls_is_for_the_name_and_the_connection_for_the_address_that_was_checked(authority: trustme.CA) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("models.example.org").configure_cert(context)
    asked = []

    def resolve(host: str, port: int) -> list[str]:
        asked.append((host, port))
        return ["127.0.0.1"]

    server = FileServer()
    server.files["/file"] = Served(b"the file")
    server.wrap(context)
    with server:
        network = Network(["models.example.org", "other.example.org"], resolve=resolve)
        assert get(network, f"https://models.example.org:{server.port}/file") == b"the file"
        assert asked == [("models.example.org", server.port)], "looked up once: what was checked is what was connected to"
        assert server.asked[0].headers["Host"] == f"models.example.org:{server.port}"
        with pytest.raises(httpx.ConnectError, match="certificate"):
            get(network, f"https://other.example.org:{server.port}/file")


def test_where_one_address_does_not_answer_the_next_is_tried(server: FileServer) -> None:
    network = Network(["models.test"], resolve=lambda host, port: ["::1", "127.0.0.1"])
    assert get(network, f"http://models.test:{server.port}/file") == b"the file"
