import json
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops import trees
from mlops.artifacts import MAGIC, ArtifactRefused, Bundle, Identity, open_sealed, seal
from mlops.maintenance.packing import pack, unpack
from tests.mlops.wear import worn_life

KEY = "k" * 32
OURS = Identity("acme", "remaining_life", "mill", 3)
SMALL = Bundle({"form": 1}, {"a": np.array([[1.5, 2.0]]), "n": np.array([1, 2])}, b"onnx")


class Boom:
    """Unpickling this would leave a trace."""

    def __reduce__(self):
        return (exec, ("raise SystemExit('a pickle was read')",))


def test_a_bundle_comes_back_as_it_was():
    bundle = open_sealed(seal(SMALL, identity=OURS, key=KEY), identity=OURS, key=KEY)

    assert (bundle.manifest, bundle.onnx) == (SMALL.manifest, SMALL.onnx)
    assert bundle.arrays["a"].tolist() == [[1.5, 2.0]]
    assert bundle.arrays["n"].dtype == np.int64


def test_single_precision_stays_single():
    bundle = Bundle({}, {"a": np.array([0.1, 2.0], np.float32)}, b"")

    array = open_sealed(seal(bundle, identity=OURS, key=KEY), identity=OURS, key=KEY).arrays["a"]

    assert array.dtype == np.float32
    assert array.tolist() == bundle.arrays["a"].tolist()


def test_a_stored_model_forecasts_as_the_trained_one(training):
    blob = seal(pack(training.model), identity=OURS, key=KEY)

    model = unpack(open_sealed(blob, identity=OURS, key=KEY))

    life = worn_life("new", length=70, seed=3).until(55)
    assert model.forecast(life, trees.OnnxModel(model.serialised)) == training.model.forecast(
        life, trees.OnnxModel(training.model.serialised)
    )


@pytest.mark.parametrize(
    "other",
    [
        Identity("globex", "remaining_life", "mill", 3),
        Identity("acme", "anomaly", "mill", 3),
        Identity("acme", "remaining_life", "lathe", 3),
        Identity("acme", "remaining_life", "mill", 2),
        Identity("acmeremaining_life", "", "mill", 3),
    ],
)
def test_a_model_made_for_something_else_is_refused(other):
    blob = seal(SMALL, identity=other, key=KEY)

    with pytest.raises(ArtifactRefused, match="another factory, subject or version"):
        open_sealed(blob, identity=OURS, key=KEY)


def test_a_model_signed_with_another_key_is_refused():
    with pytest.raises(ArtifactRefused, match="signature"):
        open_sealed(seal(SMALL, identity=OURS, key="x" * 32), identity=OURS, key=KEY)


@settings(deadline=None)
@given(data=st.data())
def test_any_changed_byte_is_noticed(data):
    blob = bytearray(seal(SMALL, identity=OURS, key=KEY))
    place = data.draw(st.integers(0, len(blob) - 1))
    blob[place] ^= data.draw(st.integers(1, 255))

    with pytest.raises(ArtifactRefused):
        open_sealed(bytes(blob), identity=OURS, key=KEY)


@settings(deadline=None)
@given(data=st.data())
def test_a_model_cut_short_is_refused(data):
    blob = seal(SMALL, identity=OURS, key=KEY)

    with pytest.raises(ArtifactRefused):
        open_sealed(blob[: data.draw(st.integers(0, len(blob) - 1))], identity=OURS, key=KEY)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("disguise", [b"", MAGIC, MAGIC + b"\0" * 32])
def test_a_pickle_is_refused_and_never_read(protocol, disguise):
    with pytest.raises(ArtifactRefused):
        open_sealed(disguise + pickle.dumps(Boom(), protocol), identity=OURS, key=KEY)


@pytest.mark.parametrize("part", ["model.pkl", "python_model.pkl", "model.joblib", "a.npy"])
def test_a_signed_pickle_under_any_name_is_plain_numbers_at_most(part):
    """Even whoever holds the key cannot make us unpickle: a section is float64 or int64."""
    raw = pickle.dumps(Boom())
    raw += b"\0" * (-len(raw) % 8)
    array = np.frombuffer(raw, "<i8")
    bundle = Bundle({}, {part: array}, b"")

    opened = open_sealed(seal(bundle, identity=OURS, key=KEY), identity=OURS, key=KEY)

    assert opened.arrays[part].tolist() == array.tolist()


def test_an_array_of_objects_cannot_be_claimed(monkeypatch):
    real = json.dumps
    monkeypatch.setattr(
        "mlops.artifacts.json.dumps", lambda *a, **k: real(*a, **k).replace("<f8", "|O")
    )
    blob = seal(SMALL, identity=OURS, key=KEY)

    with pytest.raises(ArtifactRefused, match="cannot be read"):
        open_sealed(blob, identity=OURS, key=KEY)


def test_a_bundle_of_another_form_is_refused():
    with pytest.raises(ArtifactRefused, match="another version of this product"):
        unpack(Bundle({"form": 99}, {}, b""))


def test_a_bundle_that_lacks_a_part_is_refused(training):
    whole = pack(training.model)
    arrays = {name: a for name, a in whole.arrays.items() if name != "median"}

    with pytest.raises(ArtifactRefused, match="lacks a part"):
        unpack(Bundle(whole.manifest, arrays, whole.onnx))
