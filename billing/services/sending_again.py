"""What staff have Stripe told once more after it had refused."""

from collections.abc import Iterable

from django.db import transaction

from billing.models import LedgerDelivery
from tenants import audit
from tenants.models import User


def send_again(*, entry_ids: Iterable[int], by: User) -> int:
    """Put rows that Stripe refused back among those to be sent; return how many.

    The next report sends them under the same identifiers, so none can be charged twice.
    """
    refused = LedgerDelivery.objects.filter(
        pk__in=list(entry_ids), state=LedgerDelivery.State.REFUSED
    )
    n_sent = 0
    for row in refused.select_related("entry", "account__factory").order_by("pk"):
        with transaction.atomic():
            n_claimed = refused.filter(pk=row.pk).update(state=LedgerDelivery.State.PENDING)
            if n_claimed:
                audit.record(
                    action="staff.usage_sent_again",
                    actor=by,
                    target=row.entry.identifier,
                    factory=row.account.factory,
                )
        n_sent += n_claimed
    return n_sent
