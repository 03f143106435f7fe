import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from stores import Place, Places

from broker import store as s
from broker.store import Store, restore
from protocol.errors import AlphaloomError
from protocol.model import Change, Job, Link, Node, Operation

DATABASES = ("sqlite", "postgresql")


def fill(store: Store) -> None:
    names = [store.blobs.put(data) for data in (b"picture", b"cached", b"before")]
    operation = Operation(4, "o", (Change("delete", "node", "a"),), "ann")
    store.write(
        [
            s.PutRoom(s.RoomRow("main", "möss", 1.0, 4)),
            s.PutItem("main", Node("a", 'nul \0, half \ud83d, "quotes", 🌿', picture=names[0])),
            s.PutItem("main", Link("l", "a", "a"), 2.0, 3),
            s.AddOperation("main", operation, (Change("update", "node", "a", {"source": names[2]}),)),
            *(s.PutJob(Job(str(n), "a", "done" if n % 3 else "queued", person="ann", live=n % 2 == 0)) for n in range(2500)),
            s.PutCached("key", names[1], 6, 1.5),
            s.PutFact("sham", {"x": [1, None]}),
        ]
    )
    store.put_token(s.Token("ann", "admin", "hash", 3.0))


@pytest.mark.parametrize("target", DATABASES)
def test_a_backup_of_one_database_is_restored_as_the_same_or_the_other(
    place: Place, places: Places, target: str, tmp_path: Path
) -> None:
    store = place.open()
    fill(store)
    unused = store.blobs.put(b"nothing speaks of it")
    store.backup(tmp_path / "backup.zip")
    copy = places(target)
    restore(tmp_path / "backup.zip", copy.folder, copy.url)
    restored = copy.open()
    assert restored.load() == store.load()
    assert restored.jobs(limit=3000) == store.jobs(limit=3000) and restored.tokens() == store.tokens()
    assert [restored.blobs.get(store.blobs.put(data)) for data in (b"picture", b"cached", b"before")]
    assert not restored.blobs.has(unused)
    restored.write([s.PutJob(Job("new", "a"))])
    assert restored.jobs(limit=1)[0].id == "new"


WRITER = """
import sys
from pathlib import Path
from broker import store as s
from protocol.model import Job
store = s.Store(Path(sys.argv[1]), sys.argv[2])
for n in range(1, 10**9):
    blob = store.blobs.put(b"%d" % n)
    done = [s.PutJob(Job(str(n), "a", "done", picture=blob)), s.PutRoom(s.RoomRow("main", revision=n))]
    store.write([*done, s.PutFact("newest", n)])
    print(n, flush=True)
"""


def test_a_backup_is_of_one_moment_though_another_program_goes_on_writing(place: Place, places: Places, tmp_path: Path) -> None:
    store = place.open()
    command = [sys.executable, "-c", WRITER, str(place.folder), place.url]
    with subprocess.Popen(command, cwd=Path(s.__file__).parents[2], stdout=subprocess.PIPE) as writer:
        try:
            assert writer.stdout
            for _ in range(20):
                assert writer.stdout.readline()
            files = [tmp_path / f"{n}.zip" for n in range(3)]
            for file in files:
                writer.stdout.readline()
                store.backup(file)
            assert writer.poll() is None
        finally:
            writer.kill()
    moments = []
    for file in files:
        copy = places()
        restore(file, copy.folder)
        loaded = (restored := copy.open()).load()
        jobs = restored.jobs(limit=100_000)
        moments.append(loaded.rooms[0].row.revision)
        assert moments[-1] == loaded.facts["newest"] == len(jobs)
        assert all(restored.blobs.get(job.picture or "") == job.id.encode() for job in jobs)
    assert moments[0] >= 20 and moments == sorted(moments)


def test_a_store_that_holds_something_is_not_overwritten(place: Place, tmp_path: Path) -> None:
    store = place.open()
    fill(store)
    store.backup(tmp_path / "backup.zip")
    before = store.load()
    place.close()
    with pytest.raises(AlphaloomError, match="another folder") as caught:
        restore(tmp_path / "backup.zip", place.folder, place.url)
    assert caught.value.code == "store_not_empty"
    assert place.open().load() == before


def test_a_store_that_was_opened_but_holds_nothing_is_filled(place: Place, tmp_path: Path, places: Places) -> None:
    source = places().open()
    fill(source)
    source.backup(tmp_path / "backup.zip")
    place.open()
    place.close()
    restore(tmp_path / "backup.zip", place.folder, place.url)
    assert place.open().load() == source.load()


def test_a_backup_replaces_the_one_before_it_at_once(places: Places, tmp_path: Path) -> None:
    store = places().open()
    fill(store)
    out = tmp_path / "out"
    out.mkdir()
    for _ in range(2):
        store.backup(out / "backup.zip")
        assert [file.name for file in out.iterdir()] == ["backup.zip"]


def test_a_backup_that_fails_leaves_the_one_before_it(places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = places().open()
    out = tmp_path / "out"
    out.mkdir()
    (out / "backup.zip").write_bytes(b"the one before")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    fill(store)
    monkeypatch.setattr(zipfile.ZipFile, "write", fail)
    with pytest.raises(AlphaloomError, match="No space left") as caught:
        store.backup(out / "backup.zip")
    assert caught.value.code == "no_backup"
    assert [file.read_bytes() for file in out.iterdir()] == [b"the one before"]
    with pytest.raises(AlphaloomError, match="another file"):
        store.backup(tmp_path / "nowhere" / "backup.zip")


def test_a_blob_that_is_missing_is_said_and_the_rest_is_backed_up(
    places: Places, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = places().open()
    fill(store)
    store.blobs.path(store.blobs.put(b"picture")).unlink()
    store.backup(tmp_path / "backup.zip")
    assert "1 blobs" in caplog.text
    copy = places()
    restore(tmp_path / "backup.zip", copy.folder)
    assert copy.open().load() == store.load()


def changed(file: Path, name: str, data: bytes) -> None:
    """The same backup with one part replaced."""
    with zipfile.ZipFile(file) as archive:
        parts = {part: archive.read(part) for part in archive.namelist()}
    with zipfile.ZipFile(file, "w") as archive:
        for part, content in (parts | {name: data}).items():
            archive.writestr(part, content)


def test_what_is_no_backup_or_is_damaged_is_refused_and_nothing_of_it_is_kept(
    place: Place, places: Places, tmp_path: Path
) -> None:
    source = places().open()
    fill(source)
    file = tmp_path / "backup.zip"
    blob = source.blobs.put(b"picture")
    damages = {
        f"blobs/{blob}": b"something else",
        "blobs/../../escaped": b"x",
        "tables/jobs.jsonl": b'{"id": "1"}\n',
        "tables/rooms.jsonl": b"{torn",
        "tables/unknown.jsonl": b"{}\n",
        "backup.json": json.dumps({"format": 1, "tables": "9999"}).encode(),
    }
    for name, damage in damages.items():
        source.backup(file)
        changed(file, name, damage)
        with pytest.raises(AlphaloomError) as caught:
            restore(file, place.folder, place.url)
        assert caught.value.code == "bad_backup", name
    for content in (b"", b"no zip", file.read_bytes()[:2000]):
        file.write_bytes(content)
        with pytest.raises(AlphaloomError) as caught:
            restore(file, place.folder, place.url)
        assert caught.value.code == "bad_backup"
    assert not list(tmp_path.rglob("escaped"))
    assert place.open().load() == s.Loaded()
