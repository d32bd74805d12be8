from typing import TYPE_CHECKING, cast

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from tenants.permissions import API_KEY_PERMISSIONS, allowed
from tenants.requests import TenantRequest

if TYPE_CHECKING:  # DRF imports this module while it makes its own views
    from rest_framework.views import APIView


class HasFactoryPermission(BasePermission):
    """Ask the role table for `view.required_permission`: one name, or one per HTTP method."""

    def has_permission(self, request: Request, view: "APIView") -> bool:
        needed = view.required_permission  # type: ignore[attr-defined]  # each view must say
        if isinstance(needed, dict):
            method = "GET" if request.method in ("HEAD", "OPTIONS") else request.method
            if method not in needed:
                return True  # DRF answers 405
            needed = needed[method]
        asked = cast("TenantRequest", request._request)
        if asked.api_credential is not None:
            return needed in API_KEY_PERMISSIONS
        return asked.membership is not None and allowed(asked.membership.role, needed)
