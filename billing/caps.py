"""Which meters can be capped, what may happen there, and for how long held readings are kept."""

from collections.abc import Mapping

from billing.models import MeterCap
from billing.plans import Item

KEEP = MeterCap.Action.KEEP
REFUSE = MeterCap.Action.REFUSE

# Raw readings beyond a cap are kept this long after they were counted.
KEEP_DAYS = 7

# An image or a plan costs its work when it is asked for, so there is nothing to hold back: it is
# made or refused. The archive cannot be capped: what lies in it are readings that were stored
# months before, moved there by the plan's own rule. Nothing that the factory does now could be
# refused, and to stop would mean to lose readings. Machines are what a factory has.
ACTIONS: Mapping[Item, tuple[str, ...]] = {
    Item.READINGS: (KEEP, REFUSE),
    Item.IMAGES: (REFUSE,),
    Item.PLANNING_MINUTES: (REFUSE,),
}
