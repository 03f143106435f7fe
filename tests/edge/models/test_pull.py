"""Models come whole or not at all, whatever servers, lines, disks and kills do. Servers are real, and on this machine."""

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from file_server import FileServer, Served

from edge.models.fetch import Stopped
from edge.models.hub import Hub
from edge.models.network import Network
from edge.models.pull import Puller, broken, record
from protocol.errors import AlphaloomError
from protocol.manifest import Entry, File

ROOT = Path(__file__).resolve().parents[3]
WEIGHTS = bytes(range(256)) * 8192  # 2 MiB
CONFIG = b'{"rank": 4}'


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer() as made:
        made.files["/m/weights.safetensors"] = Served(WEIGHTS, '"one"')
        made.files["/m/config.json"] = Served(CONFIG)
        yield made


@pytest.fixture
def puller(tmp_path: Path) -> Puller:
    return Puller(tmp_path / "models", Network(["127.0.0.1"]), Hub(), pause=0.001)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def entry(server: FileServer, **changed: Any) -> Entry:
    files = (
        File("weights.safetensors", sha256(WEIGHTS), len(WEIGHTS)),
        File("config.json", sha256(CONFIG), len(CONFIG)),
    )
    return Entry(**{"id": "m", "source": f"{server.url}/m/", "kind": "lora", "files": files} | changed)


def weights(server: FileServer) -> Served:
    return server.files["/m/weights.safetensors"]


def part(puller: Puller) -> Path:
    (found,) = puller.root.glob(".pull/m/*.part")
    return found


def refused(puller: Puller, of: Entry) -> AlphaloomError:
    with pytest.raises(AlphaloomError) as caught:
        puller.pull(of)
    return caught.value


def held_at(puller: Puller, server: FileServer, count: int) -> None:
    """A pull that was stopped when `count` bytes had come."""
    weights(server).hold_after = count
    stop = threading.Event()

    def progress(done: int, size: int) -> None:
        if done >= count:
            stop.set()
            server.go_on.set()

    with pytest.raises(Stopped):
        puller.pull(entry(server), progress, stop)
    weights(server).hold_after = -1
    assert not (puller.root / "m").exists() and part(puller).stat().st_size >= count


def test_all_of_it_appears_at_once_with_what_it_is(server: FileServer, puller: Puller) -> None:
    seen: list[tuple[int, int, bool]] = []
    folder = puller.pull(entry(server), lambda done, size: seen.append((done, size, (puller.root / "m").exists())))
    assert (folder / "weights.safetensors").read_bytes() == WEIGHTS and (folder / "config.json").read_bytes() == CONFIG
    dones = [done for done, _, _ in seen]
    assert dones == sorted(dones) and dones[-1] == len(WEIGHTS) + len(CONFIG) and len(dones) > 4
    assert not any(there for _, _, there in seen)
    found = record(folder)
    assert found and found.files[0].sha256 == sha256(WEIGHTS) and not broken(folder, found)
    assert [each.name for each in (puller.root / ".pull").iterdir() if not each.name.endswith(".lock")] == []


def test_what_is_here_is_not_asked_for_again(server: FileServer, puller: Puller) -> None:
    puller.pull(entry(server))
    asked = len(server.asked)
    puller.pull(entry(server))
    puller.pull(entry(server), thorough=True)
    assert len(server.asked) == asked


def test_a_stopped_pull_goes_on_where_it_was(server: FileServer, puller: Puller) -> None:
    held_at(puller, server, 1_000_000)
    had = part(puller).stat().st_size
    puller.pull(entry(server))
    again = server.asked_for("/m/weights.safetensors")[-1]
    assert again.range == f"bytes={had}-" and again.headers["If-Range"] == '"one"'
    assert (puller.root / "m/weights.safetensors").read_bytes() == WEIGHTS


def test_a_server_without_ranges_sends_it_all_again(server: FileServer, puller: Puller) -> None:
    held_at(puller, server, 500_000)
    weights(server).takes_range = False
    folder = puller.pull(entry(server))
    assert (folder / "weights.safetensors").read_bytes() == WEIGHTS
    assert len(server.asked_for("/m/weights.safetensors")) == 2


def test_a_file_that_changed_at_its_source_is_begun_anew(server: FileServer, puller: Puller) -> None:
    old = bytes(len(WEIGHTS))
    server.files["/m/weights.safetensors"] = Served(old, '"zero"')
    held_at(puller, server, 500_000)
    server.files["/m/weights.safetensors"] = Served(WEIGHTS, '"one"')
    folder = puller.pull(entry(server))
    assert (folder / "weights.safetensors").read_bytes() == WEIGHTS
    assert len(server.asked_for("/m/weights.safetensors")) == 2, "If-Range spares asking a third time"


@pytest.mark.parametrize("etag", ['"one"', 'W/"weak"', ""])
def test_a_part_of_another_version_is_found_out_by_its_checksum(server: FileServer, puller: Puller, etag: str) -> None:
    server.files["/m/weights.safetensors"] = Served(bytes(len(WEIGHTS)), etag)
    held_at(puller, server, 500_000)
    server.files["/m/weights.safetensors"] = Served(WEIGHTS, etag)
    folder = puller.pull(entry(server))
    assert (folder / "weights.safetensors").read_bytes() == WEIGHTS


def test_a_wrong_file_is_thrown_away_and_said(server: FileServer, puller: Puller) -> None:
    weights(server).data = WEIGHTS[:-1] + b"!"
    error = refused(puller, entry(server))
    assert error.code == "bad_checksum" and "weights.safetensors" in error.message
    assert not (puller.root / "m").exists() and not list(puller.root.glob(".pull/m/*.part"))
    weights(server).data = WEIGHTS
    assert puller.pull(entry(server)).is_dir()


@pytest.mark.parametrize("data", [WEIGHTS + b"!", WEIGHTS[:-1]])
def test_a_file_of_another_size_is_not_even_taken(server: FileServer, puller: Puller, data: bytes) -> None:
    weights(server).data = data
    assert refused(puller, entry(server)).code == "bad_size"


def test_a_server_that_says_no_length_cannot_fill_the_disk(server: FileServer, puller: Puller) -> None:
    weights(server).data = WEIGHTS * 4
    weights(server).says_length = False
    assert refused(puller, entry(server)).code == "bad_size"
    assert puller.begun("m") == 0
    weights(server).data = WEIGHTS
    assert puller.pull(entry(server)).is_dir()


def test_what_comes_packed_is_not_taken(server: FileServer, puller: Puller) -> None:
    weights(server).headers = {"Content-Encoding": "gzip"}
    assert refused(puller, entry(server)).code == "bad_size"


def test_a_line_that_breaks_and_a_server_that_is_busy_are_tried_again(server: FileServer, puller: Puller) -> None:
    weights(server).drop_after = 700_000
    weights(server).failures = [503, 429, 500]
    folder = puller.pull(entry(server))
    assert (folder / "weights.safetensors").read_bytes() == WEIGHTS
    assert server.asked_for("/m/weights.safetensors")[-1].range == "bytes=700000-"


def test_a_server_that_stays_away_is_given_up_and_the_part_kept(server: FileServer, puller: Puller) -> None:
    held_at(puller, server, 500_000)
    weights(server).failures = [503] * 50
    error = refused(puller, entry(server))
    assert error.code == "unreachable_model" and "503" in error.message
    assert len(weights(server).failures) > 40 and part(puller).stat().st_size >= 500_000


def test_a_file_that_is_not_there_is_not_asked_for_twice(server: FileServer, puller: Puller) -> None:
    del server.files["/m/config.json"]
    error = refused(puller, entry(server))
    assert error.code == "unreachable_model" and "404" in error.message and len(server.asked_for("/m/config.json")) == 1


def test_a_broken_file_is_mended_and_the_good_ones_stay(server: FileServer, puller: Puller) -> None:
    folder = puller.pull(entry(server))
    with open(folder / "weights.safetensors", "r+b") as file:
        file.write(b"rot")
    found = record(folder)
    assert found and broken(folder, found) == ["weights.safetensors"]
    assert puller.pull(entry(server)) == folder and broken(folder, found), "by sizes alone it looks whole"
    puller.pull(entry(server), thorough=True)
    assert not broken(folder, found) and len(server.asked_for("/m/config.json")) == 1


def test_what_the_manifest_says_anew_is_fetched_anew(server: FileServer, puller: Puller) -> None:
    folder = puller.pull(entry(server))
    other = WEIGHTS[::-1]
    server.files["/m/weights.safetensors"] = Served(other, '"two"')
    files = (File("weights.safetensors", sha256(other), len(other)), File("config.json", sha256(CONFIG), len(CONFIG)))
    puller.pull(entry(server, files=files))
    assert (folder / "weights.safetensors").read_bytes() == other and len(server.asked_for("/m/config.json")) == 1
    assert not list((puller.root / ".pull").glob(".old-*"))


def test_a_folder_of_the_users_is_never_replaced_or_deleted(server: FileServer, puller: Puller) -> None:
    (puller.root / "m").mkdir(parents=True)
    (puller.root / "m/mine.txt").write_text("mine")
    assert refused(puller, entry(server)).code == "bad_folder"
    with pytest.raises(AlphaloomError, match="not ours to delete"):
        puller.remove("m")
    assert (puller.root / "m/mine.txt").read_text() == "mine"


def test_what_was_pulled_or_begun_can_be_removed(server: FileServer, puller: Puller) -> None:
    puller.pull(entry(server))
    assert puller.remove("m") and not (puller.root / "m").exists() and not puller.remove("m")
    held_at(puller, server, 500_000)
    assert puller.begun("m") > 0 and puller.remove("m") and puller.begun("m") == 0


def test_a_disk_without_room_is_told_before_anything_is_fetched(
    server: FileServer, puller: Puller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1000})())
    error = refused(puller, entry(server))
    assert error.code == "no_space" and "are free" in error.message and not server.asked


def test_two_at_once_fetch_it_once(server: FileServer, puller: Puller) -> None:
    weights(server).hold_after = 100_000
    other = Puller(puller.root, Network(["127.0.0.1"]), Hub())
    with ThreadPoolExecutor(2) as pool:
        pulls = [pool.submit(each.pull, entry(server)) for each in (puller, other)]
        assert server.held.wait(30)
        server.go_on.set()
        assert {pull.result(30) for pull in pulls} == {puller.root / "m"}
    assert len(server.asked) == 2


# -- real processes ---------------------------------------------------------------------------------------


@pytest.fixture
def manifest(server: FileServer, tmp_path: Path) -> Path:
    files = ", ".join(f'{{path = "{file.path}", sha256 = "{file.sha256}", size = {file.size}}}' for file in entry(server).files)
    file = tmp_path / "models.toml"
    file.write_text(f'[[model]]\nid = "m"\nkind = "lora"\nsource = "{server.url}/m/"\nfiles = [{files}]\n')
    return file


def command(manifest: Path, *words: str) -> list[str]:
    options = ["--manifest", str(manifest), "--folder", str(manifest.parent / "models"), "--allow-host", "127.0.0.1"]
    return [sys.executable, "-m", "edge", "models", *words, *options]


def run(manifest: Path, *words: str, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(manifest, *words), cwd=ROOT, capture_output=True, text=True, timeout=60, **more)


def killed_when(manifest: Path, server: FileServer, come: int) -> int:
    """Start a pull, kill it with SIGKILL when so many bytes are on the disk and the server has no more for it; how many are."""
    weights(server).hold_after = come
    server.held.clear()
    server.go_on.clear()
    pulling = subprocess.Popen(command(manifest, "pull", "m"), cwd=ROOT)
    assert server.held.wait(30)
    staging = manifest.parent / "models/.pull/m"
    while not (parts := list(staging.glob("*.part"))) or parts[0].stat().st_size < come:
        assert pulling.poll() is None
        time.sleep(0.01)
    pulling.send_signal(signal.SIGKILL)
    assert pulling.wait(10) == -signal.SIGKILL
    server.go_on.set()
    weights(server).hold_after = -1
    return parts[0].stat().st_size


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_killed_in_the_middle_of_a_pull_the_next_pull_resumes_and_verifies(server: FileServer, manifest: Path) -> None:
    had = killed_when(manifest, server, 1_200_000)
    assert 1_200_000 <= had < len(WEIGHTS)
    state = run(manifest, "list").stdout
    assert "part" in state
    done = run(manifest, "pull", "m")
    assert done.returncode == 0 and "m is here, whole" in done.stdout, done.stderr
    first, second = server.asked_for("/m/weights.safetensors")
    assert first.range == "" and second.range == f"bytes={had}-" and second.headers["If-Range"] == '"one"'
    assert (manifest.parent / "models/m/weights.safetensors").read_bytes() == WEIGHTS
    verified = run(manifest, "verify")
    assert verified.returncode == 0 and "m: whole" in verified.stdout


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_killed_again_and_again_each_pull_goes_on_from_the_last(server: FileServer, manifest: Path) -> None:
    had = [killed_when(manifest, server, 300_000)]
    for _ in range(3):
        had.append(killed_with_more(manifest, server, had[-1]))
    assert had == sorted(set(had))
    assert run(manifest, "pull", "m").returncode == 0
    asked = [each.range for each in server.asked_for("/m/weights.safetensors")]
    assert asked == ["", *(f"bytes={count}-" for count in had)]


def killed_with_more(manifest: Path, server: FileServer, had: int) -> int:
    weights(server).hold_after = 200_000
    server.held.clear()
    server.go_on.clear()
    pulling = subprocess.Popen(command(manifest, "pull", "m"), cwd=ROOT)
    assert server.held.wait(30)
    (part,) = (manifest.parent / "models/.pull/m").glob("*.part")
    while part.stat().st_size < had + 200_000:
        assert pulling.poll() is None
        time.sleep(0.01)
    pulling.kill()
    pulling.wait(10)
    server.go_on.set()
    weights(server).hold_after = -1
    return part.stat().st_size


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
@pytest.mark.parametrize("at", ["os.replace", "edge.models.pull._write", "os.rename", "edge.models.pull._sync"])
def test_killed_at_any_moment_it_is_whole_or_not_there(server: FileServer, manifest: Path, at: str) -> None:
    """The process kills itself where a file, the record or the folder is put in its place, before and after."""
    module, name = at.rsplit(".", 1)
    for after in (False, True):
        program = (
            f"import os, signal, sys, {module.split('.')[0]}\nimport edge.models.pull\nreal = {at}\n"
            "def killing(*given):\n"
            f"    made = real(*given) if {after} else None\n"
            "    os.kill(os.getpid(), signal.SIGKILL)\n"
            f"{module}.{name} = killing\n"
            "from edge.__main__ import main\nsys.exit(main(sys.argv[1:]))\n"
        )
        words = command(manifest, "pull", "m")[3:]
        assert subprocess.run([sys.executable, "-c", program, *words], cwd=ROOT, timeout=60).returncode == -signal.SIGKILL
        models = manifest.parent / "models"
        if (models / "m").exists():
            found = record(models / "m")
            assert found and not broken(models / "m", found)
        assert run(manifest, "pull", "m").returncode == 0
        assert (models / "m/weights.safetensors").read_bytes() == WEIGHTS
        assert [each.name for each in (models / ".pull").iterdir() if not each.name.endswith(".lock")] == []
        assert run(manifest, "remove", "m").returncode == 0


@pytest.mark.skipif(os.name == "nt", reason="this system has no limit on the size of files")
def test_a_disk_that_fills_up_is_told_and_what_has_come_is_kept(server: FileServer, manifest: Path) -> None:
    import resource

    limit = 600_000
    full = run(manifest, "pull", "m", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    assert full.returncode == 1 and "does not fit" in full.stderr and "Traceback" not in full.stderr
    (part,) = (manifest.parent / "models/.pull/m").glob("*.part")
    assert part.stat().st_size == limit
    assert run(manifest, "pull", "m").returncode == 0
    assert server.asked_for("/m/weights.safetensors")[-1].range == f"bytes={limit}-"


def test_the_commands_say_what_there_is_and_what_is_wrong(server: FileServer, manifest: Path) -> None:
    assert run(manifest, "pull", "m").returncode == 0
    (row,) = [line for line in run(manifest, "list").stdout.splitlines() if line.startswith("m ")]
    assert row.split()[:5] == ["m", "lora", "-", "here", "2.1"]
    weights_file = manifest.parent / "models/m/weights.safetensors"
    weights_file.write_bytes(b"x" + WEIGHTS[1:])
    wrong = run(manifest, "verify", "m")
    assert wrong.returncode == 1 and "broken: weights.safetensors" in wrong.stdout
    assert run(manifest, "pull", "m").returncode == 0 and weights_file.read_bytes() == WEIGHTS
    assert run(manifest, "remove", "m").returncode == 0 and not weights_file.exists()
    for words in (("remove", "m"), ("verify", "m"), ("pull", "nothing"), ("pull", "../x")):
        failed = run(manifest, *words)
        assert failed.returncode == 1 and failed.stderr.startswith("edge: ") and "Traceback" not in failed.stderr
    assert [each.name for each in (manifest.parent / "models").iterdir()] == [".pull"]
