import json

import pytest
from django.test import Client
from django.utils import timezone

from mlops.models import Kind, ModelVersion, Prediction
from tenants.context import factory_context
from tests.conftest import PUBLIC_HOST
from tests.mlops import plant


@pytest.fixture
def call(api_key):
    def send(method, path):
        return Client().generic(
            method, f"/api/v1/{path}", data=json.dumps({}), content_type="application/json",
            secure=True, HTTP_HOST=PUBLIC_HOST, HTTP_AUTHORIZATION=f"Bearer {api_key}",
        )  # fmt: skip

    return send


@pytest.fixture
def predicted(acme):
    with factory_context(acme):
        kind = plant.mill_type()
        machines = [plant.mill(f"Mill {i}", kind) for i in (1, 2)]
        version = ModelVersion.objects.create(
            kind=Kind.REMAINING_LIFE, machine_type=kind, version=4, alias="champion",
            job_id="00000000-0000-0000-0000-000000000001", artifact_key="k", digest="d",
            unit="cycles", metrics={"rmse_capped": 9.0}, created_at=timezone.now(),
        )  # fmt: skip
        for rul, machine in ((40.0, machines[0]), (12.0, machines[1])):
            Prediction.objects.create(
                machine=machine, version=version, made_at=timezone.now(), state="ok", rul=rul,
                rul_low=rul - 5, rul_high=rul + 5, usage_at=30.0, unit="cycles",
                reasons=[{"signal": "vib", "share": 1.0, "sentence": "Up.", "value": 4.0,
                          "usual": [1.0, 2.0]}],
            )  # fmt: skip
    return kind, machines


def test_the_machine_with_the_least_left_comes_first(call, predicted):
    answer = call("GET", "predictions").json()

    assert [(row["machine_name"], row["rul"]) for row in answer] == [
        ("Mill 2", 12.0),
        ("Mill 1", 40.0),
    ]
    assert answer[0]["version"] == 4
    assert answer[0]["reasons"][0]["usual"] == [1.0, 2.0]


def test_the_predictions_of_a_machine_are_its_own(call, predicted):
    _kind, machines = predicted

    rows = call("GET", f"machines/{machines[0].pk}/predictions").json()["results"]

    assert [row["rul"] for row in rows] == [40.0]


def test_versions_and_readiness_are_shown(call, predicted):
    kind, _machines = predicted

    model = call("GET", f"machine-types/{kind.pk}/model").json()

    assert [row["version"] for row in call("GET", "models").json()["results"]] == [4]
    assert model["champion"]["version"] == 4
    assert model["readiness"]["n_needed"] == 9


def test_training_without_history_says_what_is_missing(call, predicted):
    kind, _machines = predicted

    answer = call("POST", f"machine-types/{kind.pk}/model")

    assert answer.status_code == 409
    assert answer.json()["code"] == "not_enough_data"
    assert "needs about 9 more failures" in answer.json()["message"]


def test_training_is_queued_and_followed(call, acme):
    with factory_context(acme):
        kind, _machines = plant.mills_with_history()

    answer = call("POST", f"machine-types/{kind.pk}/model")

    assert answer.status_code == 202
    assert answer.json()["state"] == "queued"


@pytest.mark.parametrize(
    ("role", "status"), [("viewer", 403), ("operator", 403), ("engineer", 409)]
)
def test_who_may_train(portal, predicted, role, status):
    kind, _machines = predicted

    answer = portal(role).post(f"/api/v1/machine-types/{kind.pk}/model")

    assert answer.status_code == status


def test_lists_take_a_fixed_number_of_queries(call, predicted, django_assert_max_num_queries):
    with django_assert_max_num_queries(6):
        call("GET", "predictions")
