"""What the whole installation does when a floor announces something."""

from functools import partial
from typing import Any

from django.conf import settings
from django.db import transaction
from django.dispatch import receiver

from tenants import names
from tenants.models import Factory
from tenants.signals import factory_built


@receiver(factory_built)
def ask_for_a_certificate(factory: Factory, **_kwargs: Any) -> None:
    """Let the local launcher name a new factory's host in its certificate.

    Browsers take no `*.localhost`; elsewhere one wildcard covers all factories and the folder
    that the launcher watches is not there.
    """
    hosts = settings.VAR_DIR / "hosts"
    if hosts.is_dir():
        host = f"{names.host_label(factory.schema_name)}.{settings.BASE_HOST}"
        transaction.on_commit(partial((hosts / host).touch, exist_ok=True))
