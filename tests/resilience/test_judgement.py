"""What becomes of challengers, with the real queue, S3 and MLflow: lost, won, rolled back.

How cases turned out is given; everything that follows from it is the product's doing.
"""

from collections.abc import Iterator

import pytest

from tests.resilience.school import School, running_school, wait_until

pytestmark = [pytest.mark.resilience, pytest.mark.slow]

AT_MOST_S = 120.0


@pytest.fixture(scope="module")
def school() -> Iterator[School]:
    """A factory with one version in service."""
    with running_school() as found:
        assert found.wait_ended(found.train(), at_most_s=AT_MOST_S) == "done"
        yield found


def on_trial(school: School) -> int:
    """Train another version, which goes on trial; return its number."""
    assert school.wait_ended(school.train(), at_most_s=AT_MOST_S) == "done"
    newest = school.ask("versions")[-1]
    assert newest["alias"] == "challenger"
    return int(newest["version"])


def decide(school: School) -> None:
    assert school.wait_ended(school.ask("watch"), at_most_s=AT_MOST_S) == "done"


def serving(school: School) -> int:
    (number,) = [v["version"] for v in school.ask("versions") if v["alias"] == "champion"]
    return int(number)


def wait_for_book(school: School, number: int) -> None:
    """Wait until MLflow's book calls a version the champion."""
    (run,) = [v["mlflow_run_id"] for v in school.ask("versions") if v["version"] == number]
    type_id = school.machine_type_id
    wait_until(
        lambda: school.ask("in_book", machine_type_id=type_id).get("champion") == run,
        at_most_s=AT_MOST_S,
    )


def asked_of(school: School) -> int:
    """Have the worker score without copies on its disk; return which version answered."""
    school.ask("forget_copies")
    assert school.wait_ended(school.ask("score"), at_most_s=AT_MOST_S) == "done"
    return int(school.ask("newest_prediction")["version"])


def test_a_worse_challenger_is_not_promoted(school: School):
    before, number = serving(school), on_trial(school)
    school.ask("turn_out", version=before, cases="first", losses=[0.1] * 6)
    school.ask("turn_out", version=number, cases="first", losses=[0.3] * 6)

    decide(school)

    assert school.ask("versions")[-1]["alias"] == ""
    assert serving(school) == before
    wait_for_book(school, before)
    assert asked_of(school) == before


def test_a_better_challenger_is_promoted_and_rolled_back_when_it_degrades(school: School):
    before, number = serving(school), on_trial(school)
    school.ask("turn_out", version=before, cases="second", losses=[0.3] * 6)
    school.ask("turn_out", version=number, cases="second", losses=[0.1] * 6)

    decide(school)

    assert serving(school) == number
    wait_for_book(school, number)
    assert asked_of(school) == number

    school.ask("turn_out", version=number, cases="later", losses=[0.6] * 12)
    school.ask("turn_out", version=before, cases="later", losses=[0.1] * 12)
    decide(school)

    assert serving(school) == before
    wait_for_book(school, before)
    assert asked_of(school) == before
