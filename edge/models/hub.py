"""What is to be fetched for a manifest's entry: from a URL what it says, from the hub what is needed of a repository."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx

from protocol.errors import AlphaloomError
from protocol.manifest import SUFFIXES, Entry, check_path

from . import safety
from .network import Network

MAX_LISTING = 16 << 20
MAX_INDEX = 1 << 20
_WEIGHTS = re.compile(
    r"(?P<base>model|diffusion_pytorch_model)(?:\.(?P<variant>[a-z0-9_]+))?(?P<shard>-\d+-of-\d+)?\.safetensors"
)
_OTHERS_WEIGHTS = (*safety.PICKLES, ".msgpack", ".h5", ".onnx")


@dataclass(frozen=True)
class Remote:
    """A file to fetch: where from, where to in the model's folder, and what shows that it is the right one."""

    path: str
    url: str
    size: int
    sha256: str = ""
    git: str = ""
    """Of a small file the hub knows only the hash that git gives it."""

    def __post_init__(self) -> None:
        check_path(self.path)


@dataclass(frozen=True)
class Plan:
    files: tuple[Remote, ...]
    commit: str = ""
    """Of the hub's repository."""
    secret: str = ""
    """A bearer token for the source's own host."""

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)


@dataclass(frozen=True)
class Hub:
    """None of `endpoint` and `token`: as huggingface_hub has them, by HF_ENDPOINT and HF_TOKEN or its login."""

    endpoint: str | None = None
    token: str | None = None

    def plan(self, entry: Entry, network: Network) -> Plan:
        """Raises AlphaloomError `unreachable_model`, `bad_host`, `bad_path`, `no_model` or `unsafe_model`."""
        if entry.origin == "url":
            return Plan(
                tuple(Remote(file.path, entry.source + quote(file.path), file.size, file.sha256) for file in entry.files)
            )
        from huggingface_hub import constants, get_token

        if constants.HF_HUB_OFFLINE:
            raise AlphaloomError(
                "unreachable_model",
                f"{entry.id!r} is not on this machine, and HF_HUB_OFFLINE is set.",
                id=entry.id,
            )
        endpoint = (self.endpoint or constants.ENDPOINT).rstrip("/")
        secret = self.token if self.token is not None else get_token() or ""
        return _Repository(network, endpoint, entry, secret).plan()


class _Repository:
    def __init__(self, network: Network, endpoint: str, entry: Entry, secret: str):
        self._network, self._endpoint, self._entry, self._secret = network, endpoint, entry, secret

    def plan(self) -> Plan:
        entry = self._entry
        revision = f"/revision/{quote(entry.revision, safe='')}" if entry.revision else ""
        listing = self._json(f"{self._endpoint}/api/models/{entry.source}{revision}?blobs=true", MAX_LISTING)
        try:
            commit = str(listing["sha"])
            if not re.fullmatch("[0-9a-f]{40,64}", commit):
                raise ValueError("its commit is none")
            found = {each.path: each for each in (self._listed(commit, value) for value in listing["siblings"])}
        except (KeyError, TypeError, ValueError, AttributeError) as problem:
            raise self._unreachable(f"the hub's list of its files cannot be read: {problem!r}") from None
        chosen = choose(entry, found, self._index)
        return Plan(tuple(chosen), commit, self._secret)

    def _listed(self, commit: str, value: Mapping[str, Any]) -> Remote | _Other:
        path = str(value["rfilename"])
        if path.startswith("/") or "\\" in path or ".." in path.split("/"):
            raise AlphaloomError("bad_path", f"{self._entry.source!r} has a file {path[:200]!r}: nothing is taken of it.")
        large = value.get("lfs") or {}
        sha256, git = str(large.get("sha256", "")), "" if large else str(value.get("blobId", ""))
        size = int(large.get("size", value.get("size") or 0))
        if size < 0 or not re.fullmatch("[0-9a-f]{64}|", sha256) or not re.fullmatch("[0-9a-f]{40}|[0-9a-f]{64}|", git):
            raise ValueError(f"{path!r} has no size or no hash")
        url = f"{self._endpoint}/{self._entry.source}/resolve/{commit}/{quote(path)}"
        try:
            return Remote(path, url, size, sha256, git)
        except AlphaloomError:
            return _Other(path)

    def _index(self, file: Remote) -> Any:
        """model_index.json, read before all else."""
        data = self._bytes(file.url, MAX_INDEX)
        if file.git and git_hash(data, len(file.git)) != file.git:
            raise AlphaloomError("bad_checksum", f"{file.path!r} of {self._entry.source!r} is not what the hub lists.")
        try:
            return json.loads(data)
        except ValueError:
            return None

    def _json(self, url: str, most: int) -> Any:
        try:
            return json.loads(self._bytes(url, most))
        except ValueError:
            raise self._unreachable("the hub's answer is no JSON") from None

    def _bytes(self, url: str, most: int) -> bytes:
        data = bytearray()
        try:
            with self._network.get(url, secret=self._secret) as answer:
                if answer.status_code != 200:
                    raise refusal(self._entry, answer, bool(self._secret))
                for chunk in answer.iter_raw(1 << 16):
                    data += chunk
                    if len(data) > most:
                        raise self._unreachable(f"the hub's answer has more than {most} bytes")
        except httpx.TransportError as problem:
            raise self._unreachable(str(problem) or type(problem).__name__) from None
        return bytes(data)

    def _unreachable(self, reason: str) -> AlphaloomError:
        return unreachable(self._entry, reason)


@dataclass(frozen=True)
class _Other:
    """A file that is never taken."""

    path: str


def choose(entry: Entry, found: Mapping[str, Remote | _Other], index: Callable[[Remote], Any]) -> list[Remote]:
    """The files of a repository that its kind needs: one set of safetensors, configurations, vocabularies.

    `found` is all files by path, `index` reads model_index.json. Raises AlphaloomError `no_model` or `unsafe_model`.
    """
    if entry.files:
        return [_pinned(entry, found, file.path, file.sha256) for file in entry.files]
    if entry.kind == "lora":
        return [_lora(entry, found)]
    if entry.kind == "controlnet":
        return _part(entry, found, "", ("config.json",))
    if safety.INDEX not in found:
        raise AlphaloomError("no_model", f"{entry.source!r} is no diffusers model: it has no {safety.INDEX}.", id=entry.id)
    first = _taken(found[safety.INDEX])
    chosen = [first]
    for component in safety.components(index(first), entry.source):
        chosen += _part(entry, found, f"{component}/")
    if not any(file.path.endswith(".safetensors") for file in chosen):
        raise AlphaloomError("no_model", f"{entry.source!r} has no safetensors weights.", id=entry.id)
    return chosen


def _part(entry: Entry, found: Mapping[str, Remote | _Other], folder: str, wanted: Iterable[str] | None = None) -> list[Remote]:
    """Of one folder (`""` or `unet/`): what configures it (`wanted`: only these), and its weights."""
    inside = {path.removeprefix(folder): file for path, file in found.items() if path.startswith(folder)}
    inside = {name: file for name, file in inside.items() if "/" not in name}
    names = [name for name in inside if name.endswith(tuple(SUFFIXES - {".safetensors"})) and ".index." not in name]
    chosen = [_taken(inside[name]) for name in sorted(names) if wanted is None or name in wanted]
    weights = _weights(entry, folder, inside)
    if wanted is not None and not weights:
        raise AlphaloomError("no_model", f"{entry.source!r} has no safetensors weights.", id=entry.id)
    return chosen + weights


def _weights(entry: Entry, folder: str, inside: Mapping[str, Remote | _Other]) -> list[Remote]:
    """The variant that is asked for, else the plain one, else fp16; stored under the plain name, so that it is found."""
    sets: dict[tuple[str, bool], list[re.Match[str]]] = {}
    for name in sorted(inside):
        if match := _WEIGHTS.fullmatch(name):
            sets.setdefault((match["variant"] or "", bool(match["shard"])), []).append(match)
    for variant, in_shards in ((entry.variant, False), ("", False), ("", True), ("fp16", False)):
        if matches := sets.get((variant, in_shards)):
            chosen = [_taken(inside[match[0]], folder + match["base"] + (match["shard"] or "")) for match in matches]
            indexes = {f"{match['base']}.safetensors.index.json" for match in matches} if in_shards else set()
            return chosen + [_taken(inside[name]) for name in sorted(indexes) if name in inside]
    if any(name.endswith(_OTHERS_WEIGHTS) for name in inside):
        raise AlphaloomError(
            "unsafe_model",
            f"{entry.source!r} has no safetensors weights in {folder or 'it'!r}: pickles can run any code and are never taken.",
            id=entry.id,
        )
    return []


def _lora(entry: Entry, found: Mapping[str, Remote | _Other]) -> Remote:
    names = [path for path in found if "/" not in path and path.endswith(".safetensors")]
    if "pytorch_lora_weights.safetensors" in names:
        names = ["pytorch_lora_weights.safetensors"]
    if len(names) != 1:
        raise AlphaloomError(
            "no_model", f"{entry.source!r} has {len(names)} safetensors files: say which one is meant, by `files`.", id=entry.id
        )
    return _taken(found[names[0]])


def _pinned(entry: Entry, found: Mapping[str, Remote | _Other], path: str, sha256: str) -> Remote:
    file = found.get(path)
    if not isinstance(file, Remote):
        raise AlphaloomError("no_model", f"{entry.source!r} has no file {path!r}.", id=entry.id)
    if sha256 and file.sha256 and sha256 != file.sha256:
        raise AlphaloomError(
            "bad_checksum", f"{path!r} of {entry.source!r} is {file.sha256} now; the manifest wants {sha256}.", id=entry.id
        )
    return Remote(file.path, file.url, file.size, sha256 or file.sha256, file.git)


def _taken(file: Remote | _Other, stem: str = "") -> Remote:
    """Checked, under another name where one is given."""
    if not isinstance(file, Remote):
        check_path(file.path)
        raise AlphaloomError("bad_path", f"{file.path[:200]!r} is no file's path within a model.")
    if not file.sha256 and not file.git:
        raise AlphaloomError("bad_checksum", f"The hub says no hash of {file.path!r}; it is not taken.")
    return Remote(f"{stem}.safetensors", file.url, file.size, file.sha256, file.git) if stem else file


def git_hash(data: bytes, length: int) -> str:
    """As git names a file with these bytes; `length` in digits tells which of its two hashes."""
    return begun(len(data), length, data).hexdigest()


def begun(size: int, length: int, data: bytes = b"") -> Any:
    made = hashlib.sha256 if length == 64 else hashlib.sha1
    return made(b"blob %d\0" % size + data)


def refusal(entry: Entry, answer: httpx.Response, with_secret: bool) -> AlphaloomError:
    """What a source's answer other than the file means."""
    if answer.status_code in (401, 403) and entry.origin == "hub":
        token = "the token that is set has no access" if with_secret else "set HF_TOKEN to a token of yours"
        return unreachable(
            entry, f"the hub answers {answer.status_code}: it is not there, or wants its licence accepted on its page; {token}"
        )
    return unreachable(entry, f"{answer.url.host} answers {answer.status_code}")


def unreachable(entry: Entry, reason: str) -> AlphaloomError:
    return AlphaloomError("unreachable_model", f"{entry.id!r} cannot be fetched from {entry.source}: {reason}.", id=entry.id)
