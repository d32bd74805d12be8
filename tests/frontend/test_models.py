"""The pages of models: the list, one model, its buttons, who may press them."""

import pytest
from django.utils import timezone

from mlops.models import Finding, Kind, ModelVersion, Outcome, VersionEvent
from production import services as production_services
from tenants import storage
from tenants.models import Job


@pytest.fixture
def kind(in_acme):
    return production_services.machine_type(name="Lathe", component="Spindle")


def version_of(kind, number, alias="", **fields):
    made = ModelVersion.objects.create(
        kind=Kind.REMAINING_LIFE, machine_type=kind, version=number, alias=alias,
        job_id=f"00000000-0000-0000-0000-0000000000{number:02}", digest="d",
        artifact_key="acme/models/k.takt",
        unit="h", created_at=timezone.now(),
        metrics={"rmse_capped": 9.2, "rmse_capped_low": 7.0, "rmse_capped_high": 12.0,
                 "rmse_by_age_alone": 20.1, "coverage_80": 0.81},
        trained_on={"n_lives": 14, "n_machines": 3, "digest": "abc", "until": "2026-11-01"},
        weaknesses=["It sees wear at most 80 h ahead."], **fields,
    )  # fmt: skip
    VersionEvent.objects.create(
        version=made, at=timezone.now(), what="promoted" if alias else "not_promoted",
        reason="Better beside version 0 on 6 cases.",
    )  # fmt: skip
    return made


@pytest.fixture
def served(kind):
    return version_of(kind, 1, "champion")


def path(kind):
    return f"/models/{kind.pk}/remaining_life/"


def text_of(answer, status=200):
    assert answer.status_code == status, answer.content[:2000]
    return answer.content.decode()


def test_without_machine_types_the_page_says_what_it_is_for(in_acme, portal):
    assert "Nothing to learn from yet" in text_of(portal("viewer").get("/models/"))


def test_a_type_without_a_model_says_what_it_needs(kind, portal):
    assert "needs about 9 more failures" in text_of(portal("viewer").get("/models/"))
    assert "needs about 9 more failures" in text_of(portal("viewer").get(path(kind)))


def test_the_list_shows_what_serves_and_its_track_record(served, kind, portal):
    machine = production_services.add_machine(name="Lathe 1", machine_type=kind)
    for i in range(3):
        Outcome.objects.create(
            version=served, machine=machine, case_key=str(i), known_at=timezone.now(),
            was_serving=True, n_predictions=2, loss=0.1, is_right=i > 0,
        )  # fmt: skip
    shown = text_of(portal("viewer").get("/models/"))

    assert "Version 1 is in service" in shown
    assert "Right 2 of 3 times" in shown


def test_the_page_says_how_good_it_is_where_it_is_weak_and_what_was_found(served, kind, portal):
    Finding.objects.create(
        version=served, what="input_drift", signal="heat", found_at=timezone.now(),
        seen_at=timezone.now(), message="Heat of Lathe 1 is at 90: check the sensor.",
    )  # fmt: skip
    shown = text_of(portal("engineer").get(path(kind)))

    for expected in (
        "Version 1 is in service since", "9.2 operating hours (7 to 12)", "20.1 operating hours",
        "It sees wear at most 80 h ahead.", "check the sensor", "Better beside version 0",
    ):  # fmt: skip
        assert expected in shown


def test_two_versions_are_shown_beside_each_other(served, kind, portal):
    version_of(kind, 2)

    shown = text_of(portal("viewer").get(f"{path(kind)}?compare=2"))

    assert "Version 2 beside version 1" in shown
    assert "Nothing that both were asked about" in shown
    assert "Decide yourself" not in shown


def test_an_engineer_is_told_why_a_version_cannot_serve(served, kind, portal, monkeypatch):
    other = version_of(kind, 2)

    def missing(*, key):
        raise storage.ObjectMissing(key)

    monkeypatch.setattr(storage, "get_bytes", missing)

    answer = portal("engineer").post(
        f"{path(kind)}act/",
        {"action": "promote", "version": str(other.pk), "reason": "x"},
        follow=True,
    )

    assert "Version 2 cannot serve." in text_of(answer)
    other.refresh_from_db()
    assert other.alias == ""


def test_learning_is_shown_and_can_be_cancelled(served, kind, portal, acme):
    Job.objects.create(
        factory=acme, task="mlops.train", state="running", progress=0.4,
        message="Building features", key=f"acme:train-remaining_life-{kind.pk}",
    )  # fmt: skip
    assert "Learning: Building features" in text_of(portal("viewer").get(path(kind)))

    answer = portal("engineer").post(f"{path(kind)}act/", {"action": "cancel"}, follow=True)

    assert "Learning is cancelled." in text_of(answer)
    assert Job.objects.get(task="mlops.train").state == "failed"


@pytest.mark.parametrize("action", ["train", "cancel", "promote", "roll-back"])
def test_who_may_only_look_presses_no_button(served, kind, portal, action):
    answer = portal("operator").post(f"{path(kind)}act/", {"action": action})

    assert answer.status_code == 403


def test_an_unknown_kind_and_an_unknown_button_do_not_exist(served, kind, portal):
    assert portal("viewer").get(f"/models/{kind.pk}/crystal-ball/").status_code == 404
    answer = portal("engineer").post(f"{path(kind)}act/", {"action": "x"}, follow=True)
    assert "no such button" in text_of(answer)
