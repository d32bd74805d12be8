from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from mlops.anomaly import detector as anomaly
from mlops.anomaly.episodes import episodes
from mlops.anomaly.findings import findings
from mlops.anomaly.words import sentence
from mlops.maintenance.reasons import SignalName
from tests.mlops.anomaly.machines import NOISE, SIGNALS, rows

START = datetime(2026, 11, 24, 6, 0, tzinfo=UTC)
NAMES = {"vib_mm_s": SignalName("Spindle vibration", "mm/s")}
VIB, HEAT = 2, 3


@pytest.fixture(scope="module")
def fitted():
    return anomaly.fit(rows(800, seed=1, products=2), signals=SIGNALS)


def found(fitted, values):
    scores = fitted.score(values)
    times = [START + timedelta(minutes=i) for i in range(len(values))]
    episode = episodes(scores.score)[-1]
    return findings(
        detector=fitted, values=values, times=times, scores=scores, episode=episode, names=NAMES
    )


def test_a_rising_vibration_is_told_with_its_usual_and_since_when(fitted):
    values = rows(200, seed=2, products=2)
    values[100:, VIB] += NOISE[VIB] * np.linspace(3, 25, 100)

    told = found(fitted, values)[0]

    assert told.name.label == "Spindle vibration"
    assert told.rising
    assert told.since is not None
    assert abs(told.since - (START + timedelta(minutes=100))) < timedelta(minutes=15)
    said = sentence(told, now=START + timedelta(minutes=200), zone=UTC)
    assert said.startswith("Spindle vibration 1.5x its usual level at this load since 07:4")
    assert said.endswith(", rising.")


def test_a_silent_signal_is_told_as_silent(fitted):
    values = rows(200, seed=2, products=2)
    values[100:, HEAT] = np.nan

    told = found(fitted, values)[0]

    assert (told.name.label, told.value) == ("heat_c", None)
