"""Cookies as browsers send them over HTTP/2: each in a field of its own (RFC 9113, 8.2.3)."""

from config.asgi import _with_one_cookie_header


def scope(*headers):
    return {"type": "http", "headers": list(headers)}


def test_several_cookie_fields_become_one():
    joined = _with_one_cookie_header(
        scope((b"cookie", b"a=1"), (b"host", b"localhost"), (b"cookie", b"b=2"))
    )

    assert joined["headers"] == [(b"host", b"localhost"), (b"cookie", b"a=1; b=2")]


def test_one_field_stays_as_it_is():
    given = scope((b"host", b"localhost"), (b"cookie", b"a=1; b=2"))

    assert _with_one_cookie_header(given) is given
