"""Addresses of the factory's own that hear of what happens."""

from uuid import UUID

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from frontend import notices
from frontend.pages import page
from tenants.models import WebhookEndpoint
from tenants.notifications import delivering, endpoints
from tenants.notifications.addresses import AddressRefused
from tenants.requests import PortalRequest

DELIVERIES_A_PAGE = 50
MANAGE = "webhooks.manage"


@require_http_methods(["GET", "POST"])
@page(MANAGE)
def webhook_list(request: PortalRequest) -> HttpResponse:
    form = notices.EndpointForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        made = _make(request, form)
        if made is not None:
            endpoint, secret = made
            return _page(request, endpoint, secret=secret)
    now = timezone.now()
    rows = [
        notices.endpoint_row(endpoint, now=now)
        for endpoint in endpoints.endpoints_of(request.factory)
    ]
    context = {"endpoints": rows, "form": form}
    status = 422 if form.errors else 200
    return render(request, "frontend/notifications/webhooks.html", context, status=status)


def _make(request: PortalRequest, form: notices.EndpointForm) -> tuple[WebhookEndpoint, str] | None:
    try:
        return endpoints.create(
            factory=request.factory,
            url=form.cleaned_data["url"],
            topics=form.cleaned_data["topics"],
            by=request.user,
            at=timezone.now(),
        )
    except AddressRefused as refusal:
        form.add_error("url", str(refusal))
    except endpoints.TooManyEndpoints:
        form.add_error(
            None, f"There are {endpoints.MAX_ENDPOINTS} webhooks already: remove one first."
        )
    return None


@require_GET
@page(MANAGE)
def webhook(request: PortalRequest, endpoint_id: UUID) -> HttpResponse:
    return _page(request, _endpoint(request, endpoint_id))


@require_POST
@page(MANAGE)
def ping(request: PortalRequest, endpoint_id: UUID) -> HttpResponse:
    endpoint = _endpoint(request, endpoint_id)
    try:
        endpoints.ping(endpoint=endpoint, at=timezone.now())
    except endpoints.EndpointOff:
        messages.error(request, "The webhook is switched off. Switch it on to send a ping.")
    else:
        messages.success(request, "A ping is on its way. Load this page again to see its answer.")
    return redirect("frontend:webhook", endpoint_id=endpoint.pk)


@require_POST
@page(MANAGE)
def rotate(request: PortalRequest, endpoint_id: UUID) -> HttpResponse:
    """Make a new secret and show it, this once: only the page that answers has it."""
    endpoint = _endpoint(request, endpoint_id)
    secret = endpoints.rotate(endpoint=endpoint, by=request.user, at=timezone.now())
    endpoint.refresh_from_db()
    return _page(request, endpoint, secret=secret)


@require_POST
@page(MANAGE)
def switch(request: PortalRequest, endpoint_id: UUID) -> HttpResponse:
    endpoint = _endpoint(request, endpoint_id)
    is_on = request.POST.get("enabled") == "1"
    endpoints.change(endpoint=endpoint, changes={"enabled": is_on}, by=request.user)
    messages.success(request, f"The webhook is switched {'on' if is_on else 'off'}.")
    return redirect("frontend:webhook", endpoint_id=endpoint.pk)


@require_POST
@page(MANAGE)
def remove(request: PortalRequest, endpoint_id: UUID) -> HttpResponse:
    endpoints.remove(endpoint=_endpoint(request, endpoint_id), by=request.user)
    messages.success(request, "The webhook is removed.")
    return redirect("frontend:webhooks")


@require_POST
@page(MANAGE)
def replay(request: PortalRequest, endpoint_id: UUID, delivery_id: UUID) -> HttpResponse:
    endpoint = _endpoint(request, endpoint_id)
    delivery = endpoints.deliveries_to(endpoint).filter(pk=delivery_id).first()
    if delivery is None:
        raise Http404
    try:
        is_planned = delivering.replay(delivery=delivery, at=timezone.now())
    except endpoints.EndpointOff:
        messages.error(request, "The webhook is switched off. Switch it on to send again.")
    else:
        words = "It is on its way again." if is_planned else "It arrived, or is on its way."
        messages.success(request, words)
    return redirect("frontend:webhook", endpoint_id=endpoint.pk)


def _endpoint(request: PortalRequest, endpoint_id: UUID) -> WebhookEndpoint:
    try:
        return endpoints.endpoint(endpoint_id, factory=request.factory)
    except WebhookEndpoint.DoesNotExist:
        raise Http404 from None


def _page(request: PortalRequest, endpoint: WebhookEndpoint, *, secret: str = "") -> HttpResponse:
    pages = Paginator(endpoints.deliveries_to(endpoint), DELIVERIES_A_PAGE)
    chosen = pages.get_page(request.GET.get("page"))
    context = {
        "endpoint": notices.endpoint_row(endpoint, now=timezone.now()),
        "secret": secret,
        "deliveries": notices.delivery_rows(chosen),
        "chosen": chosen,
    }
    return render(request, "frontend/notifications/webhook.html", context)
