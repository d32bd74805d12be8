"""One installation for all faults: its rounds are short, its start is not."""

from collections.abc import Iterator

import pytest

from tests.resilience.crew import N_CLIENTS, Say
from tests.resilience.site import NEIGHBOUR, SCHEMA, Site, running_site


@pytest.fixture(scope="package")
def site() -> Iterator[Site]:
    with running_site("resilience", {SCHEMA: 8 * N_CLIENTS, NEIGHBOUR: N_CLIENTS}) as found:
        yield found


@pytest.fixture
def say(capfd: pytest.CaptureFixture[str]) -> Say:
    """Print a line to whoever runs the tests, though they pass."""

    def line(text: str) -> None:
        with capfd.disabled():
            print(f"\n  {text}", end="", flush=True)

    return line
