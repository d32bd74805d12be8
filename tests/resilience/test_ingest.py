"""What was acknowledged is there, once, whatever was killed meanwhile."""

from pathlib import Path

import pytest

from tests.resilience.crew import Crew, Say, go_through
from tests.resilience.site import Site

pytestmark = [pytest.mark.resilience, pytest.mark.slow]

# The promised times of recovery.
WEB_S = VALKEY_S = 10.0
POSTGRES_S = 30.0
# A killed server answers nothing; one that lost what lies behind it says so.
NO_ANSWER = {0, 200, 503}
ANSWERED = {200, 503}


@pytest.mark.parametrize(
    ("fault", "at_most_s", "statuses"),
    [
        ("kill_worker", WEB_S, NO_ANSWER),
        ("kill_parent", WEB_S, NO_ANSWER),
        ("kill_backend", POSTGRES_S, ANSWERED),
        ("kill_postmaster", POSTGRES_S, ANSWERED),
        ("starve_valkey", VALKEY_S, ANSWERED),
    ],
)
def test_nothing_acknowledged_is_lost_doubled_or_made_up(
    site: Site, tmp_path: Path, say: Say, fault: str, at_most_s: float, statuses: set[int]
):
    crew = Crew(site, tmp_path)

    go_through(crew, getattr(site, fault), name=fault, at_most_s=at_most_s, say=say)

    assert {status for ledger in crew.ledgers for status in ledger.statuses} <= statuses
