"""Pictures are taken in once, brought to the object store, read from either, removed when old."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from django.db.models import F

from mlops import picture_store, services, tasks
from mlops.models import ImageVerdict, InspectionImage, PendingPicture, VisionSetup
from mlops.services import SetupFields
from mlops.vision import pictures
from tenants import storage
from tenants.models import Job
from tests.mlops.pictures import shots

NOON = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
LATER = NOON + timedelta(days=91)


def added(plan, seed=0, **fields):
    content = fields.pop("content", None) or shots.shot(seed)
    image, _ = services.add_picture(
        plan_id=plan.pk, content=content, source="api", at=fields.pop("at", NOON), **fields
    )
    return image


def test_what_is_kept_is_the_pixels_and_nothing_of_the_file(faces, shelf):
    sent = shots.shot(3, form="TIFF", description="<script>alert(1)</script>")

    image, is_new = services.add_picture(
        plan_id=faces.pk, content=sent, source="folder", at=NOON, name="C:\\x\\part 7.tif"
    )
    kept = picture_store.content_of(image)

    assert is_new
    assert b"script" not in kept
    assert np.array_equal(pictures.decode(kept).pixels, shots.pixels(3))
    assert (image.width, image.height, image.n_bytes) == (64, 48, len(kept))
    assert (image.name, image.taken_at) == ("part 7.tif", NOON)


def test_the_same_picture_again_is_the_first_one(faces, shelf):
    first = added(faces, name="a.png")

    again, is_new = services.add_picture(
        plan_id=faces.pk, content=shots.shot(), source="api", at=LATER, name="b.png"
    )

    assert (again.pk, is_new, again.name) == (first.pk, False, "a.png")
    assert added(shots.plan("Backs")).pk != first.pk


def test_a_picture_waits_here_until_the_store_has_it(faces, shelf):
    image = added(faces)
    assert shelf == {}
    assert Job.objects.get(task="mlops.store_pictures").kwargs == {"image_id": str(image.pk)}
    before = picture_store.content_of(image), picture_store.thumbnail_of(image)

    assert services.store_pictures(image_id=image.pk) == 1
    assert services.store_pictures(image_id=image.pk) == 0

    assert not PendingPicture.objects.exists()
    assert sorted(shelf) == [
        f"acme/pictures/{faces.pk}/{image.pk}.png", f"acme/pictures/{faces.pk}/{image.pk}.webp",
    ]  # fmt: skip
    assert (picture_store.content_of(image), picture_store.thumbnail_of(image)) == before


def test_while_the_store_is_away_pictures_are_taken_and_shown(faces, away):
    first, second = added(faces, 1), added(faces, 2)

    assert services.store_pictures(image_id=first.pk) == 0
    assert picture_store.content_of(second)
    away["is"] = False

    assert services.store_pictures(image_id=second.pk) == 2
    assert not PendingPicture.objects.exists()


def test_a_store_that_takes_half_of_a_picture_gets_it_again(faces, shelf, away, monkeypatch):
    image = added(faces)
    away["is"] = False
    put = storage.put_bytes

    def put_no_thumbnail(*, key, content):
        if key.endswith(".webp"):
            raise storage.StorageUnavailable("away")
        put(key=key, content=content)

    with monkeypatch.context() as patch:
        patch.setattr(storage, "put_bytes", put_no_thumbnail)
        assert services.store_pictures(image_id=image.pk) == 0
    assert len(shelf) == 1
    assert picture_store.thumbnail_of(image)

    assert services.store_pictures(image_id=image.pk) == 1
    assert len(shelf) == 2


def test_only_so_much_may_wait(faces, shelf, monkeypatch):
    monkeypatch.setattr(picture_store, "MAX_PENDING_BYTES", 25_000)
    first = added(faces, 1)
    added(faces, 2)

    with pytest.raises(picture_store.TooManyPending, match="2 pictures wait"):
        added(faces, 3)
    assert InspectionImage.objects.count() == 2

    services.store_pictures(image_id=first.pk)
    assert added(faces, 3)


def test_the_clock_stores_what_waits_once(faces, shelf):
    added(faces)
    Job.objects.all().delete()

    tasks.store_waiting_pictures()
    tasks.store_waiting_pictures()

    assert Job.objects.filter(task="mlops.store_pictures").count() == 1


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("../../etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("a\x00b\x07\u202egnp.exe", "abgnp.exe"),
        ("..", ""),
        (".htaccess", "htaccess"),
        ("\ud800.png", "png"),
        ("  part \n 7.png ", "part 7.png"),
        ("x" * 500, "x" * 120),
    ],
)
def test_a_name_is_for_people_only(faces, shelf, sent, shown):
    image = added(faces, name=sent)
    services.store_pictures(image_id=image.pk)

    assert image.name == shown
    assert all(str(image.pk) in key and key.count("/") == 3 for key in shelf)


def test_a_picture_goes_to_a_plan_that_is_there(faces, shelf):
    for wrong in ({"plan_id": faces.product_id}, {"inspection_id": faces.pk}):
        with pytest.raises(services.PictureUnknown):
            services.add_picture(
                **{"plan_id": faces.pk, **wrong}, content=shots.shot(), source="api", at=NOON
            )
    assert not InspectionImage.objects.exists()


# -- retention ---------------------------------------------------------------------------------


def test_old_pictures_that_nobody_labelled_lose_their_pixels(faces, shelf):
    old, young = added(faces, 1), added(faces, 2, at=LATER - timedelta(days=3))
    ImageVerdict.objects.create(image=old, made_at=NOON, state="no_model")
    services.store_pictures(image_id=old.pk)

    assert services.retain_pictures(at=LATER) == 1
    assert services.retain_pictures(at=LATER) == 0

    old.refresh_from_db()
    assert (old.object_key, old.verdicts.count()) == ("", 1)
    assert all(str(young.pk) in key for key in shelf)
    assert len(shelf) == 2
    with pytest.raises(picture_store.PictureGone):
        picture_store.content_of(old)


def test_labelled_kept_and_golden_pictures_stay(faces, shelf):
    labelled, kept, golden, plain = (added(faces, seed) for seed in range(4))
    services.label_picture(image_id=labelled.pk, label="defect", by=None, at=NOON)
    services.keep_picture(image_id=kept.pk, is_kept=True, by=None)
    services.save_setup(
        plan_id=faces.pk, fields=SetupFields(mode="golden", golden_id=golden.pk), by=None
    )

    assert services.retain_pictures(at=LATER) == 1

    plain.refresh_from_db()
    assert plain.object_key == ""
    with pytest.raises(services.PictureUnknown):
        services.keep_picture(image_id=plain.pk, is_kept=True, by=None)


def test_a_pass_removes_so_many_and_goes_on_when_the_store_is_back(faces, away, monkeypatch):
    for seed in range(3):
        added(faces, seed)
    monkeypatch.setattr(services.pictures, "RETAIN_AT_A_TIME", 2)

    assert services.retain_pictures(at=LATER) == 0
    assert PendingPicture.objects.count() == 3
    away["is"] = False

    assert [services.retain_pictures(at=LATER) for _ in range(3)] == [2, 1, 0]


def test_how_long_is_the_plan_s_to_say(faces, shelf):
    added(faces)
    services.save_setup(plan_id=faces.pk, fields=SetupFields(keep_days=200), by=None)
    assert services.retain_pictures(at=LATER) == 0

    VisionSetup.objects.update(keep_days=F("keep_days") - 120)
    assert services.retain_pictures(at=LATER) == 1


# -- setup -------------------------------------------------------------------------------------


def test_costs_are_the_plan_s(faces):
    fields = SetupFields(escape_cost_minor=50_000, false_reject_cost_minor=700, limit=2.5)

    setup = services.save_setup(plan_id=faces.pk, fields=fields, by=None)

    faces.refresh_from_db()
    assert (faces.escape_cost_minor, faces.false_reject_cost_minor) == (50_000, 700)
    assert setup.limit == 2.5


@pytest.mark.parametrize(
    "wrong",
    [
        {"parts_per_day": 0.0}, {"parts_per_day": float("nan")}, {"defective_share": 1.1},
        {"keep_days": 0}, {"escape_cost_minor": -1}, {"mode": "other"}, {"mode": "golden"},
        {"limit": float("inf")},
    ],
)  # fmt: skip
def test_a_setup_that_cannot_be_is_refused_in_words(faces, wrong):
    with pytest.raises(services.SetupRefused, match=r"\."):
        services.save_setup(plan_id=faces.pk, fields=SetupFields(**wrong), by=None)


def test_another_plan_s_picture_is_no_golden_one(faces, shelf):
    other = added(shots.plan("Backs"))

    with pytest.raises(services.SetupRefused, match="golden"):
        services.save_setup(plan_id=faces.pk, fields=SetupFields(golden_id=other.pk), by=None)
