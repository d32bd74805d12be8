import numpy as np
import pytest

from mlops import artifacts
from mlops.artifacts import ArtifactRefused, Bundle, Identity
from mlops.vibration import faults
from mlops.vibration.levels import UnusableBurst
from tests.mlops.vibration.bursts import struck

KINDS = ("good", "loose")


@pytest.fixture(scope="module")
def recordings():
    """Two recordings a kind, which ring at another place."""
    cut, codes, groups = [], [], []
    for group in range(4):
        burst = struck(100, resonance_hz=(1_500, 3_000)[group % 2], seed=group)
        windows = faults.windows_of(burst.samples_g) * (1 + group)  # mounted differently
        cut.append(windows)
        codes += [group % 2] * len(windows)
        groups += [group] * len(windows)
    return np.vstack(cut), np.array(codes), np.array(groups)


def test_recordings_held_back_are_told_apart(recordings):
    windows, codes, groups = recordings

    judged = faults.held_out(windows, codes, KINDS, groups, rate_hz=12_000)

    assert len(judged.rows) == len(codes)
    assert np.array_equal(judged.called, codes[judged.rows])


def test_a_kind_recorded_once_cannot_be_judged(recordings):
    windows, codes, _groups = recordings

    with pytest.raises(faults.NotEnoughRecords, match="1 of 2 known"):
        faults.held_out(windows, codes, KINDS, codes, rate_hz=12_000)


def test_a_model_says_the_same_after_storage(recordings):
    windows, codes, _groups = recordings
    model = faults.fit(windows, codes, KINDS, rate_hz=12_000)
    identity = Identity("acme", "faults", "pump", 1)
    sealed = artifacts.seal(faults.pack(model), identity=identity, key="k")

    again = faults.unpack(artifacts.open_sealed(sealed, identity=identity, key="k"))

    before = model.scores(windows, rate_hz=12_000)
    assert np.array_equal(again.scores(windows, rate_hz=12_000), before)


def test_another_sampling_rate_is_refused(recordings):
    windows, codes, _groups = recordings

    with pytest.raises(UnusableBurst, match="12000 samples a second"):
        faults.fit(windows, codes, KINDS, rate_hz=12_000).called(windows, rate_hz=48_000)


def test_a_bundle_of_something_else_is_refused():
    with pytest.raises(ArtifactRefused):
        faults.unpack(Bundle({"form": 1}, {}, b""))


def test_how_strongly_it_shakes_is_no_feature(recordings):
    windows = recordings[0][:3]

    assert faults.features_of(5 * windows) == pytest.approx(faults.features_of(windows))
