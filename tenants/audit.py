"""The audit log: append-only, hash-chained per factory."""

import hashlib
import json
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from tenants.models import AuditEntry, Factory, User

_CHAIN_START = "0" * 64


def _hash(previous: str, factory_id: int | None, at: datetime, facts: list[Any]) -> str:
    content = json.dumps([previous, factory_id, at.isoformat(), *facts], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def record(
    *,
    action: str,
    actor: User | None,
    target: str = "",
    detail: dict[str, Any] | None = None,
    factory: Factory | None = None,
) -> AuditEntry:
    """Append an entry to a factory's chain (or to the installation's, without a factory).

    Writers of one chain wait for each other until their transactions end.
    """
    factory_id = factory.pk if factory else None
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(7061, %s)", [factory_id or 0])
        last = AuditEntry.objects.filter(factory=factory).order_by("-id").first()
        previous = last.entry_hash if last else _CHAIN_START
        at = timezone.now()
        actor_id, actor_name = (actor.pk, actor.email) if actor else (None, "Takt")
        facts = [actor_id, actor_name, action, target, detail or {}]
        return AuditEntry.objects.create(
            factory_id=factory_id,
            at=at,
            actor_id=actor_id,
            actor_name=actor_name,
            action=action,
            target=target,
            detail=detail or {},
            previous_hash=previous,
            entry_hash=_hash(previous, factory_id, at, facts),
        )


def verify(*, factory: Factory | None = None) -> int | None:
    """Return the id of the first entry that breaks the chain, or None where all is well."""
    previous = _CHAIN_START
    factory_id = factory.pk if factory else None
    for entry in AuditEntry.objects.filter(factory=factory).order_by("id").iterator():
        facts = [entry.actor_id, entry.actor_name, entry.action, entry.target, entry.detail]
        expected = _hash(previous, factory_id, entry.at, facts)
        if entry.previous_hash != previous or entry.entry_hash != expected:
            return entry.pk
        previous = entry.entry_hash
    return None
