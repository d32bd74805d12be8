"""Who calls the API: a key of the factory, or a member with a session on the factory's host."""

from dataclasses import dataclass
from typing import cast

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from tenants.models import Credential, User
from tenants.requests import TenantRequest


@dataclass(frozen=True, slots=True)
class ApiClient:
    """What acts through an API key; stands where a person would."""

    credential: Credential
    is_authenticated: bool = True
    is_active: bool = True
    pk: None = None


class ApiKeyAuthentication(BaseAuthentication):
    """`Authorization: Bearer takt_api_...`; the middleware has looked the key up."""

    def authenticate(self, request: Request) -> tuple[ApiClient, Credential] | None:
        asked = cast("TenantRequest", request._request)
        credential = asked.api_credential
        if credential is not None:
            return ApiClient(credential), credential
        if asked.has_bearer:
            raise AuthenticationFailed("This API key is unknown or no longer valid.")
        return None

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="takt"'


class FactorySessionAuthentication(SessionAuthentication):
    """A member's session on the factory's own host; writes need the CSRF token."""

    def authenticate(self, request: Request) -> tuple[User, None] | None:
        asked = cast("TenantRequest", request._request)
        if asked.membership is None or asked.has_bearer:
            return None
        self.enforce_csrf(request)
        return cast("User", asked.user), None


class ApiKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = ApiKeyAuthentication
    name = "apiKey"

    def get_security_definition(self, auto_schema: object) -> dict[str, str]:
        return {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "takt_api_...",
            "description": "An API key of the factory (Settings, API keys).",
        }


class SessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = FactorySessionAuthentication
    name = "session"

    def get_security_definition(self, auto_schema: object) -> dict[str, str]:
        return {"type": "apiKey", "in": "cookie", "name": "__Host-takt"}
