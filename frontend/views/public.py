"""The public host: what Takt is and costs, and the mailbox of an installation without mail."""

from pathlib import Path

from django.conf import settings
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from frontend import landing
from tenants import selectors


@require_GET
def home(request: HttpRequest) -> HttpResponse:
    context = {
        "plans": landing.plan_cards(),
        "extras": landing.extra_prices(),
        "example": landing.example(),
        "start_label": landing.start_label(),
    }
    return render(request, "frontend/public/landing.html", context)


@require_GET
@never_cache
def mailbox(request: HttpRequest) -> HttpResponse:
    if not settings.MAILBOX:
        raise Http404
    return render(request, "frontend/public/mailbox.html", {"mails": selectors.newest_mails(n=30)})


@require_GET
def certificate(request: HttpRequest) -> FileResponse:
    """Hand out the certificate that signs this installation's own, where it made one."""
    file = ca_file()
    if file is None:
        raise Http404
    return FileResponse(
        file.open("rb"),
        as_attachment=True,
        filename="takt-ca.pem",
        content_type="application/x-pem-file",
    )


def ca_file() -> Path | None:
    """Return the installation's own certificate authority, None where the world knows it."""
    file = settings.VAR_DIR / "ca.pem"
    return file if file.is_file() else None
