"""Batches of a known shape are decoded as the common way decodes them, or left to it."""

from datetime import UTC, date, datetime, timedelta

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.ingest import decoding, stamps, uniform
from telemetry.ingest.decoding import MANY, ServerTimes
from telemetry.times import to_us

NOW_US = to_us(datetime(2026, 11, 26, 12, tzinfo=UTC))
KEYS = ("load", "vib.rms")


def uniform_of(body: bytes, keys: tuple[str, ...] = KEYS):
    return uniform.decode(body, keys, now_us=NOW_US, server_times=ServerTimes())


def common_of(body: bytes):
    return decoding.decode(body, now_us=NOW_US, server_times=ServerTimes())


def rows(n: int = MANY, **first: object) -> list[dict[str, object]]:
    start = datetime(2026, 11, 26, 8, tzinfo=UTC)
    found: list[dict[str, object]] = [
        {
            "ts": (start + timedelta(seconds=i)).isoformat().replace("+00:00", "Z"),
            "values": {"load": i + 0.25, "vib.rms": -i},
        }
        for i in range(n)
    ]
    found[0] |= first
    return found


def encoded(items: object) -> bytes:
    return msgspec.json.encode(items)


@pytest.mark.parametrize("wrap", [lambda items: items, lambda items: {"readings": items}])
def test_a_batch_comes_out_as_the_common_way_has_it(wrap):
    body = encoded(wrap(rows(40)))

    found, common = uniform_of(body), common_of(body)

    assert found is not None
    assert found.times == common.times
    assert found.stamps.tolist() == common.times
    assert np.array_equal(found.numbers.ravel(), common.numbers)
    assert found.values_at(3) == common.values_at(3)


def test_keys_in_another_order_are_put_in_order():
    body = encoded(rows(MANY, values={"vib.rms": 2, "load": 1}))

    assert uniform_of(body).numbers[0].tolist() == [1, 2]


@pytest.mark.parametrize(
    "first",
    [
        {"values": {"load": 1}},
        {"values": {"load": 1, "vib.rms": 2, "more": 3}},
        {"values": {"load": True, "vib.rms": 2}},
        {"values": {"load": "high", "vib.rms": 2}},
        {"values": {"load": None, "vib.rms": 2}},
        {"values": {"load": 2**53, "vib.rms": 2}},
        {"ts": "2026-11-26T08:00:00"},
        {"ts": "2026-11-26T24:00:00Z"},
        {"ts": "2026-02-30T08:00:00Z"},
        {"ts": "2027-02-01T08:00:00Z"},
        {"ts": None},
        {"ts": 12},
    ],
)
def test_whatever_differs_goes_the_common_way(first):
    assert uniform_of(encoded(rows(MANY, **first))) is None


def test_few_readings_and_other_forms_go_the_common_way():
    assert uniform_of(encoded(rows(MANY - 1))) is None
    assert uniform_of(b'{"ts": 1, "values": {"load": 1, "vib.rms": 2}}') is None
    assert uniform_of(b"[" * 5000) is None
    assert uniform_of(encoded(rows()), tuple(f"k{i}" for i in range(65))) is None


written = st.sampled_from(["%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S.%fZ"])


@given(
    day=st.dates(date(1970, 1, 1), date(2026, 11, 25)),
    seconds=st.lists(st.integers(0, 86_399_999_999), min_size=1, max_size=20),
    form=written,
    cut=st.integers(0, 5),
)
def test_times_of_one_day_are_read_exactly(day, seconds, form, cut):
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    texts = [(midnight + timedelta(microseconds=us)).strftime(form) for us in seconds]
    if form.endswith("fZ"):
        texts = [text[: len(text) - 1 - cut] + "Z" for text in texts]
    expected = [to_us(msgspec.convert(text, datetime)) for text in texts]

    found = stamps.of_one_day(texts)

    assert found is not None
    assert found.tolist() == expected


@pytest.mark.parametrize(
    "texts",
    [
        ["2026-11-26T08:00:00Z", "2026-11-27T08:00:00Z"],
        ["2026-11-26T08:00:00Z", "2026-11-26T08:00:00.5Z"],
        ["2026-11-26T08:00:00+01:00"],
        ["2026-11-26t08:00:00z"],
        ["2026-W48-4T08:00:00Z"],
        ["2026-11-26T08:00:60Z"],
        ["2026-11-26T08:60:00Z"],
        ["2026-11-26T08:00:0\u0660Z"],
        ["2026-11-26T08:00:00Z2026-11-26T08:00:00Z", ""],
        [""],
    ],
)
def test_other_times_are_left_to_the_common_way(texts):
    assert stamps.of_one_day(texts) is None


def test_times_with_an_offset_or_in_milliseconds_are_read_too():
    found = stamps.times_of(["2026-11-26T09:00:00+01:00", 1_795_680_000_000], NOW_US, ServerTimes())

    assert found is not None
    assert found.tolist() == [NOW_US - 4 * 3_600_000_000, 1_795_680_000_000_000]
