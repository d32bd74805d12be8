"""What our middleware adds to a request, for those who read types."""

from django.http import HttpRequest

from tenants.models import Credential, Factory, Membership, User


class TenantRequest(HttpRequest):
    """A request whose factory is known (None on the public host), and who asks."""

    factory: Factory | None
    membership: Membership | None
    api_credential: Credential | None
    has_bearer: bool


class PortalRequest(TenantRequest):
    """A member's request on a factory's own host (after `tenants.permissions.requires`)."""

    factory: Factory
    membership: Membership
    user: User
