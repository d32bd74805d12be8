"""Name the factory that work is done for, or refuse to do it."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection
from django_tenants.utils import tenant_context

from tenants.models import Factory

PUBLIC = "public"


class NoFactory(Exception):
    """Something that belongs to one factory was attempted without naming it."""

    def __init__(self) -> None:
        super().__init__("No factory is set: enter one with tenants.context.factory_context().")


@contextmanager
def factory_context(factory: Factory | str) -> Iterator[Factory]:
    """Enter a factory's schema for the block, and come back to where the caller was.

    Raises:
        Factory.DoesNotExist: no factory has this schema name.
    """
    if isinstance(factory, str):
        factory = Factory.objects.get(schema_name=factory)
    with tenant_context(factory):
        yield factory


def current_schema() -> str:
    """Return the schema name of the factory at work.

    Raises:
        NoFactory: the connection is in the public schema.
    """
    schema_name: str = connection.schema_name
    if schema_name == PUBLIC:
        raise NoFactory
    return schema_name


def current_factory() -> Factory:
    """Return the factory at work.

    Raises:
        NoFactory: the connection is in the public schema.
    """
    schema_name = current_schema()
    tenant = connection.tenant
    if isinstance(tenant, Factory):
        return tenant
    return Factory.objects.get(schema_name=schema_name)
