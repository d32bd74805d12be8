from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from tenants import staff
from tenants.models import User


class Command(BaseCommand):
    help = "Let a person who has signed up see the staff pages; --end takes it back."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email")
        parser.add_argument("--end", action="store_true", help="no longer one of the staff")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            user = staff.set_staff(email=options["email"], is_staff=not options["end"])
        except User.DoesNotExist:
            raise CommandError("Nobody signed up with this address.") from None
        self.stdout.write(f"{user.email} is {'now' if user.is_staff else 'no longer'} staff.")
