"""The nightly proof: facts = ledger = Stripe, for each account and the last two months.

Most accounts are in order, so all are sifted first: one query for many accounts' ledger, one
counting of each factory's facts, one sum for each of Stripe's meters. What does not agree is then
looked at by itself, after the jobs that were due have run, repaired (`repairing`) and written
down. An account that fails stops no other.
"""

import gc
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import groupby
from uuid import UUID

import structlog
from django.conf import settings
from django.db.models import Q, prefetch_related_objects
from django.utils import timezone

from billing import counting, facts, proofs, terms
from billing.catalogue import ensure_meters
from billing.counting import MonthFacts
from billing.gateways import StripeAway, StripeGateway, gateway
from billing.models import (
    Adjustment,
    BillingAccount,
    LedgerCursor,
    ProofLine,
    ProofRun,
    Subscription,
)
from billing.periods import HOUR, hour_of, month_start, next_month
from billing.plans import Meter
from billing.proofs import SETTLING, Difference, Mark, MeterSums
from billing.selectors import proofs as sums
from billing.services import exchanging, ledger, repairing
from billing.services.repairing import AccountMonth
from billing.services.reporting import report_usage
from tenants.context import factory_context
from tenants.models import Factory

log = structlog.get_logger()

Report = Callable[[float, str], None]
_Parts = tuple[AccountMonth, ...]  # of one account
_BATCH = 25
_N_CONNECTIONS = 4
_TRIES = 3
_PAUSE_S = 0.5
_LIVE = (Factory.State.ACTIVE,)


@dataclass(slots=True)
class Took:
    """Where a proof's time went, in seconds; Stripe is asked beside the counting."""

    ledger_s: float = 0.0
    facts_s: float = 0.0
    stripe_wait_s: float = 0.0
    n_calls: int = 0


def prove(
    *,
    at: datetime | None = None,
    report: Report = lambda _share, _words: None,
    took: Took | None = None,
) -> ProofRun:
    """Compare all accounts, repair what differs, and write a line for each account and month."""
    at = at or timezone.now()
    run = ProofRun.objects.create(started_at=timezone.now())
    accounts = _accounts(at)
    n_parts = sum(len(parts) for parts in accounts)
    with _Sieve(took or Took()) as sieve:
        n_done = 0
        for batch in _batches(accounts):
            with _without_collection():
                sifted = sieve.sifted(batch)
            lines = [_line(run, one, sieve) for one in sifted]
            ProofLine.objects.bulk_create(lines)
            _add_up(run, lines)
            n_done += len(sifted)
            report(n_done / n_parts, f"{n_done} of {n_parts} account months")
    run.n_accounts = len(accounts)
    run.finished_at = timezone.now()
    run.save()
    log.info(
        "billing.proof.finished",
        n_accounts=run.n_accounts,
        n_sums=run.n_sums,
        n_differences=run.n_differences,
        n_repaired=run.n_repaired,
        n_failed=run.n_failed,
    )
    return run


@contextmanager
def _without_collection() -> Iterator[None]:
    """Keep Python from looking for cycles among the many facts, which have none: a fifth faster."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _add_up(run: ProofRun, lines: Sequence[ProofLine]) -> None:
    run.n_sums += sum(line.n_sums for line in lines)
    run.n_differences += sum(line.n_differences for line in lines)
    run.n_repaired += sum(line.n_repaired for line in lines)
    run.n_failed += sum(bool(line.error) for line in lines)
    run.save()


# -- what is compared ------------------------------------------------------------------------------
def _accounts(at: datetime) -> list[_Parts]:
    """Return the last and the present month of every account, as far as both are settled."""
    cursors = dict(LedgerCursor.objects.values_list("account_id", "counted_to"))
    accounts = BillingAccount.objects.select_related("factory").order_by("pk")
    found = []
    for account in accounts.exclude(standing=BillingAccount.Standing.DELETED):
        now = _present_of(account, cursors.get(account.pk), at=at)
        if now is None:
            continue
        end = hour_of(now - SETTLING)
        month = month_start(end)
        last = month_start(month - HOUR)
        parts = [AccountMonth(account, last, month, now)]
        if end > month:
            parts.append(AccountMonth(account, month, end, now))
        found.append(tuple(parts))
    return sorted(found, key=lambda parts: (_due(parts), parts[0].account.pk))


def _due(parts: _Parts) -> list[tuple[datetime, datetime]]:
    return [(part.month, part.end) for part in parts]


def _present_of(
    account: BillingAccount, counted_to: datetime | None, *, at: datetime
) -> datetime | None:
    """Return an account's time; None for one without a past.

    On a test clock it is the time that was lived through. Elsewhere the counting that lags
    behind, because a worker was away, is done first.
    """
    if account.test_clock_id:
        return counted_to and min(at, counted_to)
    if account.factory is None or account.factory.state not in _LIVE:
        return at
    if counted_to is None or counted_to < hour_of(at - SETTLING):
        try:
            ledger.roll_up(factory=account.factory, until=at, at=at)
        except Exception:  # the other accounts must go on; the sieve names this one
            log.exception("billing.proof.not_counted", account=str(account.pk))
    return at


def _batches(accounts: Sequence[_Parts]) -> Iterator[list[_Parts]]:
    """Yield accounts of which the same months are due together."""
    for _months, group in groupby(accounts, key=_due):
        alike = list(group)
        for begin in range(0, len(alike), _BATCH):
            yield alike[begin : begin + _BATCH]


# -- sifting ---------------------------------------------------------------------------------------
@dataclass(slots=True)
class _Sifted:
    """What the quick look at a part found."""

    part: AccountMonth
    n_sums: int = 0
    is_in_order: bool = True
    error: str = ""


class _Pace:
    """Keeps calls below a number a second, over all threads."""

    def __init__(self, per_s: float) -> None:
        self._step_s = 1 / per_s
        self._next = time.monotonic()
        self._lock = threading.Lock()

    def wait(self) -> None:
        with self._lock:
            now = time.monotonic()
            begin = max(now, self._next)
            self._next = begin + self._step_s
        time.sleep(max(0.0, begin - now))


@dataclass(frozen=True, slots=True)
class _Sides:
    """What the facts of a month are held against, by account."""

    held: Mapping[UUID, dict[Meter, MeterSums]]
    asked: Mapping[UUID, dict[str, Future[int]]]
    invoiced: Mapping[UUID, sums.Invoiced]
    unplaced: Mapping[UUID, Sequence[Adjustment]]


@dataclass(slots=True)
class _Sieve:
    """Compares parts quickly: all of a batch at once, Stripe beside the counting."""

    took: Took
    _pace: _Pace = field(init=False)
    _pool: ThreadPoolExecutor = field(init=False)
    _weights: dict[datetime, dict[datetime, int]] = field(init=False, default_factory=dict)
    _counted_to: dict[UUID, datetime | None] = field(init=False, default_factory=dict)
    _meters: dict[str, str] | None = field(init=False, default=None)
    stripe: StripeGateway | None = field(init=False, default=None)
    away: str = field(init=False, default="")

    def __enter__(self) -> "_Sieve":
        self._pace = _Pace(settings.STRIPE_READS_PER_S)
        self._pool = ThreadPoolExecutor(_N_CONNECTIONS, thread_name_prefix="stripe")
        try:
            self.stripe = gateway()
            self._meters = ensure_meters(self.stripe)
        except StripeAway as away:
            self.stripe, self.away = None, f"Stripe is away: {away}"
        return self

    def __exit__(self, *_error: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    @property
    def meters(self) -> dict[str, str]:
        return self._meters or {}

    def weights(self, month: datetime) -> dict[datetime, int]:
        if month not in self._weights:
            n_hours = (next_month(month) - month) // HOUR
            self._weights[month] = proofs.weights(month + i * HOUR for i in range(n_hours))
        return self._weights[month]

    def sifted(self, batch: Sequence[_Parts]) -> list[_Sifted]:
        """Compare accounts of which the same months are due."""
        ids = [parts[0].account.pk for parts in batch]
        prefetch_related_objects([parts[0].account for parts in batch], *terms.ROWS)
        cursors = LedgerCursor.objects.filter(account_id__in=ids)
        self._counted_to = dict(cursors.values_list("account_id", "counted_to"))
        sides = [self._sides(ids, months) for months in zip(*batch, strict=True)]
        found = []
        for parts in batch:
            wanted, error = self._marks_of_facts(parts)
            found += [
                self._sift(part, of_month, marks, error)
                for part, of_month, marks in zip(parts, sides, wanted, strict=True)
            ]
        return found

    def _sides(self, ids: Sequence[UUID], parts: Sequence[AccountMonth]) -> _Sides:
        """Fetch what a month of many accounts is held against; Stripe is asked meanwhile."""
        month, end = parts[0].month, parts[0].end
        asked = self._ask_stripe(parts, _at_stripe(ids, month, end))
        started = time.perf_counter()
        held = sums.ledger_sums(ids, weights=self.weights(month), end=end)
        self.took.ledger_s += time.perf_counter() - started
        return _Sides(
            held=held,
            asked=asked,
            invoiced=sums.invoiced(ids, month) if parts[0].is_fixed else {},
            unplaced=sums.unplaced_adjustments(ids, told_before=parts[0].at - proofs.STRIPE_LAG),
        )

    def _sift(
        self, part: AccountMonth, sides: _Sides, wanted: dict[Meter, Mark] | None, error: str
    ) -> _Sifted:
        """Compare a part; `wanted` is None where there are no facts to count."""
        key = part.account.pk
        held = sides.held.get(key, {})
        sifted = _Sifted(part, error=error)
        if any(s.n_waiting or s.n_refused for s in held.values()) or sides.unplaced.get(key):
            sifted.is_in_order = False
        if wanted is not None:
            sifted.n_sums += len(wanted.keys() | held.keys())
            if proofs.differing(wanted, held):
                sifted.is_in_order = False
        self._sift_stripe(sifted, held, sides.asked.get(key))
        if part.is_fixed and sifted.is_in_order and key in sides.asked:
            sifted.is_in_order = repairing.is_billed(part, sides.invoiced.get(key, sums.Invoiced()))
        return sifted

    def _marks_of_facts(self, parts: _Parts) -> tuple[list[dict[Meter, Mark] | None], str]:
        """Count an account's months from its facts, fetched once; and what went wrong."""
        nothing: list[dict[Meter, Mark] | None] = [None] * len(parts)
        account = parts[0].account
        factory = account.factory
        if factory is None or factory.state not in _LIVE:
            return nothing, ""
        started = time.perf_counter()
        try:
            return [*self._counted(parts, factory)], ""
        except Exception as error:  # the other accounts must go on
            log.exception("billing.proof.facts_failed", account=str(account.pk))
            return nothing, f"{type(error).__name__}: {error}"[:300]
        finally:
            self.took.facts_s += time.perf_counter() - started

    def _counted(self, parts: _Parts, factory: Factory) -> Iterator[dict[Meter, Mark]]:
        account, start = parts[0].account, parts[0].month
        counted_to = self._counted_to.get(account.pk) or start
        found = MonthFacts()
        if counted_to > start:
            end = min(next_month(parts[-1].month), counted_to)
            with factory_context(factory):
                found = facts.month(start=start, end=end)
        for part in parts:
            if counted_to <= part.month:
                yield {}
                continue
            spans = terms.spans(account, part.month)
            rules = terms.rules(account, part.month)
            counted = counting.quantities(found, spans, rules=rules)
            yield proofs.marks(counted, self.weights(part.month))

    def _ask_stripe(
        self, parts: Sequence[AccountMonth], at_stripe: set[UUID]
    ) -> dict[UUID, dict[str, Future[int]]]:
        """Begin to ask for the sums of the accounts that are charged through Stripe."""
        asked: dict[UUID, dict[str, Future[int]]] = {}
        for part in parts:
            customer_id = part.account.stripe_customer_id
            if part.account.pk in at_stripe and customer_id:
                asked[part.account.pk] = {
                    name: self._pool.submit(self._total, meter_id, customer_id, part)
                    for name, meter_id in self.meters.items()
                }
        return asked

    def _total(self, meter_id: str, customer_id: str, part: AccountMonth) -> int:
        for n in range(1, _TRIES + 1):
            self._pace.wait()
            if self.stripe is None or self.away:
                raise StripeAway(self.away)
            try:
                return self.stripe.usage_total(
                    meter_id=meter_id, customer_id=customer_id, start=part.month, end=part.end
                )
            except StripeAway as away:
                if n == _TRIES:
                    # The rest of the night's calls would wait in vain, each three times.
                    self.away = f"Stripe is away: {away}"
                time.sleep(_PAUSE_S * n)
        raise StripeAway(self.away)

    def _sift_stripe(
        self,
        sifted: _Sifted,
        held: dict[Meter, MeterSums],
        asked: dict[str, Future[int]] | None,
    ) -> None:
        if asked is None:
            return
        if self.stripe is None:
            sifted.error = sifted.error or self.away
            return
        started = time.perf_counter()
        try:
            theirs = {name: future.result() for name, future in asked.items()}
        except Exception as error:  # the other accounts must go on
            sifted.error = f"{type(error).__name__}: {error}"[:300]
            return
        finally:
            self.took.stripe_wait_s += time.perf_counter() - started
        self.took.n_calls += len(theirs)
        sifted.n_sums += len(theirs)
        if theirs != proofs.told_by_event(held):
            sifted.is_in_order = False


def _at_stripe(ids: Sequence[UUID], month: datetime, end: datetime) -> set[UUID]:
    """Return the accounts that have a subscription at Stripe in [month, end)."""
    return set(
        Subscription.objects.filter(account_id__in=ids, started_at__lt=end)
        .filter(Q(ended_at=None) | Q(ended_at__gt=month))
        .exclude(stripe_id=None)
        .values_list("account_id", flat=True)
    )


# -- looking closer --------------------------------------------------------------------------------
def _line(run: ProofRun, sifted: _Sifted, sieve: _Sieve) -> ProofLine:
    """Return what is written down of a part, repaired where it was not in order."""
    part = sifted.part
    found: list[Difference] = []
    error = sifted.error
    if not sifted.is_in_order:
        try:
            found = _repaired(part, sieve)
        except Exception as failure:  # the other accounts must go on
            log.exception("billing.proof.repair_failed", account=str(part.account.pk))
            error = f"{type(failure).__name__}: {failure}"[:300]
    counted = [d for d in found if not d.is_open]
    for d in counted:
        log.error("billing.proof.differs", account=str(part.account.pk), **d.as_json())
    return ProofLine(
        run=run,
        account=part.account,
        month=part.month,
        n_sums=sifted.n_sums,
        n_differences=len(counted),
        n_repaired=sum(d.is_repaired for d in counted),
        differences=[d.as_json() for d in found],
        error=error,
    )


def _repaired(part: AccountMonth, sieve: _Sieve) -> list[Difference]:
    # Fetched anew: what was read for many may have changed while others were looked at.
    account = BillingAccount.objects.select_related("factory").get(pk=part.account.pk)
    part = replace(part, account=account)
    found = repairing.repair_facts(part)
    if not part.account.stripe_customer_id or sieve.stripe is None:
        return found
    refused = repairing.repair_refused(part)
    _tell(part)
    found += repairing.still_refused(part, refused)
    found += _repair_usage(part, sieve.stripe, sieve)
    found += repairing.repair_adjustments(part, sieve.stripe)
    _tell(part)
    return found + repairing.compare_invoice(part)


def _tell(part: AccountMonth) -> None:
    """Send what waits: rows, corrections and lines of their own."""
    if part.account.factory is not None:
        report_usage(factory=part.account.factory, at=part.at)
    else:
        exchanging.send_adjustments(account_id=str(part.account.pk), at=part.at)


def _repair_usage(part: AccountMonth, stripe: StripeGateway, sieve: _Sieve) -> list[Difference]:
    held = sums.ledger_sums([part.account.pk], weights=sieve.weights(part.month), end=part.end).get(
        part.account.pk, {}
    )
    found = []
    for event_name, ours in proofs.told_by_event(held).items():
        theirs = stripe.usage_total(
            meter_id=sieve.meters[event_name],
            customer_id=part.account.stripe_customer_id or "",
            start=part.month,
            end=part.end,
        )
        if ours == theirs:
            continue
        difference = Difference(event_name, None, ours, theirs)
        own = [s for m, s in held.items() if proofs.event_of(m) == event_name]
        if repairing.is_open(own, at=part.at):
            found.append(replace(difference, repair="waits for Stripe", is_open=True))
            continue
        repair = repairing.UsageRepair(
            part, event_name, meter_id=sieve.meters[event_name], stripe=stripe
        )
        words = repair.run()
        done = bool(words) and "for staff" not in words
        found.append(replace(difference, repair=words, is_repaired=done))
    return found
