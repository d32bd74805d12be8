"""What can be had beside the plan: machines by the year, add-ons, a code."""

from dataclasses import dataclass

from billing.selectors.life import AddOnView, LifeView
from billing.services.add_ons import AddOnPreview
from billing.services.yearly import YearlyPreview
from frontend.bill import date_words
from frontend.formats import money


@dataclass(frozen=True)
class YearlyCard:
    """Machines by the year as they stand, and whether another number can be chosen."""

    words: tuple[str, ...]
    price: str
    n_machines: int
    can_choose: bool
    can_end: bool


@dataclass(frozen=True)
class AddOnCard:
    key: str
    name: str
    summary: str
    price: str
    is_booked: bool
    words: str


@dataclass(frozen=True)
class Extras:
    yearly: YearlyCard | None
    add_ons: tuple[AddOnCard, ...]
    discount: str
    takes_code: bool


@dataclass(frozen=True)
class ExtraPreview:
    """What one of them would cost, line by line, before it is chosen."""

    heading: str
    lines: tuple[tuple[str, str], ...]
    total_words: str
    total: str
    words: tuple[str, ...]
    button: str


def extras_of(life: LifeView) -> Extras:
    discount = ""
    if life.discount is not None:
        until = life.discount.ends_at
        end = f" until {date_words(until)}" if until else ""
        discount = f"{life.discount.percent_off} % are taken off{end}."
    return Extras(
        yearly=_yearly(life),
        add_ons=tuple(_add_on(row, life.currency) for row in life.add_ons),
        discount=discount,
        takes_code=life.can_redeem,
    )


def _yearly(life: LifeView) -> YearlyCard | None:
    price, row = life.plan.yearly_prices.get(life.currency), life.yearly
    if row is None and (price is None or not life.can_buy_yearly):
        return None
    if row is None:
        words = ("Pay for the machines that run all year, twelve months for the price of ten.",)
        return YearlyCard(words, money(price, life.currency), 0, True, False)
    return YearlyCard(
        words=_yearly_words(life),
        price=money(row.price_minor, life.currency),
        n_machines=row.n_machines,
        can_choose=life.can_buy_yearly,
        can_end=row.is_paid and row.renews,
    )


def _yearly_words(life: LifeView) -> tuple[str, ...]:
    row = life.yearly
    if row is None:
        return ()
    ends = date_words(row.period_end) if row.period_end else ""
    if not row.is_paid:
        return (f"{_machines(row.n_machines)} by the year. The payment is on its way.",)
    words = [f"{_machines(row.n_machines)} paid until {ends}."]
    if not row.renews:
        words.append("Then they are paid by the month.")
    elif row.renewal_machines is not None:
        words.append(f"Then renewed for {_machines(row.renewal_machines)}.")
    else:
        words.append("Then renewed for another year.")
    if row.wanted_machines is not None:
        words.append(f"The payment for {_machines(row.wanted_machines)} is on its way.")
    return tuple(words)


def _machines(n: int) -> str:
    return f"{n} machine{'' if n == 1 else 's'}"


def _add_on(row: AddOnView, currency: str) -> AddOnCard:
    return AddOnCard(
        key=row.key,
        name=row.name,
        summary=row.summary,
        price=f"{money(row.price_minor, currency)} a month",
        is_booked=row.is_booked,
        words=f"Yours since {date_words(row.since)}" if row.since else "",
    )


def yearly_preview(found: YearlyPreview, *, currency: str, n_now: int) -> ExtraPreview:
    renews = f"{found.renews_on.day} {found.renews_on:%B %Y}"
    saving = f"Saves {money(found.saving_minor, currency)} a year against paying by the month."
    if found.lines or found.due_now_minor:
        words = (f"Your card is charged now. Renewed on {renews}.", saving)
    else:
        words = (f"Nothing is charged now. It holds from the renewal on {renews}.", saving)
    return ExtraPreview(
        heading=f"{_machines(found.n_machines)} by the year",
        lines=tuple((line.description, money(line.amount_minor, currency)) for line in found.lines),
        total_words="To be paid now",
        total=money(found.due_now_minor, currency),
        words=words,
        button=f"Pay {money(found.due_now_minor, currency)}"
        if found.due_now_minor
        else f"Renew {_machines(found.n_machines)}" if n_now else "Confirm",
    )  # fmt: skip


def add_on_preview(found: AddOnPreview, *, currency: str, is_booked: bool) -> ExtraPreview:
    name, once = found.add_on.name, found.once_minor
    what = "Given back for the rest of the month" if once < 0 else "For the rest of the month"
    lines = ((what, money(once, currency)),) if once else ()
    words = ["Both stand on the next invoice."] if once > 0 else []
    if found.in_trial:
        words = ["The trial is free; the add-on is charged once it is over."]
    if is_booked:
        return ExtraPreview(
            f"Drop {name}", lines, "A month from then on", money(0, currency),
            ("It ends at once.",), f"Drop {name}",
        )  # fmt: skip
    return ExtraPreview(
        f"Add {name}", lines, "Each month in advance", money(found.monthly_minor, currency),
        tuple(words), f"Add {name}",
    )  # fmt: skip
