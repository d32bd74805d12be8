"""PDFs are fetched from Stripe alone, within a size and a time."""

import pytest
import requests

from billing import documents
from billing.gateways import StripeAway

URL = "https://pay.stripe.com/invoice/acct_1/live_1/pdf"


class Answer:
    def __init__(self, body: bytes, *, status_code: int = 200, url: str = URL) -> None:
        self.body, self.status_code, self.url = body, status_code, url

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        return None

    def iter_content(self, size):
        for at in range(0, len(self.body), size):
            yield self.body[at : at + size]


@pytest.fixture
def answer(monkeypatch, settings):
    """Return `answer(...)`: what Stripe answers to whoever fetches."""
    settings.STRIPE_API_BASE = ""

    def say(*args, **kwargs):
        made = Answer(*args, **kwargs)
        monkeypatch.setattr(requests, "get", lambda *_a, **_k: made)

    return say


def test_a_pdf_is_handed_on(answer):
    answer(b"%PDF-1.7 ...")

    assert documents.pdf(URL) == b"%PDF-1.7 ..."


@pytest.mark.parametrize(
    "url",
    [
        "", "http://pay.stripe.com/pdf", "https://evil.example/pdf", "https://127.0.0.1/pdf",
        "https://stripe.com.evil.example/pdf", "https://evilstripe.com/pdf", "file:///etc/passwd",
    ],
)  # fmt: skip
def test_nothing_is_fetched_from_elsewhere(answer, url):
    answer(b"%PDF-1.7")

    with pytest.raises(documents.NoDocument):
        documents.pdf(url)


def test_a_way_around_by_another_host_is_refused(answer):
    answer(b"%PDF-1.7", url="https://evil.example/pdf")

    with pytest.raises(documents.NoDocument):
        documents.pdf(URL)


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        (b"<html>", 200, documents.NoDocument),
        (b"%PDF-" + b"x" * documents.MAX_BYTES, 200, documents.NoDocument),
        (b"", 404, documents.NoDocument),
        (b"", 503, StripeAway),
    ],
)
def test_what_is_no_pdf_of_a_sane_size_is_refused(answer, body, status, error):
    answer(body, status_code=status)

    with pytest.raises(error):
        documents.pdf(URL)


def test_a_pdf_that_takes_too_long_is_given_up(answer, monkeypatch):
    answer(b"%PDF-1.7")
    times = iter([0.0, documents.LONGEST_S + 1.0])
    monkeypatch.setattr(documents, "monotonic", lambda: next(times))

    with pytest.raises(StripeAway):
        documents.pdf(URL)


def test_nobody_there_means_try_again(monkeypatch, settings):
    settings.STRIPE_API_BASE = ""

    def refuse(*_args, **_kwargs):
        raise requests.ConnectionError

    monkeypatch.setattr(requests, "get", refuse)

    with pytest.raises(StripeAway):
        documents.pdf(URL)
