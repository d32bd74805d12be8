"""takt-pictures against a server that answers as it is told; the real one is in tests/mlops."""

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from takt_device import PictureFolder, QueueInUse, Stopped, folders, ledger, pictures
from takt_device.pictures_command import main
from tests.clients.scripted import Scripted, refusing, scripted

pytestmark = pytest.mark.slow  # each commit waits for the disk

PLAN = "5f0c2f6e-6f0b-4a53-9f2e-0a4c6a8f0b11"
NOON_S = 1_795_694_400


@pytest.fixture
def server() -> Iterator[Scripted]:
    with scripted() as found:
        yield found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "camera"
    made.mkdir()
    return made


@pytest.fixture
def watch(
    server: Scripted, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., PictureFolder]]:
    """Return `watch(**options)`: a watcher for which files are complete at once."""
    monkeypatch.setattr(pictures, "_FIRST_WAIT_S", 0.001)
    made: list[PictureFolder] = []

    def make(**options) -> PictureFolder:
        for earlier in made:
            earlier.close()
        made.append(
            PictureFolder(folder, server.url, "takt_api_x", PLAN, **{"settle_s": 0.0, **options})
        )
        return made[-1]

    yield make
    for each in made:
        each.close()


def put(folder: Path, name: str, content: bytes = b"", *, second: int = 0) -> Path:
    path = folder / name
    path.write_bytes(content or name.encode("utf-8", "surrogateescape"))
    os.utime(path, (NOON_S + second, NOON_S + second))
    return path


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if not p.name.startswith(".takt"))


def sent(server: Scripted) -> list[bytes]:
    return [request.body for request in server.requests]


def test_pictures_go_oldest_first_with_what_is_known_of_them(server, folder, watch):
    put(folder, "b.JPG", second=1)
    put(folder, "L7_002.png", second=2)
    put(folder, "a.tiff", second=3)

    assert watch(pattern=r"(?P<lot>L\d+)_(?P<piece>\d+)").step() == 3

    assert sent(server) == [b"b.JPG", b"L7_002.png", b"a.tiff"]
    first, second, _ = server.requests
    said = parse_qs(urlsplit(second.path).query)
    assert urlsplit(second.path).path == f"/api/v1/inspection-plans/{PLAN}/pictures"
    assert (said["lot"], said["piece"], said["source"]) == (["L7"], ["002"], ["folder"])
    assert said["taken_at"] == ["2026-11-26T12:00:02+00:00"]
    assert first.headers["content-type"] == "image/jpeg"
    assert first.headers["authorization"] == "Bearer takt_api_x"


def test_what_stays_is_not_sent_again_after_a_restart_either(server, folder, watch):
    put(folder, "a.png")
    assert watch().step() == 1

    assert watch().step() == 0
    put(folder, "a.png", b"another", second=9)
    assert watch().step() == 1

    assert sent(server) == [b"a.png", b"another"]


def test_pictures_are_moved_without_writing_over_anything(server, folder, watch, tmp_path):
    done = tmp_path / "done"
    for n in range(3):
        put(folder, "a.png", b"%d" % n, second=n)
        assert watch(move_to=done).step() == 1

    assert names(folder) == []
    assert names(done) == ["a-2.png", "a-3.png", "a.png"]
    assert (done / "a.png").read_bytes() == b"0"


def test_pictures_are_deleted_only_when_they_were_answered_for(server, folder, watch):
    put(folder, "a.png")
    server.script = [refusing(500), refusing(502)]
    watcher = watch(delete=True)

    assert watcher.step() == 0
    assert names(folder) == ["a.png"]
    watcher._not_before_s = 0.0
    assert watcher.step() == 0
    watcher._not_before_s = 0.0
    assert watcher.step() == 1
    assert names(folder) == []


def test_a_file_that_is_being_written_waits(server, folder, watch, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(pictures, "steady_s", lambda: clock[0])
    watcher = watch(settle_s=2.0)
    put(folder, "a.png", b"half")
    assert watcher.step() == 0
    clock[0] += 1.9
    put(folder, "a.png", b"half and more", second=1)
    assert watcher.step() == 0
    clock[0] += 1.9
    assert watcher.step() == 0
    clock[0] += 0.1

    assert watcher.step() == 1
    assert sent(server) == [b"half and more"]


def test_a_file_that_changes_while_it_is_judged_is_another_picture(server, folder, watch):
    path = put(folder, "a.png", b"half")

    def writing_goes_on(_request):
        put(folder, "a.png", b"whole", second=5)
        return refusing(409, "damaged")(_request)

    server.script = [writing_goes_on]
    watcher = watch(delete=True)

    assert watcher.step() == 0
    assert path.exists()
    assert watcher.step() == 1
    assert sent(server) == [b"half", b"whole"]
    assert names(folder) == []


def test_what_is_refused_is_set_aside_with_the_reason(server, folder, watch):
    put(folder, "a.png")
    put(folder, "b.png", second=1)
    server.script = [refusing(409, "wrong_type")]

    assert watch(delete=True).step() == 2

    assert names(folder) == ["refused"]
    assert names(folder / "refused") == ["a.png", "a.png.txt"]
    assert (folder / "refused" / "a.png.txt").read_text() == "wrong_type: wrong_type it is\n"
    assert watch().counts() == {"sent": 1, "refused": 1}


def test_a_picture_that_is_too_large_is_not_even_read(server, folder, watch, monkeypatch):
    monkeypatch.setattr(pictures, "MAX_BYTES", 10)
    put(folder, "a.png", b"x" * 11)

    watch().step()

    assert server.requests == []
    assert "too_large" in (folder / "refused" / "a.png.txt").read_text()


def test_a_crash_between_the_answer_and_the_move_moves_and_sends_nothing_twice(
    server, folder, watch, monkeypatch, tmp_path
):
    put(folder, "a.png")
    done = tmp_path / "done"
    with monkeypatch.context() as patch:
        patch.setattr(folders, "move", lambda *_a, **_k: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            watch(move_to=done).step()

    assert watch(move_to=done).step() == 1
    assert len(server.requests) == 1
    assert names(done) == ["a.png"]


def test_a_crash_before_the_answer_is_noted_stores_nothing_twice(
    server, folder, watch, monkeypatch
):
    put(folder, "a.png")
    with monkeypatch.context() as patch:
        patch.setattr(ledger.Ledger, "note", lambda *_a: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            watch().step()

    assert watch().step() == 1
    assert (len(server.requests), len(server.pictures)) == (2, 1)


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_wrong_key_or_plan_stops_and_every_file_stays(server, folder, watch, status):
    put(folder, "a.png")
    server.script = [refusing(status, "not_found")]

    with pytest.raises(Stopped, match=str(status)):
        watch(delete=True).step()
    assert names(folder) == ["a.png"]


@pytest.mark.parametrize("status", [200, 404, 409, 413, 503])
def test_a_proxy_s_words_decide_nothing(server, folder, watch, status):
    put(folder, "a.png")
    server.script = [refusing(status)]
    watcher = watch(delete=True)

    assert watcher.step() == 0
    assert names(folder) == ["a.png"]
    assert str(status) in watcher.last_error


def test_it_waits_as_long_as_it_is_told(server, folder, watch, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(pictures, "steady_s", lambda: clock[0])
    put(folder, "a.png")
    put(folder, "b.png", second=1)
    server.script = [refusing(503, "too_many_pending", Retry_After="60")]
    watcher = watch()

    assert watcher.step() == 0
    clock[0] += 59.9
    assert watcher.step() == 0
    assert len(server.requests) == 1
    clock[0] += 1.0
    assert watcher.step() == 2


def test_no_link_is_followed_and_nothing_else_is_sent(server, folder, watch, tmp_path):
    secret = tmp_path / "secret.png"
    secret.write_bytes(b"secret")
    (folder / "link.png").symlink_to(secret)
    (folder / "sub.png").mkdir()
    put(folder / "sub.png", "inner.png")
    os.mkfifo(folder / "pipe.png")
    for name in (".hidden.png", "notes.txt", "a.png.part", "a.svg"):
        put(folder, name)

    assert watch(delete=True).step() == 0
    assert server.requests == []
    assert secret.exists()


def test_a_link_that_takes_a_file_s_place_is_not_followed(folder, tmp_path):
    put(folder, "a.png", b"mine")
    (seen,) = folders.pictures_in(folder, is_done=lambda _seen: False)
    (tmp_path / "secret").write_bytes(b"secr")
    os.utime(tmp_path / "secret", (NOON_S, NOON_S))
    (folder / "a.png").unlink()
    (folder / "a.png").symlink_to(tmp_path / "secret")

    with pytest.raises(folders.Changed):
        folders.read(folder, seen)


def test_a_planted_link_is_not_written_through(server, folder, watch, tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("as it was")
    (folder / "refused").mkdir()
    (folder / "refused" / "a.png.txt").symlink_to(victim)
    put(folder, "a.png")
    server.script = [refusing(409, "wrong_type")]

    watch().step()

    assert victim.read_text() == "as it was"
    assert "a-2.png.txt" in names(folder / "refused")


def test_refused_that_is_a_link_is_no_folder_of_ours(server, folder, watch, tmp_path):
    (folder / "refused").symlink_to(tmp_path)
    put(folder, "a.png")
    server.script = [refusing(409, "wrong_type")]

    with pytest.raises(OSError, match="link"):
        watch().step()
    assert (folder / "a.png").exists()


def test_odd_names_are_sent_as_text(server, folder, watch):
    put(folder, os.fsdecode(b"\xff\xfe.png"))
    put(folder, "a\nb?&=..%2f.png", second=1)

    assert watch().step() == 2
    assert watch().step() == 0
    told = [parse_qs(urlsplit(r.path).query)["name"][0] for r in server.requests]
    assert told[1] == "ab?&=..%2f.png"
    assert told[0].endswith(".png")


def test_two_do_not_watch_with_one_account(folder, watch, server):
    watch()

    with pytest.raises(QueueInUse):
        PictureFolder(folder, server.url, "k", PLAN)


def test_the_account_does_not_grow_with_what_is_gone(server, folder, watch):
    path = put(folder, "a.png")
    watcher = watch()
    watcher.step()
    path.unlink()
    watcher._ledger.forget_absent(watcher._folder)

    assert watcher._ledger._db.execute("SELECT count(*) FROM picture").fetchone() == (0,)
    assert watcher.counts() == {"sent": 1, "refused": 0}


def test_the_command_judges_and_tells(server, folder, tmp_path, monkeypatch, capsys):
    put(folder, "a.png")
    key = tmp_path / "key"
    key.write_text("takt_api_y\n")
    given = ["--folder", str(folder), "--url", server.url, "--plan", PLAN, "--settle-s", "0"]

    assert main([*given, "--key-file", str(key), "--judge", "--delete", "--once"]) == 0

    assert json.loads(capsys.readouterr().out) == {
        "name": "a.png", "id": "picture-0", "verdict": "pass", "state": "ok", "score": 0.5,
        "limit": 1.0,
    }  # fmt: skip
    assert server.requests[0].path.startswith(f"/api/v1/inspection-plans/{PLAN}/judge?")
    assert names(folder) == []
    monkeypatch.delenv("TAKT_API_KEY", raising=False)
    assert main([*given, "--once"]) == 2
    assert "API key" in capsys.readouterr().err


def test_a_killed_command_loses_and_doubles_nothing(server, folder, tmp_path):
    """Killed after every few pictures; of the first thirty answers every second one is lost."""

    def lost(request):
        server.picture(request)
        return refusing(502)(request)

    for n in range(40):
        put(folder, f"{n:02}.png", second=n)
    server.script = [lost if n % 2 else (lambda _request: None) for n in range(30)]
    done = tmp_path / "done"
    command = [
        sys.executable, "-c",
        "import sys; from takt_device import pictures, pictures_command as c;"
        "pictures._FIRST_WAIT_S = 0.01; sys.exit(c.main(sys.argv[1:]))",
        "--folder", str(folder), "--url", server.url, "--plan", PLAN, "--settle-s", "0",
        "--every-s", "0.01", "--move-to", str(done),
    ]  # fmt: skip
    env = {**os.environ, "TAKT_API_KEY": "k", "PYTHONPATH": os.pathsep.join(sys.path)}
    chance = random.Random(7)
    for _turn in range(60):
        n_before, n_more = len(server.requests), chance.randrange(1, 5)
        with subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL) as child:
            while len(server.requests) < n_before + n_more and len(server.pictures) < 40:
                time.sleep(0.001)
            time.sleep(chance.uniform(0.0, 0.02))
            child.kill()
        if len(server.pictures) == 40:
            break
    with subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL) as child:
        until = time.monotonic() + 30
        while names(folder) and time.monotonic() < until:
            time.sleep(0.01)
        child.terminate()

    assert names(done) == [f"{n:02}.png" for n in range(40)]
    assert names(folder) == []
    assert len(server.pictures) == 40
