"""The card of the remaining life, from what mlops predicted or why it could not."""

from django.urls import reverse

from frontend import life
from frontend.formats import moment
from frontend.life import LifeCard
from mlops import selectors as mlops_selectors
from mlops.models import ModelVersion, Prediction
from production.models import Machine


def of_machine(machine: Machine, *, may_train: bool) -> LifeCard:
    """Say how long a machine's component will last, or in plain words why that is not known."""
    component = machine.machine_type.component
    heading = f"{component}: remaining life" if component else "Remaining life"
    prediction = mlops_selectors.latest_predictions([machine.pk]).get(machine.pk)
    if prediction is None or prediction.state == Prediction.State.NOT_ENOUGH_DATA:
        return _not_yet(machine, heading, prediction, may_train=may_train)
    if prediction.state == Prediction.State.REFUSED:
        return LifeCard(
            heading=heading,
            big="We cannot tell at the moment",
            under=prediction.message,
            is_words=True,
            footnote=f"Tried {moment(prediction.made_at)}. States and charts work as they are.",
        )
    return _known(heading, prediction)


def _known(heading: str, prediction: Prediction) -> LifeCard:
    rul, low, high = prediction.rul, prediction.rul_low, prediction.rul_high
    assert rul is not None
    assert low is not None
    assert high is not None
    unit, best = prediction.unit, round(rul)
    chances = life.CHANCES.get(prediction.level, f"{round(prediction.level * 100)} % likely")
    if prediction.is_open_ended:
        big, under = life.open_words(low, unit), f"{chances}. The end is not in sight yet."
        drawn = None
    else:
        big = life.interval_words(low, high, unit)
        under = f"{chances}. Best estimate: {best:,} {life.units(best, unit)}."
        drawn = life.drawing(low=low, best=rul, high=high, unit=unit)
    under = " ".join(part for part in (under, _chances_words(prediction)) if part)
    notes = (
        f"Judged {moment(prediction.made_at)}.",
        life.usage_words(prediction.usage_at, unit),
        _track_record(prediction.version, unit),
    )
    return LifeCard(
        heading=heading,
        big=big,
        under=under,
        is_words=len(big) > 24,
        drawing=drawn,
        reasons=life.reasons(prediction.reasons),
        footnote=" ".join(note for note in notes if note),
    )


def _chances_words(prediction: Prediction) -> str:
    """Say how likely a failure is within some days, as far as that can be told."""
    told = [
        f"{days} days: {min(99, max(1, round(100 * chance)))} %"
        for days, chance in sorted(prediction.chances.items(), key=lambda item: int(item[0]))
        if chance is not None
    ]
    return f"Failure within {'; '.join(told)}." if told else ""


def _track_record(version: ModelVersion | None, unit: str) -> str:
    """Say how good the model was on lives that it had not seen."""
    if version is None:
        return ""
    words = f"Model version {version.version}"
    error, n_lives = version.metrics.get("rmse_capped"), version.metrics.get("n_lives")
    if error is None or n_lives is None:
        return f"{words}."
    off = round(error) or 1
    return (
        f"{words}, learned from {round(n_lives)} lives; on lives that it had not seen"
        f" it was off by about {off} {life.units(off, unit)}."
    )


def _not_yet(
    machine: Machine, heading: str, prediction: Prediction | None, *, may_train: bool
) -> LifeCard:
    readiness = mlops_selectors.readiness(machine.machine_type)
    message = prediction.message if prediction is not None else ""
    can_train = may_train and readiness.is_ready
    return LifeCard(
        heading=heading,
        big="Not enough data yet",
        is_words=True,
        under=message or readiness.message,
        advice=(
            "A life is learned from failures: what came before each of them teaches how the next"
            " one begins. Meanwhile states, charts and gaps work as they are."
        ),
        action="Learn from what is there" if can_train else "",
        action_url=reverse("frontend:machine-train", args=[machine.pk]) if can_train else "",
    )
