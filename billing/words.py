"""What people are written about their subscription. Pure: facts in, plain words out."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from billing.dunning import Step
from billing.models.accounts import BillingAccount
from billing.plans import Item

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


def year_declined(name: str, *, reason: str) -> Message:
    """Say that machines that were to be paid for a year could not be."""
    return Message(
        f"{name}: the machines by the year were not paid",
        f"Your card was asked once Stripe could be reached again. The bank says: {reason} Nothing"
        " was charged and nothing was changed. Leave another card and ask for them again.",
    )


def code_refused(name: str, *, reason: str) -> Message:
    """Say that a code that was typed while Stripe was away is not good."""
    return Message(
        f"{name}: the code was not accepted",
        f"The code that you typed could be checked only now. {reason} Nothing is taken off.",
    )


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
        " until then, or raise the cap; otherwise only counts and curves of it stay."
        if keeps
        else "What comes from now on is refused with the code cap_reached until the month ends or"
        " the cap is raised."
    )
    return Message(f"{name}: {label} reached your cap", then)


def cap_does(item: Item, *, keeps: bool, n_days: int) -> str:
    """Spell out what happens at a cap, before it is reached."""
    if item is not Item.READINGS:
        return (
            "At the cap the next one is refused with the code cap_reached, until the month ends,"
            " the cap is raised or a larger plan is chosen. Nothing that was made is lost."
        )
    if keeps:
        return (
            "At the cap nothing stops: readings are stored and shown as ever, and not charged."
            f" Those beyond the cap are kept for {n_days} days and can be bought back at the usual"
            " price until then; afterwards only counts and curves of them stay."
        )
    return (
        "At the cap readings are refused with the code cap_reached, those of all machines, until"
        " the month ends, the cap is raised or a larger plan is chosen. It is looked at every 15"
        " minutes: what came in between is stored, not charged, and kept for"
        f" {n_days} days unless it is bought back. Devices that keep what is refused send it later."
    )


def amount(minor: int, currency: str) -> str:
    """Write an amount as it stands in mails: 1,234.50 EUR."""
    return f"{Decimal(minor).scaleb(-2):,.2f} {currency}"
