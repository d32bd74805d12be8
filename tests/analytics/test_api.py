import pytest
from django.test import Client

from tests.analytics.conftest import NOW, minutes_before
from tests.conftest import PUBLIC_HOST


@pytest.fixture
def get(api_key, time_machine):
    time_machine.move_to(NOW, tick=False)

    def send(path, key=api_key):
        return Client().get(
            f"/api/v1/{path}", secure=True, HTTP_HOST=PUBLIC_HOST,
            HTTP_AUTHORIZATION=f"Bearer {key}",
        )  # fmt: skip

    return send


ROWS = [(minutes_before(m), {"execution": "ACTIVE"}) for m in range(60, 0, -1)]


def test_the_floor_lists_each_machine_with_its_state(get, machine):
    machine("Mill 1", ROWS)

    tile = get("floor").json()["tiles"][0]

    assert (tile["name"], tile["state"], tile["sums"]["oee"]) == ("Mill 1", "run", None)


def test_a_timeline_is_given_for_the_period_asked_for(get, machine):
    made, _ = machine("Mill 1", ROWS)

    answer = get(
        f"machines/{made.pk}/timeline?start=2026-11-17T08:30:00Z&end=2026-11-17T09:00:00Z"
    ).json()

    assert [s["state"] for s in answer["segments"]] == ["nodata", "run"]
    assert answer["segments"][-1]["end"] == "2026-11-17T09:00:00Z"


@pytest.mark.parametrize(
    "period",
    [
        "start=2026-11-17T09:00:00Z&end=2026-11-17T08:00:00Z",
        "start=2026-09-01T00:00:00Z&end=2026-11-17T08:00:00Z",
        "start=yesterday",
    ],
)
def test_a_period_that_cannot_be_shown_is_refused_in_words(get, machine, period):
    made, _ = machine("Mill 1", ROWS)

    answer = get(f"machines/{made.pk}/timeline?{period}")

    assert answer.status_code == 400
    assert set(answer.json()) == {"code", "message", "detail"}


def test_a_key_of_another_factory_finds_no_such_machine(get, machine, other_api_key):
    made, _ = machine("Mill 1", ROWS)

    assert get(f"machines/{made.pk}/timeline", key=other_api_key).status_code == 404
    assert get("floor", key=other_api_key).json()["tiles"] == []
