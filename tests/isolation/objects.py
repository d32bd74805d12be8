"""Objects of acme for every name that a URL or a task may carry; globex must never reach them.

A new parameter in a URL, or a new task, needs an entry here: without one the suite fails.
"""

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

from django.utils import timezone

from billing import services as billing_services
from billing.models import CreditNote, Invoice
from mlops import services as mlops_services
from mlops.models import (
    BearingPlace,
    ImageVerdict,
    InspectionImage,
    Kind,
    ModelVersion,
    PendingPicture,
)
from production import selectors, services
from production.models import CheckItem, OrderPhoto
from telemetry import services as telemetry_services
from telemetry.models import Alarm, AlarmPoint, AlarmRule, Device, Export, Latest, Signal, SignalKey
from telemetry.services import alarm_rules
from tenants import claims, credentials, export, staff, support
from tenants.models import Credential, Factory, Membership, Notification, SupportAccess, User
from tenants.notifications import endpoints, notify

NO_DATA = {"no_data": {"minutes": 5}}


def machine_id(_factory: Factory) -> str:
    found = selectors.machines().filter(asset_tag="isolated").first()
    if found is None:
        kind = services.machine_type(name="Isolated mill")
        found = services.add_machine(name="Isolated", machine_type=kind, asset_tag="isolated")
    return str(found.pk)


def asset_tag(factory: Factory) -> str:
    return selectors.machine(UUID(machine_id(factory))).asset_tag


def order_id(factory: Factory) -> UUID:
    found = selectors.work_orders().filter(title="Isolated").first()
    if found is None:
        found = services.create_work_order(
            machine_id=UUID(machine_id(factory)), title="Isolated", at=timezone.now(), by=None
        )
    return found.pk


def item_id(factory: Factory) -> int:
    fields: dict[str, Any] = {"order_id": order_id(factory), "position": 1, "text": "Isolated"}
    return CheckItem.objects.get_or_create(**fields)[0].pk


def photo_id(factory: Factory) -> UUID:
    sizes = {"n_bytes": 1, "width": 1, "height": 1, "added_at": timezone.now()}
    key = f"{factory.schema_name}/work-orders/isolated.jpg"
    found, _ = OrderPhoto.objects.get_or_create(
        order_id=order_id(factory), digest="-", defaults={"object_key": key, **sizes}
    )
    return found.pk


def plan_id(factory: Factory) -> UUID:
    found = selectors.maintenance_plans().filter(name="Isolated").first()
    return (found or services.save_plan(
        fields=services.PlanFields(
            name="Isolated", trigger="calendar", machine_id=UUID(machine_id(factory)),
            every_days=1, first_due_on=timezone.now().date(),
        ),
        by=None,
    )).pk  # fmt: skip


def part_id(_factory: Factory) -> UUID:
    found = selectors.spare_parts().filter(part_no="isolated").first()
    fields = services.PartFields(part_no="isolated", name="Isolated")
    return (found or services.save_part(fields=fields)).pk


def member_id(factory: Factory) -> int:
    return Membership.objects.get(factory=factory, role="viewer").pk


def account_id(factory: Factory) -> dict[str, Any]:
    return {"account_id": str(billing_services.account_for(factory).pk)}


def invoice_id(factory: Factory) -> int:
    account, at = billing_services.account_for(factory), timezone.now()
    fields = {
        "total_minor": 1,
        "due_minor": 0,
        "paid_minor": 1,
        "currency": "EUR",
        "status": "paid",
    }
    times = {"period_start": at, "period_end": at, "created_at": at, "synced_at": at}
    found, _ = Invoice.objects.get_or_create(
        stripe_id="in_isolated", defaults={"account": account, **fields, **times}
    )
    return found.pk


def credit_note_id(factory: Factory) -> int:
    invoice = Invoice.objects.get(pk=invoice_id(factory))
    return CreditNote.objects.create(
        account=invoice.account, invoice=invoice, stripe_id="cn_isolated", amount_minor=1,
        refunded_minor=0, reason="duplicate", status="issued", created_at=timezone.now(),
    ).pk  # fmt: skip


def device_id(_factory: Factory) -> int:
    found = Device.objects.filter(name="Isolated").first()
    if found is None:
        found, _ = telemetry_services.create_device(name="Isolated")
        Latest.objects.create(device_id=found.pk, received_at=timezone.now())
    return found.pk


def signal_id(factory: Factory) -> int:
    key, _ = SignalKey.objects.get_or_create(key="isolated", kind="n")
    found, _ = Signal.objects.get_or_create(
        device_id=device_id(factory), key=key, defaults={"first_seen_at": timezone.now()}
    )
    return found.pk


def export_id(factory: Factory) -> str:
    at = timezone.now()
    return str(
        Export.objects.create(
            signal_ids=[signal_id(factory)], start=at, end=at, form="csv", created_at=at
        ).pk
    )


def credential_id(factory: Factory) -> int:
    device_id(factory)
    return Credential.objects.filter(factory=factory, kind="device").latest("pk").pk


def code_id(factory: Factory) -> int:
    return claims.make(factory=factory, at=timezone.now(), by=None)[0].pk


def image_id(factory: Factory) -> UUID:
    found, _ = InspectionImage.objects.get_or_create(
        plan_id=inspection_plan_id(factory), digest="isolated",
        defaults={
            "source": "api", "taken_at": timezone.now(), "received_at": timezone.now(),
            "width": 32, "height": 32, "n_bytes": 1, "object_key": "acme/pictures/isolated.png",
        },
    )  # fmt: skip
    pending = {"content": b"-", "thumbnail": b"-", "received_at": timezone.now()}
    PendingPicture.objects.get_or_create(image=found, defaults=pending)
    verdict = {"made_at": timezone.now(), "state": "no_model", "heat": b"-"}
    ImageVerdict.objects.get_or_create(image=found, defaults=verdict)
    return found.pk


def machine_type_id(factory: Factory) -> str:
    return str(selectors.machine(UUID(machine_id(factory))).machine_type_id)


def version_id(factory: Factory) -> str:
    version = ModelVersion.objects.create(
        kind=Kind.REMAINING_LIFE, machine_type_id=machine_type_id(factory), version=1,
        job_id=uuid4(), artifact_key="-", digest="-", unit="h", created_at=timezone.now(),
    )  # fmt: skip
    return str(version.pk)


def burst_id(factory: Factory) -> str:
    machine = selectors.machine(UUID(machine_id(factory)))
    at = timezone.now()
    burst = {"point": "isolated", "taken_at": at.isoformat(), "sample_rate_hz": 1_000}
    raw = [{**burst, "samples": [0.0, 1.0] * 128}]
    return str(mlops_services.store_bursts(machine=machine, raw=raw, now=at).stored[0])


def place_id(factory: Factory) -> str:
    fields: dict[str, Any] = {"machine_id": machine_id(factory), "point": "isolated"}
    found, _ = BearingPlace.objects.get_or_create(**fields, defaults={"changed_at": timezone.now()})
    return str(found.pk)


def api_key_id(factory: Factory) -> int:
    credentials.issue_api_key(factory=factory, name="Isolated")
    return Credential.objects.filter(factory=factory, kind="api").latest("pk").pk


def endpoint_id(factory: Factory) -> UUID:
    found = endpoints.endpoints_of(factory).first()
    if found is None:
        url = "https://hooks.example/isolated"
        found, _ = endpoints.create(factory=factory, url=url, topics=[], by=None, at=timezone.now())
    return found.pk


def delivery_id(factory: Factory) -> UUID:
    endpoint = endpoints.endpoint(endpoint_id(factory), factory=factory)
    return endpoints.ping(endpoint=endpoint, at=timezone.now()).pk


def access_id(factory: Factory) -> UUID:
    User.objects.get_or_create(email="isolated@takt.example", defaults={"name": "Isolated"})
    user = staff.set_staff(email="isolated@takt.example", is_staff=True)
    found = SupportAccess.objects.filter(factory=factory, asked_by=user).first()
    return (found or support.ask(factory=factory, by=user, reason="Isolated", at=timezone.now())).pk


def notification_id(factory: Factory) -> UUID:
    owner = Membership.objects.get(factory=factory, role="owner").user_id
    notify(
        factory=factory, topic="isolated", severity=3, subject="Isolated", text="-", path="/",
        key="isolated", recipients=[owner], at=timezone.now(),
    )  # fmt: skip
    return Notification.objects.get(factory=factory, key="isolated").pk


def rule_id(_factory: Factory) -> int:
    found = AlarmRule.objects.filter(key="isolated").first() or alarm_rules.create_rule(
        fields={"key": "isolated", "name": "Isolated", "severity": 3, "condition": NO_DATA},
        by=None,
        at=timezone.now(),
    )
    return found.pk


def point_id(factory: Factory) -> int:
    fields: dict[str, Any] = {"rule_id": rule_id(factory), "machine_id": machine_id(factory)}
    return AlarmPoint.objects.get_or_create(**fields)[0].pk


def alarm_id(factory: Factory) -> int:
    at = timezone.now()
    fields = {"rule_version": 1, "severity": 3, "raised_at": at, "noticed_at": at}
    found, _ = Alarm.objects.get_or_create(point_id=point_id(factory), defaults=fields)
    return found.pk


def product_id(_factory: Factory) -> UUID:
    found = selectors.products().filter(item_no="isolated").first()
    return (found or services.make_product(item_no="isolated", name="Isolated")).pk


def lot_id(factory: Factory) -> UUID:
    product = selectors.products().get(pk=product_id(factory))
    at = timezone.now()
    found = selectors.lots("isolated").first()
    return (found or services.make_lot(product=product, code="isolated", made_at=at, at=at)).pk


def inspection_plan_id(factory: Factory) -> UUID:
    found = selectors.inspection_plans().filter(name="Isolated").first()
    fields = services.InspectionPlanFields(
        name="Isolated", operation="Isolated",
        characteristics=[services.CharacteristicFields(name="Isolated", kind="attribute")],
    )  # fmt: skip
    return (found or services.make_inspection_plan(
        product_id=product_id(factory), fields=fields, at=timezone.now(), by=None
    )).pk  # fmt: skip


def characteristic_id(factory: Factory) -> UUID:
    return selectors.inspection_plan(inspection_plan_id(factory)).characteristics.all()[0].pk


def inspection_id(factory: Factory) -> UUID:
    found = selectors.inspections().filter(piece="isolated").first()
    return (found or services.record_inspection(
        plan_id=inspection_plan_id(factory), lot_id=lot_id(factory), piece="isolated",
        at=timezone.now(), verdict="fail", note="Isolated",
    )).pk  # fmt: skip


def nonconformance_id(factory: Factory) -> UUID:
    return selectors.nonconformances().get(inspection=inspection_id(factory)).pk


def everything_id(factory: Factory) -> UUID:
    return export.request_export(by=None).pk


# Path parameter -> how to make one in acme (called inside acme's schema).
PATH_PARAMETERS: dict[str, Callable[[Factory], Any]] = {
    "access_id": access_id,
    "alarm_id": alarm_id,
    "api_key_id": api_key_id,
    "asset_tag": asset_tag,
    "burst_id": burst_id,
    "characteristic_id": characteristic_id,
    "code_id": code_id,
    "credential_id": credential_id,
    "credit_note_id": credit_note_id,
    "delivery_id": delivery_id,
    "device_id": device_id,
    "endpoint_id": endpoint_id,
    "everything_id": everything_id,
    "export_id": export_id,
    "inspection_id": inspection_id,
    "inspection_plan_id": inspection_plan_id,
    "item_id": item_id,
    "lot_id": lot_id,
    "machine_id": machine_id,
    "kind": lambda _factory: Kind.REMAINING_LIFE.value,
    "machine_type_id": machine_type_id,
    "subject_id": machine_type_id,
    "image_id": image_id,
    "version_id": version_id,
    "membership_id": member_id,
    "invoice_id": invoice_id,
    "nonconformance_id": nonconformance_id,
    "notification_id": notification_id,
    "order_id": order_id,
    "part_id": part_id,
    "photo_id": photo_id,
    "plan_id": plan_id,
    "product_id": product_id,
    "rule_id": rule_id,
    "signal_id": signal_id,
}
# Task -> the arguments with which it would touch something of acme.
TASK_ARGUMENTS: dict[str, Callable[[Factory], dict[str, Any]]] = {
    "billing.count_usage": account_id,
    "billing.watch_caps": account_id,
    "mlops.judge_bursts": lambda factory: {"place_id": place_id(factory)},
    "mlops.judge_images": lambda factory: {"image_ids": [str(image_id(factory))]},
    "mlops.record_run": lambda factory: {"version_id": version_id(factory)},
    "mlops.score": lambda factory: {"machine_ids": [machine_id(factory)]},
    "mlops.store_pictures": lambda factory: {"image_id": str(image_id(factory))},
    "mlops.watch": lambda factory: {"version_id": version_id(factory)},
    "mlops.predict_quality": lambda factory: {"plan_id": str(inspection_plan_id(factory))},
    "mlops.train": lambda factory: {"subject_id": machine_type_id(factory)},
    "telemetry.compact_backlog": lambda factory: {"schema": factory.schema_name},
    "telemetry.retain_history": lambda factory: {"schema": factory.schema_name},
    "tenants.export_factory": lambda factory: {"schema": factory.schema_name},
    "tenants.deliver": lambda factory: {"delivery_ids": [str(delivery_id(factory))]},
    "telemetry.write_export": lambda factory: {"export_id": export_id(factory)},
    "telemetry.escalate_alarm": lambda factory: {"alarm_id": alarm_id(factory), "step": 0},
    "telemetry.unshelve_alarm": lambda factory: {
        "point_id": point_id(factory),
        "until": timezone.now().isoformat(),
    },
}
