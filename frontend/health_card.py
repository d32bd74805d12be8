"""The card of a machine's health: how it is, why, and how far up the ladder it is judged."""

from dataclasses import dataclass

from django.urls import reverse

from frontend import life
from frontend.formats import moment
from frontend.life import Reason
from mlops import selectors as mlops_selectors
from mlops.models import Kind, Prediction
from production import selectors as production_selectors
from production.models import Machine

# An index of 100 is as usual; at 50 a signal is an outlier by common reckoning.
AS_USUAL, DOUBTFUL = 80.0, 50.0


@dataclass(frozen=True)
class Rung:
    """A rung of the ladder: what judges, whether it does yet, and what it still needs."""

    name: str
    is_reached: bool
    words: str
    url: str = ""


@dataclass(frozen=True)
class HealthCard:
    big: str
    under: str
    is_off: bool
    reasons: tuple[Reason, ...]
    order_url: str
    order_words: str
    rungs: tuple[Rung, ...]
    footnote: str


def of_machine(machine: Machine) -> HealthCard:
    """Say how a machine is, by the highest rung of the ladder that it has reached."""
    found = mlops_selectors.latest_predictions([machine.pk], kind=Kind.ANOMALY).get(machine.pk)
    big, under, is_off = _words(found)
    open_orders = production_selectors.open_orders().filter(machine=machine)
    order = open_orders.filter(source="prediction").first()
    return HealthCard(
        big=big,
        under=under,
        is_off=is_off,
        reasons=life.reasons(found.reasons) if found else (),
        order_url=reverse("frontend:order", args=[order.pk]) if order else "",
        order_words=f"{order.title} ({order.get_state_display().lower()})" if order else "",
        rungs=_rungs(machine, found),
        footnote=_footnote(machine, found),
    )


def _words(found: Prediction | None) -> tuple[str, str, bool]:
    if found is None:
        return "Not judged yet", "The first hour of readings tells what is usual.", False
    if found.state != Prediction.State.OK or found.health is None:
        return "Not judged yet", found.message, False
    index = round(found.health)
    if found.since is not None:
        return "Unusual", f"Health {index} of 100, unusual since {moment(found.since)}.", True
    if index >= AS_USUAL:
        return "As usual", f"Health {index} of 100.", False
    words = "A little off" if index >= DOUBTFUL else "Off"
    return words, f"Health {index} of 100 by the latest readings.", index < DOUBTFUL


def _rungs(machine: Machine, found: Prediction | None) -> tuple[Rung, ...]:
    machine_type = machine.machine_type
    is_judged = found is not None and found.state == Prediction.State.OK
    rungs = [
        Rung(
            "Rules", True, "Limits that your people set raise alarms.", reverse("frontend:alarms")
        ),
        Rung(
            "Each signal by itself",
            is_judged,
            "From the first hour: how far a signal is from its usual level."
            if is_judged
            else "Needs an hour of readings.",
        ),
    ]
    for kind, name, words in (
        (Kind.ANOMALY, "Signals together", "What does not fit, and since when."),
        (Kind.REMAINING_LIFE, "Remaining life", "How long the component will last."),
    ):
        champion = mlops_selectors.champion(subject_id=machine_type.pk, kind=kind)
        told = words if champion else mlops_selectors.readiness(machine_type, kind=kind).message
        url = reverse("frontend:model", args=[machine_type.pk, kind.value])
        rungs.append(Rung(name, champion is not None, told, url))
    return tuple(rungs)


def _footnote(machine: Machine, found: Prediction | None) -> str:
    if found is None:
        return ""
    record = mlops_selectors.track_record(machine_id=machine.pk, kind=Kind.ANOMALY)
    told = f" Right {record.n_right} of {record.n} times on this machine." if record.n else ""
    by = f" by model version {found.version.version}" if found.version else ""
    return f"Judged {moment(found.made_at)}{by}.{told}"
