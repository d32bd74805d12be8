"""What every operation of the API may answer besides its own answers."""

from typing import Any

_ERROR = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}}
_COMMON = {
    "400": "Something in the request is not right; `detail` names it.",
    "401": "No valid API key and no session.",
    "403": "The role, or the key, may not do this.",
    "404": "There is nothing at this address, or it belongs to another factory.",
    "405": "This address does not know this method.",
    "406": "Answers are application/json.",
    "409": "The request contradicts what is stored, or names what is not there.",
    "415": "Send application/json.",
}
_SCHEMA = {
    "type": "object",
    "description": "What every refusal looks like.",
    "properties": {
        "code": {"type": "string"},
        "message": {"type": "string"},
        "detail": {"type": "object", "additionalProperties": True},
    },
    "required": ["code", "message", "detail"],
}
_METHODS = ("get", "post", "put", "patch", "delete")


def add_common_answers(
    result: dict[str, Any], generator: Any, request: Any, public: bool
) -> dict[str, Any]:
    """Write the refusals that any operation may give into the document (a spectacular hook)."""
    result.setdefault("components", {}).setdefault("schemas", {})["Error"] = _SCHEMA
    for item in result["paths"].values():
        for method, operation in item.items():
            if method in _METHODS:
                for status, description in _COMMON.items():
                    operation["responses"].setdefault(
                        status, {"description": description, **_ERROR}
                    )
    return result
