"""Fill a factory with something for every page: `python -m tests.browser.furnish FOLDER`.

Runs with the installation's settings in the environment. The demonstration's own fillers make a
small Globex of two days (readings, alarms, lots, orders, vibration, invoices), without training
its models; what they leave out comes from `tests.isolation.objects`. Log-ins are in
FOLDER/demo.json; the last line of the output is JSON: an object for every parameter in an address
of the portal. What is there already is left as it is.
"""

import json
import logging
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import django
import structlog

if TYPE_CHECKING:
    from config.demo.founding import Founded

DAYS = 2.0
BILLED_FOR = timedelta(days=40)  # so that a month has ended and is paid


def main(folder: Path) -> None:
    django.setup()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    from django.conf import settings
    from django.db import transaction
    from django.utils import timezone

    from config.demo import money, upkeep, vibration
    from config.demo.chain import Chain
    from config.demo.diary import Diary
    from config.demo.report import Report
    from tenants.context import factory_context
    from tests.isolation.objects import PATH_PARAMETERS

    chain = Chain(
        diary=Diary.read(folder / "demo.json"), report=Report(), device_url=settings.DEVICE_URL,
        ca_file=folder / "ca.pem", days=DAYS, retrain=False, only="globex",
    )  # fmt: skip
    (part,) = chain.found()
    chain.post(part)
    founded, now = part.founded, timezone.now()
    with factory_context(founded.factory):
        broken = {
            founded.machines[m.name]: (m.spec.type, m.breakdowns(until=now.timestamp()))
            for m in part.machines
        }
        upkeep.found_upkeep(machines=broken, at=now)
        first = {vibration.MACHINE: next(iter(founded.machines.values()))}
        vibration.found_bursts(machine_ids=first, at=now)
        part.inspecting.prepare(now=now.timestamp())
    money.subscribe(founded.factory, plan="workshop", owner=founded.owner, since=now - BILLED_FOR)
    money.live_through(founded.factory, until=now)
    facts = chain.diary.facts
    if "objects" not in facts:  # some of them can be made only once
        with factory_context(founded.factory), transaction.atomic():
            isolated = {name: make(founded.factory) for name, make in PATH_PARAMETERS.items()}
            facts["objects"] = {k: str(v) for k, v in (isolated | _richer(founded)).items()}
        chain.diary.write()
    print(json.dumps(facts["objects"]))


def _richer(founded: "Founded") -> dict[str, Any]:
    """Return the demonstration's own objects where they show more than the isolated ones."""
    from billing import selectors as billing_selectors
    from production import selectors

    name, machine_id = next(iter(founded.machines.items()))
    found = {
        "invoice_id": billing_selectors.invoices(founded.factory).filter(total_minor__gt=0),
        "lot_id": selectors.lots(),
        "nonconformance_id": selectors.nonconformances().order_by("pk"),
        "order_id": selectors.work_orders().filter(machine_id=machine_id).order_by("pk"),
        "part_id": selectors.spare_parts().exclude(part_no="isolated"),
    }
    objects = {key: row.pk for key, rows in found.items() if (row := rows.first()) is not None}
    machine = selectors.machine(machine_id)
    return {
        **objects, "factory_id": founded.factory.pk, "machine_id": machine_id,
        "asset_tag": machine.asset_tag, "device_id": founded.devices[name],
    }  # fmt: skip


if __name__ == "__main__":
    main(Path(sys.argv[1]))
