"""Raised and cleared times equal a brute-force reference, in whatever order readings arrive."""

import csv
import gzip
import os
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telemetry.alarms import conditions as c
from telemetry.alarms.evaluation import Checkpoint, Episode, Watched, advance, beginning
from telemetry.alarms.judging import Series
from telemetry.alarms.tracking import Known, Track, compare, joined
from tests.telemetry.alarms import reference

STEP = 1000
START = 1_795_428_000_000 - 60_000  # a minute before a full hour, where a checkpoint is left
LENGTH_S = 150
END = START + LENGTH_S * STEP
DATA = Path(os.environ.get("TAKT_DATA") or Path(__file__).parents[4] / "shared" / "data") / "nab"


def above(value, clear=None, signal="x"):
    return c.Threshold(signal, c.Limit(">", value=value, clear=value if clear is None else clear))


small = st.integers(0, 6).map(float)


@st.composite
def limits(draw):
    if draw(st.booleans()):
        op, value, by = draw(st.sampled_from(c.COMPARISONS)), draw(small), draw(st.integers(0, 2))
        return c.Limit(op, value=value, clear=value - by if op.startswith(">") else value + by)
    low, high = 1.0, 4.0
    if draw(st.booleans()):
        return c.Limit("outside", low=low, high=high, clear_low=2.0, clear_high=3.5)
    return c.Limit("inside", low=low, high=high, clear_low=0.5, clear_high=5.0)


leaves = st.one_of(
    st.builds(c.Threshold, st.sampled_from("xy"), limits()),
    st.builds(c.Rate, st.sampled_from("xy"), limits(), st.sampled_from([3.0, 10.0]), st.just("s")),
    st.builds(c.InState, st.just("b"), st.sampled_from([(True,), (False,)])),
    st.builds(c.NoData, st.sampled_from([0.1, 0.2]), st.sampled_from(["x", ""])),
)
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(c.Duration, inner, st.sampled_from([1.0, 5.0, 20.0])),
        st.builds(c.Repeat, inner, st.integers(2, 3), st.sampled_from([10.0, 40.0])),
        st.builds(c.Not, inner),
        st.builds(c.AllOf, st.tuples(inner, inner)),
        st.builds(c.AnyOf, st.tuples(inner, inner)),
    ),
    max_leaves=4,
)


@st.composite
def readings(draw):
    """Samples of x, y and the yes-or-no b, at whole seconds, with holes."""
    found = {}
    for key, values in (("x", small), ("y", small), ("b", st.sampled_from([0.0, 1.0]))):
        seconds = draw(st.lists(st.integers(0, LENGTH_S - 1), max_size=40, unique=True))
        found[key] = [(START + s * STEP, draw(values)) for s in sorted(seconds)]
    return found


def with_any(samples):
    """Add the times of all readings, as the target's own series."""
    times = sorted({t for points in samples.values() for t, _ in points})
    return {**samples, "": [(t, 0.0) for t in times]}


def series(samples):
    return {
        key: Series(
            np.array([t for t, _ in sorted(points)], np.int64),
            np.array([v for _, v in sorted(points)], np.float64),
        )
        for key, points in samples.items()
    }


def times_of(episodes):
    return [(one.raised_at, one.cleared_at) for one in episodes]


def expected(tree, samples, hold_s):
    return reference.episodes(
        tree, with_any(samples), hold_s=hold_s, start=START, end=END, step=STEP
    )


@settings(max_examples=150, deadline=None)
@given(tree=trees, samples=readings(), hold_s=st.sampled_from([4.0, 30.0, 1000.0]))
def test_episodes_equal_the_reference(tree, samples, hold_s):
    watched = Watched(tree, hold_s)

    found, _ = advance(
        watched, series(with_any(samples)), after=beginning(watched, START), until=END
    )

    assert times_of(found) == expected(tree, samples, hold_s)


@settings(max_examples=100, deadline=None)
@given(tree=trees, samples=readings(), cuts=st.lists(st.integers(1, LENGTH_S - 1), max_size=6))
def test_cutting_time_into_pieces_changes_nothing(tree, samples, cuts):
    watched, data = Watched(tree, 30.0), series(with_any(samples))
    whole, _ = advance(watched, data, after=beginning(watched, START), until=END)
    at = beginning(watched, START)
    pieces: list[Episode] = []
    for cut in [*sorted({START + second * STEP for second in cuts}), END]:
        found, at = advance(watched, data, after=at, until=cut)
        at = Checkpoint.from_json(at.at, at.as_json())
        pieces = joined(pieces, found)

    assert pieces == whole


@settings(max_examples=100, deadline=None)
@given(tree=trees, samples=readings(), random=st.randoms(use_true_random=False))
def test_late_repeated_and_out_of_order_data_end_in_the_same_episodes(tree, samples, random):
    watched = Watched(tree, 30.0)
    sent = [(key, t, v) for key, points in samples.items() for t, v in points]
    sent += random.sample(sent, len(sent) // 4)  # repeated by a device that got no answer
    random.shuffle(sent)
    stored: dict[str, dict[int, float]] = {key: {} for key in samples}
    track = Track(watched, [beginning(watched, START)])
    written: dict[int, Known] = {}
    while sent or track.tip.at < END:
        batch, sent = sent[:7], sent[7:]
        for key, t, v in batch:
            stored[key][t] = v
        until = END if not sent else max([track.tip.at, *(t + 1 for _, t, _ in batch)])
        after = track.before(min([track.tip.at, *(t for _, t, _ in batch)]))
        assert after is not None
        data = series(with_any({key: list(points.items()) for key, points in stored.items()}))
        found = track.run(data, after=after, until=until)
        write(written, found, since=after.at, until=until)

    assert sorted((one.raised_at, one.cleared_at) for one in written.values()) == expected(
        tree, samples, 30.0
    )


def write(written, found, *, since, until):
    """Keep the book of alarms as the service does: raise, move, withdraw."""
    touched = [one for one in written.values() if one.cleared_at is None or one.cleared_at >= since]
    difference = compare(touched, found, since=since, until=until)
    for old, new in difference.moved:
        written[old.id] = Known(old.id, new.raised_at, new.cleared_at)
    for old in difference.gone:
        del written[old.id]
    for new in difference.raised:
        key = max(written, default=0) + 1
        written[key] = Known(key, new.raised_at, new.cleared_at)


NAB = [
    # file, value, clear, for_s, least episodes (so that the comparison is about something)
    ("realKnownCause/machine_temperature_system_failure.csv.gz", 100.0, 95.0, 1800, 3),
    ("realKnownCause/nyc_taxi.csv.gz", 25_000.0, 20_000.0, 3600, 20),
    ("realAWSCloudwatch/ec2_cpu_utilization_825cc2.csv.gz", 95.0, 92.0, 600, 5),
]


@pytest.mark.skipif(not DATA.is_dir(), reason=f"NAB is absent at {DATA} (set TAKT_DATA)")
@pytest.mark.parametrize(("name", "value", "clear", "for_s", "n_least"), NAB)
def test_nab_with_duration_and_hysteresis_equals_the_reference(name, value, clear, for_s, n_least):
    samples = nab(DATA / name)
    start, end = samples[0][0], samples[-1][0] + 1000
    watched = Watched(c.Duration(above(value, clear), for_s), hold_s=3600)
    track = Track(watched, [beginning(watched, start)])
    # It arrives as it does from a gateway with a bad line: every third day a week late.
    days: dict[int, reference.Points] = {}
    for t, v in samples:
        days.setdefault((t - start) // 86_400_000, []).append((t, v))
    arrival = sorted(days, key=lambda day: day + (7 if day % 3 == 2 else 0))
    stored: reference.Points = []
    written: dict[int, Known] = {}
    for day in arrival:
        stored = sorted([*stored, *days[day]])
        until = max(track.tip.at, days[day][-1][0] + 1000)
        after = track.before(min(track.tip.at, days[day][0][0]))
        assert after is not None
        found = track.run(series({"x": stored}), after=after, until=until)
        write(written, found, since=after.at, until=until)

    times = sorted((one.raised_at, one.cleared_at) for one in written.values())
    assert times == held_above(samples, value, clear, for_s * 1000, 3_600_000, end)
    assert len(times) >= n_least


def nab(path):
    with gzip.open(path, "rt") as file:
        rows = {
            round(datetime.fromisoformat(row["timestamp"]).replace(tzinfo=UTC).timestamp() * 1000):
            float(row["value"])
            for row in csv.DictReader(file)
        }  # fmt: skip
    return sorted(rows.items())


def held_above(samples, value, clear, for_ms, hold_ms, end):
    """The reference for long series: walks from sample to sample, instants in between by hand."""
    found, raised, since, is_on = [], None, None, False
    for (t, v), (following, _) in zip(samples, [*samples[1:], (end, 0.0)], strict=True):
        is_on = v > value if not is_on else v > clear
        if not is_on:
            since = None
            if raised is not None:
                found.append((raised, t))
                raised = None
            continue
        since = t if since is None else since
        known_until = min(following, t + hold_ms)
        if raised is None and since + for_ms < known_until:
            raised = since + for_ms
        if known_until < following:
            since = None  # a hole: nobody knows whether it held
    return [*found, (raised, None)] if raised is not None else found
