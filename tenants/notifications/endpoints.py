"""Webhook endpoints of a factory: made, changed, rotated, tried, switched off."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from urllib.parse import urlsplit
from uuid import UUID, uuid4

from django.db import transaction
from django.db.models import QuerySet

from tenants import audit
from tenants.models import (
    Delivery,
    Factory,
    Membership,
    Notification,
    Role,
    User,
    WebhookEndpoint,
)
from tenants.notifications import addresses, planning
from tenants.notifications.secrets import new_secret, seal, unseal
from tenants.notifications.topics import WEBHOOKS

MAX_ENDPOINTS = 20
OLD_SECRET_VALID_FOR = timedelta(days=1)
OFF_AFTER = timedelta(days=5)
PING = "ping"
PAGE = "/settings/webhooks/"


class TooManyEndpoints(Exception):
    """A factory has as many endpoints as one may have."""


class EndpointOff(Exception):
    """The endpoint is switched off, so nothing is sent to it."""


def endpoints_of(factory: Factory) -> QuerySet[WebhookEndpoint]:
    return WebhookEndpoint.objects.filter(factory=factory).order_by("created_at", "pk")


def endpoint(endpoint_id: UUID, *, factory: Factory) -> WebhookEndpoint:
    """Return an endpoint of a factory.

    Raises:
        WebhookEndpoint.DoesNotExist: the factory has no such endpoint.
    """
    return WebhookEndpoint.objects.get(pk=endpoint_id, factory=factory)


def deliveries_to(endpoint: WebhookEndpoint) -> QuerySet[Delivery]:
    """Return what was or will be sent to an endpoint, newest first."""
    return (
        Delivery.objects.filter(endpoint=endpoint)
        .select_related("notification", "factory", "endpoint")
        .order_by("-notification__at", "pk")
    )


def create(
    *, factory: Factory, url: str, topics: Sequence[str], by: User | None, at: datetime
) -> tuple[WebhookEndpoint, str]:
    """Make an endpoint and return it with its signing secret, which is shown only now.

    Raises:
        AddressRefused: a webhook does not go to this address.
        TooManyEndpoints: the factory has as many as one may have.
    """
    check(url)
    secret = new_secret()
    with transaction.atomic():
        # The lock makes the limit exact under parallel requests.
        Factory.objects.select_for_update().get(pk=factory.pk)
        if endpoints_of(factory).count() >= MAX_ENDPOINTS:
            raise TooManyEndpoints
        made = WebhookEndpoint.objects.create(
            factory=factory,
            url=url,
            topics=sorted(set(topics)),
            sealed_secret=seal(secret),
            created_at=at,
        )
        _record("made", made, by)
    return made, secret


def check(url: str) -> None:
    """Refuse an address early, while somebody is there to read why; each attempt checks again.

    Raises:
        AddressRefused: a webhook does not go to this address.
    """
    target = addresses.parse(url)
    try:
        addresses.resolve(target)
    except addresses.HostUnknown:
        return  # the name may come to exist


def change(
    *, endpoint: WebhookEndpoint, changes: dict[str, object], by: User | None
) -> WebhookEndpoint:
    """Give an endpoint another `url`, other `topics`, or switch it (`enabled`).

    Raises:
        AddressRefused: a webhook does not go to this address.
    """
    if "url" in changes:
        check(str(changes["url"]))
    if "url" in changes or changes.get("enabled"):
        changes = {**changes, "failing_since": None}  # it gets its five days anew
    with transaction.atomic():
        for name in ("url", "topics", "enabled", "failing_since"):
            if name in changes:
                setattr(endpoint, name, changes[name])
        endpoint.save(update_fields=list(changes))
        named = {name: value for name, value in changes.items() if name in ("topics", "enabled")}
        _record("changed", endpoint, by, **named)
    return endpoint


def rotate(*, endpoint: WebhookEndpoint, by: User | None, at: datetime) -> str:
    """Make a new secret and return it; messages carry both signatures for a day."""
    secret = new_secret()
    with transaction.atomic():
        fresh = WebhookEndpoint.objects.select_for_update().get(pk=endpoint.pk)
        fresh.sealed_previous = fresh.sealed_secret
        fresh.previous_until = at + OLD_SECRET_VALID_FOR
        fresh.sealed_secret = seal(secret)
        fresh.save(update_fields=["sealed_previous", "previous_until", "sealed_secret"])
        _record("secret_rotated", endpoint, by)
    return secret


def remove(*, endpoint: WebhookEndpoint, by: User | None) -> None:
    """Remove an endpoint with the record of what it was sent."""
    with transaction.atomic():
        _record("removed", endpoint, by)
        endpoint.delete()


def ping(*, endpoint: WebhookEndpoint, at: datetime) -> Delivery:
    """Send an endpoint a message that says nothing, to see whether it arrives.

    Raises:
        EndpointOff: nothing is sent to an endpoint that is switched off.
    """
    if not endpoint.enabled:
        raise EndpointOff
    notification = Notification(
        factory=endpoint.factory,
        topic=PING,
        severity=4,
        subject="A ping from Takt",
        text="Nothing happened. Somebody wanted to see whether this arrives.",
        path=f"{PAGE}{endpoint.pk}/",
        key=f"ping:{uuid4()}",
        at=at,
    )
    return planning.plan_for_endpoint(notification=notification, endpoint=endpoint, at=at)


def valid_secrets(endpoint: WebhookEndpoint, *, at: datetime) -> list[str]:
    """Return the secrets to sign with: the present one, and the one before for its last day.

    Raises:
        SecretLost: the present one cannot be opened.
    """
    secrets = [unseal(endpoint.sealed_secret)]
    if endpoint.previous_until is not None and at < endpoint.previous_until:
        secrets.append(unseal(endpoint.sealed_previous))
    return secrets


def mark_answering(endpoint: WebhookEndpoint) -> None:
    WebhookEndpoint.objects.filter(pk=endpoint.pk).exclude(failing_since=None).update(
        failing_since=None
    )


def mark_failing(endpoint: WebhookEndpoint, *, is_gone: bool, at: datetime) -> None:
    """Remember since when it fails; after five days, or when it says it is gone, switch it off."""
    rows = WebhookEndpoint.objects.filter(pk=endpoint.pk, enabled=True)
    rows.filter(failing_since=None).update(failing_since=at)
    if not is_gone:
        rows = rows.filter(failing_since__lte=at - OFF_AFTER)
    if rows.update(enabled=False):  # one worker switches it off, and tells
        _tell_admins(endpoint, is_gone=is_gone, at=at)


def _tell_admins(endpoint: WebhookEndpoint, *, is_gone: bool, at: datetime) -> None:
    host = urlsplit(endpoint.url).hostname
    reason = "It said that it is gone for good (410)." if is_gone else "It failed for five days."
    _record("switched_off", endpoint, None, reason=reason)
    admins = Membership.objects.filter(
        factory=endpoint.factory, role__in=(Role.OWNER, Role.ADMIN)
    ).values_list("user_id", flat=True)
    planning.notify(
        factory=endpoint.factory,
        topic=WEBHOOKS,
        severity=2,
        subject=f"The webhook to {host} is switched off",
        text=f"{reason} Nothing is sent to it any more. Repair it, switch it on, and send again "
        "what was given up.",
        path=f"{PAGE}{endpoint.pk}/",
        key=f"webhook-off:{endpoint.pk}:{at.isoformat()}",
        recipients=list(admins),
        at=at,
    )


def _record(what: str, endpoint: WebhookEndpoint, by: User | None, **detail: object) -> None:
    # The host alone: the path of many a webhook is as good as a password.
    audit.record(
        action=f"webhook.{what}",
        actor=by,
        target=str(urlsplit(endpoint.url).hostname),
        detail=detail,
        factory=endpoint.factory,
    )
