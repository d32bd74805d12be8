import pytest

from mlops.agreement import cohens_kappa


def test_kappa_of_a_table_worked_by_hand():
    """20 yes/yes, 5 yes/no, 10 no/yes, 15 no/no: observed 0.7, by chance 0.5."""
    said = [("y", "y")] * 20 + [("y", "n")] * 5 + [("n", "y")] * 10 + [("n", "n")] * 15

    assert cohens_kappa(said) == pytest.approx(0.4)


def test_full_agreement_and_full_contradiction():
    assert cohens_kappa([("a", "a"), ("b", "b")]) == 1.0
    assert cohens_kappa([("a", "b"), ("b", "a")]) == -1.0


@pytest.mark.parametrize("said", [[], [("a", "a"), ("a", "a")]])
def test_where_nothing_tells_agreement_from_habit_there_is_none(said):
    assert cohens_kappa(said) is None
