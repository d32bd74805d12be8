"""Errors of the whole site: the API answers in its form, pages with a page."""

from django.http import HttpRequest, HttpResponseBase, JsonResponse

from frontend.views import errors as pages
from tenants.standing import Behind


def _is_api(request: HttpRequest) -> bool:
    return request.path.startswith("/api/v1/")


def _json(status: int, code: str, message: str) -> JsonResponse:
    return JsonResponse({"code": code, "message": message, "detail": {}}, status=status)


def forbidden(request: HttpRequest, exception: Exception | None = None) -> HttpResponseBase:
    if isinstance(exception, Behind):
        return (
            JsonResponse(exception.body, status=403)
            if _is_api(request)
            else pages.behind(request, exception)
        )
    if _is_api(request):
        return _json(403, "not_allowed", "Your role, or this key, may not do this.")
    return pages.forbidden(request, exception)


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponseBase:
    if _is_api(request):
        return _json(404, "not_found", "There is nothing at this address.")
    return pages.not_found(request, exception)


def broken(request: HttpRequest) -> HttpResponseBase:
    if _is_api(request):
        return _json(500, "broken", "Something broke on our side; it was written down.")
    return pages.broken(request)
