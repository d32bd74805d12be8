"""Whatever goes in comes out, to the bit; what the bytes say is checked."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from telemetry import packing

T0 = 1_795_428_000_000_000
LEVELS = (packing.FAST, packing.SMALL)


def same(a, b):
    return np.array_equal(a + 0.0, b + 0.0, equal_nan=True)


@given(
    values=hnp.arrays(
        np.float64,
        hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=40),
        elements=st.one_of(
            st.floats(allow_infinity=False, allow_nan=True),
            st.integers(-(10**6), 10**6).map(lambda i: i / 100),
            st.sampled_from([0.0, 1.0, -0.0, 2.0**53, -(2.0**53), 1e300, 5e-324, 0.1 + 0.2]),
        ),
    ),
    level=st.sampled_from(LEVELS),
    data=st.data(),
)
@settings(deadline=None, max_examples=100)
def test_what_was_packed_is_unpacked(values, level, data):
    steps = data.draw(st.lists(st.integers(1, 10**12), min_size=len(values), max_size=len(values)))
    times = T0 + np.cumsum(np.array(steps, np.int64))

    found_times, found = packing.unpack(packing.pack(times, values, level=level))

    assert np.array_equal(found_times, times)
    assert same(found, values)


@pytest.mark.parametrize("level", LEVELS)
def test_single_columns_are_read_alone_and_in_any_order(level):
    times = T0 + np.arange(100) * 1_000_000
    values = np.column_stack([np.arange(100.0), np.arange(100) / 8, np.full(100, np.pi)])
    payload = packing.pack(times, values, level=level)

    _, found = packing.unpack(payload, [2, 0])

    assert same(found, values[:, [2, 0]])
    assert packing.n_readings(payload) == 100


def test_decimals_of_a_machine_take_about_a_byte_and_a_half():
    chance = np.random.default_rng(7)
    times = T0 + np.arange(3600) * 1_000_000
    load = np.round(58 + 8 * np.sin(np.arange(3600) / 90) + chance.normal(0, 0.8, 3600), 2)

    payload = packing.pack(times, load[:, None])

    assert len(payload) < 1.5 * 3600


def test_a_set_point_costs_next_to_nothing():
    times = T0 + np.arange(3600) * 1_000_000

    assert len(packing.pack(times, np.full((3600, 1), 21.5))) < 90


@pytest.mark.parametrize("cut", [0, 3, 20, 60, -1])
def test_a_payload_that_was_cut_is_refused(cut):
    times = T0 + np.arange(50) * 1_000_000
    payload = packing.pack(times, np.random.default_rng(1).normal(size=(50, 2)))

    with pytest.raises(packing.Corrupt):
        packing.unpack(payload[:cut])


def test_a_later_codec_is_refused():
    payload = packing.pack(np.array([T0]), np.array([[1.0]]))

    with pytest.raises(packing.Corrupt):
        packing.unpack(b"\x02" + payload[1:])
