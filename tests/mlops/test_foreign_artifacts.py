"""Whatever lies where a model should lie is refused unread, and the last good version serves."""

import gzip
import hashlib
import io
import json
import pickle
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import joblib
import numpy as np
import pytest
from django.conf import settings as django_settings
from onnx import TensorProto, helper

from mlops import artifacts, kinds, selectors, services, serving
from mlops.artifacts import MAGIC, ArtifactRefused, Bundle, Identity, open_sealed, seal
from mlops.maintenance.packing import pack, unpack
from mlops.models import Kind, ModelVersion, Prediction

NOW = datetime(2026, 11, 22, tzinfo=UTC)
KEY = "k" * 32
OURS = Identity("acme", "remaining_life", "mill", 3)


class Boom:
    """Unpickling it makes a file."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self):
        return (Path.touch, (self.trace,))


def zipped(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


def of_objects(boom: Boom, save: str) -> bytes:
    out = io.BytesIO()
    array = np.array([boom], dtype=object)
    if save == "npy":
        np.save(out, array, allow_pickle=True)
    else:
        np.savez(out, allow_pickle=True, weights=array)
    return out.getvalue()


def with_joblib(boom: Boom, compress: int) -> bytes:
    out = io.BytesIO()
    joblib.dump(boom, out, compress=compress)
    return out.getvalue()


def onnx_with_outside_data(place: str) -> bytes:
    """Return a graph whose weights are to be read from a file of the reader's machine."""
    weights = TensorProto(
        name="w", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL
    )
    entry = weights.external_data.add()
    entry.key, entry.value = "location", place
    kind = TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node("Add", ["features", "w"], ["target"])],
        "graph",
        [helper.make_tensor_value_info("features", kind, [None, 4])],
        [helper.make_tensor_value_info("target", kind, [None, 4])],
        initializer=[weights],
    )
    opsets = [helper.make_opsetid("", 15)]
    blob: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()
    return blob


SKOPS = {"__class__": "Popen", "__module__": "subprocess", "__loader__": "ObjectNode"}
MLMODEL = b"flavors:\n  python_function:\n    loader_module: mlflow.sklearn\n"
# By the name it would come under: what would lie there.
FOREIGN = {
    "model.pkl": pickle.dumps,
    "model.pickle": lambda boom: pickle.dumps(boom, protocol=2),
    "model.p": lambda boom: pickle.dumps(boom, protocol=0),
    "model.pkl.gz": lambda boom: gzip.compress(pickle.dumps(boom)),
    "mlflow.zip": lambda boom: zipped({"MLmodel": MLMODEL, "python_model.pkl": pickle.dumps(boom)}),
    "model.joblib": lambda boom: with_joblib(boom, 0),
    "model.joblib.z": lambda boom: with_joblib(boom, 3),
    "model.pt": lambda boom: zipped({"archive/data.pkl": pickle.dumps(boom)}),
    "model.pth": lambda boom: pickle.dumps(0x1950A86A20F9469CFC6C) + pickle.dumps(boom),
    "weights.npy": lambda boom: of_objects(boom, "npy"),
    "weights.npz": lambda boom: of_objects(boom, "npz"),
    "model.skops": lambda boom: zipped({"schema.json": json.dumps(SKOPS).encode()}),
    "model.zip": lambda boom: zipped({"data.pkl": pickle.dumps(boom)}),
    "model.onnx": lambda _boom: onnx_with_outside_data("weights.bin"),
    "model.json": lambda _boom: json.dumps({"py/object": "subprocess.Popen"}).encode(),
    "model.yaml": lambda _boom: b"!!python/object/apply:os.system ['true']",
    "model.bin": lambda _boom: b"",
    **{
        f"model-{protocol}.takt": lambda boom, protocol=protocol: pickle.dumps(boom, protocol)
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
    },
    "unsigned.takt": lambda boom: MAGIC + b"\0" * 32 + pickle.dumps(boom),
}


@pytest.fixture
def no_parsing(monkeypatch):
    """Let nothing be parsed: whoever tries fails the test."""

    def parsed(*_args, **_kwargs):
        raise AssertionError("it was parsed")

    monkeypatch.setattr(artifacts, "_parse", parsed)


@pytest.mark.parametrize("name", FOREIGN)
def test_it_is_refused_before_anything_is_parsed(name, tmp_path, no_parsing):
    trace = tmp_path / "trace"
    blob = FOREIGN[name](Boom(trace))

    with pytest.raises(ArtifactRefused):
        open_sealed(blob, identity=OURS, key=KEY)

    assert not trace.exists()


def train(kind):
    services.train(subject_id=kind.pk, job_id=uuid4(), report=lambda _share, _text: None)


@pytest.fixture
def two_versions(mills):
    """Put a second version into service over the first; nothing of either is loaded or kept."""
    kind, machines = mills
    train(kind)
    train(kind)
    newest = ModelVersion.objects.get(version=2)
    services.promote(version_id=newest.pk, by=None, at=NOW)
    return kind, machines, newest


def forget_all():
    serving.forget()
    for path in django_settings.VAR_DIR.rglob("*.takt"):
        path.unlink()


def test_under_any_name_the_last_good_version_serves(two_versions, shelf, tmp_path):
    """Even where the row in the database was altered to fit what lies there."""
    _kind, machines, newest = two_versions
    trace = tmp_path / "trace"
    for n, (name, made) in enumerate(FOREIGN.items()):
        forget_all()
        blob = made(Boom(trace))
        key = f"{newest.artifact_key.rsplit('/', 1)[0]}/{name}"
        shelf[key] = blob
        fits = hashlib.sha256(blob).hexdigest()
        ModelVersion.objects.filter(pk=newest.pk).update(artifact_key=key, digest=fits)

        # A moment later each time, so that the prediction before is not in the way.
        at = NOW + timedelta(seconds=n)
        (said,) = services.score_machines(machine_ids=[machines[0].pk], at=at)

        assert said.state == Prediction.State.OK, name
        assert said.version is not None
        assert said.version.version == 1, name
        assert "Version 2 is not used." in said.message, name
        assert not trace.exists(), name


def test_an_older_artifact_under_the_newer_name_is_refused(two_versions, shelf):
    kind, machines, newest = two_versions
    oldest = ModelVersion.objects.get(version=1)
    shelf[newest.artifact_key] = shelf[oldest.artifact_key]
    forget_all()

    (said,) = services.score_machines(machine_ids=[machines[0].pk], at=NOW)

    assert said.version == oldest
    assert "altered or replaced" in said.message
    assert selectors.champion(subject_id=kind.pk) == newest


def test_without_a_good_version_nothing_is_said_and_nothing_run(mills, shelf, tmp_path):
    kind, machines = mills
    train(kind)
    (version,) = ModelVersion.objects.all()
    trace = tmp_path / "trace"
    shelf[version.artifact_key] = pickle.dumps(Boom(trace))
    forget_all()

    (said,) = services.score_machines(machine_ids=[machines[0].pk], at=NOW)

    assert said.state == Prediction.State.REFUSED
    assert not trace.exists()


@pytest.mark.parametrize(
    "manifest",
    [
        {"form": 1, "__reduce__": ["os.system", "true"]},
        {"form": 1, "py/object": "subprocess.Popen", "args": ["true"]},
        {"form": 1, "__module__": "subprocess", "__class__": "Popen"},
        {"form": 1, "loader_module": "mlflow.sklearn", "model_path": "model.pkl"},
        {"form": "subprocess.Popen"},
    ],
)
def test_a_sealed_bundle_that_names_a_module_is_text_and_refused(manifest):
    blob = seal(Bundle(manifest, {}, b""), identity=OURS, key=KEY)

    opened = open_sealed(blob, identity=OURS, key=KEY)

    assert opened.manifest == manifest
    with pytest.raises(ArtifactRefused):
        unpack(opened)


@pytest.mark.parametrize("place", ["weights.bin", "{cwd}/weights.bin", "../{name}/weights.bin"])
def test_a_sealed_graph_reads_no_file_of_this_machine(training, place, tmp_path, monkeypatch):
    """Not even one that is signed and whose file lies where it says."""
    monkeypatch.chdir(tmp_path)
    np.arange(4.0, dtype="<f4").tofile(tmp_path / "weights.bin")
    outside = onnx_with_outside_data(place.format(cwd=tmp_path, name=tmp_path.name))
    good = pack(training.model)
    bundle = Bundle(good.manifest, good.arrays, outside)

    opened = open_sealed(seal(bundle, identity=OURS, key=KEY), identity=OURS, key=KEY)

    with pytest.raises(ArtifactRefused):
        kinds.of(Kind.REMAINING_LIFE).unpack(opened)
