"""A larger plan takes over in the midst of a month: what goes along, and what is charged for it."""

from dataclasses import dataclass
from datetime import datetime

from billing import bills, charges, counting, terms
from billing.charges import Usage
from billing.models import Adjustment, BillingAccount, PlanTerm
from billing.periods import Span, hour_of, month_start, next_month
from billing.plans import Item, Plan


@dataclass(frozen=True, slots=True)
class Upgrade:
    """What a change to a larger plan does from an hour on."""

    starts_at: datetime
    ends_at: datetime  # of the month
    old: Plan
    new: Plan
    carried: dict[str, int] | None  # None: the month, or the term, has only begun
    n_machines: int  # counted before, that pay the difference
    amount_minor: int


def planned(account: BillingAccount, *, new: Plan, at: datetime) -> Upgrade:
    """Work out a change at a moment, from the ledger as it stands. Writes nothing."""
    month, starts_at = month_start(at), hour_of(at)
    ends_at = next_month(at)
    spans = terms.spans(account, month)
    # A subscription that begins with the next full hour has not counted anything yet.
    current = next((s for s in spans if s.start <= starts_at < s.end), spans[-1])
    old = terms.plan_of(current)
    if current.start == starts_at or terms.is_free(current):
        return Upgrade(starts_at, ends_at, old, new, None, 0, 0)
    usage = bills.usage_between(account, current.start, starts_at)
    carried = counting.left_of_allowances(usage.counted, old=old, new=new)
    n_machines = _counted_machines(account, spans, until=starts_at)
    amount = charges.upgrade_amount(
        n_machines, old=old, new=new, currency=account.currency, at=starts_at,
        month=(month, ends_at),
    )  # fmt: skip
    return Upgrade(starts_at, ends_at, old, new, carried, n_machines, amount)


def _counted_machines(account: BillingAccount, spans: list[Span], *, until: datetime) -> int:
    """Return how many machines are charged by now in the stretches that belong together."""
    together: list[Span] = []
    for span in spans:
        if span.start >= until:
            break
        together = [*together, span] if span.carried is not None else [span]
    usage = Usage()
    for span in together:
        usage += bills.usage_between(account, span.start, min(span.end, until))
    return usage.beyond(Item.MACHINES)


def write(account: BillingAccount, upgrade: Upgrade, *, is_trial: bool, at: datetime) -> PlanTerm:
    """Put a larger plan in force and note what is charged for it. Call with the account locked."""
    term, _ = PlanTerm.objects.update_or_create(
        account=account,
        starts_at=upgrade.starts_at,
        defaults={
            "plan": upgrade.new.key,
            "version": upgrade.new.version,
            "is_trial": is_trial,
            "exchange_wanted": True,
            "exchanged_at": None,
            "written_at": at,
        },
        create_defaults={
            "plan": upgrade.new.key,
            "version": upgrade.new.version,
            "is_trial": is_trial,
            "carried": upgrade.carried,
            "exchange_wanted": True,
            "written_at": at,
        },
    )
    if upgrade.amount_minor:
        Adjustment.objects.get_or_create(
            identifier=f"upgrade:{account.pk.hex}:{upgrade.starts_at:%Y%m%d%H}",
            defaults={
                "account": account,
                "kind": Adjustment.Kind.UPGRADE,
                "period_start": upgrade.starts_at,
                "period_end": upgrade.ends_at,
                "amount_minor": upgrade.amount_minor,
                "currency": account.currency,
                "description": _words(upgrade),
                "detail": {"n_machines": upgrade.n_machines},
                "written_at": at,
            },
        )
    return term


def _words(upgrade: Upgrade) -> str:
    n = upgrade.n_machines
    day = upgrade.starts_at
    return (
        f"{upgrade.new.name} instead of {upgrade.old.name} from {day.day} {day:%B}: "
        f"{n} machine{'' if n == 1 else 's'}, difference for the rest of the month"
    )
