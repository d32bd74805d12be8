from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from tenants import migration


class Command(BaseCommand):
    help = "Migrate the schemas of all factories, in parallel; run it again to resume."
    requires_system_checks = ()  # a run with nothing to do should take no time

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--workers", type=int, default=4, help="factories at a time")
        parser.add_argument("--only", nargs="*", default=[], help="schema names, e.g. a canary")
        parser.add_argument("--status", action="store_true", help="only list what is pending")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["status"]:
            for factory in migration.pending():
                self.stdout.write(f"{factory.schema_name}: pending {factory.migration_error}")
            return

        def report(outcome: migration.Outcome, n_done: int, n_total: int) -> None:
            what = outcome.error or f"{outcome.n_applied} applied"
            self.stdout.write(f"{n_done}/{n_total} {outcome.schema_name}: {what}")

        try:
            outcomes = migration.migrate_all(
                n_workers=options["workers"], report=report, only=options["only"]
            )
        except migration.RunInProgress as error:
            raise CommandError("Another migration run is at work; wait for it to end.") from error
        failed = [o.schema_name for o in outcomes if o.error]
        self.stdout.write(
            f"{len(outcomes) - len(failed)} factories migrated, {len(failed)} failed."
        )
        if failed:
            raise CommandError(f"Failed: {', '.join(failed)}. Mend the cause and run this again.")
