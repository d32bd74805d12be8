"""What people are written about their subscription. Pure: facts in, plain words out."""

from dataclasses import dataclass
from datetime import datetime

from billing.dunning import Step
from billing.models.accounts import BillingAccount

Cause = BillingAccount.Cause
Standing = BillingAccount.Standing


@dataclass(frozen=True, slots=True)
class Message:
    """The head and the text of a mail; the text ends before the link that is added to it."""

    subject: str
    text: str


_WRONG = {
    Cause.UNPAID: "An invoice of {name} could not be collected.",
    Cause.NO_PLAN: "{name} has no plan any more that covers what it uses.",
    Cause.CANCELLED: "The subscription of {name} has ended, as it was asked for.",
}
_WAY_BACK = {
    Cause.UNPAID: "Pay the open invoice, or leave another card: everything is back at once.",
    Cause.NO_PLAN: (
        "Choose a plan, or retire machines and people until the free plan has room for the rest."
    ),
    Cause.CANCELLED: "Choose a plan and everything is back at once.",
}


def day(at: datetime) -> str:
    return f"{at.day} {at:%B %Y}"


def overdue(name: str, *, cause: str, step: Step, days: int) -> Message:
    """Say that something is to be paid or chosen, while everything still works."""
    until = day(step.until) if step.until else ""
    what = _WRONG[Cause(cause)].format(name=name)
    subject = f"{name}: please look at your subscription"
    if days:
        subject = f"{name}: read only from {until}"
    return Message(
        subject,
        f"{what} Everything works until {until}; from then on it can only be read, while devices"
        f" go on sending. {_WAY_BACK[Cause(cause)]}",
    )


def closed(name: str, *, cause: str, step: Step) -> Message:
    """Say that a door was closed, what still works, and what comes next."""
    what, back = _WRONG[Cause(cause)].format(name=name), _WAY_BACK[Cause(cause)]
    until = day(step.until) if step.until else ""
    if step.standing == Standing.READ_ONLY:
        return Message(
            f"{name} is read only",
            f"{what} Devices go on sending and nothing is lost, but nothing can be changed."
            f" On {until} the factory is suspended. {back}",
        )
    if step.standing == Standing.SUSPENDED:
        return Message(
            f"{name} is suspended; its data are kept until {until}",
            f"{what} Readings are refused now. Until {until} you can take all data along"
            f" (Usage and bill, Take your data along); then they are deleted. {back}",
        )
    return Message(
        f"{name} is being deleted",
        f"{what} The time to take the data along is over. A record of the deletion is sent to you.",
    )


def in_order(name: str) -> Message:
    return Message(
        f"{name}: everything is in order again",
        "Thank you. All limits of the plan are back, and devices are heard as before.",
    )


def trial_ends(name: str, *, ends: datetime, has_card: bool) -> Message:
    """Say what happens at the end of a trial."""
    if has_card:
        then = f"From {day(ends)} on the plan is charged by the month; nothing is to be done."
    else:
        then = (
            f"Leave a card before {day(ends)} to go on. Without one the plan ends then, nothing is"
            " charged, and the factory is on the free plan if it has room for it."
        )
    return Message(f"{name}: the trial ends on {day(ends)}", then)


def budget_reached(name: str, *, percent: int, total: str, budget: str, expected: str) -> Message:
    """Say that a share of the budget is used up."""
    return Message(
        f"{name}: {percent} % of the budget for this month",
        f"The bill stands at {total}, the budget is {budget}. Expected for the end of the month:"
        f" {expected}.",
    )


def cap_reached(name: str, *, label: str, keeps: bool, n_days: int) -> Message:
    """Say that a meter stopped at the owner's cap, and what happens to what comes."""
    then = (
        f"What comes from now on is kept and shown for {n_days} days, and not charged. Buy it back"
        " until then by raising the cap; otherwise only hourly figures of it stay."
        if keeps
        else "What comes from now on is refused with the code cap_reached until the month ends or"
        " the cap is raised."
    )
    return Message(f"{name}: {label} reached your cap", then)
