"""The owner's limits on the page of usage: a budget with its alerts, and where meters stop."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, InvalidOperation

from billing import words
from billing.caps import KEEP, KEEP_DAYS, REFUSE
from billing.plans import Item
from billing.selectors import AlertView, BudgetView, CapView
from frontend.bill import quantity
from frontend.formats import amount, minor_units, moment, money

MOST_MINOR = 10**12
MOST_UNITS = 10**15
_CHOICES: Mapping[str, str] = {KEEP: "Keep it", REFUSE: "Refuse it"}
# Three digits after a comma are thousands, one or two are cents.
_COMMA_BEFORE_CENTS = re.compile(r"^[^,]*,\d{1,2}$")


class NotAnAmount(Exception):
    """What was typed is no amount, or one that means nothing; the text says what is expected."""


@dataclass(frozen=True)
class AlertRow:
    icon: str
    percent: int
    amount: str
    words: str


@dataclass(frozen=True)
class BudgetCard:
    amount: str  # "" where none is set
    value: str  # as it is typed
    currency: str
    alerts: tuple[AlertRow, ...]
    recipients: str


@dataclass(frozen=True)
class CapAction:
    value: str
    label: str
    words: str
    is_chosen: bool


@dataclass(frozen=True)
class CapCard:
    item: str
    label: str
    state: str
    value: str
    extra: str
    is_reached: bool
    reached: str
    actions: tuple[CapAction, ...]
    price: str


@dataclass(frozen=True)
class BuyBack:
    """Readings beyond the cap that are still kept, and what they would cost."""

    held: str
    cost: str
    until: str


def budget_card(view: BudgetView, *, currency: str) -> BudgetCard:
    minor = view.amount_minor
    return BudgetCard(
        amount="" if minor is None else money(minor, currency),
        value="" if minor is None else f"{Decimal(minor) / minor_units(currency):f}",
        currency=currency,
        alerts=tuple(_alert(alert, currency) for alert in view.alerts),
        recipients=view.recipients,
    )


def _alert(alert: AlertView, currency: str) -> AlertRow:
    if alert.state == "sent":
        icon, said = "circle-check", f"Sent {_day(alert.on)}"
    elif alert.state == "reached":
        icon, said = "circle-check", "Reached, said within the hour"
    elif alert.state == "likely":
        icon, said = "circle-dashed", f"Likely {_day(alert.on)}"
    else:
        icon, said = "circle-dashed", "Not this month"
    return AlertRow(icon, alert.percent, money(alert.amount_minor, currency), said)


def _day(on: date | None) -> str:
    return f"{on.day} {on:%b}" if on else ""


def cap_cards(
    views: tuple[CapView, ...], *, prices: Mapping[Item, str], now: datetime
) -> list[CapCard]:
    """Return a card per meter that can stop; `prices` in words by item."""
    return [_cap(view, prices.get(view.item, ""), now) for view in views]


def _cap(view: CapView, price: str, now: datetime) -> CapCard:
    limit = view.max_extra
    reached = f"Reached: {moment(view.reached_at, now)}." if view.reached_at else ""
    return CapCard(
        item=view.item,
        label=view.label,
        state="No cap" if limit is None else f"Stops at {amount(limit)} beyond the included",
        value="" if limit is None else f"{limit:,}",
        extra=f"{quantity(view.item, view.extra_so_far)} beyond the included so far.",
        is_reached=view.reached_at is not None,
        reached=reached,
        actions=tuple(
            CapAction(
                value=action,
                label=_CHOICES[action],
                words=words.cap_does(view.item, keeps=action == KEEP, n_days=KEEP_DAYS),
                is_chosen=action == view.action,
            )
            for action in view.actions
        ),
        price=price,
    )


def buy_back_of(views: tuple[CapView, ...], *, currency: str, now: datetime) -> BuyBack | None:
    """Return what can be bought back, or None where nothing is held."""
    held = next((view for view in views if view.held), None)
    if held is None:
        return None
    until = moment(held.keep_until, now) if held.keep_until else ""
    return BuyBack(amount(held.held), money(held.buy_back_minor, currency), until)


def read_amount(text: str, *, currency: str) -> int:
    """Read an amount of money as people type it: 550, 550.50, 550,50, 1,200 or 1.200,50.

    Raises:
        NotAnAmount: it is none, or not above zero.
    """
    typed = text.replace(" ", "")
    if _COMMA_BEFORE_CENTS.search(typed):
        typed = typed.replace(".", "").replace(",", ".")
    try:
        value = Decimal(typed.replace(",", ""))
    except InvalidOperation:
        raise NotAnAmount("Write an amount such as 550 or 1,200.50.") from None
    if not value.is_finite():
        raise NotAnAmount("Write an amount such as 550 or 1,200.50.")
    minor = value * minor_units(currency)
    if minor != int(minor):
        raise NotAnAmount("Write at most two digits after the point.")
    if not 0 < minor <= MOST_MINOR:
        raise NotAnAmount("A budget is above zero.")
    return int(minor)


def read_units(text: str) -> int | None:
    """Read how many units a meter may go beyond: digits, or nothing for no cap.

    Raises:
        NotAnAmount: it is no whole number.
    """
    digits = text.replace(",", "").replace(" ", "")
    if not digits:
        return None
    if not (digits.isascii() and digits.isdigit()) or int(digits) > MOST_UNITS:
        raise NotAnAmount("Write a whole number, such as 10,000,000, or nothing for no cap.")
    return int(digits)


def item_of(text: str) -> Item | None:
    return Item(text) if text in list(Item) else None
