"""A real HTTP server on this machine that serves files as models' sources do, well or badly; and on top of it a FakeHub."""

from __future__ import annotations

import hashlib
import http.server
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit


@dataclass
class Served:
    data: bytes
    etag: str = ""
    takes_range: bool = True
    hold_after: int = -1
    """After so many bytes of the body it waits for `FileServer.go_on`."""
    drop_after: int = -1
    """After so many bytes, once, the line breaks."""
    failures: list[int] = field(default_factory=list)
    """Statuses to answer with first."""
    headers: dict[str, str] = field(default_factory=dict)
    says_length: bool = True


@dataclass(frozen=True)
class Asked:
    path: str
    headers: Mapping[str, str]

    @property
    def range(self) -> str:
        return self.headers.get("Range", "")


class FileServer:
    """`files` by path, `redirects` from path to address; `asked` is what was asked for, in order."""

    def __init__(self) -> None:
        self.files: dict[str, Served] = {}
        self.redirects: dict[str, str] = {}
        self.asked: list[Asked] = []
        self.held, self.go_on = threading.Event(), threading.Event()
        owner = self

        class Handler(_Handler):
            server_of_files = owner

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def asked_for(self, path: str) -> list[Asked]:
        return [each for each in self.asked if each.path == path]

    def wrap(self, tls: Any) -> None:
        self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)

    def __enter__(self) -> Any:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.go_on.set()
        self._server.shutdown()
        self._server.server_close()


class FakeHub(FileServer):
    """Lists and serves repositories as huggingface.co does: large files by a redirect, with their SHA-256."""

    def add(self, repository: str, files: Mapping[str, bytes], commit: str = "c" * 40) -> None:
        siblings = []
        for path, data in files.items():
            listed: dict[str, Any] = {"rfilename": path, "size": len(data)}
            listed["blobId"] = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
            here = f"/{repository}/resolve/{commit}/{path}"
            if path.endswith((".json", ".txt")):
                self.files[here] = Served(data, f'"{listed["blobId"]}"')
            else:
                sha256 = hashlib.sha256(data).hexdigest()
                listed["lfs"] = {"sha256": sha256, "size": len(data), "pointerSize": 130}
                self.files[f"/cdn/{sha256}"] = Served(data, f'"{sha256[:32]}"')
                self.redirects[here] = f"/cdn/{sha256}?signature=s"
            siblings.append(listed)
        self.listing(repository, {"id": repository, "sha": commit, "siblings": siblings})

    def listing(self, repository: str, value: Any) -> None:
        self.files[f"/api/models/{repository}"] = Served(json.dumps(value).encode())

    def stored(self, data: bytes) -> Served:
        """Where a large file's bytes are served from."""
        return self.files[f"/cdn/{hashlib.sha256(data).hexdigest()}"]

    def asked_for_data(self, data: bytes) -> list[Asked]:
        return self.asked_for(f"/cdn/{hashlib.sha256(data).hexdigest()}")


class _Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Who asked has gone; that is what some tests are about."""


class _Handler(http.server.BaseHTTPRequestHandler):
    server_of_files: FileServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        owner = self.server_of_files
        path = unquote(urlsplit(self.path).path)
        owner.asked.append(Asked(path, dict(self.headers)))
        if path in owner.redirects:
            self._answer(302, {"Location": owner.redirects[path]})
        elif path not in owner.files:
            self._answer(404, {})
        elif owner.files[path].failures:
            self._answer(owner.files[path].failures.pop(0), {})
        else:
            self._send(owner.files[path])

    def _send(self, file: Served) -> None:
        start, wanted = 0, self.headers.get("Range", "")
        same = self.headers.get("If-Range", file.etag) == file.etag
        if wanted and file.takes_range and same:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        headers = {"ETag": file.etag} if file.etag else {}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(file.data) - 1}/{len(file.data)}"
        self._answer(206 if start else 200, headers | file.headers, file.data[start:], file)

    def _answer(self, status: int, headers: Mapping[str, str], body: bytes = b"", file: Served | None = None) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if file and not file.says_length:
            self.send_header("Connection", "close")
        else:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        try:
            self._write(body, file)
        except OSError:  # who asked has gone
            self.close_connection = True

    def _write(self, body: bytes, file: Served | None) -> None:
        owner = self.server_of_files
        if file and 0 <= file.drop_after < len(body):
            self.wfile.write(body[: file.drop_after])
            file.drop_after = -1
            self.close_connection = True
            return
        if file and 0 <= file.hold_after < len(body):
            self.wfile.write(body[: file.hold_after])
            owner.held.set()
            owner.go_on.wait(60)
            body = body[file.hold_after :]
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass
