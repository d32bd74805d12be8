"""The life of a quality model: lots are judged, learned from, and forecast where it is worth it."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import numpy as np
import pytest

from mlops import selectors, services
from mlops.models import Kind, ModelVersion, QualityPrediction
from production import services as production_services
from production.models import DefectType, InspectionPlan, Lot
from production.services import LotFields, RunFields
from telemetry.models import Keyset, ReadingHot, Signal, SignalKey
from tests.mlops import plant

pytestmark = pytest.mark.slow

START = datetime(2026, 9, 1, tzinfo=UTC)
N_LOTS = 220
EVERY = timedelta(hours=3)


@pytest.fixture
def line(in_acme):
    """A filler and a capper; what is filled is weighed after capping."""
    kind = plant.mill_type("Filler")
    product = production_services.make_product(item_no="B-1", name="Bottle")
    filling = InspectionPlan.objects.create(
        product=product, name="Fill weight", operation="20 capping"
    )
    DefectType.objects.create(code="underfill", name="Underfill")
    return plant.mill("Filler 1", kind), plant.mill("Capper 1", kind), filling


def write(machine, key, *, at, values):
    """Write one signal as readings, a minute apart."""
    device = machine.devices.get()
    known, _ = SignalKey.objects.get_or_create(key=key, kind="n")
    keyset, _ = Keyset.objects.get_or_create(key_ids=[known.pk])
    Signal.objects.get_or_create(
        device=device, key=known, defaults={"label": key, "first_seen_at": at}
    )
    ReadingHot.objects.bulk_create(
        ReadingHot(
            device_id=device.pk, ts=at + timedelta(minutes=i), keyset_id=keyset.pk,
            vals=[float(value)],
        )
        for i, value in enumerate(values)
    )  # fmt: skip


def make(line, n, *, causes, first=0, is_judged=True, seed=0):
    """Make lots: pressure at the filler decides, where `causes`; nothing else does."""
    filler, capper, plan = line
    rng = np.random.default_rng(seed + first)
    items, runs, bad = [], [], []
    for number in range(first, first + n):
        begun = START + number * EVERY
        pressure = float(rng.normal(2.0, 0.2))
        write(filler, "pressure_bar", at=begun, values=pressure + rng.normal(0, 0.02, 20))
        write(capper, "torque_nm", at=begun + timedelta(minutes=30), values=rng.normal(1, 0.1, 20))
        is_bad = pressure < 1.78 if causes else rng.random() < 0.15
        bad.append(bool(is_bad != (rng.random() < 0.02)))
        code = f"L{number:04d}"
        items.append(LotFields("B-1", code, begun, Decimal(500)))
        for sequence, name, machine, late in (
            (10, "10 filling", filler, 0), (20, "20 capping", capper, 30),
        ):  # fmt: skip
            started = begun + timedelta(minutes=late)
            runs.append(
                RunFields(
                    "B-1", code, name, machine.pk, started, started + timedelta(minutes=25),
                    sequence=sequence, parameters={"recipe": "R7"},
                )
            )  # fmt: skip
    at = START + (first + n) * EVERY
    assert not production_services.record_lots(items=items, at=at).rejected
    for chunk in range(0, len(runs), 400):
        production_services.record_runs(items=runs[chunk : chunk + 400], at=at)
    if is_judged:
        for item, is_bad in zip(items, bad, strict=True):
            lot = Lot.objects.get(code=item.code)
            when = item.made_at + timedelta(hours=1)
            production_services.record_inspection(
                plan_id=plan.pk, at=when, lot_id=lot.pk, inspected_at=when,
                verdict="fail" if is_bad else "pass", defects={"underfill": 1} if is_bad else {},
            )  # fmt: skip
    return at


def trained(plan):
    services.train(subject_id=plan.pk, job_id=uuid4(), report=lambda *_: None, kind=Kind.QUALITY)
    return ModelVersion.objects.filter(inspection_plan=plan).latest("version")


def test_too_few_lots_are_said_to_be_too_few(line):
    make(line, 5, causes=True)

    assert "60 and 8 are needed" in selectors.readiness(line[2], kind=Kind.QUALITY).message


def test_a_cause_of_the_first_stage_is_found_and_warns_early(line, shelf, book):
    plan = line[2]
    make(line, N_LOTS, causes=True)
    version = trained(plan)

    assert version.alias == ModelVersion.Alias.CHAMPION, version.events.last().reason
    filler, _capper, _plan = line
    begun = START + N_LOTS * EVERY
    lot = production_services.make_lot(product=plan.product, code="NOW", made_at=begun, at=begun)
    write(filler, "pressure_bar", at=begun, values=np.full(20, 1.55))
    run = RunFields(
        "B-1", "NOW", "10 filling", filler.pk, begun, begun + timedelta(minutes=25), sequence=10,
        parameters={"recipe": "R7"},
    )  # fmt: skip
    production_services.record_runs(items=[run], at=begun + timedelta(minutes=26))

    services.predict_quality(at=begun + timedelta(minutes=27))

    said = QualityPrediction.objects.get(lot=lot, is_shadow=False)
    assert said.state == "ok"
    assert said.stages_known == ["10 filling"]
    assert not said.is_complete
    assert 0.0 <= (said.chance_low or 0.0) <= (said.chance or 0.0) <= (said.chance_high or 0.0)
    assert (said.chance or 0.0) > 0.5
    assert "pressure_bar" in said.reasons[0]["signal"]
    assert said.reasons[0]["signal"].startswith("10 filling")


def test_what_came_of_it_is_the_track_record(line, shelf, book):
    plan = line[2]
    make(line, N_LOTS, causes=True)
    version = trained(plan)
    ModelVersion.objects.filter(pk=version.pk).update(created_at=START + N_LOTS * EVERY)
    version.refresh_from_db()
    make(line, 4, causes=True, first=N_LOTS, is_judged=False)
    at = START + (N_LOTS + 4) * EVERY
    services.predict_quality(at=at)
    for lot in Lot.objects.filter(code__gte=f"L{N_LOTS:04d}"):
        production_services.record_inspection(
            plan_id=plan.pk, at=at + timedelta(hours=1), lot_id=lot.pk, verdict="pass"
        )

    services.settle(version=version, at=at + timedelta(hours=2))

    record = selectors.track_record(subject_id=plan.pk, kind=Kind.QUALITY)
    assert record.n == 4


def test_rejects_without_a_cause_are_said_to_have_none_and_nothing_serves(line, shelf, book):
    make(line, N_LOTS, causes=False)
    version = trained(line[2])

    assert version.alias == ModelVersion.Alias.NONE
    reason = version.events.get(what="not_promoted").reason
    assert "no model is served" in reason.lower()
    assert services.predict_quality(at=START + N_LOTS * EVERY) == 0
    services.begin_where_ready()
    job = services.open_training(subject_id=line[2].pk, kind=Kind.QUALITY)
    assert job is None  # nothing new to learn from yet
