from importlib import import_module

from django.contrib.admin.apps import SimpleAdminConfig

from config.celery import FLOORS
from config.parts import exists


class StaffAdminConfig(SimpleAdminConfig):
    """Django's admin with our site, and with the records that our own floors bring."""

    default_site = "config.admin.StaffSite"

    def ready(self) -> None:
        super().ready()
        for floor in FLOORS:
            if exists(f"{floor}.admin"):
                import_module(f"{floor}.admin")
