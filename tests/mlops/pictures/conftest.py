from typing import Any

import pytest

from tenants import storage
from tests.mlops.pictures import shots

__all__ = ["away", "faces"]


@pytest.fixture
def faces(in_acme: Any) -> Any:
    """An inspection plan of acme, inside its schema."""
    shots.defect()
    return shots.plan()


@pytest.fixture
def away(shelf: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> dict[str, bool]:
    """Let the object store be away while `away["is"]`."""
    state = {"is": True}

    def guarded(call: Any) -> Any:
        def run(**kwargs: Any) -> Any:
            if state["is"]:
                raise storage.StorageUnavailable("The object store did not do it: away.")
            return call(**kwargs)

        return run

    for name in ("put_bytes", "get_bytes", "delete"):
        monkeypatch.setattr(storage, name, guarded(getattr(storage, name)))
    return state
