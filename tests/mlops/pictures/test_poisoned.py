"""What strangers send in place of pictures: refused by name, and nothing of it is stored."""

import io
import struct
import zipfile
import zlib
from typing import Any
from urllib.parse import quote

import httpx
import numpy as np
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from PIL import Image, PngImagePlugin

from mlops import picture_store, services
from mlops.models import ImageLabel, InspectionImage, PendingPicture, VisionSetup
from mlops.vision import pictures
from tenants import names, storage
from tenants.context import factory_context
from tenants.models import Job
from tests.conftest import PUBLIC_HOST
from tests.mlops.pictures import shots

SCRIPT = b"<html><script>alert(document.domain)</script></html>"
PHP = b"<?php system($_GET['c']); ?>"
SVG = b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'><image href='file:///etc/passwd'/></svg>"


@pytest.fixture
def plan(acme):
    with factory_context(acme):
        return shots.plan()


@pytest.fixture
def send(api_key, plan, shelf):
    """Return `send(content, type, query)`: what is answered to a picture sent as a body."""

    def post(content, content_type="image/png", query=""):
        return Client().generic(
            "POST", f"/api/v1/inspection-plans/{plan.pk}/pictures{query}", content,
            content_type=content_type, secure=True, HTTP_HOST=PUBLIC_HOST,
            HTTP_AUTHORIZATION=f"Bearer {api_key}",
        )  # fmt: skip

    return post


@pytest.fixture
def nothing_stored(acme, shelf):
    """Check after the test that neither row, nor bytes, nor object, nor job was left."""
    yield
    with factory_context(acme):
        assert not InspectionImage.objects.exists()
        assert not PendingPicture.objects.exists()
        assert not ImageLabel.objects.exists()
    assert not Job.objects.filter(task="mlops.store_pictures").exists()
    assert shelf == {}


def archive():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        made.writestr("index.html", SCRIPT)
    return out.getvalue()


def animation(form):
    out = io.BytesIO()
    frames = [Image.fromarray(shots.pixels(n)) for n in range(3)]
    frames[0].save(out, form, save_all=True, append_images=frames[1:])
    return out.getvalue()


def bomb_of_words():
    """Return a PNG of 300 kB whose comment unpacks to 300 MB."""
    whole = shots.shot()
    words = shots.chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"\0" * 300_000_000))
    return whole[:33] + words + whole[33:]


def bmp_that_declares(width, height):
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54 + 64, 0, 0, 54) + header + b"\0" * 64


POISONED = {
    "html": (lambda: SCRIPT, "wrong_type"),
    "svg": (lambda: SVG, "wrong_type"),
    "svg with a head": (lambda: b"<?xml version='1.0'?>" + SVG, "wrong_type"),
    "pdf": (lambda: b"%PDF-1.7\n1 0 obj<</JS(app.alert(1))>>endobj", "wrong_type"),
    "zip": (archive, "wrong_type"),
    "text": (lambda: b"no picture at all", "wrong_type"),
    "php": (lambda: PHP, "wrong_type"),
    "gif": (lambda: animation("GIF"), "wrong_type"),
    "gif with script": (lambda: b"GIF89a/*" + SCRIPT, "wrong_type"),
    "empty": (lambda: b"", "empty"),
    "png and zip": (lambda: shots.shot() + archive(), "trailing_data"),
    "jpeg and zip": (lambda: shots.shot(form="JPEG") + archive(), "trailing_data"),
    "png and html": (lambda: shots.shot() + SCRIPT, "trailing_data"),
    "jpeg and php": (lambda: shots.shot(form="JPEG") + PHP, "trailing_data"),
    "bmp and html": (lambda: shots.shot(form="BMP") + SCRIPT, "trailing_data"),
    "webp and html": (lambda: shots.shot(form="WEBP") + SCRIPT, "trailing_data"),
    "tiff and zip": (lambda: shots.shot(form="TIFF") + archive(), "trailing_data"),
    "two pngs": (lambda: shots.shot(1) + shots.shot(2), "trailing_data"),
    "html and png": (lambda: SCRIPT + shots.shot(), "wrong_type"),
    "moving png": (lambda: animation("PNG"), "several_frames"),
    "moving webp": (lambda: animation("WEBP"), "several_frames"),
    "tiff of pages": (lambda: animation("TIFF"), "several_frames"),
    "header bomb": (lambda: shots.png_that_declares(60_000, 60_000), None),
    "large header": (lambda: shots.png_that_declares(8_000, 8_000), "too_many_pixels"),
    "largest header": (lambda: shots.png_that_declares(2**31 - 1, 2**31 - 1), None),
    "bmp header bomb": (lambda: bmp_that_declares(50_000, 50_000), None),
    "bomb of words": (bomb_of_words, "damaged"),
    "no size": (lambda: shots.png_that_declares(0, 0), "damaged"),
    "tiny": (lambda: shots.shot(width=8, height=8), "too_small"),
    "heavy": (lambda: shots.shot() + b"\0" * pictures.MAX_BYTES, "too_large"),
}


@pytest.mark.parametrize("what", POISONED)
@pytest.mark.usefixtures("nothing_stored")
def test_poison_is_refused_by_name(send, what):
    make, code = POISONED[what]

    answer = send(make())

    assert answer.status_code == 409, answer.content[:200]
    said = answer.json()
    assert said["code"] in ((code,) if code else ("damaged", "too_many_pixels")), said
    assert said["message"].endswith(".")


def test_a_zip_bomb_is_unpacked_only_as_far_as_its_header_says(send):
    """300 MB of zeros behind the rows of 64 x 48 pixels: they are never pixels."""
    answer = send(shots.png_that_declares(64, 48, b"\0" * 300_000_000))

    made = answer.json()
    assert (answer.status_code, made["width"], made["height"]) == (201, 64, 48)
    assert made["n_bytes"] < 1000


@pytest.mark.parametrize("form", ["PNG", "JPEG", "BMP", "TIFF", "WEBP"])
@pytest.mark.parametrize("share", [0.001, 0.05, 0.3, 0.6, 0.9, 0.995])
@pytest.mark.usefixtures("nothing_stored")
def test_cut_off_pictures_are_refused_by_name(send, form, share):
    whole = shots.shot(form=form, width=200, height=150)

    answer = send(whole[: max(1, int(len(whole) * share))])

    assert (answer.status_code, answer.json()["code"] in ("damaged", "wrong_type")) == (409, True)


@pytest.mark.parametrize("declared", ["image/svg+xml", "image/gif", "image/jpeg", "image/x-none"])
def test_what_it_is_counts_and_not_what_it_is_called(send, declared):
    assert send(SVG, declared).json()["code"] == "wrong_type"
    answer = send(shots.shot(), declared)
    assert answer.status_code == 201


@pytest.mark.parametrize("declared", ["text/html", "application/json", "application/zip", ""])
@pytest.mark.usefixtures("nothing_stored")
def test_what_is_not_sent_as_a_picture_is_not_taken(send, declared):
    assert send(shots.shot(), declared).status_code in (400, 415)


@pytest.mark.usefixtures("nothing_stored")
def test_a_form_is_no_way_around(portal, plan):
    sent = SimpleUploadedFile("x.png", SCRIPT, content_type="image/png")
    path = f"/api/v1/inspection-plans/{plan.pk}/pictures"

    answer = portal("operator").post(path, {"picture": sent, "label": "good"})

    assert (answer.status_code, answer.json()["code"]) == (409, "wrong_type")
    assert portal("operator").post(path, {"label": "good"}).status_code == 400


@pytest.mark.parametrize(
    "query", ["?label=nonsense", "?taken_at=yesterday", "?source=upload", "?lot=" + "x" * 61]
)
@pytest.mark.usefixtures("nothing_stored")
def test_what_is_said_of_a_picture_is_checked_before_it(send, query):
    assert send(shots.shot(), query=query).status_code == 400


def laden(form):
    """Return a picture that carries code wherever its form has room for words."""
    out = io.BytesIO()
    picture = Image.fromarray(shots.pixels(5))
    exif = Image.Exif()
    exif[0x010E], exif[0x9286] = SCRIPT.decode(), PHP.decode()
    how: dict[str, Any] = {"exif": exif}
    if form == "PNG":
        words = PngImagePlugin.PngInfo()
        words.add_text("Comment", PHP.decode())
        words.add_itxt("XML:com.adobe.xmp", SCRIPT.decode(), zip=False)
        how["pnginfo"] = words
    elif form == "JPEG":
        how |= {"comment": PHP, "quality": 95}
    picture.save(out, form, icc_profile=b"\0" * 128 + SCRIPT, **how)
    return out.getvalue()


@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_what_a_picture_carries_is_gone_once_it_is_drawn_anew(send, acme, shelf, form):
    sent = laden(form)
    assert PHP in sent or SCRIPT in sent

    made = send(sent).json()

    with factory_context(acme):
        image = InspectionImage.objects.get(pk=made["id"])
        services.store_pictures(image_id=image.pk)
        kept = [picture_store.content_of(image), picture_store.thumbnail_of(image)]
    for content in (*kept, *shelf.values()):
        unpacked = content + zlib.decompress(content[content.index(b"IDAT") + 4 :]) if (
            content.startswith(b"\x89PNG") and content.count(b"IDAT") == 1
        ) else content  # fmt: skip
        for word in (b"script", b"<?php", b"Exif", b"adobe", b"alert("):
            assert word not in unpacked
    assert set(shelf.values()) == set(kept)


def test_pixels_that_spell_code_stay_pixels(send, acme, api_key, shelf):
    """What is drawn cannot be kept out; it goes out as a picture that no browser runs."""
    spelt = np.frombuffer((SCRIPT + b" " * 9999)[: 64 * 48 * 3], np.uint8).reshape(48, 64, 3)
    out = io.BytesIO()
    Image.fromarray(spelt).save(out, "BMP")

    picture = send(out.getvalue()).json()["id"]
    fetched = Client().get(
        f"/api/v1/pictures/{picture}/content", secure=True, HTTP_HOST=PUBLIC_HOST,
        HTTP_AUTHORIZATION=f"Bearer {api_key}",
    )  # fmt: skip

    assert fetched.headers["Content-Type"] == "image/png"
    assert fetched.headers["X-Content-Type-Options"] == "nosniff"
    assert "attachment" in fetched.headers["Content-Disposition"]


@pytest.mark.parametrize(
    "name",
    [
        "../../../../etc/passwd", "..\\..\\windows\\win.ini", "/etc/shadow", "a\0.png", "\r\nX: y",
        "\u202egnp.exe", "%2e%2e%2f%2e%2e", "x" * 900, "globex/pictures/x", "con.png", "$(id).png",
    ],
)  # fmt: skip
def test_a_name_reaches_no_path_and_no_header(send, acme, shelf, name):
    answer = send(shots.shot(), query=f"?name={quote(name)}")
    if answer.status_code == 400:  # NUL is refused by name already
        assert "name" in answer.json()["detail"]
        assert "\0" in name
        return
    made = answer.json()
    with factory_context(acme):
        services.store_pictures(image_id=made["id"])

    assert not set(made["name"]) & set("/\\\0\r\n\u202e")
    assert len(made["name"]) <= 120
    prefix = f"acme/pictures/{made['plan']}/{made['id']}"
    assert sorted(shelf) == [f"{prefix}.png", f"{prefix}.webp"]


# -- other factories ---------------------------------------------------------------------------


@pytest.fixture
def their_picture(send):
    return send(shots.shot(), query="?name=ours").json()["id"]


def test_another_factory_meets_404_whatever_it_asks(their_picture, plan, other_api_key, acme):
    paths = [
        ("POST", f"inspection-plans/{plan.pk}/pictures"),
        ("GET", f"inspection-plans/{plan.pk}/pictures"),
        ("POST", f"inspection-plans/{plan.pk}/judge"),
        ("GET", f"inspection-plans/{plan.pk}/review-queue"),
        ("GET", f"inspection-plans/{plan.pk}/disagreements"),
        ("GET", f"inspection-plans/{plan.pk}/vision-setup"),
        ("PUT", f"inspection-plans/{plan.pk}/vision-setup"),
        ("GET", f"inspection-plans/{plan.pk}/verdicts.csv"),
        ("GET", f"pictures/{their_picture}"),
        ("GET", f"pictures/{their_picture}/content"),
        ("GET", f"pictures/{their_picture}/thumbnail"),
        ("GET", f"pictures/{their_picture}/heat"),
        ("POST", f"pictures/{their_picture}/labels"),
        ("POST", f"pictures/{their_picture}/keep"),
    ]
    for method, path in paths:
        body, kind = (
            (shots.shot(9), "image/png") if path.endswith(("/pictures", "/judge"))
            else (b'{"label": "good"}', "application/json")
        )  # fmt: skip
        answer = Client().generic(
            method, f"/api/v1/{path}", body if method != "GET" else b"", content_type=kind,
            secure=True, HTTP_HOST=PUBLIC_HOST, HTTP_AUTHORIZATION=f"Bearer {other_api_key}",
        )  # fmt: skip
        assert answer.status_code == 404, f"{method} {path}: {answer.status_code}"
    with factory_context(acme):
        assert InspectionImage.objects.get().label == ""
        assert not VisionSetup.objects.exists()


def test_services_reach_nothing_of_another_factory(their_picture, plan, globex, shelf):
    at = InspectionImage._meta.get_field("taken_at").to_python("2026-11-26T12:00:00Z")
    with factory_context(globex):
        for call in (
            lambda: services.label_picture(image_id=their_picture, label="good", by=None, at=at),
            lambda: services.keep_picture(image_id=their_picture, is_kept=True, by=None),
            lambda: services.save_setup(plan_id=plan.pk, fields=services.SetupFields(), by=None),
            lambda: services.add_picture(
                plan_id=plan.pk, content=shots.shot(3), source="api", at=at
            ),
        ):
            with pytest.raises(services.PictureUnknown):
                call()
        assert not InspectionImage.objects.exists()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_the_object_store_shows_a_picture_to_nobody_but_us(
    bucket, in_acme, globex, settings, monkeypatch
):
    """Asked directly, without a signature, with a wrong one, or as another factory's code."""
    image, _ = services.add_picture(
        plan_id=shots.plan().pk, content=shots.shot(),
        source="api", at=InspectionImage._meta.get_field("taken_at").to_python("2026-11-26 12:00Z"),
    )  # fmt: skip
    assert services.store_pictures(image_id=image.pk) == 1
    assert np.array_equal(pictures.decode(picture_store.content_of(image)).pixels, shots.pixels())
    address = f"{settings.S3_ENDPOINT_URL}/{settings.S3_BUCKET}"

    for path in (f"/{image.object_key}", f"/{image.thumbnail_key}", "", "/?prefix=acme/pictures"):
        answer = httpx.get(f"{address}{path}")
        assert answer.status_code == 403, f"{path}: {answer.status_code}"
        assert b"PNG" not in answer.content
    assert httpx.put(f"{address}/{image.object_key}", content=b"x").status_code == 403
    assert httpx.delete(f"{address}/{image.object_key}").status_code == 403
    with factory_context(globex):
        assert names.object_key("pictures", "x").startswith("globex/")
        with pytest.raises(storage.ForeignKey):
            picture_store.content_of(image)
    settings.S3_SECRET_ACCESS_KEY = "guessed"
    with pytest.raises(storage.StorageUnavailable):
        picture_store.content_of(image)
