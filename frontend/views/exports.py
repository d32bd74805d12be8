"""Exports: ask for one, see how far it is, fetch its file."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from frontend import explorer
from frontend.formats import day, size
from frontend.pages import answer, page
from telemetry import downloads, selectors, services
from telemetry.models import Export
from tenants.requests import PortalRequest
from tenants.standing import works_read_only
from tenants.storage import StorageUnavailable

MOST_ROWS = 100
LIMITS = (
    f"Up to {services.MAX_EXPORT_ROWS // 10**6} million rows and"
    f" {services.MAX_EXPORT_BYTES // 1024**3} GiB each, {services.MAX_OPEN_EXPORTS} at a time."
    f" Files are kept for {services.EXPORT_KEPT_FOR.days} days."
)


@dataclass(frozen=True)
class ExportRow:
    id: UUID
    created_at: datetime
    asked_by: str
    what: str
    start: datetime
    end: datetime
    form: str
    state: str
    note: str
    progress: float
    n_rows: int | None
    size: str
    is_open: bool
    is_ready: bool

    @property
    def progress_words(self) -> str:
        return f"{self.progress:.0%} written"


@works_read_only
@require_http_methods(["GET", "POST"])
@page("telemetry.export")
def exports(request: PortalRequest) -> HttpResponse:
    if request.method == "POST":
        return _ask(request)
    rows = list(selectors.exports()[:MOST_ROWS])
    context = {"exports": [_row(row) for row in rows], "limits": LIMITS}
    return answer(request, "frontend/explorer/exports.html", context, part="list")


@works_read_only
@require_POST
@page("telemetry.export")
def cancel(request: PortalRequest, export_id: UUID) -> HttpResponse:
    services.cancel_export(export=_export(export_id), at=timezone.now(), by=request.user)
    return redirect("frontend:exports")


@require_GET
@page("telemetry.export")
def file(request: PortalRequest, export_id: UUID) -> HttpResponseBase:
    export = _export(export_id)
    try:
        pieces = services.file_of(export=export, by=request.user)
    except services.NotReady:
        messages.error(request, "This export has no file: it is not ready, or was removed.")
    except StorageUnavailable:
        messages.error(
            request,
            "The store for files does not answer, so the file cannot be fetched now."
            " It is still there: try again in a minute.",
        )
    else:
        return downloads.attachment(request, export, pieces)
    return redirect("frontend:exports")


def _ask(request: PortalRequest) -> HttpResponse:
    now = timezone.now()
    signals = explorer.chosen(explorer.wanted_ids(request.POST.getlist("s")))
    try:
        shown = explorer.frame(request.POST, now=now, signals=signals)
        services.request_export(
            signals=signals,
            start=shown.start,
            end=shown.end,
            form="parquet" if request.POST.get("form") == "parquet" else "csv",
            at=now,
            by=request.user,
        )
    except (explorer.NotUnderstood, services.ExportRefused) as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, "The export has begun. This page shows how far it is.")
    return redirect("frontend:exports")


def _export(export_id: UUID) -> Export:
    try:
        return selectors.export(export_id)
    except Export.DoesNotExist:
        raise Http404 from None


def _row(export: Export) -> ExportRow:
    n = len(export.signal_ids)
    note = export.message
    if export.state == Export.State.DONE and export.expires_at:
        note = f"Kept until {day(export.expires_at)}"
    return ExportRow(
        id=export.pk,
        created_at=export.created_at,
        asked_by=export.asked_by,
        what=f"{n} signal{'s' if n != 1 else ''}",
        start=export.start,
        end=export.end,
        form=export.get_form_display(),
        state=export.get_state_display(),
        note=note,
        progress=export.progress,
        n_rows=export.n_rows,
        size=size(export.n_bytes),
        is_open=export.is_open,
        is_ready=export.state == Export.State.DONE,
    )
