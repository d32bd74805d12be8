"""Every limit of a plan against 50 requests at once: exactly as many pass as it allows."""

import re
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from django.core import mail
from django.db import connection

from mlops import services as mlops_services
from mlops.kinds import NotReady, Readiness
from mlops.maintenance.remaining_life import RemainingLife
from mlops.models import InspectionImage
from production import services as production_services
from production.models import Machine
from production.services import MachineLimitReached
from tenants import people
from tenants.context import factory_context
from tenants.limits import LimitReached
from tenants.models import FactoryLimits, Invitation, Job, Membership, MonthlyUse, User
from tests.mlops.pictures import shots
from tests.telemetry.ingest.conftest import Plant

NOON = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
N_AT_ONCE = 50
MOST = 7
JOIN_S = 120
REFUSALS = (MachineLimitReached, people.TooManyPeople, NotReady, LimitReached)


def at_once(works: list[Callable[[], Any]]) -> list[Any]:
    """Do each on a connection of its own, all at once; return what came of it, or the refusal."""
    gate, results = threading.Barrier(len(works)), []

    def run(work: Callable[[], Any]) -> None:
        try:
            with factory_context("mills"):
                connection.ensure_connection()
                gate.wait(JOIN_S)
                results.append(work())
        except REFUSALS as refusal:
            results.append(refusal)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=[work]) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(JOIN_S)
    assert len(results) == len(works), "somebody raised or waits for ever"
    return results


def n_passed(results: list[Any]) -> int:
    return sum(not isinstance(one, REFUSALS) for one in results)


@pytest.fixture
def limit(plant: Plant) -> Iterator[Callable[..., None]]:
    """Set limits of `mills`, for one test."""

    def change(**limits: Any) -> None:
        FactoryLimits.objects.filter(factory__schema_name="mills").update(**limits)

    with plant.inside("mills"):
        yield change
        change(
            max_machines=None, max_people=None, trainings_per_month=None, images_per_month=None,
            capped_meters=[],
        )  # fmt: skip


def test_machines(limit):
    kind = production_services.machine_type(name="Limited")
    limit(max_machines=Machine.objects.count() + MOST)
    before = Machine.objects.count()

    results = at_once(
        [lambda: production_services.add_machine(name="Limited", machine_type=kind)] * N_AT_ONCE
    )

    assert n_passed(results) == Machine.objects.count() - before == MOST


def test_people_who_are_invited(limit, plant):
    owner = Membership.objects.select_related("user", "factory").get(
        factory__schema_name="mills", role="owner"
    )
    limit(max_people=1 + MOST)

    def inviting(n: int) -> Callable[[], None]:
        return lambda: people.invite(
            factory=owner.factory, email=f"{uuid4().hex}@mills.example", role="viewer",
            actor=owner, at=NOON,
        )  # fmt: skip

    results = at_once([inviting(n) for n in range(N_AT_ONCE)])

    assert n_passed(results) == Invitation.objects.filter(factory=owner.factory).count() == MOST
    Invitation.objects.filter(factory=owner.factory).delete()


def test_people_who_join_after_the_plan_became_smaller(limit):
    owner = Membership.objects.select_related("user", "factory").get(
        factory__schema_name="mills", role="owner"
    )
    limit(max_people=None)
    joining = []
    for _ in range(N_AT_ONCE):
        user = User.objects.create_user(f"{uuid4().hex}@mills.example")
        mail.outbox.clear()
        people.invite(factory=owner.factory, email=user.email, role="viewer", actor=owner, at=NOON)
        found = re.search(r"/invitations/(\S+)/", str(mail.outbox[0].body))
        assert found is not None
        joining.append((user, found[1]))
    limit(max_people=1 + MOST)

    results = at_once(
        [
            lambda user=user, token=token: people.accept_invitation(token=token, user=user, at=NOON)
            for user, token in joining
        ]
    )

    members = Membership.objects.filter(factory=owner.factory).exclude(pk=owner.pk)
    assert n_passed(results) == members.count() == MOST
    n_open = people.open_invitations(owner.factory, at=NOON).count()
    assert n_open == N_AT_ONCE - MOST  # a refused invitation can be used when there is room
    members.delete()
    Invitation.objects.filter(factory=owner.factory).delete()


def test_trainings(limit, monkeypatch):
    ready = Readiness(is_ready=True, n_known=9, n_needed=3, message="")
    monkeypatch.setattr(RemainingLife, "readiness", lambda _self, _subject: ready)
    kinds = [production_services.machine_type(name=f"Taught {n}") for n in range(N_AT_ONCE)]
    limit(trainings_per_month=MOST)

    results = at_once(
        [
            lambda kind=kind: mlops_services.request_training(subject_id=kind.pk, by=None)
            for kind in kinds
        ]
    )

    jobs = Job.objects.filter(factory__schema_name="mills", task="mlops.train")
    assert n_passed(results) == jobs.count() == MOST
    jobs.delete()


@pytest.mark.parametrize("n_before", [0, 2])
def test_pictures(limit, n_before):
    """Also where some came before anybody counted, and where every request finds no count yet."""
    plan = shots.plan(item_no=uuid4().hex[:12])
    InspectionImage.objects.all().delete()
    limit(images_per_month=None)
    for n in range(n_before):
        add(plan, 1_000 + n)
    MonthlyUse.objects.filter(factory__schema_name="mills").delete()
    limit(images_per_month=n_before + MOST)

    results = at_once([lambda n=n: add(plan, n) for n in range(N_AT_ONCE)])

    assert n_passed(results) == InspectionImage.objects.count() - n_before == MOST
    assert MonthlyUse.objects.get(factory__schema_name="mills").n_used == n_before + MOST
    codes = {one.code for one in results if isinstance(one, LimitReached)}
    assert codes == {"plan_limit"}


def test_one_picture_sent_fifty_times_is_counted_once(limit):
    plan = shots.plan(item_no=uuid4().hex[:12])
    InspectionImage.objects.all().delete()
    MonthlyUse.objects.filter(factory__schema_name="mills").delete()
    limit(images_per_month=MOST)

    results = at_once([lambda: add(plan, 1)] * N_AT_ONCE)

    assert n_passed(results) == N_AT_ONCE
    assert MonthlyUse.objects.get(factory__schema_name="mills").n_used == 1


def test_a_cap_on_pictures_refuses_all_with_a_time_to_come_back(limit):
    plan = shots.plan(item_no=uuid4().hex[:12])
    limit(capped_meters=["images"])

    (refusal,) = at_once([lambda: add(plan, 1)])

    assert refusal.code == "cap_reached"
    assert refusal.retry_at == datetime(2026, 12, 1, tzinfo=UTC)
    assert refusal.seconds_from(NOON) == 4.5 * 86_400 + 1


def add(plan: Any, seed: int) -> InspectionImage:
    image, _is_new = mlops_services.add_picture(
        plan_id=plan.pk, content=shots.shot(seed), source="api", at=NOON
    )
    return image
