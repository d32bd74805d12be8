"""Models: what serves for each subject, and the page of one with its buttons."""

from collections.abc import Callable
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import ObjectDoesNotExist
from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from frontend import model_page
from frontend.pages import answer, may, page
from mlops import kinds
from mlops import selectors as mlops_selectors
from mlops import services as mlops_services
from mlops.kinds import Subject
from tenants.requests import PortalRequest

MAX_REASON = 300


@require_GET
@page("mlops.view")
def model_list(request: PortalRequest) -> HttpResponse:
    rows = model_page.rows()
    return answer(request, "frontend/models/list.html", {"rows": rows})


@require_GET
@page("mlops.view")
def model(request: PortalRequest, subject_id: UUID, kind: str) -> HttpResponse:
    found = model_page.build(
        _subject(subject_id, kind),
        kind,
        compare=request.GET.get("compare", ""),
        may_train=may(request, "mlops.train"),
    )
    context = {"page": found, "may_train": may(request, "mlops.train")}
    return answer(request, "frontend/models/detail.html", context, part="live")


@require_POST
@page("mlops.train")
def act(request: PortalRequest, subject_id: UUID, kind: str) -> HttpResponse:
    """Do what a button of the page says: learn, cancel, promote, roll back."""
    subject = _subject(subject_id, kind)
    done = _ACTIONS.get(request.POST.get("action", ""))
    try:
        if done is None:
            raise mlops_services.NotPossible("This page has no such button.")
        messages.success(request, done(request, subject, kind))
    except (mlops_services.NotReady, mlops_services.NotPossible) as refusal:
        messages.error(request, str(refusal))
    return redirect("frontend:model", subject_id=subject_id, kind=kind)


def _train(request: PortalRequest, subject: Subject, kind: str) -> str:
    mlops_services.request_training(subject_id=subject.pk, by=request.user, kind=kind)
    return "Learning has begun. This page shows what came of it."


def _cancel(request: PortalRequest, subject: Subject, kind: str) -> str:
    was_there = mlops_services.cancel_training(subject_id=subject.pk, by=request.user, kind=kind)
    return "Learning is cancelled." if was_there else "Nothing was being learned any more."


def _promote(request: PortalRequest, subject: Subject, kind: str) -> str:
    try:
        version_id = UUID(request.POST.get("version", ""))
    except ValueError:
        raise Http404 from None
    rows = mlops_selectors.versions_of(subject_id=subject.pk, kind=kind)
    if not rows.filter(pk=version_id).exists():
        raise Http404
    version = mlops_services.promote(
        version_id=version_id, by=request.user, at=timezone.now(), reason=_reason(request)
    )
    return f"Version {version.version} is in service."


def _roll_back(request: PortalRequest, subject: Subject, kind: str) -> str:
    version = mlops_services.roll_back(
        subject_id=subject.pk, kind=kind, by=request.user, at=timezone.now(),
        reason=_reason(request),
    )  # fmt: skip
    return f"Version {version.version} is back in service."


_ACTIONS: dict[str, Callable[[PortalRequest, Subject, str], str]] = {
    "train": _train,
    "cancel": _cancel,
    "promote": _promote,
    "roll-back": _roll_back,
}


def _reason(request: PortalRequest) -> str:
    return request.POST.get("reason", "")[:MAX_REASON]


def _subject(subject_id: UUID, kind: str) -> Subject:
    if kind not in kinds.codes():
        raise Http404
    try:
        found: Subject = kinds.of(kind).subject(subject_id)
    except ObjectDoesNotExist:
        raise Http404 from None
    return found
