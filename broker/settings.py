"""What can be set, what each is when nobody sets it, and within which bounds. Where it is read from is in `config`."""

from __future__ import annotations

import ipaddress
import json
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import sqlalchemy as sa
from pydantic import BeforeValidator, Field, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from protocol import DEFAULT_PORT, MAX_BINARY_BYTES, MAX_TEXT_BYTES
from signals import patch_files

from .people import MAX_FRAMES_HZ

PREFIX = "ALPHALOOM_"
LOOPBACK = "127.0.0.1"
_KIB, _MIB = 1024, 1024 * 1024


def _several(value: Any) -> Any:
    """An environment variable's list: JSON, or parted by commas."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        try:
            return json.loads(value)
        except ValueError as problem:
            raise ValueError(f"it begins as a JSON list, and is none: {problem}") from None
    return [part.strip() for part in value.split(",") if part.strip()]


def _home(value: Any) -> Any:
    return Path(value).expanduser() if isinstance(value, str | Path) and str(value) else value


def _number(value: Any) -> Any:
    return int(value) if isinstance(value, str) and value.strip().isdecimal() else value


List = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_several)]
Folder = Annotated[Path, BeforeValidator(_home)]
File = Annotated[Path | None, BeforeValidator(_home)]
Files = Annotated[tuple[Folder, ...], NoDecode, BeforeValidator(_several)]


def _set(default: Any, group: str, description: str, metavar: str = "", **bounds: Any) -> Any:
    return Field(default, description=description, json_schema_extra={"group": group, "metavar": metavar}, **bounds)


_WHERE, _WHO, _SIZE, _JOBS, _KEEP, _EEG = (
    "where it stands",
    "who may come",
    "how much one may send",
    "jobs",
    "what is kept",
    "EEG",
)


class Settings(BaseSettings):
    """`Settings(...)` has what it is given and defaults. `config.load` reads flags, the environment and a file."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, extra="forbid", frozen=True, allow_inf_nan=False, hide_input_in_errors=True
    )

    port: int = _set(DEFAULT_PORT, _WHERE, "0 takes a free one", "PORT", ge=0, le=65535)
    host: str = _set(
        LOOPBACK,
        _WHERE,
        "the address to listen on; any but this machine's own needs a token (python -m broker token add)",
        "HOST",
    )
    certfile: File = _set(None, _WHERE, "TLS: the certificate, with those above it, as PEM", "FILE")
    keyfile: File = _set(None, _WHERE, "TLS: its private key as PEM, where it is not in the certificate's file", "FILE")
    data: Folder = _set(Path("~/.alphaloom").expanduser(), _WHERE, "where maps, jobs and pictures are kept", "FOLDER")
    database: str = _set(
        "",
        _WHERE,
        "another database than SQLite in the data folder: postgresql://USER:PASSWORD@HOST/NAME; "
        "better in the file or the environment, where no list of processes shows it",
        "URL",
        repr=False,
    )
    log_level: Literal["debug", "info", "warning", "error"] = _set(
        "info", _WHERE, "debug also says who asks for what; prompts are never in the log at info"
    )

    allowed_origins: List = _set(
        (), _WHO, "a web page's origin that may use the broker beside its own, as https://maps.example.org", "ORIGIN"
    )
    allowed_hosts: List = _set(
        (), _WHO, "a name by which the broker is reached, beside loopback's; where there is one, a token is needed", "NAME"
    )
    trusted_proxies: List = _set((), _WHO, "a reverse proxy's address, whose X-Forwarded-For is believed", "ADDRESS")
    max_connections: int = _set(500, _WHO, "WebSockets at once", "N", ge=1, le=100_000)
    failed_tokens: int = _set(10, _WHO, "wrong tokens that an address may show before it has to wait", "N", ge=1, le=1000)

    max_text_bytes: int = _set(MAX_TEXT_BYTES, _SIZE, "of one text message or JSON body", "BYTES", ge=4 * _KIB, le=64 * _MIB)
    max_binary_bytes: int = _set(
        MAX_BINARY_BYTES, _SIZE, "of one binary message or picture", "BYTES", ge=64 * _KIB, le=1024 * _MIB
    )
    max_bundle_bytes: int = _set(
        256 * _MIB, _SIZE, "of a map with its pictures that is imported", "BYTES", ge=_MIB, le=16 * 1024 * _MIB
    )
    max_pixels: int = _set(
        4096 * 4096, _SIZE, "of one picture, whatever it is packed into", "PIXELS", ge=64 * 64, le=32768 * 32768
    )
    messages_per_s: float = _set(200.0, _SIZE, "that a person's WebSocket may send for long", "N", gt=0, le=1e6)
    messages_burst: int = _set(400, _SIZE, "that it may send at once", "N", ge=1, le=1_000_000)
    requests_per_s: float = _set(200.0, _SIZE, "HTTP requests of one address, for long", "N", gt=0, le=1e6)
    requests_burst: int = _set(400, _SIZE, "HTTP requests of one address at once", "N", ge=1, le=1_000_000)

    max_person_jobs: int = _set(100, _JOBS, "open jobs that one person may have", "N", ge=1, le=100_000)
    max_open_jobs: int = _set(5000, _JOBS, "open jobs that all may have", "N", ge=1, le=1_000_000)
    lease_s: float = _set(15.0, _JOBS, "after which an edge that says nothing has lost its job", "SECONDS", ge=1, le=3600)
    job_limit_s: float = _set(900.0, _JOBS, "the longest that one attempt may run", "SECONDS", ge=1, le=7 * 86400)
    wait_limit_s: float = _set(3600.0, _JOBS, "the longest that a job waits for an edge", "SECONDS", ge=1, le=30 * 86400)
    no_edge_s: float = _set(
        30.0, _JOBS, "the longest that a job waits while edges are there and none of them can run it", "SECONDS", ge=1, le=86400
    )
    max_attempts: int = _set(3, _JOBS, "edges that a job may lose before it fails", "N", ge=1, le=100)
    models: File = _set(
        None,
        _JOBS,
        "which models edges may fetch, and where from, as TOML (else a list of well-known ones: models.toml)",
        "FILE",
    )
    live_max_hz: float = _set(8.0, _JOBS, "the most pictures a second of one live node", "HZ", gt=0, le=60)

    cache_hours: float = _set(24.0, _KEEP, "results are remembered for so long; 0 remembers none", "HOURS", ge=0, le=10 * 8766)
    cache_mb: int = _set(1024, _KEEP, "of results that are remembered, at most", "MB", ge=0, le=10_000_000)
    keep_jobs_days: float = _set(
        30.0, _KEEP, "finished jobs without a picture, and those without a node", "DAYS", ge=0, le=36525
    )
    keep_live_hours: float = _set(
        1.0, _KEEP, "what a live node made by itself, but for its newest picture", "HOURS", ge=0, le=36525 * 24
    )
    keep_deleted_days: float = _set(30.0, _KEEP, "deleted nodes can be brought back for so long", "DAYS", ge=0, le=36525)
    keep_uploads_hours: float = _set(24.0, _KEEP, "uploaded pictures that nothing uses", "HOURS", ge=1, le=36525 * 24)

    patch: str | None = _set(
        None,
        _EEG,
        f"how EEG moves pictures: {', '.join(patch_files.presets())}, or a TOML file, which is read again when it is saved "
        "(else as it was last)",
        "PRESET_OR_FILE",
    )
    eeg: List = _set(
        (),
        _EEG,
        "a performer's LSL stream: NAME, type=EEG or id=SOURCE_ID; once for each performer (else the first of type EEG)",
        "QUERY",
    )
    baseline: Files = _set((), _EEG, "theirs, in the same order", "FILE")
    sham: File = _set(None, _EEG, "a recording that can drive instead of the live streams", "FILE")
    mains: Annotated[Literal[0, 50, 60], BeforeValidator(_number)] = _set(
        0, _EEG, "the power line's frequency in Hz: 50 or 60 (else both)", "HZ"
    )
    unit: str = _set("", _EEG, "the streams' unit, where they do not say it or say it wrongly", "UNIT")
    reference: Literal["none", "average"] = _set("none", _EEG, "average: of the good channels")
    markers: List = _set((), _EEG, "a stream of markers to show as events", "QUERY")
    frames_hz: float = _set(10.0, _EEG, "EEG frames a second, of each performer", "HZ", ge=1, le=MAX_FRAMES_HZ)
    no_eeg: bool = _set(False, _EEG, "do not look for EEG")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        # What is made in a test or a script is as it is written there, whatever the environment says.
        return (init_settings,)

    @field_validator("host")
    @classmethod
    def _host(cls, value: str) -> str:
        host = value.strip().removeprefix("[").removesuffix("]")
        if not host or "/" in host or any(character.isspace() for character in host):
            raise ValueError("give an address or a name, as 127.0.0.1, 0.0.0.0 or ::")
        return host

    @field_validator("keyfile")
    @classmethod
    def _keyfile(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if value is not None and info.data.get("certfile") is None:
            raise ValueError("a key needs its certificate: give certfile, too")
        return value

    @field_validator("allowed_origins")
    @classmethod
    def _origins(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        for value in values:
            parts = urlsplit(value)
            if parts.scheme not in ("http", "https") or not parts.netloc or value != f"{parts.scheme}://{parts.netloc}":
                raise ValueError(f"{value!r} is no origin: write it as https://maps.example.org, or with a :PORT")
        return values

    @field_validator("allowed_hosts")
    @classmethod
    def _hosts(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        for value in values:
            if not value or "/" in value or (":" in value and not value.startswith("[")) or "*" in value.removeprefix("*."):
                raise ValueError(f"{value!r} is no host's name: write it as maps.example.org or *.example.org, without a port")
        return tuple(value.lower() for value in values)

    @field_validator("trusted_proxies")
    @classmethod
    def _proxies(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        for value in values:
            ipaddress.ip_network(value)
        return values

    @field_validator("database")
    @classmethod
    def _database(cls, value: str) -> str:
        if not value:
            return value
        try:
            kind = sa.make_url(value).get_backend_name()
        except sa.exc.ArgumentError:
            raise ValueError("it is no database's URL: write it as postgresql://USER:PASSWORD@HOST/NAME") from None
        if kind not in ("sqlite", "postgresql"):
            raise ValueError(f"{kind!r} is no database that this broker knows: use postgresql or sqlite")
        return value

    @property
    def scheme(self) -> str:
        return "wss" if self.certfile else "ws"

    @property
    def is_open(self) -> bool:
        """Whether who comes without a token is trusted: only this machine's own programs can come.

        Where the broker goes by other names, a proxy stands before it, and who comes may be anybody.
        """
        return is_loopback(self.host) and not self.allowed_hosts and not self.trusted_proxies


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def masked(url: str) -> str:
    """A database's URL without its password."""
    try:
        made = sa.make_url(url)
    except sa.exc.ArgumentError:
        return "***"
    secrets = {name: "***" for name in made.query if "pass" in name.lower()}
    return made.update_query_dict(secrets).render_as_string(hide_password=True)
