"""The pages of Takt's own staff, on the public host alone.

Nobody signs in here: people do that through the portal's own page, and who is no staff meets the
404 of what does not exist.
"""

import time
from collections.abc import Callable
from typing import Any, TypeVar, cast

from allauth.account.authentication import get_authentication_records
from allauth.core.exceptions import ReauthenticationRequired
from django.conf import settings
from django.contrib.admin import AdminSite
from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest, HttpResponseBase
from django.urls import URLPattern, URLResolver

# What the portal does itself, and what leads away from the records.
_LEFT_OUT = frozenset({"login", "logout", "password_change", "password_change_done"}) | {
    "view_on_site",
    "autocomplete",
}
_READS = frozenset({"GET", "HEAD", "OPTIONS"})

View = TypeVar("View", bound=Callable[..., HttpResponseBase])


class StaffSite(AdminSite):
    """Shows records to people of Takt; a write needs a sign-in of the last hour."""

    site_title = site_header = "Takt staff"
    index_title = "Records"
    site_url = "/factories/"
    final_catch_all_view = False

    def has_permission(self, request: HttpRequest) -> bool:
        user = request.user
        return user.is_active and user.is_staff and getattr(request, "factory", None) is None

    def admin_view(self, view: View, cacheable: bool = False) -> View:
        inner = super().admin_view(view, cacheable)

        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if not request.user.is_authenticated:
                return redirect_to_login(request.get_full_path())
            if not self.has_permission(request):
                raise Http404
            if request.method not in _READS and not _signed_in_lately(request):
                raise ReauthenticationRequired
            return inner(request, *args, **kwargs)

        return cast("View", guarded)

    def get_app_list(
        self, request: HttpRequest, app_label: str | None = None
    ) -> list[dict[str, Any]]:
        """Name the lists in English: what ends in "y" has another plural."""
        apps = super().get_app_list(request, app_label)
        for model in (model for app in apps for model in app["models"]):
            name = str(model["name"])
            model["name"] = f"{name[:-2]}ies" if name.endswith("ys") else name
        return apps

    def get_urls(self) -> list[URLPattern | URLResolver]:
        return [url for url in super().get_urls() if getattr(url, "name", "") not in _LEFT_OUT]


def _signed_in_lately(request: HttpRequest) -> bool:
    """Say whether this session's password was typed within the time that settings allow."""
    records = get_authentication_records(request, request.user)
    oldest = time.time() - settings.ACCOUNT_REAUTHENTICATION_TIMEOUT
    return any(record["at"] >= oldest for record in records)
