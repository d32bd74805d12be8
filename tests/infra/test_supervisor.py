import itertools

import pytest

from infra.local.supervisor import Supervisor
from tests.infra.conftest import until


@pytest.fixture
def supervisor() -> Supervisor:
    return Supervisor(lambda: None, log=print)


def restarts(supervisor: Supervisor, *, until_s: float) -> list[float]:
    """When a part that dies at once again and again would be started."""
    moments = [n / 8 for n in range(int(until_s * 8) + 1)]
    return [now for now in moments if supervisor.may_restart("web", now=now)]


def test_the_first_restart_is_immediate_and_the_next_ones_wait_twice_as_long(supervisor):
    assert restarts(supervisor, until_s=8) == [0, 0.25, 0.75, 1.75, 3.75, 7.75]


def test_no_restart_waits_longer_than_eight_seconds(supervisor):
    moments = restarts(supervisor, until_s=60)

    assert max(b - a for a, b in itertools.pairwise(moments)) == 8


def test_a_long_life_is_a_fresh_start(supervisor):
    restarts(supervisor, until_s=30)

    assert supervisor.may_restart("web", now=200)
    assert not supervisor.may_restart("web", now=200.1)
    assert supervisor.may_restart("web", now=200.25)


def test_a_look_that_fails_does_not_end_the_supervision():
    looks: list[int] = []
    said: list[str] = []

    def look() -> None:
        looks.append(1)
        raise OSError("no space left on device")

    supervisor = Supervisor(look, log=said.append)
    supervisor.start()

    assert until(lambda: len(looks) > 1)
    supervisor.stop()
    assert "no space left" in said[0]
