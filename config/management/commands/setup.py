from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand

from tenants import storage


class Command(BaseCommand):
    help = "Bring an installation up to date before it serves: tables, factories, bucket."

    def handle(self, *args: Any, **options: Any) -> None:
        call_command("migrate_schemas", shared=True, verbosity=0, interactive=False)
        call_command("migrate_factories", stdout=self.stdout)
        storage.ensure_bucket()
