"""Errors in the form Stripe gives them (docs.stripe.com/api/errors)."""

from typing import Any


class ApiError(Exception):
    """A refusal that becomes the JSON answer `{"error": {...}}`."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        kind: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        decline_code: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.kind = kind
        self.code = code
        self.param = param
        self.decline_code = decline_code

    def body(self) -> dict[str, Any]:
        error: dict[str, Any] = {"message": self.message, "type": self.kind}
        if self.code:
            error["code"] = self.code
            error["doc_url"] = f"https://docs.stripe.com/error-codes/{self.code.replace('_', '-')}"
        if self.param:
            error["param"] = self.param
        if self.decline_code:
            error["decline_code"] = self.decline_code
        return {"error": error}


class KeptRefusal(ApiError):
    """A refusal before which something was done that stays: the attempt to charge a card."""


def missing(kind: str, object_id: str, *, param: str = "id", status: int = 404) -> ApiError:
    """Return the refusal for an object that does not exist: 404 in the path, 400 in a parameter."""
    return ApiError(
        f"No such {kind}: '{object_id}'", status=status, code="resource_missing", param=param
    )
