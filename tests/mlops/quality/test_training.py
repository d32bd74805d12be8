import numpy as np
import pytest

from mlops import artifacts
from mlops.artifacts import ArtifactRefused, Bundle, Identity
from mlops.quality import training
from mlops.quality.model import Forecaster, NoForecast
from mlops.quality.packing import pack, unpack
from mlops.tabular.table import Outcome
from tests.mlops.quality.line import HOT_C, cracked, part

RNG = np.random.default_rng(9)


@pytest.fixture(scope="session")
def forecaster(taught):
    return Forecaster(taught.model)


def test_skill_grows_with_the_stages_that_are_over(taught):
    none, melt, both = taught.known

    assert not none.is_served
    assert melt.is_served
    assert both.is_served
    assert both.evidence.in_time.value > melt.evidence.in_time.value > 0.6


def test_a_defect_of_the_press_is_explained_by_the_melt(forecaster):
    forecast = forecaster.forecast(part(212.0, 80.0, rng=RNG))

    assert forecast.called == "cracked"
    assert forecast.reasons[0].column.startswith("melt: temperature")
    assert forecast.intervals["cracked"].low <= forecast.probability["cracked"]
    assert not forecast.is_early


def test_a_part_is_warned_of_while_it_waits_for_the_press(forecaster):
    hot = forecaster.forecast(part(212.0, 0.0, rng=RNG, pressed=False))
    usual = forecaster.forecast(part(200.0, 0.0, rng=RNG, pressed=False))

    assert hot.is_early
    assert (hot.known, hot.open) == (("melt",), ("press",))
    assert hot.probability["cracked"] > 0.7 > 0.3 > usual.probability["cracked"]


def test_before_the_first_stage_nothing_is_said(forecaster):
    untouched = part(200.0, 80.0, rng=RNG, pressed=False)
    stages = {"melt": type(untouched.stages["melt"])(0.0, None)}

    with pytest.raises(NoForecast, match="from the end of melt on"):
        forecaster.forecast(type(untouched)(stages, untouched.parameters))


def test_a_supplier_never_seen_is_unknown_not_an_error(forecaster):
    seen = forecaster.forecast(part(200.0, 80.0, rng=RNG, supplier="Z", moisture=None))

    assert seen.called == "fine"


def test_the_window_keeps_the_melt_cool_and_the_press_strong(forecaster):
    found = forecaster.window(asked=0.06)

    assert found.window is not None
    by_stage = {bound.column.split(":")[0]: bound for bound in found.window.bounds}
    assert 200 < by_stage["melt"].high < HOT_C + 1
    assert found.window.high < found.window.rate_outside


@pytest.mark.slow
def test_several_defects_are_told_apart():
    rng = np.random.default_rng(4)
    melt, press = rng.normal(200, 5, 500), rng.normal(80, 4, 500)
    codes = np.where(melt > HOT_C - 2, 1, np.where(press < 76, 2, 0))
    parts = [part(m, p, rng=rng) for m, p in zip(melt, press, strict=True)]
    outcome = Outcome(("fine", "burnt", "loose"), codes.astype(np.int64))

    found = training.train(parts, outcome, times=np.arange(500.0), n_threads=1)

    assert found.model is not None
    loose = Forecaster(found.model).forecast(part(200.0, 71.0, rng=rng))
    assert (loose.called, loose.about) == ("loose", "loose")
    assert loose.reasons[0].column.startswith("press: pressure")


@pytest.mark.slow
def test_outcomes_without_a_cause_yield_no_model():
    parts, outcome, times = cracked(300)
    shuffled = np.random.default_rng(1).permutation(outcome.codes)

    found = training.train(parts, Outcome(outcome.classes, shuffled), times=times, n_threads=1)

    assert found.model is None
    assert "no model is served" in found.sentence


def test_a_model_comes_back_from_storage_as_it_was(taught, forecaster):
    identity = Identity("acme", "quality", "press", 1)
    sealed = artifacts.seal(pack(taught.model), identity=identity, key="key")

    opened = unpack(artifacts.open_sealed(sealed, identity=identity, key="key"))

    judged = part(207.0, 78.0, rng=RNG)
    assert opened.plan == taught.model.plan
    assert Forecaster(opened).forecast(judged) == forecaster.forecast(judged)
    assert Forecaster(opened).window(asked=0.06) == forecaster.window(asked=0.06)


def test_a_bundle_of_something_else_is_refused(taught):
    whole = pack(taught.model)

    with pytest.raises(ArtifactRefused, match="another version"):
        unpack(Bundle({"form": "tabular-1"}, {}, b""))
    with pytest.raises(ArtifactRefused, match="lacks a part"):
        unpack(Bundle(whole.manifest, {}, whole.onnx))
