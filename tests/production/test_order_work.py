"""What is written down on an order: each thing once, and what it does to the shelf."""

import io
from dataclasses import replace
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from PIL import Image

from production import photos, selectors, services, strokes
from production.models import CheckItem, StockMovement, WorkOrder
from production.services import NotPossible
from tenants import storage


def picture(form="JPEG", size=(32, 24), **options):
    out = io.BytesIO()
    Image.new("RGB", size, "red").save(out, form, **options)
    return out.getvalue()


def stock(part):
    return selectors.stocks([part])[0].stock


def test_a_part_used_leaves_the_shelf_once(reported, bearing, actor):
    tap = replace(actor, request_id=uuid4())
    for _ in range(2):
        services.use_part(order=reported, part=bearing, quantity=Decimal(2), actor=tap)

    (row,) = reported.parts.all()
    assert (row.n_used, row.cost_minor, stock(bearing)) == (2, 36_000, -2)


def test_a_part_brought_back_lies_on_the_shelf_again(reported, bearing, actor):
    services.use_part(order=reported, part=bearing, quantity=Decimal(2), actor=actor)
    services.use_part(order=reported, part=bearing, quantity=Decimal(-1), actor=actor)
    with pytest.raises(NotPossible, match="More would come back"):
        services.use_part(order=reported, part=bearing, quantity=Decimal(-2), actor=actor)

    assert stock(bearing) == -1
    assert [m.reason for m in StockMovement.objects.order_by("pk")] == ["use", "return"]


def test_time_is_booked_with_its_price(reported, actor):
    services.add_labour(order=reported, minutes=50, rate_minor_per_h=6_000, actor=actor)

    assert reported.labour.get().cost_minor == 5_000


def test_nothing_is_added_to_a_closed_order(reported, actor, operator):
    services.reject(order=reported, at=actor.at, by=operator, text="Twice reported")
    with pytest.raises(NotPossible, match="is rejected"):
        services.add_labour(order=reported, minutes=5, rate_minor_per_h=None, actor=actor)


def test_what_is_not_in_order_gets_a_repair_of_its_own(reported, actor):
    item = CheckItem.objects.create(order=reported, position=1, text="Belt", unit="mm")
    with pytest.raises(NotPossible, match="give the value in mm"):
        services.check(order=reported, item=item, is_ok=True, value=None, actor=actor)
    for _ in range(2):
        services.check(order=reported, item=item, is_ok=False, value=12.5, actor=actor)

    repair = WorkOrder.objects.exclude(pk=reported.pk).get()
    assert (repair.title, repair.state, repair.kind) == (
        "Not in order: Belt", "proposed", "corrective",
    )  # fmt: skip
    assert "12.5 mm" in repair.reason


def test_a_signature_is_numbers_within_its_field(reported, actor):
    services.sign(order=reported, name="Ada", drawn=[[0, 0, 600, 200]], actor=actor)
    assert reported.signature.strokes == [[0, 0, 600, 200]]

    bad_ones: list[Any] = [
        "x", [[0]], [[0, 0, 601, 0]], [[0.5, 0]], [[True, 0]], [{}], [[0, 0]] * 201,
    ]  # fmt: skip
    for bad in bad_ones:
        with pytest.raises(strokes.NotStrokes):
            services.sign(order=reported, name="Ada", drawn=bad, actor=actor)


def test_a_photo_is_drawn_anew_and_loses_what_it_carried():
    secret = b"GPS 52.5 13.4"
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, secret.decode()  # turned by 90 degrees, with a description

    photo = photos.redraw(picture(exif=exif, size=(40, 20)))

    assert (photo.width, photo.height) == (20, 40)
    assert photo.content.startswith(b"\xff\xd8")
    assert secret not in photo.content


@pytest.mark.parametrize(
    "content",
    [
        b"", b"<svg onload='alert(1)'/>", b"%PDF-1.4", picture("GIF"), picture()[:200],
        b"\xff" * (photos.MAX_BYTES + 1),
    ],
    ids=["empty", "svg", "pdf", "gif", "cut short", "too large"],
)  # fmt: skip
def test_what_is_no_photo_does_not_pass(content):
    with pytest.raises(photos.NotAPhoto):
        photos.redraw(content)


def test_a_picture_of_too_many_pixels_is_not_decoded():
    with pytest.raises(photos.NotAPhoto):
        photos.redraw(picture("PNG", size=(10_000, 5_001)))


def test_a_photo_is_kept_once_under_the_factory_s_key(reported, actor, monkeypatch):
    kept = {}
    monkeypatch.setattr(storage, "put_bytes", lambda *, key, content: kept.update({key: content}))
    monkeypatch.setattr(storage, "delete", lambda *, key: kept.pop(key))

    first = services.add_photo(order=reported, content=picture(), actor=actor)
    second = services.add_photo(order=reported, content=picture(), actor=actor)

    assert first.pk == second.pk
    assert list(kept) == [first.object_key]
    assert first.object_key.startswith(f"acme/work-orders/{reported.pk}/")


def test_a_photo_that_is_refused_leaves_no_object(reported, actor, operator, monkeypatch):
    kept = set()
    monkeypatch.setattr(storage, "put_bytes", lambda *, key, content: kept.add(key))
    monkeypatch.setattr(storage, "delete", lambda *, key: kept.remove(key))
    services.reject(order=reported, at=actor.at, by=operator, text="Twice reported")

    with pytest.raises(NotPossible):
        services.add_photo(order=reported, content=picture(), actor=actor)
    assert not kept
