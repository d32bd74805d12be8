from typing import Any

from rest_framework.exceptions import ValidationError
from rest_framework.pagination import PageNumberPagination
from rest_framework.request import Request


class Pages(PageNumberPagination):
    """`?page=2&page_size=200`; lists order themselves by something unique."""

    page_size = 100
    page_size_query_param = "page_size"
    max_page_size = 1000

    def get_page_size(self, request: Request) -> int:
        """Return the size asked for.

        Raises:
            ValidationError: it is no whole number between 1 and 1000. (DRF would go on in silence
                with its default, and a client would believe to have seen everything.)
        """
        asked = request.query_params.get("page_size")
        if asked is None:
            return self.page_size
        if not (asked.isascii() and asked.isdigit() and 1 <= int(asked) <= self.max_page_size):
            raise ValidationError(
                {"page_size": f"Expected a whole number from 1 to {self.max_page_size}."}
            )
        return int(asked)

    def get_page_number(self, request: Request, paginator: Any) -> int | str:
        asked = request.query_params.get("page", "1")
        if not (asked.isascii() and asked.isdigit() and int(asked) >= 1):
            raise ValidationError({"page": "Expected a whole number from 1."})
        return int(asked)

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        number = {"type": "integer", "minimum": 1}
        return [
            {"name": "page", "in": "query", "required": False, "schema": number},
            {
                "name": "page_size",
                "in": "query",
                "required": False,
                "schema": {**number, "maximum": self.max_page_size},
            },
        ]
