"""One installation for all tests of clients against the real thing."""

from collections.abc import Iterator

import pytest

from tests.clients.takt import Sender, Takt, running


@pytest.fixture(scope="package")
def takt() -> Iterator[Takt]:
    with running(n_devices=60) as found:
        yield found


@pytest.fixture
def device(takt: Takt) -> Sender:
    return takt.device()
