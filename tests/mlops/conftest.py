"""A fleet trained once, and a shelf in place of S3."""

import pytest

from mlops import serving
from mlops.maintenance import rul
from tenants import storage
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
    settings.VAR_DIR = tmp_path
    serving.forget()
    yield objects
    serving.forget()
