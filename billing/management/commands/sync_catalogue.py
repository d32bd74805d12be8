"""Hold the price list against Stripe, and make there what is missing.

python manage.py sync_catalogue              # says what is there, to be made, or differs
python manage.py sync_catalogue --apply      # makes what is missing; may be repeated
python manage.py sync_catalogue --version 1  # of an older version of the price list

Ends with 1 while something is left to be done (so that a deployment can ask), else with 0. What
differs is never changed: a person has to look at it.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from billing import catalogue_sync, plans
from billing.catalogue_sync import Finding, State
from billing.gateways import StripeAway, StripeRefused, gateway


class Command(BaseCommand):
    help = "Hold the price list against Stripe (dry run), and make what is missing (--apply)."

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        # Django's own --version says which Django runs; here it is the price list's.
        return super().create_parser(prog_name, subcommand, conflict_handler="resolve", **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--apply", action="store_true", help="make at Stripe what is missing")
        parser.add_argument(
            "--version", type=int, default=plans.VERSION, dest="book",
            help=f"of the price list (the present one, {plans.VERSION})",
        )  # fmt: skip

    def handle(self, *args: Any, **options: Any) -> None:
        book = plans.BOOKS.get(options["book"])
        if book is None:
            known = ", ".join(map(str, plans.BOOKS))
            raise CommandError(f"There is no price list {options['book']}; there are {known}.")
        try:
            stripe = gateway()
            found = catalogue_sync.compare(stripe, book)
            if options["apply"]:
                catalogue_sync.make_missing(stripe, book, found)
                found = catalogue_sync.compare(stripe, book)
        except StripeAway as away:
            raise CommandError(f"Stripe cannot be asked: {away}. Run it again.") from away
        except StripeRefused as refusal:
            raise CommandError(f"Stripe refused: {refusal}") from refusal
        self._say(found)

    def _say(self, found: Sequence[Finding]) -> None:
        for finding in found:
            words = f" ({finding.words})" if finding.words else ""
            self.stdout.write(f"{finding.state:14} {finding.kind} {finding.name}{words}")
        counts = Counter(finding.state for finding in found)
        summary = ", ".join(f"{n} {state}" for state in State if (n := counts[state]))
        if counts[State.MISSING] or counts[State.DIFFERS]:
            advice = "--apply makes what is missing." if counts[State.MISSING] else ""
            raise CommandError(f"{summary}. {advice}".strip())
        self.stdout.write(f"{summary}. Nothing is to be done.")
