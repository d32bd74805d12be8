"""What can happen to factories and to people's place in them."""

import re
import unicodedata
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.conf import settings
from django.contrib.sessions.models import Session
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from tenants import audit, claims, jobs, names, schema, storage
from tenants.context import factory_context
from tenants.models import (
    Domain,
    Factory,
    FactoryLimits,
    Job,
    Membership,
    OutgoingMail,
    Role,
    Ticket,
    User,
)
from tenants.signals import factory_built, factory_removed

log = structlog.get_logger()

MAX_FACTORIES_A_PERSON = 10
REMOVE_AGAIN_AFTER = timedelta(minutes=10)


class TooManyFactories(Exception):
    """A person owns as many factories as one may create without talking to us."""


class NameNotUsable(Exception):
    """No host name can be made of what was typed."""


def schema_name_from(name: str) -> str:
    """Derive a schema name from what a person typed: letters, digits and underscores.

    Raises:
        NameNotUsable: fewer than three letters or digits are left.
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    words = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")
    words = re.sub(r"^[0-9_]+", "", words)[:34].strip("_")
    if len(words) < 3:
        raise NameNotUsable(name)
    return words


def request_factory(
    *, name: str, owner: User, time_zone: str = "UTC", currency: str = "EUR", stem: str = ""
) -> tuple[Factory, Job]:
    """Write down a new factory of `owner` and queue the work that makes it usable.

    Its schema is named after `stem`, by default what is left of the name.

    Raises:
        NameNotUsable: no host name can be made of the name.
        TooManyFactories: the person owns the most one may.
    """
    n_owned = Membership.objects.filter(user=owner, role=Role.OWNER).count()
    if n_owned >= MAX_FACTORIES_A_PERSON:
        raise TooManyFactories
    stem = stem or schema_name_from(name)
    for attempt in range(1, 200):
        candidate = stem if attempt == 1 else f"{stem}_{attempt}"
        if not names.is_allowed_schema_name(candidate):
            continue
        if Factory.objects.filter(schema_name=candidate).exists():
            continue
        try:
            with transaction.atomic():
                factory = _write_factory(candidate, name, owner, time_zone, currency)
                job = jobs.enqueue(
                    task="tenants.build_factory",
                    kwargs={"factory_id": factory.pk},
                    key=f"build-{factory.pk}",
                )
                return factory, job
        except IntegrityError:
            continue  # somebody took the name a moment ago
    raise NameNotUsable(name)


def _write_factory(
    schema_name: str, name: str, owner: User, time_zone: str, currency: str
) -> Factory:
    factory = Factory(
        schema_name=schema_name, name=name.strip(), time_zone=time_zone, currency=currency
    )
    factory.save()
    host = f"{names.host_label(schema_name)}.{settings.BASE_HOST}"
    Domain.objects.create(domain=host, tenant=factory, is_primary=True)
    FactoryLimits.objects.create(factory=factory)
    Membership.objects.create(user=owner, factory=factory, role=Role.OWNER)
    audit.record(action="factory.requested", actor=owner, target=schema_name, factory=factory)
    return factory


def build_factory(
    *, factory_id: int, report: Callable[..., None] = lambda *_a: None
) -> dict[str, Any]:
    """Create the schema of a factory, all or nothing, and open it. Repeating it is harmless.

    Raises:
        jobs.JobRefused: the factory was removed meanwhile.
    """
    started = timezone.now()
    factory = Factory.objects.filter(pk=factory_id).first()
    if factory is None:
        raise jobs.JobRefused("This factory was removed before it was ready.")
    if factory.state != Factory.State.CREATING:
        return {"schema": factory.schema_name}
    report(0.1, "Making room for your data")
    with transaction.atomic():
        schema.replay(factory.schema_name)
        factory.state = Factory.State.ACTIVE
        factory.ready_at = factory.migrated_at = timezone.now()
        factory.migrations_digest = schema.migrations_digest()
        factory.save()
        with factory_context(factory):
            factory_built.send(sender=Factory, factory=factory)
    report(0.9, "Opening the portal")
    took_ms = round((timezone.now() - started).total_seconds() * 1000)
    log.info("factory.built", schema=factory.schema_name, took_ms=took_ms)
    return {"schema": factory.schema_name, "took_ms": took_ms}


def create_factory(
    *, name: str, owner: User, time_zone: str = "UTC", currency: str = "EUR", stem: str = ""
) -> Factory:
    """Create a usable factory here and now (commands, demo and tests; pages use a job)."""
    factory, job = request_factory(
        name=name, owner=owner, time_zone=time_zone, currency=currency, stem=stem
    )
    build_factory(factory_id=factory.pk)
    Job.objects.filter(pk=job.pk).update(state=Job.State.DONE, progress=1.0)
    factory.refresh_from_db()
    return factory


def remove_factory(*, factory: Factory, actor: User | None) -> None:
    """Delete a factory with its schema, keys and memberships; the audit chain stays.

    A job then removes its objects from the store, however long that is away.
    """
    audit.record(action="factory.removed", actor=actor, target=factory.schema_name)
    with transaction.atomic():
        schema.drop(factory)
        Factory.objects.filter(pk=factory.pk).delete()
        _queue_removal(factory.schema_name, timezone.now().isoformat())
        factory_removed.send(sender=Factory, schema_name=factory.schema_name)


def remove_objects(*, schema_name: str, stored_before: datetime) -> int:
    """Remove what a factory that is gone has left in the object store; return how much that was.

    Another factory may have taken its name since: what is younger stays. A store that is away is
    no error: the same work is queued for later.
    """
    n_removed = 0
    try:
        with factory_context(Factory(schema_name=schema_name)):
            for found in storage.objects(prefix=f"{schema_name}/"):
                if found.stored_at < stored_before:
                    storage.delete(key=found.key)
                    n_removed += 1
    except storage.StorageUnavailable as error:
        log.warning("factory.objects.left", schema=schema_name, error=str(error))
        _queue_removal(schema_name, stored_before.isoformat(), delay=REMOVE_AGAIN_AFTER)
    return n_removed


def _queue_removal(schema_name: str, before: str, delay: timedelta = timedelta(0)) -> None:
    jobs.enqueue(
        task="tenants.remove_objects",
        kwargs={"schema_name": schema_name, "stored_before": before},
        delay=delay,
    )


def set_role(*, factory: Factory, user: User, role: str, actor: User | None) -> Membership:
    """Give a person a role in a factory, as a new or an old member."""
    with transaction.atomic():
        membership, _ = Membership.objects.update_or_create(
            user=user, factory=factory, defaults={"role": role}
        )
        audit.record(
            action="member.role_set",
            actor=actor,
            target=user.email,
            detail={"role": role},
            factory=factory,
        )
    return membership


def for_each_factory(
    function: Callable[[Factory], None], *, states: tuple[str, ...] = (Factory.State.ACTIVE,)
) -> dict[str, str]:
    """Call `function` inside each factory; one that fails stops no other.

    Returns:
        What went wrong, by schema name.
    """
    errors: dict[str, str] = {}
    for factory in Factory.objects.filter(state__in=states).order_by("pk"):
        try:
            with factory_context(factory):
                function(factory)
        except Exception as error:  # the other factories must go on
            log.exception("factory.failed", schema=factory.schema_name)
            errors[factory.schema_name] = f"{type(error).__name__}: {error}"
    return errors


def tidy(*, at: datetime) -> None:
    """Remove what nobody will look at again, and sign-ups that could never be built."""
    Ticket.objects.filter(expires_at__lt=at - timedelta(days=1)).delete()
    Session.objects.filter(expire_date__lt=at).delete()
    Job.objects.filter(state=Job.State.DONE, finished_at__lt=at - timedelta(days=30)).delete()
    OutgoingMail.objects.filter(created_at__lt=at - timedelta(days=30)).delete()
    claims.forget_guesses(before=at - timedelta(days=1))
    dead = Job.objects.filter(
        Q(state=Job.State.DEAD) | Q(state=Job.State.FAILED), task="tenants.build_factory"
    ).values_list("kwargs__factory_id", flat=True)
    Factory.objects.filter(
        pk__in=list(dead), state=Factory.State.CREATING, created_at__lt=at - timedelta(hours=1)
    ).delete()
