"""A gateway gives up on nothing that may still succeed, and believes no false receipt."""

import gzip
import json

import httpx
import pytest

from config.demo.gateway import FalseReceipt, Gateway, Refused, Unreachable, batches

ROWS = [{"ts": 1_700_000_000_000 + i, "values": {"a": i}} for i in range(3)]


class _Installation:
    """Answers as told, one answer after the other; remembers what it was sent."""

    def __init__(self, *answers):
        self.answers, self.bodies, self.tokens = list(answers), [], []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.bodies.append(json.loads(gzip.decompress(request.content)))
        self.tokens.append(request.headers["Authorization"])
        answer: httpx.Response | Exception = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def _receipt(*, stored=0, duplicates=0, rejected=(), received=None, status=200):
    total = stored + duplicates + len(rejected) if received is None else received
    body = {
        "received": total, "stored": stored, "duplicates": duplicates,
        "rejected": list(rejected), "server_time": "2026-11-17T10:42:07Z",
    }  # fmt: skip
    return httpx.Response(status, json=body)


def _gateway(installation):
    waits: list[float] = []
    now = [0.0]

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        now[0] += seconds

    gateway = Gateway(
        base_url="https://takt.test", ca_file=None, transport=httpx.MockTransport(installation),
        sleep=sleep, clock=lambda: now[0],
    )  # fmt: skip
    return gateway, waits


def test_a_batch_goes_zipped_under_the_devices_own_token():
    installation = _Installation(_receipt(stored=3))
    gateway, _ = _gateway(installation)

    gateway.post(ROWS, token="takt_dev_x")

    assert installation.bodies == [{"readings": ROWS}]
    assert installation.tokens == ["Bearer takt_dev_x"]
    assert (gateway.tally.n_sent, gateway.tally.n_stored) == (3, 3)


def test_a_full_queue_is_waited_for_as_long_as_it_asks():
    busy = httpx.Response(503, headers={"Retry-After": "2"})
    gateway, waits = _gateway(_Installation(busy, _receipt(stored=3)))

    gateway.post(ROWS, token="t")

    assert waits == [2.0]
    assert (gateway.tally.n_stored, gateway.tally.n_resent) == (3, 1)


def test_a_lost_answer_is_settled_by_sending_the_same_again():
    installation = _Installation(httpx.ReadTimeout("gone"), _receipt(duplicates=3))
    gateway, _ = _gateway(installation)

    gateway.post(ROWS, token="t")

    assert installation.bodies[0] == installation.bodies[1]
    assert (gateway.tally.n_stored, gateway.tally.n_duplicates) == (0, 3)


def test_refused_readings_are_counted_by_their_code():
    refusal = {"index": 1, "code": "time_in_future", "message": "..."}
    gateway, _ = _gateway(_Installation(_receipt(stored=2, rejected=[refusal])))

    gateway.post(ROWS, token="t")

    assert gateway.tally.refusals == {"time_in_future": 1}


def test_a_batch_refused_as_a_whole_still_has_its_receipt():
    refusals = [{"index": i, "code": "value_is_nan", "message": "..."} for i in range(3)]
    gateway, _ = _gateway(_Installation(_receipt(rejected=refusals, status=422)))

    gateway.post(ROWS, token="t")

    assert gateway.tally.n_refused == 3


@pytest.mark.parametrize(
    "answer", [_receipt(stored=2), _receipt(stored=2, received=3), _receipt(stored=4)]
)
def test_a_receipt_that_does_not_add_up_is_not_believed(answer):
    gateway, _ = _gateway(_Installation(answer))

    with pytest.raises(FalseReceipt):
        gateway.post(ROWS, token="t")


def test_a_revoked_token_is_not_tried_again():
    installation = _Installation(httpx.Response(401, json={"code": "credential_unknown"}))
    gateway, waits = _gateway(installation)

    with pytest.raises(Refused) as refused:
        gateway.post(ROWS, token="t")

    assert (refused.value.status, waits) == (401, [])


def test_an_installation_that_stays_away_is_given_up_after_two_minutes():
    gateway, waits = _gateway(_Installation(*[httpx.ConnectError("no")] * 100))

    with pytest.raises(Unreachable):
        gateway.post(ROWS, token="t")

    assert 90 < sum(waits) <= 120


def test_rows_are_cut_into_batches_in_order():
    rows: list[dict[str, object]] = [{"ts": i} for i in range(5)]

    assert list(batches(rows, size=2)) == [rows[:2], rows[2:4], rows[4:]]
