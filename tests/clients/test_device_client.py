"""takt-device against a server that answers as it is told; the real one is in test_surviving."""

import ast
import random
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from takt_device import Client, NotQueued, QueueFull, QueueInUse, TokenRefused, client, files
from takt_device.courier import retry_after_s
from tests.clients.scripted import Scripted, refusing, scripted

pytestmark = pytest.mark.slow  # each commit waits for the disk

NOON = datetime(2026, 11, 17, 12, 0, tzinfo=UTC)


@pytest.fixture
def server() -> Iterator[Scripted]:
    with scripted() as found:
        yield found


@pytest.fixture
def make_client(
    server: Scripted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Client]]:
    """Return `make_client(**options)`: a client of one queue that sends when told to."""
    monkeypatch.setattr(client, "_FIRST_WAIT_S", 0.002)
    made: list[Client] = []

    def make(token: str = "takt_dev_x", background: bool = False, **options) -> Client:
        for earlier in made:
            earlier.close(0)
        path = tmp_path / "queue.db"
        made.append(Client(server.url, token, path, background=background, **options))
        return made[-1]

    yield make
    for each in made:
        each.close(0)


def at(second: int) -> datetime:
    return NOON + timedelta(seconds=second)


def queue_five(sender: Client) -> None:
    sender.send_many([({"a": i}, at(i)) for i in range(5)])


# -- taking ----------------------------------------------------------------------------------


def test_what_send_took_is_on_disk_for_others_to_see(make_client, tmp_path):
    make_client().send({"a": 1.5}, ts=NOON)

    with sqlite3.connect(tmp_path / "queue.db") as other:
        rows = other.execute("SELECT body FROM reading").fetchall()
    other.close()

    assert rows == [('{"ts":"2026-11-17T12:00:00Z","values":{"a":1.5}}',)]


def test_each_commit_waits_for_the_disk(tmp_path):
    db, _ = files.opened(tmp_path / "queue.db", tables="")

    assert db.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
    assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    db.close()


@pytest.mark.parametrize(
    ("values", "ts"),
    [
        ({}, None),
        ({"a": float("nan")}, None),
        ({"a": float("inf")}, None),
        ({"a": 1}, NOON.replace(tzinfo=None)),
    ],
)
def test_what_could_never_be_sent_is_refused_at_once(make_client, values, ts):
    sender = make_client()

    with pytest.raises(ValueError):  # noqa: PT011  three reasons, one class
        sender.send(values, ts=ts)

    assert sender.report().accepted == 0


def test_a_batch_with_one_bad_reading_is_not_taken_by_half(make_client):
    sender = make_client()

    with pytest.raises(ValueError, match="at least one value"):
        sender.send_many([({"a": 1}, NOON), ({}, NOON)])

    assert sender.report().queued == 0


def test_two_readings_of_one_moment_are_two(make_client, server, monkeypatch):
    monkeypatch.setattr(time, "time_ns", lambda: 1_800_000_000_000_000_000)
    sender = make_client()
    sender.send({"a": 1})
    sender.send({"a": 2})

    sender.flush()

    assert len(server.stored) == 2


def test_a_queue_has_one_user(make_client, server, tmp_path):
    make_client()

    with pytest.raises(QueueInUse):
        Client(server.url, "takt_dev_y", tmp_path / "queue.db", background=False)


# -- sending ---------------------------------------------------------------------------------


def test_the_oldest_goes_first_whatever_the_times_say(make_client, server):
    sender = make_client(batch_size=2)
    for second in (30, 10, 20):
        sender.send({"a": second}, ts=at(second))

    assert sender.flush()

    sent = [[r["values"]["a"] for r in request.readings] for request in server.requests]
    assert sent == [[30, 10], [20]]


def test_the_thread_sends_by_itself(make_client, server):
    sender = make_client(background=True)

    sender.send({"a": 1})

    assert sender.flush(5)
    assert sender.report().stored == 1


def test_large_bodies_are_zipped_and_the_own_clock_is_told(make_client, server):
    sender = make_client()
    sender.send_many([({"a": i}, at(i)) for i in range(100)])

    sender.flush()

    (request,) = server.requests
    assert request.headers["content-encoding"] == "gzip"
    assert len(request.readings) == 100
    assert request.headers["date"].endswith("GMT")


@pytest.mark.parametrize("status", [500, 502, 503, 429, 408, 404, 400])
def test_what_was_not_answered_for_is_sent_again_as_it_was(make_client, server, status):
    server.script = [refusing(status, "some_code")]
    sender = make_client()
    queue_five(sender)
    sender.flush(0)
    sender.send({"a": 99}, ts=at(99))

    sender = make_client()  # a restart between the two attempts
    assert sender.flush(5)

    first, again, other = server.requests
    assert again.body == first.body
    assert again.headers["idempotency-key"] == first.headers["idempotency-key"]
    assert [r["values"] for r in other.readings] == [{"a": 99}]


def test_a_page_with_status_200_is_no_receipt(make_client, server):
    server.script = [refusing(200), lambda _: (200, {}, {"received": 5, "stored": 4})]
    sender = make_client()
    queue_five(sender)

    sender.flush(0)
    assert sender.report().queued == 5
    assert sender.flush(5)

    assert len(server.stored) == 5


def test_an_answer_lost_on_its_way_counts_as_duplicates(make_client, server):
    def store_and_break(request):
        server.receipt(request)
        return 502, {}, "lost"

    server.script = [store_and_break]
    sender = make_client()
    queue_five(sender)

    assert sender.flush(5)

    assert (sender.report().stored, sender.report().duplicates) == (0, 5)


@pytest.mark.parametrize("background", [True, False])
def test_retry_after_is_waited_for(make_client, server, background):
    server.script = [refusing(503, "unavailable", Retry_After="1")]
    sender = make_client(background=background)
    sender.send({"a": 1})

    assert sender.flush(0.5) is False
    assert sender.flush(5)

    first, again = server.requests
    assert again.at_s - first.at_s >= 1


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7),
        ({"Retry-After": "99999999"}, 3600),
        ({"Retry-After": "Tue, 17 Nov 2026 12:00:09 GMT",
          "Date": "Tue, 17 Nov 2026 12:00:00 GMT"}, 9),  # by the server's clock, not ours
        ({"Retry-After": "Mon, 16 Nov 2026 12:00:00 GMT",
          "Date": "Tue, 17 Nov 2026 12:00:00 GMT"}, 0),
        ({"Retry-After": "soon"}, 0),
        ({}, 0),
    ],
)  # fmt: skip
def test_retry_after_is_seconds_or_a_date(headers, seconds):
    assert retry_after_s(headers) == seconds


def test_a_refused_token_stops_and_says_so(make_client, server):
    server.script = [refusing(401, "unknown_token")]
    sender = make_client()
    queue_five(sender)

    with pytest.raises(TokenRefused, match="unknown_token"):
        sender.flush()
    sender.send({"a": 5}, ts=at(5))

    assert "unknown_token" in sender.report().stopped
    assert sender.report().queued == 6
    assert len(server.requests) == 1
    assert make_client(token="takt_dev_new").flush(5)
    assert len(server.stored) == 6


def test_too_large_a_batch_is_halved(make_client, server):
    server.script = [refusing(413, "body_too_large")] * 2
    sender = make_client(batch_size=5)
    queue_five(sender)

    assert sender.flush(5)

    assert [len(request.readings) for request in server.requests][:3] == [5, 3, 2]
    assert len(server.stored) == 5


def test_one_reading_too_large_for_takt_is_recorded_and_the_rest_goes_on(make_client, server):
    server.script = [refusing(413, "body_too_large")]
    sender = make_client(batch_size=1)
    queue_five(sender)

    assert sender.flush(5)

    assert sender.report().rejected == {"body_too_large": 1}
    assert sender.refused()[0].reading.endswith('{"a":0}}')
    assert len(server.stored) == 4


def test_one_reading_too_large_for_a_proxy_is_kept(make_client, server):
    server.script = [refusing(413)]
    sender = make_client(batch_size=1)
    queue_five(sender)

    assert sender.flush(5)

    assert len(server.stored) == 5


@pytest.mark.parametrize("status", [200, 422])
def test_refused_readings_are_recorded_with_their_reason(make_client, server, status):
    items = [{"index": i, "code": "too_large", "message": "no"} for i in (1, 3)]
    body = {"received": 5, "stored": 2, "duplicates": 1, "rejected": items}
    server.script = [lambda _: (status, {}, body)]
    sender = make_client()
    queue_five(sender)

    assert sender.flush()

    report = sender.report()
    assert (report.sent, report.stored, report.duplicates) == (5, 2, 1)
    assert report.rejected == {"too_large": 2}
    assert [refused.reading[-8:] for refused in sender.refused()] == ['{"a":1}}', '{"a":3}}']


# -- bounds, reports, broken files -----------------------------------------------------------


def test_a_full_queue_drops_its_oldest_and_says_from_when_to_when(make_client):
    sender = make_client(max_readings=10)
    for second in range(25):
        sender.send({"a": second}, ts=at(second))

    report = make_client(max_readings=10).report()  # also after a restart

    assert (report.accepted, report.queued) == (25, 10)
    (dropped,) = report.dropped
    assert (dropped.reason, dropped.n) == ("queue_full", 15)
    assert (dropped.first_at, dropped.last_at) == (at(0), at(14))
    assert report.oldest_queued_at == at(15)


def test_bytes_are_bounded_too(make_client):
    sender = make_client(max_bytes=1000)
    for second in range(100):
        sender.send({"a": second}, ts=at(second))

    assert 15 < sender.report().queued < 25


def test_a_batch_under_way_is_not_dropped(make_client, server):
    server.script = [refusing(503, "unavailable")]
    sender = make_client(max_readings=10)
    queue_five(sender)
    sender.flush(0)

    sender.send_many([({"a": i}, at(i)) for i in range(5, 25)])
    assert sender.flush(5)

    assert [r["values"]["a"] for r in server.requests[1].readings] == [0, 1, 2, 3, 4]
    assert sorted(v["a"] for v in server.stored.values()) == [0, 1, 2, 3, 4, *range(20, 25)]


def test_a_full_queue_may_refuse_instead(make_client):
    sender = make_client(max_readings=5, when_full="refuse")
    queue_five(sender)

    with pytest.raises(QueueFull):
        sender.send({"a": 5})

    assert (sender.report().accepted, sender.report().dropped) == (5, ())


@pytest.mark.parametrize("damage", [b"this is no database at all" * 200, None])
def test_a_broken_file_is_set_aside_and_reported(make_client, server, tmp_path, damage):
    sender = make_client()
    sender.send_many([({"a": i}, at(i)) for i in range(500)])
    sender.close(0)
    path = tmp_path / "queue.db"
    whole = path.read_bytes()
    path.write_bytes(damage or whole[:8192] + b"\xa5" * 4096 + whole[12288:])
    broken = path.read_bytes()

    sender = make_client()

    (aside,) = sender.report().set_aside
    assert Path(aside).read_bytes() == broken
    sender.send({"a": 1})
    assert sender.flush(5)


def test_the_report_adds_up_whatever_happens(make_client, server):
    chance = random.Random(7)
    replies = [
        refusing(503, "unavailable"), refusing(413, "body_too_large"), refusing(413), refusing(200),
        lambda _: None, lambda _: None,
    ]  # fmt: skip
    sender = make_client(max_readings=20, batch_size=7)
    for step in range(60):
        server.script = [chance.choice(replies)]
        sender.send_many([({"a": i}, at(step * 10 + i)) for i in range(chance.randint(1, 9))])
        sender.flush(chance.choice([0, 0, 0.01]))
        if chance.random() < 0.1:
            sender = make_client(max_readings=20, batch_size=7)
        report = sender.report()
        n_dropped = sum(dropped.n for dropped in report.dropped)
        assert report.accepted == report.queued + report.sent + n_dropped
        assert report.sent == report.stored + report.duplicates + sum(report.rejected.values())
        assert report.stored + report.duplicates == len(server.stored)
    sender.send({"a": 1}, at(0))
    server.script = [refusing(413, "body_too_large")] * 40
    sender.flush(5)
    report = sender.report()
    assert report.sent == report.stored + report.duplicates + sum(report.rejected.values())
    assert report.rejected
    assert report.dropped


def test_the_reason_of_the_last_failure_is_kept_until_it_is_over(make_client, server):
    server.script = [refusing(503, "unavailable")]
    sender = make_client()
    queue_five(sender)
    sender.flush(0)

    sender = make_client()
    assert sender.report().last_error == "503: unavailable it is"
    sender.flush(5)

    assert sender.report().last_error == ""


def test_a_disk_that_takes_nothing_is_no_silent_loss(make_client, tmp_path):
    sender = make_client()
    sender.send({"a": 1})
    sender._queue._db.execute("PRAGMA max_page_count = 1")  # SQLite's own word for a full disk

    with pytest.raises(NotQueued, match="full"):
        sender.send_many([({"a": "x" * 200}, at(i)) for i in range(500)])

    assert (sender.report().accepted, sender.report().queued) == (1, 1)


def test_many_threads_may_send(make_client, server):
    sender = make_client(background=True)
    threads = [
        threading.Thread(
            target=lambda n=n: [sender.send({"a": n}, ts=at(n * 100 + i)) for i in range(20)]
        )
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sender.flush(10)

    assert len(server.stored) == 80
    assert sender.report().stored == 80


# -- clocks ----------------------------------------------------------------------------------


def test_the_offset_of_the_clock_is_learned(make_client, server):
    server.ahead = timedelta(hours=1)
    sender = make_client(batch_size=1)
    assert sender.clock_offset_s is None
    queue_five(sender)

    sender.flush()

    assert sender.clock_offset_s == pytest.approx(3600, abs=0.5)
    assert sender.report().clock_offset_s == pytest.approx(3600, abs=0.5)


def test_a_corrected_clock_stamps_and_leaves_given_times_alone(make_client, server):
    server.ahead = timedelta(hours=-3)
    sender = make_client(correct_clock=True)
    sender.send({"a": 1}, ts=NOON)
    sender.flush()

    sender.send({"a": 2})
    sender.send({"a": 3}, ts=at(1))
    sender.flush()

    stamped, given = sorted(server.stored, reverse=True)[:2]
    late = datetime.now(UTC) - datetime.fromisoformat(stamped)
    assert late.total_seconds() == pytest.approx(3 * 3600, abs=2)
    assert given == "2026-11-17T12:00:01Z"


def test_one_wild_answer_does_not_move_the_clock(make_client, server):
    sender = make_client(batch_size=1)
    queue_five(sender)
    sender.flush()
    server.ahead = timedelta(days=365)
    sender.send({"a": 6})

    sender.flush()

    assert abs(sender.clock_offset_s) < 0.5


# -- the package -----------------------------------------------------------------------------


def test_the_package_needs_nothing_but_the_standard_library_and_httpx():
    imported: set[str] = set()
    for module in Path(client.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(module.read_text())):
            if isinstance(node, ast.Import):
                imported.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                imported.add(node.module or "")
    top = {name.partition(".")[0] for name in imported}

    assert top - sys.stdlib_module_names == {"httpx", "takt_device"}
