"""Pages for what went wrong: what it means, what still works, what to do."""

from dataclasses import dataclass

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse

from tenants.models import Role
from tenants.permissions import PERMISSIONS, allowed
from tenants.standing import Behind, payment_path


@dataclass(frozen=True)
class Action:
    label: str
    url: str


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    return _page(
        request,
        403,
        "This form is too old",
        "It was open for too long, or cookies are off. Go back, reload the page and send it again."
        " What you typed is still there.",
    )


def forbidden(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    permission = str(exception or "")
    who = [Role(role).label.lower() for role, has in PERMISSIONS.items() if permission in has]
    words = "Your role does not reach this page."
    if who:
        words += f" It is open to the role{'s' if len(who) > 1 else ''} {_listed(who)}."
    return _page(request, 403, "This page is for others", words)


def behind(request: HttpRequest, refusal: Behind) -> HttpResponse:
    """Say that a payment is missing, what still works, and where to pay.

    Scripts of our pages that send a form keep what was typed and show the reason.
    """
    if request.headers.get("X-Takt-Keep") or _asks_for_json(request):
        said = {"name": "Not taken.", "why": refusal.message}
        body = {**refusal.body, "error": refusal.message, "next": "", "refused": [said]}
        return JsonResponse(body, status=403)
    if request.headers.get("HX-Request"):
        return HttpResponse(status=403, headers={"HX-Redirect": reverse("frontend:read-only")})
    return read_only(request, refusal, status=403)


def read_only(request: HttpRequest, refusal: Behind, *, status: int) -> HttpResponse:
    context = {
        "code": status if status != 200 else "",
        "heading": "Read-only until the bill is paid",
        "words": f"{refusal.message} Everything can be looked at and exported, alarms can be"
        " acknowledged, people removed. If you were just changing something: nothing was changed;"
        " the back button brings what you typed.",
        "actions": [*_payment(request), Action("Go to Now", "/")],
        "is_error": True,
    }
    return render(request, "frontend/error.html", context, status=status)


def _payment(request: HttpRequest) -> list[Action]:
    membership = getattr(request, "membership", None)
    may_pay = membership is not None and allowed(membership.role, "billing.view")
    return [Action("Usage and bill", payment_path())] if may_pay else []


def _asks_for_json(request: HttpRequest) -> bool:
    return request.headers.get("Accept", "").startswith("application/json")


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return _page(
        request,
        404,
        "There is nothing at this address",
        "It may have been moved or removed, or it belongs to a factory that is not yours.",
    )


def too_many(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Answer who tried too often (django-allauth's limits on log-in and letters)."""
    return _page(
        request,
        429,
        "Too many attempts",
        "To keep guessers out, this is limited. Wait a few minutes, then try again.",
    )


def broken(request: HttpRequest) -> HttpResponse:
    return _page(
        request,
        500,
        "Something broke on our side",
        "Readings go on being stored. Try again; if it stays, tell us with the code below.",
    )


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _page(request: HttpRequest, code: int, heading: str, words: str) -> HttpResponse:
    request_id = structlog.contextvars.get_contextvars().get("request_id", "")
    if request.path.startswith("/api/"):
        body: dict[str, object] = {
            "code": "not_found" if code == 404 else "error",
            "message": words,
            "detail": {},
        }
        return JsonResponse(body, status=code)
    factory = getattr(request, "factory", None)
    actions = [Action("Go to Now", "/")] if factory else [Action("Go to the front page", "/")]
    if factory:
        actions.append(Action("My factories", f"{settings.BASE_URL}/factories/"))
    context = {
        "code": code,
        "heading": heading,
        "words": words,
        "request_id": request_id if code == 500 else "",
        "actions": actions,
        # The page must not need what may have broken: no navigation, no queries.
        "is_error": True,
    }
    return render(request, "frontend/error.html", context, status=code)
