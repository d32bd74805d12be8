"""A fleet trained once, and a shelf in place of S3."""

from datetime import UTC, datetime

import pytest

from mlops import registry, serving
from mlops.maintenance import rul
from tenants import storage
from tests.mlops import plant
from tests.mlops.wear import SIGNALS, fleet


@pytest.fixture(scope="session")
def training():
    return rul.train(fleet(), signals=SIGNALS, n_threads=1)


@pytest.fixture
def shelf(monkeypatch, settings, tmp_path):
    """Keep objects in a dict; serving starts with nothing loaded and an empty disk."""
    objects: dict[str, bytes] = {}

    def get(*, key):
        if key not in objects:
            raise storage.ObjectMissing(key)
        return objects[key]

    monkeypatch.setattr(
        storage, "put_bytes", lambda *, key, content: objects.update({key: content})
    )
    monkeypatch.setattr(storage, "get_bytes", get)
    monkeypatch.setattr(
        storage,
        "objects",
        lambda *, prefix: [
            storage.StoredObject(key, len(content), datetime.now(UTC))
            for key, content in sorted(objects.items())
            if key.startswith(prefix)
        ],
    )
    monkeypatch.setattr(storage, "delete", lambda *, key: objects.pop(key, None))
    settings.VAR_DIR = tmp_path
    serving.forget()
    yield objects
    serving.forget()


@pytest.fixture
def book(monkeypatch):
    """A book of runs in place of MLflow; `book.away = True` closes it."""

    class Book:
        runs: list[registry.Run] = []
        away = False

        def record(self, run):
            if self.away:
                raise registry.RegistryUnavailable("MLflow did not record the run.")
            self.runs.append(run)
            return f"run-{len(self.runs)}"

    fake = Book()
    fake.runs = []
    monkeypatch.setattr(registry, "record", fake.record)
    return fake


@pytest.fixture
def mills(in_acme, shelf, book, monkeypatch):
    """A trainable plant; few rounds, since how good the model is has its own tests."""
    monkeypatch.setattr(rul, "N_ROUNDS", 60)
    return plant.mills_with_history()
