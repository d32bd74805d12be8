"""The way out: how a factory stands, step by step, and how it is deleted with a written record."""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final

import structlog
from django.core.mail import send_mail
from django.db import transaction
from django.db.models import QuerySet

from tenants import audit, export, jobs, services, storage, tables
from tenants.context import factory_context
from tenants.models import (
    AuditEntry,
    Departure,
    Factory,
    FactoryLimits,
    Job,
    Membership,
    Role,
    User,
)
from tenants.signals import factory_leaving

log = structlog.get_logger()

Reason = Departure.Reason
Standing = FactoryLimits.Standing
STANDING_SET: Final = "factory.standing_set"
REMOVE: Final = "tenants.remove_factory"


@dataclass(frozen=True, slots=True)
class _Counts:
    """What a factory held at its end; `n_objects` None where the store did not say."""

    n_rows: int
    n_readings: int
    n_pictures: int
    n_objects: int | None


@transaction.atomic
def set_standing(
    *, factory: Factory, standing: str, until: datetime | None, actor: User | None = None
) -> FactoryLimits:
    """Bring a factory into a standing; the doors know within two seconds.

    Everything that follows from the standing is set with it, forwards and backwards, so paying
    undoes every step. Repeating it only moves `until`.

    Args:
        until: when the next step comes; None where none does.
    """
    limits = FactoryLimits.objects.select_for_update().get(factory=factory)
    before = limits.standing
    limits.standing = Standing(standing)
    limits.standing_until = until
    limits.read_only = standing in (Standing.READ_ONLY, Standing.SUSPENDED)
    limits.ingest_blocked = standing == Standing.SUSPENDED
    limits.save(
        update_fields=["standing", "standing_until", "read_only", "ingest_blocked", "changed_at"]
    )
    if before != standing:
        audit.record(
            action=STANDING_SET,
            actor=actor,
            target=factory.schema_name,
            detail={"from": before, "to": standing, "until": until.isoformat() if until else None},
            factory=factory,
        )
    return limits


def request_removal(*, factory: Factory, reason: str, actor: User | None) -> Job:
    """Have a factory deleted by a job, once, however often this is asked."""
    return jobs.enqueue(
        task=REMOVE,
        kwargs={
            "factory_id": factory.pk,
            "reason": reason,
            "actor_id": actor.pk if actor else None,
        },
        key=f"remove-{factory.pk}",
    )


def remove(*, factory: Factory, reason: str, at: datetime, actor: User | None = None) -> Departure:
    """Delete a factory with everything in it, and write down that it was so.

    The record is committed with the deletion or neither is. The owners get it by mail. What the
    factory was billed stays with billing.

    Raises:
        Factory.DoesNotExist: it is gone already.
    """
    n_objects = _n_objects(factory)
    _announce(factory, at)
    with transaction.atomic():
        factory = Factory.objects.select_for_update().get(pk=factory.pk)
        departure = _recorded(factory, reason, at, actor, n_objects)
        owners = list(
            Membership.objects.filter(factory=factory, role=Role.OWNER)
            .order_by("user__email")
            .values_list("user__email", flat=True)
        )
        services.remove_factory(factory=factory, actor=actor)
        transaction.on_commit(partial(_tell, departure, owners))
    log.info("factory.left", schema=departure.schema_name, reason=reason)
    return departure


def _announce(factory: Factory, at: datetime) -> None:
    """Let other floors settle what they can settle only while the factory is there."""
    for receiver, answer in factory_leaving.send_robust(sender=Factory, factory=factory, at=at):
        if isinstance(answer, Exception):
            log.error("factory.leaving.unsettled", receiver=repr(receiver), error=repr(answer))


def _n_objects(factory: Factory) -> int | None:
    try:
        with factory_context(factory):
            return len(storage.objects(prefix=f"{factory.schema_name}/"))
    except storage.StorageUnavailable:
        return None


def _recorded(
    factory: Factory, reason: str, at: datetime, actor: User | None, n_objects: int | None
) -> Departure:
    counts = _counts(factory, n_objects)
    members = Membership.objects.filter(factory=factory).order_by("user_id")
    departure = Departure(
        factory_id=factory.pk,
        factory_name=factory.name,
        schema_name=factory.schema_name,
        reason=Reason(reason),
        asked_by_id=actor.pk if actor else None,
        asked_by=actor.email if actor else "",
        member_ids=list(members.values_list("user_id", flat=True)),
        founded_at=factory.created_at,
        steps=_steps(factory),
        exported_at=export.newest_done_at(factory),
        n_rows=counts.n_rows,
        n_readings=counts.n_readings,
        n_pictures=counts.n_pictures,
        n_objects=counts.n_objects,
        removed_at=at,
    )
    departure.digest = digest_of(departure)
    departure.save(force_insert=True)
    return departure


def _counts(factory: Factory, n_objects: int | None) -> _Counts:
    with factory_context(factory):
        return _Counts(
            n_rows=sum(tables.row_counts().values()),
            n_readings=export.count_of("readings"),
            n_pictures=export.count_of("pictures"),
            n_objects=n_objects,
        )


def _steps(factory: Factory) -> list[dict[str, Any]]:
    """Return every standing that the factory came into, oldest first."""
    entries = AuditEntry.objects.filter(factory=factory, action=STANDING_SET).order_by("id")
    return [{"standing": one.detail["to"], "at": one.at.isoformat()} for one in entries]


def digest_of(departure: Departure) -> str:
    """Return the SHA-256 of everything that a record says; it shows a later change."""
    facts = {
        field.attname: getattr(departure, field.attname)
        for field in Departure._meta.concrete_fields
        if field.attname not in ("id", "digest")
    }
    text = json.dumps(facts, sort_keys=True, default=lambda at: at.isoformat())
    return hashlib.sha256(text.encode()).hexdigest()


def departures_of(user: User) -> QuerySet[Departure]:
    """Return the deleted factories that a person belonged to, newest first."""
    return Departure.objects.filter(member_ids__contains=[user.pk]).order_by("-removed_at", "-pk")


def was_deleted(schema_name: str, user: User) -> bool:
    """Say whether a person belonged to a factory that is gone, and whose name nobody has now."""
    is_gone = departures_of(user).filter(schema_name=schema_name).exists()
    return is_gone and not Factory.objects.filter(schema_name=schema_name).exists()


def record_words(departure: Departure) -> str:
    """Write a record out for people."""
    steps = [f"  {step['at'][:10]}  {Standing(step['standing']).label}" for step in departure.steps]
    exported = f"{departure.exported_at:%Y-%m-%d %H:%M} UTC" if departure.exported_at else "never"
    objects = "not counted" if departure.n_objects is None else f"{departure.n_objects:,}"
    lines = [
        f"Factory: {departure.factory_name} ({departure.schema_name}), number"
        f" {departure.factory_id}, since {departure.founded_at:%Y-%m-%d}",
        f"Deleted: {departure.removed_at:%Y-%m-%d %H:%M} UTC",
        f"Reason: {departure.get_reason_display()}",
        f"Asked for by: {departure.asked_by or 'Takt'}",
        *(["Steps before:", *steps] if steps else []),
        f"Last export of everything: {exported}",
        f"Removed: {departure.n_rows:,} rows, among them {departure.n_readings:,} readings and"
        f" {departure.n_pictures:,} pictures; files in the store: {objects}",
        f"SHA-256 of this record: {departure.digest}",
    ]
    return "\n".join(lines)


def _tell(departure: Departure, owners: list[str]) -> None:
    send_mail(
        subject=f"{departure.factory_name} was deleted from Takt",
        message=(
            f"{departure.factory_name} was deleted, with all its data and keys. Devices that still"
            " send are refused. Invoices are kept, as the law asks.\n\n"
            f"{record_words(departure)}\n\n"
            "Keep this mail: it is the written record."
        ),
        from_email=None,
        recipient_list=owners,
        fail_silently=True,
    )
