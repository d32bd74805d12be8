"""What our middleware adds to a request, for those who read types."""

from django.conf import settings
from django.http import HttpRequest

from tenants.models import Credential, Factory, Membership, SupportAccess, User


class TenantRequest(HttpRequest):
    """A request whose factory is known (None on the public host), and who asks."""

    factory: Factory | None
    membership: Membership | None
    support_access: SupportAccess | None  # who asks is a visitor of Takt's staff
    api_credential: Credential | None
    has_bearer: bool


class PortalRequest(TenantRequest):
    """A member's request on a factory's own host (after `tenants.permissions.requires`)."""

    factory: Factory
    membership: Membership
    user: User


def client_address(request: HttpRequest) -> str:
    """Return the address that a request came from, which the sender cannot choose.

    Behind our proxy it is the last of X-Forwarded-For, which the proxy added; what stands before
    it was sent by the client and is worth nothing.
    """
    if settings.SECURE_PROXY_SSL_HEADER is not None:
        forwarded = request.headers.get("X-Forwarded-For", "")
        return forwarded.rpartition(",")[2].strip()
    return str(request.META.get("REMOTE_ADDR", ""))


def staff_of(request: HttpRequest) -> User:
    """Return who asks on the staff pages, which only a signed-in person reaches."""
    assert isinstance(request.user, User)
    return request.user
