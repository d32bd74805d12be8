"""From what models say to work that is proposed: once a finding, with reason, date and price."""

from collections.abc import Iterable
from datetime import timedelta

from mlops import datasets
from mlops.models import Kind, Prediction
from production import services as production_services
from production.models import Machine, WorkOrder

# Failure within a fortnight is at least this likely: then the work is worth planning.
LIKELY = 0.3
PLAN_DAYS = 14
SOON_DAYS = 7
# An unusual machine is looked at when it stays so; a passing oddity is no work.
LASTING = timedelta(hours=2)
MATTERS_BELOW = 70.0  # of an index of 100


def propose(predictions: Iterable[Prediction]) -> list[WorkOrder]:
    """Propose an order for each prediction that calls for work; a finding has one open order."""
    found = []
    for prediction in predictions:
        if prediction.state != Prediction.State.OK or prediction.is_shadow:
            continue
        if not calls_for_work(prediction):
            continue
        if prediction.kind == Kind.REMAINING_LIFE:
            found += _wear(prediction)
        elif prediction.version_id is not None:
            found += _unusual(prediction)
    return found


def calls_for_work(prediction: Prediction) -> bool:
    """Say whether a prediction flags its machine: likely to fail within a fortnight, unusual."""
    if prediction.kind == Kind.REMAINING_LIFE:
        return (prediction.chances.get(str(PLAN_DAYS)) or 0.0) >= LIKELY
    return prediction.since is not None


def _wear(prediction: Prediction) -> list[WorkOrder]:
    chances = {int(days): chance for days, chance in prediction.chances.items()}
    within = chances[PLAN_DAYS] or 0.0
    machine, per_day = prediction.machine, prediction.usage_per_day or 0.0
    component = machine.machine_type.component or "machine"
    is_soon = (chances.get(SOON_DAYS) or 0.0) >= 0.5
    due_by = None
    if per_day > 0 and prediction.rul_low is not None:
        # Before the early end of the interval, but never in the past.
        days = max(1.0, min(prediction.rul_low / per_day, float(PLAN_DAYS)))
        due_by = prediction.made_at + timedelta(days=days)
    cost = machine.cost_per_hour_minor
    hours = _hours_down(machine)
    waiting = round(cost * hours * within / PLAN_DAYS) if cost else None
    return [
        production_services.propose_work_order(
            machine_id=machine.pk,
            title=f"{component}: check and replace",
            component=machine.machine_type.component,
            dedup_key=f"wear-{machine.pk}",
            at=prediction.made_at,
            source_ref=f"prediction-{prediction.pk}",
            reason=_reason(prediction, within),
            first_checks=_checks(prediction),
            priority=1 if is_soon else 2,
            due_from=prediction.made_at,
            due_by=due_by,
            waiting_cost_minor_per_day=waiting,
            waiting_cost=(
                f"{within:.0%} chance in {PLAN_DAYS} days of about {hours:g} h standstill"
                if waiting
                else ""
            ),
        )
    ]


def _reason(prediction: Prediction, within: float) -> str:
    low, high = prediction.rul_low or 0.0, prediction.rul_high or 0.0
    span = f"between {low:.0f} and {high:.0f} {prediction.unit}"
    sentences = [str(reason["sentence"]) for reason in prediction.reasons]
    return "\n".join(
        [
            f"Failure within {PLAN_DAYS} days: {within:.0%}. Left: {span} of use "
            f"({prediction.level:.0%} sure).",
            *sentences,
        ]
    )


def _unusual(prediction: Prediction) -> list[WorkOrder]:
    since, health = prediction.since, prediction.health
    if since is None or health is None or prediction.made_at - since < LASTING:
        return []
    if health > MATTERS_BELOW:
        return []
    machine = prediction.machine
    return [
        production_services.propose_work_order(
            machine_id=machine.pk,
            title="Unusual behaviour: find the cause",
            component="",
            dedup_key=f"unusual-{machine.pk}",
            at=prediction.made_at,
            source_ref=f"prediction-{prediction.pk}",
            reason="\n".join(str(reason["sentence"]) for reason in prediction.reasons)
            or "The signals do not fit each other.",
            first_checks=_checks(prediction),
            priority=2 if health < 50 else 3,
            due_from=prediction.made_at,
            due_by=prediction.made_at + timedelta(days=SOON_DAYS),
        )
    ]


def _checks(prediction: Prediction) -> list[str]:
    """Say what to look at first: the strongest signals, the sensor before the machine."""
    keys = [str(reason["signal"]) for reason in prediction.reasons[:2]]
    if not keys:
        return []
    names = datasets.names_of(prediction.machine)
    labels = [names[key].label if key in names else key for key in keys]
    return [
        f"Is the sensor of {labels[0]} firmly mounted and its cable whole?",
        *(f"Look, listen and feel where {label} is measured." for label in labels),
    ]


def _hours_down(machine: Machine) -> float:
    """Return the usual standstill after a failure of the machine, in hours; 4 if not known."""
    hours = [
        (f.restored_at - f.failed_at) / timedelta(hours=1)
        for f in datasets.failures_of(machine)
        if f.restored_at is not None
    ]
    return sorted(hours)[len(hours) // 2] if hours else 4.0
