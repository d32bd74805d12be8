"""The database connection, with what django-tenants adds to it spelled out."""

from typing import Any, Protocol, cast

from django.db import connection


class _Schemas(Protocol):
    schema_name: str
    tenant: Any
    search_path_set_schemas: list[str] | None

    def set_tenant(self, tenant: Any, include_public: bool = True) -> None: ...
    def set_schema(self, schema_name: str, include_public: bool = True) -> None: ...
    def set_schema_to_public(self) -> None: ...


schemas = cast("_Schemas", connection)
