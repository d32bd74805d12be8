"""Who works for Takt: named on the command line, never on a page."""

from django.db import transaction

from tenants import audit
from tenants.models import User


def set_staff(*, email: str, is_staff: bool) -> User:
    """Make a person one of Takt's staff, or end it; what they had open ends with the next request.

    Raises:
        User.DoesNotExist: nobody signed up with this address.
    """
    with transaction.atomic():
        user = User.objects.select_for_update().get(email=email.lower(), is_active=True)
        if user.is_staff != is_staff:
            user.is_staff = is_staff
            user.save(update_fields=["is_staff"])
            action = "staff.made" if is_staff else "staff.ended"
            audit.record(action=action, actor=None, target=user.email)
    return user
