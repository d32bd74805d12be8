"""Name the factory that work is done for, or refuse to do it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

from django_tenants.utils import tenant_context

from tenants.connection import schemas
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
    entered = Factory.objects.get(schema_name=factory) if isinstance(factory, str) else factory
    with tenant_context(entered):
        yield entered


def current_schema() -> str:
    """Return the schema name of the factory at work.

    Raises:
        NoFactory: the connection is in the public schema.
    """
    if schemas.schema_name == PUBLIC:
        raise NoFactory
    return schemas.schema_name


def current_factory() -> Factory:
    """Return the factory at work.

    Raises:
        NoFactory: the connection is in the public schema.
    """
    schema_name = current_schema()
    tenant = schemas.tenant
    if isinstance(tenant, Factory):
        return tenant
    return cast("Factory", Factory.objects.get(schema_name=schema_name))
