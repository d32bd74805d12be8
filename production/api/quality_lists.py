"""How the lists of products, lots and inspections are asked, and what is refused."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from production import services
from tenants.api.errors import Conflict
from tenants.models import User


@contextmanager
def refusals() -> Iterator[None]:
    """Answer 409 with the rule's own code where a rule forbids what is asked."""
    try:
        yield
    except services.Refused as refusal:
        raise Conflict(str(refusal), code=refusal.code) from refusal


def user_of(request: Request) -> User | None:
    return request.user if isinstance(request.user, User) else None


def asked_id(request: Request, name: str) -> UUID | None:
    """Return the id that a filter names.

    Raises:
        ValidationError: it is no id.
    """
    wanted = request.query_params.get(name)
    if wanted is None:
        return None
    try:
        return UUID(wanted)
    except ValueError:
        raise ValidationError({name: "Expected an id."}) from None


def asked_choice(request: Request, name: str, known: list[str]) -> str | None:
    """Return the word that a filter names.

    Raises:
        ValidationError: it is none of those that are known.
    """
    wanted = request.query_params.get(name)
    if wanted is not None and wanted not in known:
        raise ValidationError({name: f"Expected one of: {', '.join(known)}."})
    return wanted


def first_error(errors: Any) -> str:
    """Return the first of a serializer's errors in one line, with the name of its field."""
    for name, found in errors.items():
        while isinstance(found, (list, dict)) and found:
            found = found[0] if isinstance(found, list) else next(iter(found.values()))
        return f"{name}: {found}"
    return "Not valid."
