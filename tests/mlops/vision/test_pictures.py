import io
import struct
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image

from mlops.vision import containers, pictures
from mlops.vision.pictures import PictureRefused, decode, encode, thumbnail

LOSSLESS = ("PNG", "BMP", "TIFF")
HTML = b"<html><script>alert(1)</script></html>"


def drawn(height=60, width=80, seed=3):
    """Draw smooth colours with a step, which every form keeps well."""
    y, x = np.mgrid[:height, :width]
    pixels = np.stack([x * 255 // width, y * 255 // height, np.full_like(x, 90)], axis=-1)
    pixels[height // 3 : height // 2, width // 3 : width // 2] = (200, 30, 30)
    return pixels.astype(np.uint8)


def saved(picture, form, **options):
    if isinstance(picture, np.ndarray):
        picture = Image.fromarray(picture)
    out = io.BytesIO()
    picture.save(out, form, **options)
    return out.getvalue()


def refusal(data):
    with pytest.raises(PictureRefused) as refused:
        decode(data)
    assert refused.value.message.endswith(".")
    return refused.value.code


def zipped():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a.txt", "a")
    return out.getvalue()


@pytest.mark.parametrize("form", LOSSLESS)
def test_pixels_come_through(form):
    picture = decode(saved(drawn(), form))

    assert (picture.form, picture.height, picture.width) == (form, 60, 80)
    np.testing.assert_array_equal(picture.pixels, drawn())


@pytest.mark.parametrize("form", ["JPEG", "WEBP"])
def test_forms_with_losses_come_through_nearly(form):
    pixels = decode(saved(drawn(), form, quality=95)).pixels

    assert np.abs(pixels.astype(int) - drawn()).mean() < 3


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "CMYK", "YCbCr"])
def test_every_kind_of_pixel_becomes_red_green_blue(mode):
    form = {"CMYK": "TIFF", "YCbCr": "TIFF"}.get(mode, "PNG")
    source = Image.fromarray(drawn()).convert("L" if mode == "LA" else "RGB").convert(mode)

    pixels = decode(saved(source, form)).pixels

    assert pixels.shape == (60, 80, 3)
    assert pixels.dtype == np.uint8
    np.testing.assert_allclose(pixels, np.asarray(source.convert("RGB")), atol=2)


def test_sixteen_bits_become_the_upper_eight():
    grey = (drawn()[..., 0].astype(np.uint16) << 8) + 77

    pixels = decode(saved(Image.fromarray(grey), "PNG")).pixels

    np.testing.assert_array_equal(pixels[..., 1], drawn()[..., 0])


def test_twelve_bits_in_sixteen_are_refused_rather_than_black():
    assert refusal(saved(Image.fromarray(np.full((50, 50), 4000, np.uint16)), "TIFF")) == (
        "low_range"
    )


def test_what_is_transparent_becomes_white():
    hidden = np.zeros((40, 40, 4), np.uint8)

    assert (decode(saved(hidden, "PNG")).pixels == 255).all()


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF"])
def test_pictures_stand_upright_whatever_the_camera_says(form):
    source = Image.fromarray(drawn())
    exif = source.getexif()
    exif[274] = 6  # turn by a quarter

    picture = decode(saved(source, form, exif=exif))

    assert (picture.height, picture.width) == (80, 60)
    assert picture.pixels[0, -1, 0] < 40  # the old upper left corner


@pytest.mark.parametrize("form", ["JPEG", "PNG", "BMP", "TIFF", "WEBP"])
@pytest.mark.parametrize("more", [HTML, zipped(), b"\0" * 8 + b"PK"])
def test_what_follows_a_picture_is_refused(form, more):
    assert refusal(saved(drawn(), form) + more) == "trailing_data"


@pytest.mark.parametrize("form", ["JPEG", "PNG", "BMP", "WEBP", "TIFF"])
def test_zeros_behind_a_picture_are_let_pass(form):
    assert decode(saved(drawn(), form) + b"\0" * 100).width == 80


@pytest.mark.parametrize(
    "data",
    [HTML, zipped(), b"%PDF-1.7", HTML + saved(drawn(), "PNG"), zipped() + saved(drawn(), "JPEG"),
     saved(drawn(), "GIF"), b"<svg xmlns='http://www.w3.org/2000/svg'/>", saved(drawn(), "PPM")],
)  # fmt: skip
def test_what_is_no_picture_is_refused(data):
    assert refusal(data) == "wrong_type"


@pytest.mark.parametrize("form", ["JPEG", "PNG", "BMP", "TIFF", "WEBP"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.9, 0.99])
def test_cut_off_pictures_are_refused(form, share):
    whole = saved(drawn(), form)

    assert refusal(whole[: int(len(whole) * share)]) in ("damaged", "wrong_type")


def test_a_flipped_bit_in_a_png_is_noticed():
    data = bytearray(saved(drawn(), "PNG"))
    data[len(data) // 2] ^= 4

    assert refusal(bytes(data)) == "damaged"


def png_of(width, height, body=b""):
    """Write a PNG that claims a size, without its pixels."""

    def chunk(kind, data):
        checked = kind + data
        return struct.pack(">I", len(data)) + checked + struct.pack(">I", zlib.crc32(checked))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(body))
        + chunk(b"IEND", b"")
    )  # fmt: skip


@pytest.mark.parametrize("size", [(60_000, 60_000), (8000, 6000), (2**31 - 1, 1)])
def test_a_flood_of_pixels_is_refused_by_its_header(size):
    assert refusal(png_of(*size)) in ("too_many_pixels", "damaged")


def test_too_few_pixels_in_the_body_are_damage():
    assert refusal(png_of(100, 100, b"\0" * 50)) == "damaged"


def test_tiny_empty_and_heavy_files_are_refused():
    assert refusal(saved(drawn(20, 20), "PNG")) == "too_small"
    assert refusal(b"") == "empty"
    assert refusal(b"\0" * (pictures.MAX_BYTES + 1)) == "too_large"


@pytest.mark.parametrize("form", ["PNG", "WEBP", "TIFF"])
def test_several_frames_are_refused(form):
    frames = [Image.fromarray(drawn(seed=seed)).rotate(90 * seed) for seed in range(3)]

    data = saved(frames[0], form, save_all=True, append_images=frames[1:])

    assert refusal(data) == "several_frames"


def test_a_jpeg_painted_over_without_end_is_refused():
    data = saved(drawn(), "JPEG", progressive=True)
    at = data.rindex(b"\xff\xda")
    scan = data[at:-2]

    assert refusal(data[:-2] + scan * containers.MAX_SCANS + data[-2:]) == "damaged"


@pytest.mark.slow
@pytest.mark.parametrize("form", ["JPEG", "PNG", "BMP", "TIFF", "WEBP"])
def test_damage_of_any_kind_is_refused_or_survived(form):
    rng = np.random.default_rng(11)
    source = Image.fromarray(drawn())
    exif = source.getexif()
    exif[274] = 3
    whole = saved(source, form, **({} if form == "BMP" else {"exif": exif}))
    for _ in range(150):
        data = bytearray(whole)
        for place in rng.integers(0, len(data) if rng.random() < 0.5 else 120, 4):
            data[min(place, len(data) - 1)] = rng.integers(0, 256)
        try:
            picture = decode(bytes(data))
        except PictureRefused:
            continue
        assert picture.pixels.size <= 3 * pictures.MAX_PIXELS


def test_a_tiff_whose_directories_go_in_circles_ends():
    data = bytearray(saved(drawn(), "TIFF"))
    (first,) = struct.unpack_from("<I", data, 4)
    (n_entries,) = struct.unpack_from("<H", data, first)
    struct.pack_into("<I", data, first + 2 + 12 * n_entries, first)

    assert refusal(bytes(data)) == "damaged"


@pytest.mark.parametrize("pixels", [drawn(), np.repeat(drawn()[..., :1], 3, axis=2)])
def test_pixels_are_stored_as_they_are_judged(pixels):
    kept = encode(pixels)

    assert kept == encode(pixels.copy())
    np.testing.assert_array_equal(decode(kept).pixels, pixels)


def test_nothing_but_pixels_is_kept():
    source = Image.fromarray(drawn())
    exif = source.getexif()
    exif[270] = "operator Jane Doe"
    sent = saved(source, "JPEG", exif=exif, comment=HTML)
    assert HTML in sent

    kept = encode(decode(sent).pixels)

    assert b"Jane" not in kept
    assert b"script" not in kept


def test_thumbnails_are_small():
    small = Image.open(io.BytesIO(thumbnail(np.tile(drawn(), (20, 20, 1)))))

    assert small.size == (320, 240)
