from typing import Any

from django.dispatch import receiver

from production import services
from tenants.models import Factory
from tenants.signals import factory_built


@receiver(factory_built)
def give_it_a_plant(factory: Factory, **_kwargs: Any) -> None:
    """A new factory starts with one site, area and line, so that machines have a place."""
    services.create_default_plant(site_name=factory.name, time_zone=factory.time_zone)
