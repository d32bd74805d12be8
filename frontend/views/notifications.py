"""What a person was told, and how they like to be told."""

from uuid import UUID

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from frontend import notices
from frontend.pages import page
from tenants.notifications import inbox
from tenants.requests import PortalRequest
from tenants.standing import works_read_only

NOTICES_A_PAGE = 30


@require_GET
@page("production.view")
def inbox_page(request: PortalRequest, *, show_all: bool = False) -> HttpResponse:
    told = inbox.inbox(user=request.user, factory=request.factory)
    rows = told if show_all else told.filter(read_at=None)
    chosen = Paginator(rows, NOTICES_A_PAGE).get_page(request.GET.get("page"))
    context = {"notices": notices.notices(chosen), "chosen": chosen, "show_all": show_all}
    return render(request, "frontend/notifications/inbox.html", context)


@works_read_only
@require_POST
@page("production.view")
def read_all(request: PortalRequest) -> HttpResponse:
    n_read = inbox.mark_read(user=request.user, factory=request.factory, at=timezone.now())
    if n_read:
        messages.success(request, "All are marked as read.")
    return redirect("frontend:notifications")


@works_read_only
@require_POST
@page("production.view")
def read(request: PortalRequest, notification_id: UUID) -> HttpResponse:
    """Mark one as read, and lead to the page that it is about or back to the list."""
    told = inbox.inbox(user=request.user, factory=request.factory)
    delivery = told.filter(notification=notification_id).first()
    if delivery is None:
        raise Http404
    inbox.mark_read(
        user=request.user,
        factory=request.factory,
        at=timezone.now(),
        notification_id=notification_id,
    )
    if "open" in request.POST:
        return redirect(delivery.notification.path)
    return redirect("frontend:notifications")


@require_http_methods(["GET", "POST"])
@page("production.view")
def preferences_page(request: PortalRequest) -> HttpResponse:
    form = notices.PreferencesForm(
        request.POST if request.method == "POST" else None,
        user=request.user,
        factory=request.factory,
    )
    if request.method == "POST" and form.is_valid() and form.save():
        messages.success(request, "From now on you are told as you chose.")
        return redirect("frontend:notification-preferences")
    status = 422 if form.errors else 200
    return render(request, "frontend/notifications/preferences.html", {"form": form}, status=status)
