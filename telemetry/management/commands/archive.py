"""Bring the old months of a factory to the archive now, as the clock does four times a day.

python manage.py archive acme
"""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from telemetry import services
from tenants.context import factory_context
from tenants.models import Factory
from tenants.storage import StorageUnavailable


class Command(BaseCommand):
    help = "Bring the months of a factory that are older than its plan says to the archive."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("schema", help="the factory's schema name")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with factory_context(options["schema"]):
                done = services.archive(at=timezone.now(), report=self._report)
        except Factory.DoesNotExist as error:
            raise CommandError(f"There is no factory {options['schema']!r}.") from error
        except StorageUnavailable as error:
            raise CommandError(f"{error} Run it again: it goes on where it stopped.") from error
        self.stdout.write(
            f"{done.files} files, {done.readings} readings, {done.n_bytes} bytes;"
            f" {done.skipped} months wait for their device or for compaction"
        )

    def _report(self, share: float, words: str) -> None:
        self.stdout.write(f"{share:4.0%} {words}")
