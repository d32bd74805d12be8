"""The chain, link by link, as `report.LINKS` names them."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from django.db import close_old_connections
from django.utils import timezone

from billing import selectors as billing_selectors
from config.demo import founding, history, learning, money, upkeep, vibration
from config.demo.diary import Diary, FactoryEntry
from config.demo.founding import Founded
from config.demo.gateway import Tally
from config.demo.inspecting import Inspecting, inspecting_of
from config.demo.live import LiveMachine
from config.demo.machines import FACTORIES, FactorySpec
from config.demo.report import LinkFailed, Report
from config.demo.simulator import Breakdown, SimulatedMachine, simulate
from mlops import selectors as mlops_selectors
from telemetry import selectors as telemetry_selectors
from tenants.context import factory_context
from tenants.models import Job, Role

SEED = 7
# How far ahead a plan is drawn; a demonstration that runs longer draws again at its next start.
AHEAD = timedelta(days=14)
# A demonstration that was off for longer leaves the time before this as it was: without data.
FILL_AT_MOST = timedelta(days=7)


@dataclass
class Part:
    """One factory of the demonstration, founded, with its simulated machines."""

    spec: FactorySpec
    founded: Founded
    machines: list[SimulatedMachine]
    inspecting: Inspecting = field(init=False)

    def __post_init__(self) -> None:
        self.inspecting = inspecting_of(self.spec, self.machines, self.founded.machines)

    @property
    def start(self) -> datetime:
        return datetime.fromtimestamp(self.machines[0].start, UTC)

    @property
    def trained(self) -> list[str]:
        """The names of the machine types that get a model."""
        types = {m.spec.type.code: m.spec.type.name for m in self.machines}
        return [types[code] for code in self.spec.trained_types]

    def machine_ids(self, type_codes: tuple[str, ...]) -> list[UUID]:
        return [
            self.founded.machines[m.name] for m in self.machines if m.spec.type.code in type_codes
        ]


@dataclass
class Chain:
    """Runs the links against a started installation."""

    diary: Diary
    report: Report
    device_url: str
    ca_file: Path
    days: float
    retrain: bool
    only: str = ""  # one factory's stem; all of them by default

    def run(self) -> list[Part]:
        """Bring both factories from nothing, or from where they were left, to a paid invoice.

        Raises:
            LinkFailed: names the first link that did not hold.
        """
        parts = self.found()
        tally, began = Tally(), time.monotonic()
        trainings: list[tuple[Part, dict[str, Job]]] = []
        for part in parts:
            tally.add(self.post(part))
            # The worker learns from one factory while the next one's readings are posted.
            trainings.append((part, self.request_models(part)))
        self.report.hold("telemetry", _posted(tally, time.monotonic() - began))
        self.learn(trainings)
        self.bill(parts)
        return parts

    # -- sign-up, device -------------------------------------------------------------------------
    def found(self) -> list[Part]:
        parts, took = [], []
        founding.found_staff(self.diary)
        for spec in (each for each in FACTORIES if self.only in {"", each.stem}):
            entry = self.diary.factories.setdefault(
                spec.stem, FactoryEntry(spec.name, spec.stem, "")
            )
            with self.report.link("sign-up"):
                people = founding.found_people(spec, entry)
                began = time.monotonic()
                factory, is_new = founding.found_factory(spec, entry, people)
                took.append(
                    f"{spec.name} {'made' if is_new else 'found'} in "
                    f"{time.monotonic() - began:.1f} s"
                )
            with self.report.link("device"):
                founded = founding.found_plant(
                    spec, entry, factory, people[Role.OWNER], days=self.days
                )
            parts.append(Part(spec, founded, self._simulate(spec, founded)))
            self.diary.write()
        self.report.hold("sign-up", ", ".join(took))
        n_devices = sum(len(part.founded.devices) for part in parts)
        self.report.hold("device", f"{n_devices} machines, each with a device and its own token")
        return parts

    def _simulate(self, spec: FactorySpec, founded: Founded) -> list[SimulatedMachine]:
        until = (timezone.now() + AHEAD).timestamp()
        return simulate(spec, seed=SEED, anchor=founded.anchor, days=self.days, until=until)

    # -- telemetry -------------------------------------------------------------------------------
    def post(self, part: Part) -> Tally:
        """Post what is missing, and hold the receipts against what the database holds."""
        with self.report.link("telemetry"):
            before, told = _n_stored(part), self.diary.facts.setdefault("told", [])
            now_ms = int(timezone.now().timestamp() * 1000)
            tally = history.post_all(
                uploads(part, is_told=part.spec.stem in told, now_ms=now_ms),
                base_url=self.device_url, ca_file=self.ca_file, report=self.report,
                what=f"readings of {part.spec.name}",
            )  # fmt: skip
            n_new = _n_stored(part) - before
            if n_new != tally.n_stored or tally.n_refused:
                raise LinkFailed(
                    "telemetry",
                    f"{tally.n_stored} readings were acknowledged, {n_new} are in the database, "
                    f"refused: {tally.refusals or 'none'}",
                )
            if part.spec.stem not in told:
                told.append(part.spec.stem)
                self.diary.write()
        return tally

    # -- model, prediction -----------------------------------------------------------------------
    def request_models(self, part: Part) -> dict[str, Job]:
        """Record the failures and have the worker train what has no model yet."""
        with self.report.link("model"), factory_context(part.founded.factory):
            now = timezone.now()
            happened = {
                part.founded.machines[m.name]: (m.spec.type, m.breakdowns(until=now.timestamp()))
                for m in part.machines
            }
            upkeep.found_upkeep(machines=happened, at=now)
            vibration.found_bursts(machine_ids=part.founded.machines, at=now)
            learning.record_missing(happened)
            untrained = [
                name for name in part.trained if self.retrain or not learning.has_model(name)
            ]
            jobs = learning.request(untrained, by=part.founded.owner)
        with self.report.link("inspection"), factory_context(part.founded.factory):
            self.report.progress(f"writing down what {part.spec.name} has made and inspected")
            part.inspecting.prepare(now=now.timestamp())
            return jobs | learning.request_of_plans(
                part.inspecting.subjects(), by=part.founded.owner, again=self.retrain
            )

    def learn(self, trainings: list[tuple[Part, dict[str, Job]]]) -> None:
        """Wait for the models, then predict with them."""
        figures, predicted, judged = [], [], []
        for part, jobs in trainings:
            with factory_context(part.founded.factory):
                with self.report.link("model"):
                    learning.wait(jobs, report=self.report, until_recorded=self.retrain)
                    figures += learning.in_service(part.trained)
                predicted += self._predict(part)
                judged.append(self._judge(part))
        self.report.hold("model", "; ".join(figures))
        self.report.hold("prediction", "; ".join(predicted))
        self.report.hold("inspection", "; ".join(judged))

    def _predict(self, part: Part) -> list[str]:
        with self.report.link("prediction"):
            ids = part.machine_ids(part.spec.trained_types)
            learning.score(ids, at=timezone.now())
            found = mlops_selectors.latest_predictions(ids)
            good = [p for p in found.values() if p.state == "ok"]
            if not good:
                raise LinkFailed("prediction", f"none of {len(ids)} machines of {part.spec.name}")
            nearest = min(good, key=lambda p: p.rul or 0.0)
            name = next(n for n, pk in part.founded.machines.items() if pk == nearest.machine_id)
            return [
                f"{len(good)} of {len(ids)} at {part.spec.name}, first {name}: "
                f"{nearest.rul_low:.0f} to {nearest.rul_high:.0f} {nearest.unit}"
            ]

    def _judge(self, part: Part) -> str:
        with self.report.link("inspection"):
            self.report.progress(f"inspecting what {part.spec.name} makes")
            figure = part.inspecting.judge(now=timezone.now().timestamp())
            return f"{part.spec.name}: {figure}"

    # -- usage, invoice --------------------------------------------------------------------------
    def bill(self, parts: list[Part]) -> None:
        used, invoiced = [], []
        for part in parts:
            factory, now = part.founded.factory, timezone.now()
            with self.report.link("usage"):
                self.report.progress(f"counting the usage of {part.spec.name}")
                money.subscribe(
                    factory, plan=part.spec.plan, owner=part.founded.owner,
                    since=part.start - timedelta(minutes=1),
                )  # fmt: skip
            with self.report.link("invoice"):
                money.live_through(factory, until=now)
                invoiced.append(_invoiced(part))
            with self.report.link("usage"):
                founding.open_the_gates(factory)
                used.append(_used(part, now))
        self.report.hold("usage", "; ".join(used))
        self.report.hold("invoice", "; ".join(invoiced))

    # -- and on ----------------------------------------------------------------------------------
    def live(self, parts: list[Part]) -> list[LiveMachine]:
        """Pick up each machine where its posted readings end, and let the worker learn on."""
        out: list[LiveMachine] = []
        for part in parts:
            with factory_context(part.founded.factory):
                posted = _posted_until_ms(part)
                learning.begin()
            out += [
                LiveMachine(
                    machine=machine,
                    machine_id=part.founded.machines[machine.name],
                    token=part.founded.entry.tokens[machine.name],
                    sent_until_ms=posted[machine.name],
                )
                for machine in part.machines
            ]
        return out

    def recorder(self, parts: list[Part]) -> Callable[[UUID, Breakdown], None]:
        """Return what writes a breakdown down in the factory whose machine broke."""
        places = {
            part.founded.machines[machine.name]: (part.founded.factory, machine.spec.type)
            for part in parts
            for machine in part.machines
        }

        def record(machine_id: UUID, breakdown: Breakdown) -> None:
            close_old_connections()  # the database may have been restarted since
            factory, spec = places[machine_id]
            with factory_context(factory):
                learning.record_breakdown(machine_id, spec, breakdown)

        return record


def inspect(parts: list[Part], *, now: float) -> None:
    """Do what is due of the inspections of every factory."""
    close_old_connections()  # the database may have been restarted since
    for part in parts:
        with factory_context(part.founded.factory):
            part.inspecting.tick(now=now)


def _n_stored(part: Part) -> int:
    """Count what the database holds of the part's devices, hour by hour."""
    with factory_context(part.founded.factory):
        return sum(
            hour.n_readings
            for hour in telemetry_selectors.usage_by_hour(
                start=part.start - timedelta(days=1), end=timezone.now() + timedelta(days=1)
            )
        )


def _posted_until_ms(part: Part) -> dict[str, int]:
    """Say up to when each machine's readings are stored; its story's start where none is."""
    latest = telemetry_selectors.latest_values(part.founded.devices.values())
    out = {}
    for machine in part.machines:
        known = latest.get(part.founded.devices[machine.name])
        posted_at = known.ts if known is not None else None
        out[machine.name] = (
            round(posted_at.timestamp() * 1000)
            if posted_at is not None
            else int(machine.start * 1000) - history.MINUTE_MS
        )
    return out


def uploads(part: Part, *, is_told: bool, now_ms: int) -> list[history.Upload]:
    """Choose what each device has to post: its whole history, or what came since.

    A history that was interrupted is posted again from its beginning: what is known already
    counts as a duplicate, and nothing that a gateway had kept for later is missed.
    """
    with factory_context(part.founded.factory):
        posted = _posted_until_ms(part)
    oldest_ms = now_ms - int(FILL_AT_MOST.total_seconds() * 1000)
    out = []
    for machine in part.machines:
        after_ms = int(machine.start * 1000) - history.MINUTE_MS
        if is_told:
            after_ms = max(posted[machine.name], oldest_ms)
        times = history.history_times(machine, after_ms=after_ms, now_ms=now_ms)
        out.append(history.Upload(part.founded.entry.tokens[machine.name], times, machine.rows))
    return out


def _posted(tally: Tally, took_s: float) -> str:
    rate = tally.n_sent / max(took_s, 0.001)
    text = (
        f"{tally.n_sent:,} readings over HTTPS in {took_s:.0f} s ({rate:,.0f} a second), "
        f"{tally.n_stored:,} stored"
    )
    if tally.n_duplicates:
        text += f", {tally.n_duplicates:,} known already"
    return text


def _used(part: Part, at: datetime) -> str:
    summary = billing_selectors.usage_summary(part.founded.factory, at)
    used = ", ".join(f"{meter.used:,} {meter.label.lower()}" for meter in summary.meters)
    return f"{part.spec.name}: {used}, {_amount(summary.so_far_minor, summary.currency)} so far"


def _invoiced(part: Part) -> str:
    invoices = list(billing_selectors.invoices(part.founded.factory))
    real = [invoice for invoice in invoices if invoice.total_minor > 0]
    if not real:
        raise LinkFailed("invoice", f"{part.spec.name} has no invoice with an amount")
    newest = real[0]
    total = _amount(newest.total_minor, newest.currency)
    return f"{part.spec.name}: {newest.number or newest.stripe_id} {total}, {newest.status}"


def _amount(minor: int, currency: str) -> str:
    return f"{minor / 100:,.2f} {currency.upper()}"
