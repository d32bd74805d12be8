"""What the buttons of a work order do: each form names its action; words become values here."""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.http import QueryDict
from django.utils.datastructures import MultiValueDict

from frontend.formats import minor_units
from production import photos, selectors, services, strokes
from production.models import CheckItem, Failure, SparePart, WorkOrder
from production.services import UNCODED, Actor, FailureCode
from tenants import storage
from tenants.models import User
from tenants.permissions import allowed

MAX_WORDS = 500


class Refused(Exception):
    """It was not done; the text is for people, and what was typed stays."""


class NotAllowed(Exception):
    """The role may not do this."""


class Sent:
    """A form as it came, with its fields read as what they mean."""

    def __init__(
        self,
        data: QueryDict,
        files: "MultiValueDict[str, UploadedFile[Any]]",
        members: Mapping[int, User],
    ) -> None:
        self.data, self.files, self.members = data, files, members

    def text(self, name: str) -> str:
        return self.data.get(name, "").replace("\0", "").strip()[:MAX_WORDS]

    def choice(self, name: str, known: Sequence[str]) -> str:
        text = self.text(name)
        if text and text not in known:
            raise Refused("Choose one of the answers.")
        return text

    def whole(self, name: str, words: str) -> int | None:
        text = self.text(name)
        if not text:
            return None
        if not (text.isascii() and text.isdigit() and len(text) < 8):
            raise Refused(f"{words}: give a whole number.")
        return int(text)

    def decimal(self, name: str, words: str) -> Decimal | None:
        text = self.text(name).replace(",", ".")
        if not text:
            return None
        try:
            number = round(Decimal(text), 2)
        except InvalidOperation:
            raise Refused(f"{words}: give a number.") from None
        if not number.is_finite() or abs(number) > 1_000_000:
            raise Refused(f"{words}: give a number that can be.")
        return number

    def money(self, name: str, words: str, *, currency: str) -> int | None:
        amount = self.decimal(name, words)
        if amount is not None and amount < 0:
            raise Refused(f"{words}: not below zero.")
        return None if amount is None else int(amount * minor_units(currency))

    def moment(self, name: str) -> datetime | None:
        try:
            found: datetime | None = forms.DateTimeField(required=False).clean(self.text(name))
        except forms.ValidationError:
            raise Refused("Give the time as a date and a time of day.") from None
        return found

    def request_id(self) -> UUID | None:
        try:
            return UUID(self.data.get("request_id", ""))
        except ValueError:
            return None


def _approve(order: WorkOrder, sent: Sent, actor: Actor) -> None:
    services.approve(order=order, **actor.fields())


def _schedule(order: WorkOrder, sent: Sent, actor: Actor) -> None:
    person = sent.members.get(sent.whole("assigned_to", "Person") or 0)
    services.schedule(
        order=order, scheduled_for=sent.moment("scheduled_for"), assigned_to=person,
        **actor.fields(),
    )  # fmt: skip


def _start(order: WorkOrder, sent: Sent, actor: Actor) -> None:
    services.start(order=order, **actor.fields())


def _check(order: WorkOrder, sent: Sent, actor: Actor) -> None:
    try:
        item = selectors.check_item(order_id=order.pk, item_id=sent.whole("item", "Line") or 0)
    except CheckItem.DoesNotExist:
        raise Refused("This line is not on the checklist any more.") from None
    value = sent.decimal("value", item.text)
    services.check(
        order=order, item=item, is_ok=sent.text("result") != "not_ok",
        value=None if value is None else float(value), actor=actor,
    )  # fmt: skip


def _labour(order: WorkOrder, sent: Sent, actor: Actor) -> None:
    services.add_labour(
        order=order, minutes=sent.whole("minutes", "Minutes") or 0,
        rate_minor_per_h=sent.money("rate", "Rate", currency=order.currency), actor=actor,
    )  # fmt: skip


def _part(order: WorkOrder, sent: Sent, actor: Actor) -> None:
    try:
        part = selectors.spare_part(UUID(sent.text("part")))
    except (SparePart.DoesNotExist, ValueError):
        raise Refused("Choose a part.") from None
    quantity = sent.decimal("quantity", "How many") or Decimal(0)
    services.use_part(order=order, part=part, quantity=quantity, actor=actor)


def _photo(order: WorkOrder, sent: Sent, actor: Actor) -> None:
    file = sent.files.get("photo")
    if file is None:
        raise Refused("Choose a photo.")
    content = file.read(photos.MAX_BYTES + 1)
    services.add_photo(order=order, content=content, actor=actor)


def _sign(order: WorkOrder, sent: Sent, actor: Actor) -> None:
    try:
        drawn = json.loads(sent.data.get("strokes") or "[]")
    except ValueError:
        raise strokes.NotStrokes from None
    services.sign(order=order, name=sent.text("name"), drawn=drawn, actor=actor)


def _complete(order: WorkOrder, sent: Sent, actor: Actor) -> None:
    verdict = sent.choice("verdict", WorkOrder.Verdict.values)
    code = UNCODED
    if verdict == WorkOrder.Verdict.REAL:
        code = FailureCode(
            mode=sent.choice("mode", Failure.Mode.values),
            mechanism=sent.choice("mechanism", Failure.Mechanism.values) or UNCODED.mechanism,
            cause=sent.choice("cause", Failure.Cause.values) or UNCODED.cause,
            detection=sent.choice("detection", Failure.Detection.values) or UNCODED.detection,
            failed_at=sent.moment("failed_at"),
        )
    services.complete(
        order=order, verdict=verdict, note=sent.text("note"), code=code,
        downtime_minutes=sent.whole("downtime", "Standstill"), **actor.fields(),
    )  # fmt: skip


def _verify(order: WorkOrder, sent: Sent, actor: Actor) -> None:
    services.verify(order=order, text=sent.text("text"), **actor.fields())


def _reject(order: WorkOrder, sent: Sent, actor: Actor) -> None:
    services.reject(
        order=order, text=sent.text("text"), verdict=sent.text("verdict"), **actor.fields()
    )


def _comment(order: WorkOrder, sent: Sent, actor: Actor) -> None:
    if not sent.text("text"):
        raise Refused("Write a few words.")
    services.comment(order=order, text=sent.text("text"), **actor.fields())


# Action -> what it does, and the permission that it needs.
ACTIONS: dict[str, tuple[Callable[[WorkOrder, Sent, Actor], None], str]] = {
    "approve": (_approve, "production.plan_work"),
    "schedule": (_schedule, "production.plan_work"),
    "start": (_start, "production.work"),
    "check": (_check, "production.work"),
    "labour": (_labour, "production.work"),
    "part": (_part, "production.work"),
    "photo": (_photo, "production.work"),
    "sign": (_sign, "production.work"),
    "complete": (_complete, "production.work"),
    "verify": (_verify, "production.plan_work"),
    "reject": (_reject, "production.plan_work"),
    "comment": (_comment, "production.work"),
}


def act(*, order: WorkOrder, sent: Sent, by: User, role: str, at: datetime) -> None:
    """Do what a form asks.

    Raises:
        Refused: it cannot be done so; the text says why.
        NotAllowed: the role may not.
    """
    found = ACTIONS.get(sent.data.get("action", ""))
    if found is None:
        raise Refused("There is no such button.")
    function, permission = found
    if not allowed(role, permission):
        raise NotAllowed(permission)
    try:
        function(order, sent, Actor(by, at, sent.request_id()))
    except storage.StorageUnavailable:
        raise Refused("The store for photos does not answer. Send it again in a minute.") from None
    except (
        services.NotPossible, services.NotAMember, photos.NotAPhoto, strokes.NotStrokes,
    ) as error:  # fmt: skip
        raise Refused(str(error)) from error
