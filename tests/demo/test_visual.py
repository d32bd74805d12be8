"""Brackets under the camera: what teaches, what the gauge says, what is left to be found."""

from dataclasses import replace

import pytest
from django.utils import timezone

from config.demo import brackets, founding, visual
from config.demo.diary import FactoryEntry
from config.demo.machines import ACME
from config.demo.simulator import simulate
from mlops.models import ImageRegion, InspectionImage
from mlops.selectors import disagreements
from production import services as production_services
from production.models import Inspection, InspectionPlan
from tenants.context import factory_context
from tenants.models import User

DAYS = 3


@pytest.fixture
def station(acme, monkeypatch):
    monkeypatch.setattr(brackets, "DAYS_BACK", 2.0)
    monkeypatch.setattr(visual, "TEACHING_DAYS", (2.0, 0.5))
    monkeypatch.setattr(visual, "N_GOOD", 5)
    monkeypatch.setattr(visual, "N_SPOILT", 6)
    owner = User.objects.get(email="owner@acme.example")
    founded = founding.found_plant(
        ACME, FactoryEntry("Acme Precision", "acme", ""), acme, owner, days=DAYS
    )
    until = founded.anchor + 2 * 86_400
    machines = simulate(ACME, seed=7, anchor=founded.anchor, days=DAYS, until=until)
    with factory_context(acme):
        yield visual.Station(machines, founded.machines)


def test_people_label_what_teaches_once_and_do_not_always_agree(station):
    now = timezone.now().timestamp()
    for _ in range(2):
        station.prepare(now=now)

    plan = InspectionPlan.objects.get(name=visual.SURFACE)
    images = InspectionImage.objects.filter(plan=plan)
    assert images.filter(label="good").count() == visual.N_GOOD
    assert images.filter(label="defect").count() == visual.N_SPOILT
    assert set(ImageRegion.objects.values_list("defect_type__code", flat=True)) <= set(
        brackets.KINDS
    )
    assert len(disagreements(plan.pk)) < visual.N_SPOILT
    assert plan.escape_cost_minor == 4_500


def test_the_gauge_measures_the_last_piece_of_each_lot_on_its_mill(station):
    now = timezone.now().timestamp()

    station.prepare(now=now)

    rows = Inspection.objects.filter(plan__name=visual.DIMENSIONS, state="done")
    ended = [lot for lot in station.lots if lot.ended + visual.GAUGED_AFTER_S <= now]
    assert set(rows.values_list("lot__code", "piece", "machine__name")) == {
        (lot.code, str(lot.last.n_pieces), lot.last.machine) for lot in ended
    }
    for row in rows.filter(verdict="pass").prefetch_related("measurements"):
        assert all(each.is_within for each in row.measurements.all())


def test_the_camera_sees_the_pieces_that_the_plan_asks_for(station, monkeypatch):
    monkeypatch.setattr(visual, "MOST_WATCHED", 10_000)  # all of them, whatever the hour
    station.prepare(now=station.anchor)

    seen = station._sampled(now=station.anchor)

    due = Inspection.objects.filter(plan__name=visual.SURFACE, state="due")
    assert due.exists()
    assert set(due.values_list("lot__code", "piece")) <= {
        (piece.lot.code, str(piece.number)) for piece in seen
    }
    assert max(piece.seen for piece in seen) <= station.anchor
    assert sum(flaw.severity == 0.02 for piece in seen for flaw in piece.flaws) == 1


def test_what_the_camera_saw_is_written_down_once_and_tied_to_its_piece(station, monkeypatch):
    monkeypatch.setattr(visual, "MOST_WATCHED", 4)
    now = station.anchor
    station.prepare(now=now)

    told = [station.judge(now=now) for _ in range(2)]

    images = InspectionImage.objects.filter(inspection__isnull=False)
    rows = images.values_list(
        "inspection__lot__code", "inspection__piece", "inspection__machine__name"
    )
    assert set(rows) == {
        (piece.lot.code, str(piece.number), piece.lot.last.machine)
        for piece in station._sampled(now=now)
    }
    assert len(rows) == 4
    # Nothing has been learned yet: nothing can have been found.
    assert told == ["0 of 0 planted defects found in pictures, 0 of 0 good parts refused, "
                    "4 pictures not judged"] * 2  # fmt: skip


def test_after_a_plan_is_revised_its_pictures_and_inspections_stay_what_they_are(station):
    now = timezone.now().timestamp()
    station.prepare(now=now)
    n_images, n_done = (
        InspectionImage.objects.count(),
        Inspection.objects.filter(state="done").count(),
    )
    for fields in visual.PLANS:
        plan = InspectionPlan.objects.get(name=fields.name, state="released")
        production_services.revise_inspection_plan(
            plan_id=plan.pk, fields=replace(fields, sample_n=2), at=timezone.now(), by=None
        )

    station.prepare(now=now)

    assert InspectionImage.objects.count() == n_images
    assert Inspection.objects.filter(state="done").count() == n_done
