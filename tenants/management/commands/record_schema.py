from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from tenants import schema


class Command(BaseCommand):
    help = "Record the statements that make a factory's tables, after migrations changed."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--check", action="store_true", help="only say whether it is current")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["check"]:
            try:
                schema.load_recording()
            except schema.StaleRecording as error:
                raise CommandError(str(error)) from error
            return
        recording = schema.record()
        schema.write_recording(recording)
        self.stdout.write(f"{len(recording.statements)} statements recorded.")
