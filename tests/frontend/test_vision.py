"""The pages of visual inspection: plans, one plan, one picture, the queue, costs, what is kept."""

import base64
import json
import re
from datetime import timedelta
from uuid import uuid4

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from mlops import selectors, services
from mlops.models import Finding, ImageVerdict, InspectionImage, Kind, ModelVersion, VersionEvent
from mlops.services import RegionSaid
from production import services as production_services
from production.models import DefectType
from tenants.models import Job, User
from tests.frontend.test_maintenance import text_of
from tests.mlops.conftest import shelf
from tests.mlops.pictures import shots

__all__ = ["shelf"]
KEEP = {"x-takt-keep": "1"}
HOME = "/quality/vision/"


def fields_after(operation):
    looks = production_services.CharacteristicFields(name="Looks", kind="attribute")
    return production_services.InspectionPlanFields(
        name="Faces", operation=operation, characteristics=[looks]
    )


@pytest.fixture
def plan(in_acme, shelf):
    """A plan in force of acme, with one kind of defect and nothing taught."""
    shots.defect()
    product = production_services.make_product(item_no="F-100", name="Flange")
    fields = fields_after("20 milling")
    return production_services.make_inspection_plan(
        product_id=product.pk, fields=fields, at=timezone.now(), by=None
    )


@pytest.fixture
def home(plan):
    return f"{HOME}{plan.pk}/"


@pytest.fixture
def sent(plan):
    """Return `sent(seed)`: a picture of the plan."""

    def make(seed=0, **fields):
        return services.add_picture(
            plan_id=plan.pk, content=shots.shot(seed), source="upload", at=timezone.now(),
            name=f"face-{seed}.png", **fields,
        )[0]  # fmt: skip

    return make


@pytest.fixture
def serving(plan):
    return version_of(plan, 1, "champion")


def version_of(plan, number, alias=""):
    """Write down a version as a training does: ten good pictures around 1, defects around 3."""
    made = ModelVersion.objects.create(
        kind=Kind.VISION, inspection_plan=plan, version=number, alias=alias, job_id=uuid4(),
        digest="d", artifact_key="acme/models/v.takt", unit="", created_at=timezone.now(),
        metrics={}, trained_on={}, weaknesses=["It has seen 10 good parts only."],
        details={
            "limit": 1.5, "good_scores": [0.8, 0.85, 0.9, 0.95, 1.0, 1.05, 1.1, 1.15, 1.2, 1.25],
            "defect_scores": [["scratch", 1.8], ["scratch", 2.5], ["scratch", 3.4]],
        },
    )  # fmt: skip
    VersionEvent.objects.create(
        version=made, at=timezone.now(), what="promoted" if alias else "not_promoted",
        reason="The first of its plan.",
    )  # fmt: skip
    return made


def judged(image, version, score=2.1, **fields):
    region = {"x": 10, "y": 12, "width": 20, "height": 8, "area": 160, "label": "scratch",
              "probability": 0.9}  # fmt: skip
    verdict = "fail" if score > 1.5 else "pass"
    return ImageVerdict.objects.create(
        image=image, version=version, made_at=timezone.now(), state="ok", verdict=verdict,
        score=score, limit=1.5, took_ms=41.0, regions=[region] if verdict == "fail" else [],
        heat=shots.shot(9), **fields,
    )  # fmt: skip


# -- all plans, one plan


def test_without_a_plan_the_page_says_what_it_is_for(in_acme, portal):
    page = text_of(portal("engineer").get(HOME))
    assert "Show Takt 20 pictures of good parts" in page
    assert "/quality/plans/new/" in page
    assert "/quality/plans/new/" not in text_of(portal("operator").get(HOME))


def test_a_plan_without_pictures_is_offered_to_begin_with(plan, home, portal):
    assert home in text_of(portal().get(HOME))
    assert "No picture yet" in text_of(portal("viewer").get(home))
    for path in ("costs/", "queue/", "regression/", "disagreements/"):
        text_of(portal("viewer").get(home + path))


def test_the_list_says_what_serves_what_waits_and_what_was_found(plan, sent, serving, portal):
    judged(sent(1), serving)
    InspectionImage.objects.update(doubt=0.7)
    at = timezone.now()
    Finding.objects.create(
        version=serving, what="pictures", signal="brightness", found_at=at, seen_at=at,
        message="Pictures are darker than those that taught.",
    )  # fmt: skip
    page = text_of(portal("viewer").get(HOME))

    assert "1 doubtful picture to look at. The watch found 1 thing." in page
    assert "Version 1 is in service" in page
    assert "Pictures are darker" in page


def test_the_page_of_a_plan_shows_how_far_it_is_taught(plan, home, sent, portal):
    for seed in range(3):
        services.label_picture(image_id=sent(seed).pk, label="good", by=None, at=timezone.now())
    InspectionImage.objects.update(is_kept=False)
    shown = text_of(portal("engineer").get(home))

    assert "3 of 20 good pictures" in shown
    assert "needs 7 more good pictures" in shown
    assert ">Learn<" not in shown


def test_the_page_of_a_served_plan_says_why_and_how_weak(home, sent, serving, portal):
    judged(sent(1), serving)
    shown = text_of(portal("viewer").get(home))

    assert "The first of its plan." in shown
    assert "It has seen 10 good parts only." in shown
    assert "Defective" in shown
    assert re.search(r'class="heat-veil" href="/quality/vision/pictures/\S+/heat', shown)
    assert "data-upload" not in shown  # who only looks sends nothing


@pytest.mark.parametrize("show", ["waiting", "rejected", "good", "kept", "nonsense"])
def test_the_pictures_are_filtered(home, sent, serving, portal, show):
    judged(sent(1), serving)
    services.label_picture(image_id=sent(2).pk, label="good", by=None, at=timezone.now())
    n = {"waiting": 1, "rejected": 1, "good": 1, "nonsense": 2}
    kept = InspectionImage.objects.filter(is_kept=True).count()
    shown = text_of(portal("viewer").get(f"{home}?show={show}"))
    assert shown.count('class="pic"') == n.get(show, kept)


# -- sending


def files(**contents):
    return [SimpleUploadedFile(name, content) for name, content in contents.items()]


def test_several_pictures_are_taken_and_a_refused_one_is_named(plan, home, portal):
    answer = portal("operator").post(
        f"{home}upload/",
        {"label": "good", "pictures": files(a=shots.shot(1), b=b"%PDF-1.7 no", c=shots.shot(2))},
        headers=KEEP,
    )
    told = answer.json()
    assert (told["n_taken"], told["next"]) == (2, home)
    assert told["refused"][0]["name"] == "b"
    assert set(selectors.images_of(plan.pk).values_list("label", flat=True)) == {"good"}


def test_without_the_script_the_page_says_what_was_refused(home, portal):
    engineer = portal("engineer")
    answer = engineer.post(f"{home}upload/", {"pictures": files(broken=b"GIF89a")})
    assert answer.url == home
    assert "broken: " in text_of(engineer.get(home))


def test_what_is_uploaded_is_judged_where_a_version_serves(home, serving, portal):
    answer = portal("engineer").post(f"{home}upload/", {"pictures": files(a=shots.shot(1))})
    assert answer.url == f"{home}?judging=1"
    image = InspectionImage.objects.get()
    assert Job.objects.get(task="mlops.judge_images").kwargs == {"image_ids": [str(image.pk)]}
    assert 'hx-trigger="load delay:2s"' in text_of(portal().get(answer.url))


def test_who_only_looks_may_not_send_learn_or_save(home, sent, portal):
    viewer, path = portal("viewer"), f"{HOME}pictures/{sent(1).pk}/"
    for tail in ("upload/", "learn/"):
        assert viewer.post(home + tail).status_code == 403
    for tail in ("label/", "keep/", "golden/"):
        assert viewer.post(path + tail).status_code == 403
    assert portal("operator").post(f"{path}label/", {"action": "miss"}).status_code == 403
    assert portal("operator").post(f"{path}golden/").status_code == 403


# -- one picture


def test_a_picture_says_what_was_seen_and_where(plan, sent, serving, portal):
    image = sent(1)
    judged(image, serving)
    shown = text_of(portal("engineer").get(f"{HOME}pictures/{image.pk}/"))

    assert "1.4 times the limit, 1 place marked" in shown
    assert "Scratch at 10, 12 (20 by 8)" in shown
    assert "By version 1" in shown
    assert "This was a false alarm" in shown
    assert "This defect was missed" not in shown


def test_a_picture_is_linked_with_its_lot_piece_and_inspection(plan, sent, portal):
    at = timezone.now()
    lot = production_services.make_lot(product=plan.product, code="L-7", made_at=at, at=at)
    looked = production_services.record_inspection(
        plan_id=plan.pk, lot_id=lot.pk, piece="12", at=at, verdict="fail", note="Scratched"
    )
    image = sent(1, inspection_id=looked.pk)
    shown = text_of(portal("viewer").get(f"{HOME}pictures/{image.pk}/"))
    assert f"/lots/{lot.pk}/" in shown
    assert f"/quality/inspections/{looked.pk}/" in shown

    for path in (f"/lots/{lot.pk}/", f"/quality/inspections/{looked.pk}/"):
        assert f"{HOME}pictures/{image.pk}/thumbnail" in text_of(portal("viewer").get(path))


def test_a_label_with_a_box_and_a_painted_place_is_taken_once(sent, portal):
    image = sent(1)
    mask = base64.b64encode(shots.mask(64, 48, box=(30, 10, 6, 6))).decode()
    regions = [
        {"defect": "scratch", "x": 4, "y": 5, "width": 10, "height": 8, "mask": ""},
        {"defect": "scratch", "x": 30, "y": 10, "width": 6, "height": 6,
         "mask": f"data:image/png;base64,{mask}"},
    ]  # fmt: skip
    said = {"label": "defect", "regions": json.dumps(regions), "request_id": str(uuid4())}
    operator, path = portal("operator"), f"{HOME}pictures/{image.pk}/"
    for _ in range(2):
        answer = operator.post(f"{path}label/", said, headers=KEEP)
        assert answer.json() == {"next": path}

    (label,) = image.labels.all()
    assert [bool(one.mask) for one in label.regions.order_by("x")] == [False, True]
    assert "Scratch (2)" in text_of(operator.get(path))


@pytest.mark.parametrize(
    ("regions", "why"),
    [
        ("{", "not understood"),
        ("[1]", "not understood"),
        ('[{"defect": "scratch", "x": 0, "y": 0, "width": 900, "height": 1}]', "outside"),
        ('[{"defect": "dent", "x": 0, "y": 0, "width": 9, "height": 9}]', "no kind of defect"),
        ('[{"defect": "scratch", "x": 0, "y": 0, "width": 9, "height": 9, "mask": "data:x"}]',
         "no PNG"),
    ],
)  # fmt: skip
def test_marks_that_cannot_be_are_refused_and_nothing_is_written(sent, portal, regions, why):
    image = sent(1)
    answer = portal("operator").post(
        f"{HOME}pictures/{image.pk}/label/", {"label": "defect", "regions": regions}, headers=KEEP
    )
    assert answer.status_code == 409
    assert why in answer.json()["error"]
    assert not image.labels.exists()


def test_a_missed_defect_is_taught_kept_and_learned_from(plan, sent, serving, portal):
    image = sent(1)
    judged(image, serving, score=1.2)
    for seed in range(10, 30):
        services.label_picture(image_id=sent(seed).pk, label="good", by=None, at=timezone.now())
    engineer, path = portal("engineer"), f"{HOME}pictures/{image.pk}/"
    assert "This defect was missed" in text_of(engineer.get(path))

    answer = engineer.post(f"{path}label/", {"action": "miss", "regions": "[]"}, headers=KEEP)

    assert answer.json() == {"next": path}
    image.refresh_from_db()
    assert (image.label, image.is_kept) == ("defect", True)
    assert Job.objects.filter(task="mlops.train").count() == 1
    assert "a new version is being learned" in text_of(engineer.get(path))


def test_a_picture_is_kept_and_let_go(sent, portal):
    image, engineer = sent(1), portal("engineer")
    engineer.post(f"{HOME}pictures/{image.pk}/keep/", {"kept": "yes"})
    assert InspectionImage.objects.get().is_kept
    answer = engineer.post(f"{HOME}pictures/{image.pk}/keep/", {"back": "regression"})
    assert answer.url.endswith("/regression/")
    assert not InspectionImage.objects.get().is_kept


@pytest.mark.parametrize(
    ("what", "form"), [("content", "image/png"), ("thumbnail", "image/webp"), ("heat", "image/png")]
)
def test_bytes_are_served_so_that_no_browser_takes_them_for_more(sent, serving, portal, what, form):
    image = sent(1)
    judged(image, serving)
    answer = portal("viewer").get(f"{HOME}pictures/{image.pk}/{what}")
    assert answer["Content-Type"] == form
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Content-Disposition"].startswith("attachment")
    assert "sandbox" in answer["Content-Security-Policy"]


def test_a_picture_that_is_gone_says_so(sent, serving, portal):
    image = sent(1)
    judged(image, serving)
    services.store_pictures(image_id=image.pk)
    InspectionImage.objects.update(object_key="", thumbnail_key="")
    assert "not kept any more" in text_of(portal().get(f"{HOME}pictures/{image.pk}/"))
    assert portal().get(f"{HOME}pictures/{image.pk}/content").status_code == 404


# -- the queue


def test_the_queue_shows_the_most_doubtful_first_and_ends(plan, home, sent, portal):
    clear, doubtful = sent(1), sent(2)
    InspectionImage.objects.filter(pk=doubtful.pk).update(doubt=0.9)
    operator, path = portal("operator"), f"{home}queue/"

    first = text_of(operator.get(path))
    assert f"{HOME}pictures/{doubtful.pk}/content" in first
    assert "2 pictures to look at" in first
    later = text_of(operator.get(f"{path}?after={doubtful.pk.hex}"))
    assert f"{HOME}pictures/{clear.pk}/content" in later
    assert "That was the last one" in text_of(operator.get(f"{path}?after={clear.pk.hex}"))

    for image in (doubtful, clear):
        answer = operator.post(
            f"{HOME}pictures/{image.pk}/label/", {"label": "good", "back": "queue"}, headers=KEEP
        )
        assert answer.json() == {"next": path}
    assert "Nothing to look at" in text_of(operator.get(path))


# -- what mistakes cost

COSTS = {"escape_cost": "400", "false_reject_cost": "12", "parts_per_day": "500",
         "defective_percent": "2", "own-scratch": "", "by_hand": "", "limit": "", "mode": "anomaly",
         "keep_days": "90"}  # fmt: skip


def limit_on(shown):
    return float(re.search(r"data-limit>([\d.]+)<", shown)[1])


def test_the_limit_moves_with_the_costs_before_they_are_saved(plan, home, serving, portal):
    engineer, path = portal("engineer"), f"{home}costs/"
    assert limit_on(text_of(engineer.get(path))) == 1.5
    assert "say what both mistakes cost" in text_of(engineer.get(path))

    dear = text_of(engineer.get(path, data=COSTS, headers={"HX-Request": "true"}))
    cheap = text_of(
        engineer.get(path, data=COSTS | {"escape_cost": "1"}, headers={"HX-Request": "true"})
    )

    assert limit_on(dear) < limit_on(cheap)
    assert "Not saved yet" in dear
    assert "<html" not in dear
    assert "Escapes a day: scratch" in dear
    assert not selectors.vision_setup(plan).limit
    plan.refresh_from_db()
    assert plan.escape_cost_minor is None


def test_costs_are_saved_also_where_one_defect_has_its_own(plan, home, serving, portal):
    assert portal("operator").post(f"{home}costs/", COSTS).status_code == 200
    plan.refresh_from_db()
    assert plan.escape_cost_minor is None

    engineer = portal("engineer")
    answer = engineer.post(f"{home}costs/", COSTS | {"own-scratch": "90"})

    assert answer.status_code == 302
    plan.refresh_from_db()
    assert (plan.escape_cost_minor, plan.false_reject_cost_minor) == (40_000, 1_200)
    assert selectors.vision_setup(plan).defective_share == pytest.approx(0.02)
    assert DefectType.objects.get(code="scratch").escape_cost_minor == 9_000


def test_costs_of_a_revised_plan_count_at_once(plan, home, serving, portal):
    at = timezone.now()
    production_services.record_inspection(
        plan_id=plan.pk, at=at, verdict="pass",
        lot_id=production_services.make_lot(product=plan.product, code="L-1", made_at=at, at=at).pk,
    )  # fmt: skip
    fields = fields_after("30 turning")
    production_services.revise_inspection_plan(plan_id=plan.pk, fields=fields, at=at, by=None)
    engineer = portal("engineer")
    engineer.post(f"{home}costs/", COSTS)
    shown = text_of(engineer.get(f"{home}costs/"))
    assert "It costs least" in shown
    assert 'value="400' in shown


def test_a_limit_by_hand_says_what_it_costs_more(plan, home, serving, portal):
    engineer, said = portal("engineer"), COSTS | {"by_hand": "yes", "limit": "3"}
    assert engineer.post(f"{home}costs/", said | {"limit": ""}).status_code == 422
    engineer.post(f"{home}costs/", said)
    shown = text_of(engineer.get(f"{home}costs/"))
    assert limit_on(shown) == 3.0
    assert re.search(r"costs about €[\d,.]+ a day more than the best", shown)


def test_while_no_defect_was_shown_the_page_says_so_in_words(home, serving, portal):
    serving.details["defect_scores"] = []
    serving.save(update_fields=["details"])
    shown = text_of(portal("engineer").get(f"{home}costs/", data=COSTS))
    assert "No defect has been shown yet" in shown
    assert '<svg class="chart"' not in shown


# -- what stays right, who disagrees


def test_the_regression_set_shows_what_versions_said_and_the_last_proof(plan, home, sent, serving,
                                                                        portal):  # fmt: skip
    image = sent(1)
    services.label_picture(image_id=image.pk, label="defect", by=None, at=timezone.now())
    services.keep_picture(image_id=image.pk, is_kept=True, by=None)
    judged(image, serving, score=1.1)
    newer = version_of(plan, 2)
    judged(image, newer, score=2.4, is_shadow=True)
    VersionEvent.objects.create(
        version=newer, at=timezone.now() + timedelta(seconds=1), what="promoted",
        reason="It gets 1 picture right that version 1 got wrong.",
        evidence={"n_kept": 1, "n_right": 1, "broken": [], "mended": [str(image.pk)]},
    )  # fmt: skip
    shown = text_of(portal("engineer").get(f"{home}regression/"))

    assert "Wrong: good" in shown
    assert "Right: defective" in shown
    assert "Version 2: 1 of 1 right." in shown
    assert "Nothing broke." in shown
    assert "Mended by version 2" in shown


def test_people_who_disagree_are_shown_with_their_kappa(plan, home, sent, portal):
    people = [User.objects.get(email=f"{role}@acme.example") for role in ("operator", "engineer")]
    for seed, labels in enumerate((("good", "defect"), ("good", "good"), ("defect", "defect"))):
        image = sent(seed)
        for person, label in zip(people, labels, strict=True):
            services.label_picture(image_id=image.pk, label=label, by=person, at=timezone.now())
    shown = text_of(portal("viewer").get(f"{home}disagreements/"))
    assert "1 picture on which people disagree" in shown
    assert shown.count('class="pic"') == 1
    assert "67 %" in shown


# -- how many questions a page asks


@pytest.mark.parametrize("tail", ["", "regression/", "queue/", "disagreements/"])
def test_a_page_asks_as_many_questions_of_many_pictures(plan, home, sent, serving, portal, tail):
    viewer = portal("viewer")
    people = [User.objects.get(email=f"{role}@acme.example") for role in ("operator", "engineer")]

    def add(seed):
        image = sent(seed)
        judged(image, serving)
        for person, label in zip(people, ("good", "defect"), strict=True):
            region = [RegionSaid("scratch", 1, 1, 9, 9)] if label == "defect" else []
            services.label_picture(image_id=image.pk, label=label, regions=region, by=person,
                                   at=timezone.now())  # fmt: skip
        services.keep_picture(image_id=image.pk, is_kept=True, by=None)
        judged(sent(seed + 50), serving)

    def n_queries(path):
        with CaptureQueriesContext(connection) as asked:
            text_of(viewer.get(path))
        return len(asked)

    add(1)
    before = n_queries(home + tail), n_queries(HOME)
    for seed in range(2, 6):
        add(seed)
    assert (n_queries(home + tail), n_queries(HOME)) == before
