"""What every template may use."""

from typing import Any

from django.http import HttpRequest


def portal(request: HttpRequest) -> dict[str, Any]:
    """Give templates the factory and the member's place in it; both None on the public host."""
    return {
        "factory": getattr(request, "factory", None),
        "membership": getattr(request, "membership", None),
    }
