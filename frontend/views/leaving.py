"""What is left to a factory that is behind with its payments, or leaves Takt."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from frontend.formats import day, size
from frontend.pages import answer, may, page
from frontend.views import errors
from tenants import export, leaving, standing, streaming
from tenants.models import Departure, Job
from tenants.requests import PortalRequest
from tenants.standing import works_suspended
from tenants.storage import StorageUnavailable

MANAGE = "billing.manage"
_WORDS = {
    Job.State.QUEUED: "Waiting",
    Job.State.RUNNING: "Being written",
    Job.State.DONE: "Ready",
    Job.State.FAILED: "Stopped",
    Job.State.DEAD: "Failed: ask for it again",
}


@dataclass(frozen=True)
class ExportRow:
    id: UUID
    created_at: datetime
    state: str
    note: str
    progress: float
    size: str
    is_open: bool
    is_ready: bool

    @property
    def progress_words(self) -> str:
        return f"{self.progress:.0%} written"


@works_suspended
@require_GET
@page("production.view")
def read_only(request: PortalRequest) -> HttpResponse:
    """Say why nothing can be changed."""
    limits = standing.limits_of(request.factory)
    if limits is None or not limits.read_only:
        return redirect("frontend:now")
    return errors.read_only(request, standing.ReadOnly(request.factory, limits), status=200)


@works_suspended
@require_GET
@page("production.view")
def suspended(request: PortalRequest) -> HttpResponse:
    """Say why the factory is suspended, until when its data are kept, and how to go on."""
    limits = standing.limits_of(request.factory)
    if limits is None or limits.standing != standing.Standing.SUSPENDED:
        return redirect("frontend:now")
    context = {
        "kept_until": limits.standing_until,
        "pay_url": standing.payment_path() if may(request, "billing.view") else "",
        "export_url": reverse("frontend:leaving") if may(request, MANAGE) else "",
    }
    return render(request, "frontend/leaving/suspended.html", context)


@works_suspended
@require_GET
@page(MANAGE)
def leaving_page(request: PortalRequest) -> HttpResponse:
    """Everything to take along, and the way out."""
    context = {
        "exports": [_row(job) for job in export.exports_of(request.factory)],
        "may_delete": may(request, "factory.delete"),
        "topic": export.TOPIC,
        "kept_days": export.KEPT_FOR.days,
    }
    return answer(request, "frontend/leaving/page.html", context, part="exports")


@works_suspended
@require_POST
@page(MANAGE)
def export_new(request: PortalRequest) -> HttpResponse:
    export.request_export(by=request.user)
    messages.success(request, "The export has begun. This page shows how far it is.")
    return redirect("frontend:leaving")


@works_suspended
@require_GET
@page(MANAGE)
def export_file(request: PortalRequest, everything_id: UUID) -> HttpResponseBase:
    """Hand out the ZIP through our own host, to members with the right only."""
    try:
        job = export.export_of(request.factory, job_id=everything_id)
    except Job.DoesNotExist:
        raise Http404 from None
    try:
        pieces = export.file_of(job, by=request.user)
    except export.NotReady:
        messages.error(request, "This export has no file: it is not ready, or was removed.")
    except StorageUnavailable:
        messages.error(
            request,
            "The store for files does not answer, so the file cannot be fetched now."
            " It is still there: try again in a minute.",
        )
    else:
        return streaming.attachment(
            request,
            pieces,
            name=export.file_name(job),
            content_type="application/zip",
            n_bytes=job.result["n_bytes"] if job.result else None,
        )
    return redirect("frontend:leaving")


@works_suspended
@require_POST
@page("factory.delete")
def delete(request: PortalRequest) -> HttpResponse:
    """Have the factory deleted, once its owner has typed its name."""
    if request.POST.get("name", "").strip() != request.factory.name:
        messages.error(request, "Nothing was deleted: the name was not typed as it is written.")
        return redirect("frontend:leaving")
    leaving.request_removal(
        factory=request.factory, reason=Departure.Reason.OWNER, actor=request.user
    )
    return HttpResponseRedirect(f"{settings.BASE_URL}/factories/")


def _row(job: Job) -> ExportRow:
    until = export.expires_at(job)
    is_ready = until is not None and until > timezone.now()
    note = job.message if job.state in Job.OPEN_STATES or job.state == Job.State.FAILED else ""
    if until is not None:
        note = f"Kept until {day(until)}" if is_ready else "Removed"
    return ExportRow(
        id=job.pk,
        created_at=job.created_at,
        state=_WORDS[Job.State(job.state)],
        note=note,
        progress=job.progress,
        size=size(job.result["n_bytes"]) if job.result else "",
        is_open=job.state in Job.OPEN_STATES,
        is_ready=is_ready,
    )
