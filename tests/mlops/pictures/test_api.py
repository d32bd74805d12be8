"""Pictures through the API, as programs and the line send and read them."""

import base64
import csv
import io
import json
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import numpy as np
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from PIL import Image

from mlops import picture_store, services
from mlops.models import ImageVerdict, InspectionImage, ModelVersion
from mlops.vision import pictures
from production import services as production_services
from production.models import Lot
from tenants.context import factory_context
from tenants.models import FactoryLimits
from tests.conftest import PUBLIC_HOST
from tests.mlops.pictures import shots
from tests.mlops.pictures.parts import part, png

pytestmark = pytest.mark.slow

NOON = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)


@pytest.fixture
def plan(acme):
    with factory_context(acme):
        shots.defect()
        return shots.plan()


@pytest.fixture
def call(api_key, shelf):
    def send(method, path, data=None, *, key=api_key, content_type="application/json", **extra):
        body = json.dumps(data) if content_type == "application/json" else data
        return Client().generic(
            method, f"/api/v1/{path}", body or "", content_type=content_type, secure=True,
            HTTP_HOST=PUBLIC_HOST, HTTP_AUTHORIZATION=f"Bearer {key}", **extra,
        )  # fmt: skip

    return send


@pytest.fixture
def add(call, plan):
    def send(seed=0, query=""):
        path = f"inspection-plans/{plan.pk}/pictures{query}"
        return call("POST", path, shots.shot(seed), content_type="image/png")

    return send


def verdict_of(image_id, *, n=0, **fields):
    return ImageVerdict.objects.create(
        image_id=image_id, made_at=NOON + timedelta(minutes=n), state="no_model", **fields
    )


def test_a_picture_comes_as_the_body_and_is_read_back(call, add):
    answer = add(
        query="?name=../part%207.png&label=good&taken_at=2026-11-26T10:00:00Z&source=folder"
    )
    made = answer.json()
    again = add()

    assert (answer.status_code, again.status_code) == (201, 200), made
    assert again.json()["id"] == made["id"]
    assert (made["name"], made["label"], made["source"]) == ("part 7.png", "good", "folder")
    assert made["taken_at"] == "2026-11-26T10:00:00Z"
    content = call("GET", f"pictures/{made['id']}/content")
    assert np.array_equal(pictures.decode(content.content).pixels, shots.pixels())


def test_a_picture_comes_as_a_file_of_a_form(portal, plan, shelf):
    sent = SimpleUploadedFile("part.html", shots.shot(form="JPEG"), content_type="text/html")

    answer = portal("operator").post(
        f"/api/v1/inspection-plans/{plan.pk}/pictures", {"picture": sent, "label": "defect"}
    )

    assert answer.status_code == 201, answer.content
    assert (answer.json()["name"], answer.json()["label"]) == ("part.html", "defect")


def test_files_are_nothing_that_a_browser_would_run_or_share(call, add, acme):
    picture = add().json()["id"]
    with factory_context(acme):
        verdict_of(picture, heat=pictures.encode(shots.pixels()))

    for which, kind in (
        ("content", "image/png"), ("thumbnail", "image/webp"), ("heat", "image/png"),
    ):  # fmt: skip
        headers = call("GET", f"pictures/{picture}/{which}").headers
        assert headers["Content-Type"] == kind
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Content-Disposition"] == (
            f'attachment; filename="{picture}{"-heat" if which == "heat" else ""}.{kind[6:]}"'
        )
        assert headers["Cache-Control"].startswith("private")
        assert "sandbox" in headers["Content-Security-Policy"]


def test_a_store_that_is_away_takes_pictures_and_says_so_where_it_must(call, add, acme, away):
    answer = add()
    assert answer.status_code == 201
    path = f"pictures/{answer.json()['id']}/content"
    assert call("GET", path).status_code == 200
    away["is"] = False
    with factory_context(acme):
        services.store_waiting()
        services.store_pictures(image_id=answer.json()["id"])
    assert call("GET", path).status_code == 200
    away["is"] = True

    assert call("GET", path).status_code == 503


def test_a_full_waiting_room_is_said_by_name_with_a_time_to_come_back(add, monkeypatch):
    monkeypatch.setattr(picture_store, "MAX_PENDING", 1)
    assert add(1).status_code == 201

    answer = add(2)

    assert (answer.status_code, answer.json()["code"]) == (503, "too_many_pending")
    assert answer.headers["Retry-After"] == "60"
    assert add(1).status_code == 200  # what is there already is no new picture


@pytest.mark.parametrize(
    ("limits", "code"),
    [({"images_per_month": 1}, "plan_limit"), ({"capped_meters": ["images"]}, "cap_reached")],
)
def test_a_used_month_is_said_by_name_with_a_time_to_come_back(call, add, acme, plan, limits, code):
    assert add(1).status_code == 201
    FactoryLimits.objects.filter(factory=acme).update(**limits)

    refused = add(2)
    judged = call(
        "POST", f"inspection-plans/{plan.pk}/judge", shots.shot(3), content_type="image/png"
    )

    for answer in (refused, judged):
        assert (answer.status_code, answer.json()["code"]) == (429, code)
        assert 0 < int(answer.headers["Retry-After"]) <= 31 * 86_400
    assert add(1).status_code == 200  # what is there already is no new picture
    with factory_context(acme):
        assert InspectionImage.objects.count() == 1


def test_lists_are_filtered_and_take_a_fixed_number_of_queries(call, add, plan):
    def listed(query=""):
        with CaptureQueriesContext(connection) as asked:
            answer = call("GET", f"inspection-plans/{plan.pk}/pictures{query}")
        assert answer.status_code == 200, answer.content
        return [row["name"] for row in answer.json()["results"]], len(asked)

    add(1, "?name=a&label=good&taken_at=2026-11-20T00:00:00Z")
    names, n_queries = listed()
    add(2, "?name=b&taken_at=2026-11-21T00:00:00Z")
    kept = add(3, "?name=c&taken_at=2026-11-22T00:00:00Z").json()["id"]
    assert call("POST", f"pictures/{kept}/keep", {"is_kept": True}).json()["is_kept"]

    assert names == ["a"]
    assert listed() == (["c", "b", "a"], n_queries)
    assert listed("?label=none")[0] == ["c", "b"]
    assert listed("?label=good")[0] == ["a"]
    assert listed("?since=2026-11-21T00:00:00Z")[0] == ["c", "b"]
    assert listed("?since=2026-11-21T00:00:00Z&kept=false")[0] == ["b"]
    assert call("GET", f"inspection-plans/{plan.pk}/pictures?kept=maybe").status_code == 400


def test_the_queue_is_worked_through(call, add, acme, plan):
    ids = [add(seed).json()["id"] for seed in range(3)]
    with factory_context(acme):
        for image_id, doubt in zip(ids, (0.1, 0.8, 0.4), strict=True):
            InspectionImage.objects.filter(pk=image_id).update(doubt=doubt)
    path = f"inspection-plans/{plan.pk}/review-queue"
    assert [row["doubt"] for row in call("GET", path).json()["results"]] == [0.8, 0.4, 0.1]

    answer = call("POST", f"pictures/{ids[1]}/labels", {"label": "good"})

    assert answer.status_code == 200, answer.content
    assert [row["id"] for row in call("GET", path).json()["results"]] == [ids[2], ids[0]]


def test_a_label_with_a_painted_region_comes_back(call, add):
    picture = add().json()["id"]
    png = base64.b64encode(shots.mask(64, 48, box=(12, 13, 4, 5))).decode()
    region = {"defect": "scratch", "x": 10, "y": 12, "width": 20, "height": 9, "mask": png}
    said = {"label": "defect", "regions": [region], "note": "Deep", "request_id": str(uuid4())}

    for _ in range(2):
        answer = call("POST", f"pictures/{picture}/labels", said)
        assert answer.status_code == 200, answer.content

    (label,) = answer.json()["labels"]
    (kept,) = label["regions"]
    assert (label["label"], label["note"], kept["defect"], kept["x"]) == (
        "defect", "Deep", "scratch", 10,
    )  # fmt: skip
    mask = np.asarray(Image.open(io.BytesIO(base64.b64decode(kept["mask"]))))
    assert mask.shape == (9, 20)
    assert (int(mask.sum()), bool(mask[1:6, 2:6].all())) == (20, True)


@pytest.mark.parametrize(
    ("region", "code"),
    [
        ({"x": 60}, "region_outside"),
        ({"defect": "rust"}, "unknown_defect"),
        ({"mask": "no base64"}, "mask_refused"),
        ({"mask": base64.b64encode(b"<script>").decode()}, "mask_refused"),
    ],
)
def test_a_region_that_cannot_be_is_refused_by_name(call, add, region, code):
    picture = add().json()["id"]
    box = {"defect": "scratch", "x": 10, "y": 12, "width": 20, "height": 9, **region}

    answer = call("POST", f"pictures/{picture}/labels", {"label": "defect", "regions": [box]})

    assert (answer.status_code, answer.json()["code"]) == (409, code)
    assert call("GET", f"pictures/{picture}").json()["labels"] == []


def test_a_picture_belongs_to_the_inspection_of_its_lot_and_piece(call, add, acme, plan):
    with factory_context(acme):
        lot = Lot.objects.create(product=plan.product, code="L-1", quantity=5, made_at=NOON)
        looked = production_services.record_inspection(
            plan_id=plan.pk, lot_id=lot.pk, piece="7", verdict="pass", at=NOON
        )

    made = add(query="?lot=L-1&piece=7").json()

    assert (made["inspection"], made["lot"], made["piece"]) == (str(looked.pk), "L-1", "7")
    answer = add(1, "?lot=L-2")
    assert (answer.status_code, answer.json()["code"]) == (409, "unknown_reference")


def test_the_setup_is_read_and_written_whole(call, add, plan):
    path = f"inspection-plans/{plan.pk}/vision-setup"
    golden = add().json()["id"]
    found = call("GET", path).json()
    assert (found["mode"], found["keep_days"], found["golden"]) == ("anomaly", 90, None)

    answer = call("PUT", path, found | {"mode": "golden", "golden": golden, "limit": 1.5})

    assert answer.status_code == 200, answer.content
    assert call("GET", path).json() == answer.json()
    assert answer.json()["golden"] == golden
    answer = call("PUT", path, found | {"mode": "golden"})
    assert (answer.status_code, answer.json()["code"]) == (409, "setup_refused")


@pytest.mark.parametrize(
    ("role", "record", "manage"),
    [("viewer", 403, 403), ("operator", 201, 403), ("engineer", 201, 200)],
)
def test_who_may_what(portal, call, plan, role, record, manage):
    page, path = portal(role), f"/api/v1/inspection-plans/{plan.pk}"
    setup = page.get(f"{path}/vision-setup").json()

    added = page.post(f"{path}/pictures", shots.shot(), content_type="image/png")
    saved = page.request(
        "PUT", f"{path}/vision-setup", json.dumps(setup), content_type="application/json"
    )

    assert (added.status_code, saved.status_code) == (record, manage)
    assert page.get(f"{path}/pictures").status_code == 200


def test_verdicts_go_out_as_a_table_without_formulas(call, add, acme, plan, monkeypatch):
    monkeypatch.setattr("mlops.api.picture_files.ROWS_AT_A_TIME", 2)
    names = ["=cmd()", "+1", "-1", "@x", "plain"]
    with factory_context(acme):
        version = ModelVersion.objects.create(
            kind="vision", inspection_plan=plan, version=3, job_id=uuid4(), artifact_key="-",
            digest="-", created_at=NOON,
        )  # fmt: skip
    for seed, name in enumerate(names):
        picture = add(seed).json()["id"]
        with factory_context(acme):
            InspectionImage.objects.filter(pk=picture).update(name=name)
            verdict_of(picture, message="\tTab", n=seed)
            ImageVerdict.objects.filter(image_id=picture).update(
                state="ok", version=version, score=-1.5, limit=2.0, verdict="pass"
            )
            verdict_of(picture, n=seed, is_shadow=True)

    answer = call("GET", f"inspection-plans/{plan.pk}/verdicts.csv")
    rows = list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode())))

    assert [row["file"] for row in rows] == ["plain", "'@x", "'-1", "'+1", "'=cmd()"]
    assert {row["message"] for row in rows} == {"'\tTab"}
    assert {(row["score"], row["version"], row["verdict"]) for row in rows} == {
        ("-1.5", "3", "pass")
    }
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


# -- the line ----------------------------------------------------------------------------------


@pytest.fixture
def judge(call, plan):
    def send(content, query="", **extra):
        path = f"inspection-plans/{plan.pk}/judge{query}"
        return call("POST", path, content, content_type="image/png", **extra)

    return send


@pytest.fixture
def taught(acme, plan, shelf, book):
    with factory_context(acme):
        for seed in range(20):
            services.add_picture(
                plan_id=plan.pk, content=png(part(seed)), source="upload", at=NOON, label="good"
            )
        services.train(subject_id=plan.pk, job_id=uuid4(), report=lambda *_: None, kind="vision")
        Lot.objects.create(product=plan.product, code="L-1", quantity=50, made_at=NOON)


def test_before_it_is_taught_the_line_is_told_so(judge):
    answer = judge(shots.shot())

    assert answer.status_code == 200, answer.content
    said = answer.json()
    assert (said["state"], said["verdict"], said["inspection"]) == ("no_model", "", None)
    assert said["message"]


def test_the_line_gets_a_verdict_with_boxes_and_an_inspection(judge, call, taught, acme):
    spoilt = png(part(300, spoilt="scratch"))

    good = judge(png(part(200)), "?lot=L-1&piece=1").json()
    bad = judge(spoilt, "?lot=L-1&piece=2").json()
    again = judge(spoilt, "?lot=L-1&piece=2").json()

    assert (good["state"], good["verdict"], bad["verdict"]) == ("ok", "pass", "fail")
    assert (good["score"] <= good["limit"], bad["score"] > bad["limit"]) == (True, True)
    assert bad["version"] == 1
    assert bad["regions"][0]["width"] > 0
    assert again == bad
    picture = call("GET", f"pictures/{bad['image']}").json()
    assert (picture["lot"], picture["piece"], picture["inspection"]) == (
        "L-1",
        "2",
        bad["inspection"],
    )
    assert picture["verdict"] == bad
    assert call("GET", f"pictures/{bad['image']}/heat").content.startswith(b"\x89PNG")


def test_the_line_judges_while_the_store_is_away(judge, taught, away):
    judge(png(part(400)))  # the model is on this machine by now
    assert judge(png(part(401, spoilt="scratch"))).json()["verdict"] == "fail"


@pytest.mark.parametrize(
    ("content", "query", "code"),
    [
        (b"<script>", "", "wrong_type"),
        (b"", "", "empty"),
        (shots.shot()[:500], "", "damaged"),
        (shots.shot(), "?lot=none", "unknown_reference"),
    ],
)
def test_the_line_is_told_by_name_what_is_refused(judge, acme, content, query, code):
    answer = judge(content, query)

    assert (answer.status_code, answer.json()["code"]) == (409, code)
    with factory_context(acme):
        assert not InspectionImage.objects.exists()


def test_pictures_and_setup_last_through_a_revision(call, add, acme, plan):
    picture = add().json()["id"]
    setup = call("GET", f"inspection-plans/{plan.pk}/vision-setup").json()
    call("PUT", f"inspection-plans/{plan.pk}/vision-setup", setup | {"keep_days": 7})
    with factory_context(acme):
        type(plan).objects.filter(pk=plan.pk).update(state="obsolete")
        revised = type(plan).objects.create(product=plan.product, name=plan.name, version=2)
    path = f"inspection-plans/{revised.pk}"

    assert [row["id"] for row in call("GET", f"{path}/pictures").json()["results"]] == [picture]
    again = call("POST", f"{path}/pictures", shots.shot(), content_type="image/png")
    assert (again.status_code, again.json()["id"]) == (200, picture)
    setup = call("GET", f"{path}/vision-setup").json()
    assert setup["keep_days"] == 7
    call("PUT", f"{path}/vision-setup", setup | {"escape_cost_minor": 5_000})
    revised.refresh_from_db()
    plan.refresh_from_db()
    assert (revised.escape_cost_minor, plan.escape_cost_minor) == (5_000, None)
