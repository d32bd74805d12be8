"""Invoices as PDF, fetched from Stripe by our server: their addresses open them to anybody.

An address of a PDF (`invoice_pdf`, https://docs.stripe.com/invoicing/hosted-invoice-page) needs no
sign-in, so it is never handed out: members get the file through the portal.
"""

from time import monotonic
from urllib.parse import urlsplit

import requests
from django.conf import settings

from billing.gateways import StripeAway

TIMEOUT_S = (5, 10)  # to connect, between two pieces
LONGEST_S = 20  # altogether
MAX_BYTES = 5_000_000
_PIECE = 64 * 1024
_STRIPE = ".stripe.com"


class NoDocument(Exception):
    """There is no such file, or none that may be passed on."""


def pdf(url: str) -> bytes:
    """Fetch a PDF that Stripe made.

    Raises:
        NoDocument: the address is none of Stripe's, or what is there is no PDF of a sane size.
        StripeAway: nobody answers; try again later.
    """
    if not _is_stripes(url):
        raise NoDocument(url)
    try:
        with requests.get(url, timeout=TIMEOUT_S, stream=True) as answer:
            if answer.status_code >= 500:
                raise StripeAway(f"PDF: {answer.status_code}")
            body = _read(answer)
    except requests.RequestException as error:
        raise StripeAway(str(error)) from error
    if not body.startswith(b"%PDF-"):
        raise NoDocument(url)
    return body


def _read(answer: requests.Response) -> bytes:
    if answer.status_code != 200 or not _is_stripes(answer.url):
        raise NoDocument(answer.url)
    body, until = b"", monotonic() + LONGEST_S
    for piece in answer.iter_content(_PIECE):
        body += piece
        if len(body) > MAX_BYTES:
            raise NoDocument(answer.url)
        if monotonic() > until:
            raise StripeAway("PDF: too slow")
    return body


def _is_stripes(url: str) -> bool:
    """Say whether an address is Stripe's, or that of the stand-in that is spoken to instead."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if settings.STRIPE_API_BASE:
        return parts.netloc == urlsplit(settings.STRIPE_API_BASE).netloc
    return parts.scheme == "https" and host.endswith(_STRIPE)
