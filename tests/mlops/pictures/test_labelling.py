"""What people say of pictures: nothing is overwritten, the newest of each counts."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import numpy as np
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from mlops import region_masks, selectors, services
from mlops.models import ImageLabel, ImageRegion, InspectionImage
from mlops.services import LabelRefused, RegionSaid
from production import services as production_services
from production.models import Inspection, Lot
from tenants.models import User
from tests.mlops.pictures import shots

NOON = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
BOX = RegionSaid("scratch", 10, 12, 20, 8)


def person(role):
    return User.objects.get(email=f"{role}@acme.example")


@pytest.fixture
def add(faces, shelf):
    def make(seed=0, **fields):
        image, _ = services.add_picture(
            plan_id=faces.pk, content=shots.shot(seed), source="api", at=NOON, **fields
        )
        return image

    return make


def say(image, label, *, minute=0, role="operator", **fields):
    return services.label_picture(
        image_id=image.pk, label=label, by=person(role), at=NOON + timedelta(minutes=minute),
        **fields,
    )  # fmt: skip


def test_the_newest_label_is_the_picture_s_and_none_is_lost(add):
    image = add()
    InspectionImage.objects.update(doubt=0.9)

    say(image, "good")
    say(image, "defect", minute=2, role="engineer", regions=[BOX])
    say(image, "unusable", minute=1)  # written down late: it was said before

    image.refresh_from_db()
    assert (image.label, image.labelled_at, image.doubt) == (
        "defect", NOON + timedelta(minutes=2), None,
    )  # fmt: skip
    assert list(image.labels.order_by("pk").values_list("label", flat=True)) == [
        "good", "defect", "unusable",
    ]  # fmt: skip
    region = ImageRegion.objects.get()
    assert (region.defect_type.code, region.x, region.y, region.width) == ("scratch", 10, 12, 20)


def test_a_label_is_taken_back(add, faces):
    image = add()
    say(image, "defect")

    say(image, "", minute=1)

    image.refresh_from_db()
    assert (image.label, image.labelled_at, image.labels.count()) == ("", None, 2)
    assert selectors.next_in_queue(faces.pk) == image


def test_a_request_labels_once(add):
    image, request = add(), uuid4()

    first = say(image, "good", request_id=request)
    again = say(image, "good", minute=5, request_id=request)

    assert (again.pk, image.labels.count()) == (first.pk, 1)


@pytest.mark.parametrize(
    ("code", "fields"),
    [
        ("unknown_label", {"label": "fine"}),
        ("region_outside", {"regions": [RegionSaid("scratch", 50, 0, 20, 8)]}),
        ("region_outside", {"regions": [RegionSaid("scratch", 0, 47, 8, 2)]}),
        ("region_outside", {"regions": [RegionSaid("scratch", -1, 0, 8, 8)]}),
        ("region_outside", {"regions": [RegionSaid("scratch", 0, 0, 0, 8)]}),
        ("unknown_defect", {"regions": [RegionSaid("rust", 0, 0, 8, 8)]}),
        ("regions_need_a_defect", {"label": "good", "regions": [BOX]}),
        ("too_many_regions", {"regions": [BOX] * 201}),
        ("mask_refused", {"regions": [RegionSaid("scratch", 0, 0, 40, 40, b"<svg/>")]}),
        ("mask_refused", {"regions": [RegionSaid("scratch", 0, 0, 40, 40, shots.shot()[:200])]}),
        (
            "mask_refused",
            {"regions": [RegionSaid("scratch", 0, 0, 40, 40, shots.png_that_declares(9000, 9000))]},
        ),
        (
            "mask_refused",  # painted elsewhere
            {
                "regions": [
                    RegionSaid("scratch", 0, 0, 9, 9, shots.mask(64, 48, box=(30, 30, 4, 4)))
                ]
            },
        ),
    ],
)
def test_what_cannot_be_is_refused_by_name_and_nothing_is_written(add, code, fields):
    image = add()

    with pytest.raises(LabelRefused) as refused:
        say(image, **{"label": "defect", **fields})

    assert refused.value.code == code
    assert not ImageLabel.objects.exists()
    image.refresh_from_db()
    assert image.label == ""


@pytest.mark.parametrize("is_whole", [True, False])
def test_a_mask_comes_back_as_it_was_painted(add, is_whole):
    image = add()
    box = (5, 6, 37, 33)  # no multiple of eight
    if is_whole:
        png = shots.mask(64, 48, box=(7, 8, 11, 13))
    else:
        png = shots.mask(37, 33, box=(2, 2, 11, 13))

    say(image, "defect", regions=[RegionSaid("scratch", *box, png)])

    kept = ImageRegion.objects.get()
    assert kept.mask is not None
    expected = np.zeros((33, 37), bool)
    expected[2:15, 2:13] = True
    found = region_masks.unpacked(bytes(kept.mask), width=kept.width, height=kept.height)
    assert np.array_equal(found, expected)


def test_one_good_picture_in_four_is_kept_by_itself(add):
    images = [add(seed) for seed in range(12)]
    for image in images:
        say(image, "good")
    kept = {image.digest for image in InspectionImage.objects.filter(is_kept=True)}

    assert kept == {image.digest for image in images if int(image.digest[:8], 16) % 4 == 0}
    assert 0 < len(kept) < 12


def test_a_label_given_with_a_picture_is_said_once(add):
    image = add(label="good", by=person("operator"))
    again = add(label="defect", by=person("operator"))

    assert (image.label, again.label, image.labels.count()) == ("good", "good", 1)
    with pytest.raises(LabelRefused):
        add(1, label="nonsense")
    assert InspectionImage.objects.count() == 1


def test_a_label_judges_the_inspection_that_the_picture_belongs_to(add, faces):
    lot = Lot.objects.create(product=faces.product, code="L-1", quantity=50, made_at=NOON)
    inspection = production_services.record_inspection(
        plan_id=faces.pk, lot_id=lot.pk, piece="7", verdict="pass", source="vision", at=NOON
    )
    image = add(inspection_id=inspection.pk)

    say(image, "defect", minute=1, regions=[BOX, BOX], note="Deep")

    inspection = Inspection.objects.get(pk=inspection.pk)
    assert (inspection.first_verdict, inspection.verdict) == ("pass", "fail")
    newest = inspection.verdicts.order_by("-at", "-pk")[0]
    assert (newest.by, newest.note, newest.defects.get().count) == (person("operator"), "Deep", 2)
    say(image, "unusable", minute=2)
    assert Inspection.objects.get(pk=inspection.pk).verdict == "unclear"


# -- queue and disagreement --------------------------------------------------------------------


def test_the_most_doubtful_comes_first_then_the_oldest(add, faces):
    doubts = [None, 0.2, 0.9, 0.9, None, 0.5]
    images = []
    for seed, doubt in enumerate(doubts):
        image = add(seed, taken_at=NOON - timedelta(minutes=seed))
        InspectionImage.objects.filter(pk=image.pk).update(doubt=doubt)
        images.append(image)
    say(images[5], "good")

    queue = list(selectors.review_queue(faces.pk))

    assert [images.index(image) for image in queue] == [3, 2, 1, 4, 0]
    walked = [selectors.next_in_queue(faces.pk)]
    while found := selectors.next_in_queue(faces.pk, after=walked[-1]):
        walked.append(found)
    assert walked == queue


def test_what_is_gone_is_not_to_be_looked_at(add, faces):
    add()
    services.retain_pictures(at=NOON + timedelta(days=100))

    assert selectors.next_in_queue(faces.pk) is None


def test_people_disagree_by_their_newest_labels(add, faces):
    images = [add(seed) for seed in range(5)]
    for image, one, other in zip(
        images, ["good", "good", "defect", "defect", "good"],
        ["good", "defect", "defect", "good", "good"], strict=True,
    ):  # fmt: skip
        say(image, one, role="operator")
        say(image, other, role="engineer", minute=1)
    say(images[3], "good", role="operator", minute=2)  # changed their mind
    say(add(9), "good")  # nobody else has looked

    (differing,) = selectors.disagreements(faces.pk)
    (pair,) = selectors.pair_agreements(faces.pk)

    ids = {person("operator").pk: "good", person("engineer").pk: "defect"}
    assert (differing.image, differing.labels) == (images[1], ids)
    # Agreed on 4 of 5; by chance (4/5 x 3/5 + 1/5 x 2/5) = 0.56; (0.8 - 0.56) / 0.44.
    assert (pair.n, pair.n_agreed, pair.share) == (5, 4, 0.8)
    assert pair.kappa == pytest.approx(0.24 / 0.44)


def test_what_was_taken_back_is_no_disagreement(add, faces):
    image = add()
    say(image, "good", role="operator")
    say(image, "defect", role="engineer", minute=1)
    say(image, "", role="engineer", minute=2)

    assert selectors.disagreements(faces.pk) == []
    assert selectors.pair_agreements(faces.pk) == []


def test_disagreements_take_as_many_queries_as_one(add, faces):
    def n_queries():
        with CaptureQueriesContext(connection) as asked:
            n_found = len(selectors.disagreements(faces.pk)) + len(
                selectors.pair_agreements(faces.pk)
            )
        return n_found, len(asked)

    for seed in range(4):
        image = add(seed)
        say(image, "good", role="operator")
        say(image, "defect", role="engineer")
        if not seed:
            n_found, n_first = n_queries()
            assert n_found == 2

    assert n_queries() == (5, n_first)
