"""Headers that every page carries."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

# A form on the public host leads to a factory's host, and to Stripe's checkout.
_FORM_TARGETS = (
    f"'self' {settings.BASE_URL} https://*.{settings.BASE_HOST}{settings.PORT_SUFFIX}"
    f" https://checkout.stripe.com https://billing.stripe.com {settings.STRIPE_API_BASE}"
).strip()
POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; object-src 'none'; base-uri 'none'; "
    f"frame-ancestors 'none'; form-action {_FORM_TARGETS}"
)
# The viewer of the API's documentation writes style attributes; it shows no data of a factory.
DOCS_POLICY = POLICY.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")


class ContentSecurityPolicyMiddleware:
    """Forbid inline and foreign scripts on every page."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        is_docs = request.path.startswith("/api/docs/")
        response.headers.setdefault("Content-Security-Policy", DOCS_POLICY if is_docs else POLICY)
        response.headers.setdefault(
            "Permissions-Policy", "camera=(), microphone=(), geolocation=()"
        )
        return response
