"""Errors of the API have one form: `{"code", "message", "detail"}`."""

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404
from rest_framework import exceptions, serializers
from rest_framework.response import Response
from rest_framework.views import exception_handler as drf_handler

_CODES = {
    400: ("invalid", "Something in the request is not right; see detail."),
    401: ("not_authenticated", "An API key of the factory or a signed-in member is needed."),
    403: ("not_allowed", "Your role, or this key, may not do this."),
    404: ("not_found", "There is nothing at this address."),
    405: ("method_not_allowed", "This address does not know this method."),
    406: ("not_acceptable", "Answers are application/json."),
    409: ("conflict", "This contradicts what is stored."),
    415: ("unsupported_media_type", "Send application/json."),
    429: ("throttled", "Too many requests; see Retry-After."),
}


class ErrorSerializer(serializers.Serializer[dict[str, Any]]):
    """What every refusal looks like."""

    code = serializers.CharField()
    message = serializers.CharField()
    detail = serializers.DictField()


class Conflict(exceptions.APIException):
    """What is asked contradicts what is stored."""

    status_code = 409
    default_code = "conflict"


def _names_only_what_is_not_there(error: exceptions.ValidationError) -> bool:
    """Say whether the body is well-formed and only refers to rows that do not exist here."""
    codes = error.get_codes()
    return isinstance(codes, dict) and all(code == ["does_not_exist"] for code in codes.values())


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """Answer anticipated errors in our form; others rise."""
    response = drf_handler(error, context)
    if response is None:
        return None
    code, message = _CODES.get(response.status_code, ("error", "The request failed."))
    detail = response.data
    if isinstance(error, exceptions.ValidationError):
        detail = detail if isinstance(detail, dict) else {"errors": detail}
        if _names_only_what_is_not_there(error):
            response.status_code = 409
            code, message = "unknown_reference", "The request names something that is not there."
    elif isinstance(error, (Http404, PermissionDenied)):
        detail = {}
    elif isinstance(error, exceptions.APIException):
        if isinstance(error.detail, str) and response.status_code not in (401, 403, 404, 405):
            message = str(error.detail)
        own = error.get_codes()
        if isinstance(own, str) and response.status_code in (409, 429):
            code = own
        detail = {}
    response.data = {"code": code, "message": message, "detail": detail}
    return response
