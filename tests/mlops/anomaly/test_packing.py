from dataclasses import replace

import numpy as np
import pytest

from mlops import artifacts
from mlops.anomaly import detector as anomaly
from mlops.anomaly.packing import pack, unpack
from mlops.artifacts import ArtifactRefused, Identity
from tests.mlops.anomaly.machines import SIGNALS, rows

IDENTITY = Identity("acme", "anomaly", "lathe", 1)


@pytest.fixture(scope="module")
def fitted():
    return anomaly.fit(rows(400, seed=1, products=2), signals=SIGNALS)


def test_a_detector_comes_back_from_storage_as_it_went(fitted):
    blob = artifacts.seal(pack(fitted), identity=IDENTITY, key="k")

    again = unpack(artifacts.open_sealed(blob, identity=IDENTITY, key="k"))

    values = rows(100, seed=2, products=2)
    assert again.signals == SIGNALS
    assert np.array_equal(again.score(values).score, fitted.score(values).score)


@pytest.mark.parametrize("change", [{"form": 2}, {"kind": "remaining_life"}, {"signals": ["a"]}])
def test_another_model_is_refused(fitted, change):
    bundle = pack(fitted)

    with pytest.raises(ArtifactRefused):
        unpack(replace(bundle, manifest={**bundle.manifest, **change}))


@pytest.mark.parametrize("lost", ["median", "precision", "limit", "still_rows"])
def test_a_part_that_is_missing_is_noticed(fitted, lost):
    bundle = pack(fitted)
    arrays = {name: array for name, array in bundle.arrays.items() if name != lost}

    with pytest.raises(ArtifactRefused, match="lacks a part"):
        unpack(replace(bundle, arrays=arrays))
