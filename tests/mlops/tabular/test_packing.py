import numpy as np
import pytest

from mlops import artifacts
from mlops.artifacts import ArtifactRefused, Bundle, Identity
from mlops.tabular.packing import pack, unpack
from mlops.trees import OnnxModel
from tests.mlops.tabular.cases import parts


def test_a_model_says_the_same_after_storage(trained):
    identity = Identity("acme", "outcome", "press", 1)
    sealed = artifacts.seal(pack(trained.model), identity=identity, key="k")

    model = unpack(artifacts.open_sealed(sealed, identity=identity, key="k"))

    table, _outcome = parts(50, seed=3)
    before = trained.model.predict(table, OnnxModel(trained.model.serialised))
    assert np.array_equal(model.predict(table, OnnxModel(model.serialised)), before)
    assert model.columns == trained.model.columns
    assert model.design == trained.model.design


@pytest.mark.parametrize("lost", ["sigmoids", "derived", "usual"])
def test_a_bundle_without_a_part_is_refused(trained, lost):
    whole = pack(trained.model)
    arrays = {name: array for name, array in whole.arrays.items() if name != lost}

    with pytest.raises(ArtifactRefused, match="lacks a part"):
        unpack(Bundle(whole.manifest, arrays, whole.onnx))


def test_another_kind_of_model_is_refused(trained):
    whole = pack(trained.model)

    with pytest.raises(ArtifactRefused, match="another version"):
        unpack(Bundle({**whole.manifest, "form": 1}, whole.arrays, whole.onnx))
