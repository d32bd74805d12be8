"""Usage, bill, plan and invoices as their owner sees them, and what they keep from others."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.test import AsyncRequestFactory
from django.utils import timezone

from billing import documents, receipts, services
from billing import selectors as billing_selectors
from billing.answers import StripePaid, StripePayment
from billing.gateways import StripeAway
from billing.models import CreditNote, Invoice, InvoiceLine, LedgerEntry, Subscription
from billing.selectors import history
from billing.services import discounts
from frontend.views import billing_invoices
from production import services as production_services
from tenants.context import factory_context
from tenants.models import AuditEntry, Membership, User
from tests.billing.papers import pdf_texts

NOV_1 = datetime(2026, 11, 1, tzinfo=UTC)
DEC_1 = datetime(2026, 12, 1, tzinfo=UTC)


def text(answer):
    content = b"".join(answer.streaming_content) if answer.streaming else answer.content
    assert answer.status_code == 200, content[:300]
    return content.decode()


@pytest.fixture
def invoice(acme) -> Invoice:
    account = services.account_for(acme)
    made = Invoice.objects.create(
        account=account, stripe_id="in_1", number="ABC-0001", status="paid", currency="EUR",
        total_minor=4640, due_minor=4640, paid_minor=4640, subtotal_minor=5800,
        discount_minor=1160, period_start=NOV_1, period_end=DEC_1, created_at=DEC_1,
        finalized_at=DEC_1, paid_at=DEC_1, pdf_url="https://pay.stripe.com/secret-address/pdf",
        hosted_url="https://invoice.stripe.com/secret-address", synced_at=DEC_1,
    )  # fmt: skip
    InvoiceLine.objects.create(
        invoice=made, position=0, stripe_id="il_1", description="=2 machine x Workshop",
        quantity=2, amount_minor=5800, period_start=NOV_1, period_end=DEC_1,
    )  # fmt: skip
    return made


@pytest.fixture
def credit_note(invoice) -> CreditNote:
    return CreditNote.objects.create(
        account=invoice.account, invoice=invoice, stripe_id="cn_1", number="ABC-0001-CN-01",
        amount_minor=1000, refunded_minor=1000, reason="duplicate", memo="Counted twice",
        status="issued", created_at=DEC_1, pdf_url="https://pay.stripe.com/other-address/pdf",
    )  # fmt: skip


def test_what_came_since_the_last_counted_hour_is_shown_as_it_comes(portal, heard):
    heard({"speed": 1.0})

    page = text(portal().get("/usage/coming/"))

    assert "<b>+ 1</b> readings since" in page
    assert "Mill 1 +1" in page
    assert "<html" not in page


def test_the_usage_page_listens_and_does_not_poll(portal):
    page = text(portal().get("/usage/"))

    assert 'hx-get="/usage/coming/" hx-trigger="takt:refresh"' in page
    assert "No readings since" in page
    assert "every " not in page.split('id="coming"')[1].split("</p>")[0]


def test_savings_are_called_not_measured(portal, heard, acme):
    heard({"speed": 1.0}, at=timezone.now() - timedelta(hours=2))
    services.roll_up(factory=acme)

    page = text(portal().get("/usage/"))

    assert "not measured yet" in page.split("Cost by machine<")[1]


def test_choosing_a_plan_leads_to_what_it_does_first(portal, acme):
    owner = portal()

    assert "/usage/plan/preview/?plan=workshop&amp;trial=1" in text(owner.get("/usage/plan/"))
    page = text(owner.get("/usage/plan/preview/?plan=workshop&trial=1"))

    assert "Workshop instead of Start" in page
    assert "No card is asked for" in page
    assert billing_selectors.subscription_of(acme) is None


def test_a_confirmed_trial_starts(portal, acme):
    portal().post("/usage/plan/", {"plan": "workshop", "trial": "1", "stamp": ""})

    subscription = billing_selectors.subscription_of(acme)
    assert subscription is not None
    assert subscription.trial_end is not None
    assert "Free trial until" in text(portal().get("/usage/plan/"))


def test_a_code_is_checked_and_its_discount_shown_before_the_plan_begins(portal, acme, heard):
    heard({"speed": 1.0}, at=timezone.now() - timedelta(hours=2))
    services.roll_up(factory=acme)
    owner, wish = portal(), {"plan": "workshop", "trial": "", "stamp": "", "code": " welcome20"}

    checked = text(owner.post("/usage/plan/", {**wish, "check": "1"}))
    unseen = owner.post("/usage/plan/", wish)

    assert "WELCOME20 takes 20 % off all invoices made before" in checked
    assert "\u20ac23.20" in checked
    assert 'value="welcome20"' in checked
    assert unseen.status_code == 409
    assert billing_selectors.subscription_of(acme) is None
    owner.post("/usage/plan/", {**wish, "stamp": "WELCOME20:20"})
    begun = billing_selectors.subscription_of(acme)
    assert begun is not None
    assert (begun.promotion_code, begun.percent_off) == ("WELCOME20", 20)
    assert "Discount of 20 %" in text(owner.get("/usage/plan/"))


def test_a_code_that_is_not_good_is_named_and_kept(portal, acme, monkeypatch):
    monkeypatch.setattr(discounts, "gateway", lambda: SimpleNamespace(promotion_code=no_code))

    answer = portal().get("/usage/plan/preview/?plan=workshop&trial=1&code=nothing-like-it")
    refused = portal().post("/usage/plan/", {"plan": "workshop", "code": "nothing-like-it"})

    for page in (answer, refused):
        assert page.status_code == 422
        content = page.content.decode()
        assert "There is no such code: NOTHING-LIKE-IT. Correct it, or take it out" in content
        assert 'value="nothing-like-it"' in content
    assert billing_selectors.subscription_of(acme) is None


def no_code(_code):
    return None


def test_a_code_that_cannot_be_checked_says_so(portal, acme):
    answer = portal().post("/usage/plan/", {"plan": "workshop", "code": "SOMETHING"})

    assert answer.status_code == 422
    assert "SOMETHING cannot be checked now" in answer.content.decode()
    assert billing_selectors.subscription_of(acme) is None


def test_a_trial_is_offered_once(portal, acme):
    portal().post("/usage/plan/", {"plan": "workshop", "trial": "1"})
    Subscription.objects.update(ended_at=timezone.now())

    assert "trial=1" not in text(portal().get("/usage/plan/"))
    answer = portal().post("/usage/plan/", {"plan": "workshop", "trial": "1"}, follow=True)
    assert "The trial was used before" in text(answer)


def test_figures_that_changed_since_the_preview_are_shown_again(portal, acme):
    services.start_subscription(factory=acme, plan="workshop", by=None)

    answer = portal().post("/usage/plan/", {"plan": "plant", "stamp": "1419:2026102100"})

    assert answer.status_code == 409
    assert "Look again" in answer.content.decode()
    subscription = billing_selectors.subscription_of(acme)
    assert subscription is not None
    assert subscription.plan == "workshop"


def test_a_plan_without_room_is_refused_with_what_exceeds(portal, acme):
    services.start_subscription(factory=acme, plan="workshop", by=None)
    with factory_context(acme):
        kind = production_services.machine_type(name="Mill")
        for n in range(3):
            production_services.add_machine(name=f"Mill {n}", machine_type=kind)

    page = text(portal().get("/usage/plan/preview/?plan=start"))
    answer = portal().post("/usage/plan/", {"plan": "start"})

    assert '<a href="/machines/">3 machines (room for 2)</a>' in page
    assert '<a href="/people/">' in page
    assert "Change to Start" not in page
    assert answer.status_code == 422


def test_an_unknown_plan_has_no_preview(portal):
    assert portal().get("/usage/plan/preview/?plan=emperor").status_code == 404


def test_cancelling_says_what_happens_when_and_keeps_the_reason(portal, acme):
    services.start_subscription(factory=acme, plan="workshop", by=None)

    page = text(portal().get("/usage/plan/cancel/"))
    portal().post("/usage/plan/cancel/", {"reason": "Too cold"})

    assert "All data are deleted" in page
    assert 'href="/settings/leaving/"' in page
    subscription = billing_selectors.subscription_of(acme)
    assert subscription is not None
    assert subscription.closes_factory
    assert AuditEntry.objects.get(action="billing.cancelled").detail["reason"] == "Too cold"


def test_a_cancellation_is_taken_back(portal, acme):
    services.start_subscription(factory=acme, plan="workshop", by=None)
    portal().post("/usage/plan/cancel/")

    assert "Keep Workshop" in text(portal().get("/usage/plan/"))
    portal().post("/usage/plan/keep/")

    assert not Subscription.objects.get().closes_factory


def test_start_has_nothing_to_cancel(portal):
    assert portal().get("/usage/plan/cancel/").headers["Location"] == "/usage/plan/"


@pytest.mark.parametrize(
    "path", ["/usage/plan/", "/usage/plan/preview/?plan=plant", "/usage/plan/cancel/"]
)
def test_who_may_not_pay_chooses_nothing(portal, path):
    assert portal("engineer").get(path).status_code == 403
    assert portal("engineer").post(path).status_code in (403, 405)


def test_an_invoice_shows_its_lines_and_what_was_given_back(portal, credit_note):
    page = text(portal().get(f"/invoices/{credit_note.invoice_id}/"))

    assert "=2 machine x Workshop" in page
    for amount in ("€58.00", "−€11.60", "€46.40", "−€10.00"):
        assert amount in page
    assert "Counted twice (sent back to the card)" in page


def test_the_address_of_a_pdf_leaks_nowhere(portal, credit_note):
    for path in ("/invoices/", f"/invoices/{credit_note.invoice_id}/", "/invoices/invoices.csv"):
        assert "-address" not in text(portal().get(path))


def test_a_pdf_goes_through_us(portal, credit_note, monkeypatch):
    fetched = []

    def pdf(url):
        fetched.append(url)
        return b"%PDF-1.4 x"

    monkeypatch.setattr(documents, "pdf", pdf)
    path = f"/invoices/{credit_note.invoice_id}"

    answer = portal().get(f"{path}/pdf")
    portal().get(f"{path}/credit-notes/{credit_note.pk}/pdf")

    assert answer.content == b"%PDF-1.4 x"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="ABC-0001.pdf"'
    assert fetched == [credit_note.invoice.pdf_url, credit_note.pdf_url]


@pytest.mark.parametrize(
    ("error", "words"),
    [(StripeAway("x"), "does not answer"), (documents.NoDocument("x"), "no PDF of this yet")],
)
def test_a_pdf_that_cannot_be_fetched_says_why(portal, invoice, monkeypatch, error, words):
    def refuse(_url):
        raise error

    monkeypatch.setattr(documents, "pdf", refuse)

    assert words in text(portal().get(f"/invoices/{invoice.pk}/pdf", follow=True))


def paid_by_card(monkeypatch, paid=None):
    """Have Stripe say so, or that it is away."""

    class Gateway:
        def paid(self, _invoice_id):
            if paid is None:
                raise StripeAway("x")
            return paid

    monkeypatch.setattr(receipts, "gateway", Gateway)


VISA = StripePaid("Takt", "Acme", (), "", (), (StripePayment(4640, 0, "visa", "4242"),))


@pytest.mark.parametrize("standing", ["good", "read_only", "suspended"])
def test_a_paid_invoice_has_a_receipt_in_every_standing(portal, invoice, monkeypatch, standing):
    paid_by_card(monkeypatch, VISA)
    stand(invoice.account.factory, standing)
    path = f"/invoices/{invoice.pk}/receipt"

    for page in ("/invoices/", f"/invoices/{invoice.pk}/"):
        assert f'href="{path}"' in text(portal().get(page))
    answer = portal().get(path)

    assert "Visa ending 4242" in pdf_texts(answer.content)
    assert answer.headers["Content-Type"] == "application/pdf"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="receipt-ABC-0001.pdf"'


def test_what_is_not_paid_has_no_receipt(portal, invoice, monkeypatch):
    paid_by_card(monkeypatch, VISA)
    Invoice.objects.filter(pk=invoice.pk).update(status="open", paid_minor=0)

    assert portal().get(f"/invoices/{invoice.pk}/receipt").status_code == 404
    for page in ("/invoices/", f"/invoices/{invoice.pk}/"):
        assert "/receipt" not in text(portal().get(page))


def test_a_receipt_waits_for_stripe(portal, invoice, monkeypatch):
    paid_by_card(monkeypatch)

    page = text(portal().get(f"/invoices/{invoice.pk}/receipt", follow=True))

    assert "the receipt cannot be made now" in page


def test_a_receipt_is_for_who_may_see_the_bill_of_its_factory(portal, globex, invoice, monkeypatch):
    paid_by_card(monkeypatch, VISA)
    path = f"/invoices/{invoice.pk}/receipt"

    assert portal("admin").get(path).status_code == 200
    assert portal("engineer").get(path).status_code == 403
    assert portal("owner", globex).get(path).status_code == 404


def test_another_factory_s_invoice_and_credit_note_are_not_there(portal, globex, credit_note):
    stranger = portal("owner", globex)

    assert stranger.get(f"/invoices/{credit_note.invoice_id}/").status_code == 404
    assert stranger.get(f"/invoices/{credit_note.invoice_id}/pdf").status_code == 404


def test_no_cell_of_the_history_is_a_formula(portal, credit_note):
    InvoiceLine.objects.create(
        invoice=credit_note.invoice, position=1, stripe_id="il_2", description="-20 % of it",
        amount_minor=-1160, period_start=NOV_1, period_end=DEC_1,
    )  # fmt: skip

    lines = text(portal().get("/invoices/lines.csv")).splitlines()
    sums = text(portal().get("/invoices/invoices.csv")).splitlines()

    period = "2026-11-01T00:00:00Z,2026-12-01T00:00:00Z"
    assert lines[1] == f"ABC-0001,0,'=2 machine x Workshop,2,5800,EUR,{period}"
    assert lines[2] == f"ABC-0001,1,'-20 % of it,,-1160,EUR,{period}"  # a number stays one
    assert sums[1].startswith("ABC-0001,paid,EUR,4640,4640,4640,5800,1160,0,1000,2026-11-01T")


def entry(factory, at, quantity, **values):
    hour = at.replace(minute=0, second=0, microsecond=0)
    found = {"billed_hour": hour, "revision": 0, "reason": "counted", "written_at": at} | values
    return LedgerEntry.objects.create(
        account=services.account_for(factory), meter="readings", hour=hour, quantity=quantity,
        identifier=f"{hour}-{found['revision']}", **found,
    )  # fmt: skip


def test_the_history_of_usage_adds_up_by_utc_day_and_month(portal, acme, globex):
    """An hour before midnight in UTC is the next day in Berlin, and stays this one."""
    late = datetime(2026, 11, 30, 23, tzinfo=UTC)
    entry(acme, late, 7)
    entry(acme, late, -2, revision=1, reason="late_data")
    entry(acme, DEC_1, 4)
    entry(acme, DEC_1.replace(hour=5), 6)
    entry(globex, DEC_1.replace(hour=9), 99)

    rows = text(portal().get("/invoices/usage.csv")).splitlines()

    assert rows == [
        "day,meter,quantity,billed_in",
        "2026-11-30,readings,5,2026-11",
        "2026-12-01,readings,10,2026-12",
    ]


def test_a_long_history_comes_page_by_page(portal, invoice, monkeypatch):
    """Two invoices a page, some of them of the same moment: none is missing and none twice."""
    monkeypatch.setattr(history, "INVOICES_A_PAGE", 2)
    for n in range(2, 8):
        moved = DEC_1 + timedelta(days=n // 3)
        Invoice.objects.create(
            account=invoice.account, stripe_id=f"in_{n}", number=f"ABC-{n:04}", status="open",
            currency="EUR", total_minor=n, due_minor=n, paid_minor=0, period_start=NOV_1,
            period_end=DEC_1, created_at=moved, synced_at=moved,
        )  # fmt: skip

    rows = text(portal().get("/invoices/invoices.csv")).splitlines()

    numbers = [row.split(",")[0] for row in rows[1:]]
    assert numbers == [f"ABC-{n:04}" for n in (7, 6, 5, 4, 3, 2, 1)]


def test_over_asgi_the_history_is_not_gathered_in_memory_first(acme, invoice):
    """A plain iterator would be read to its end before the first byte leaves."""
    user = User.objects.get(email="owner@acme.example")
    request: Any = AsyncRequestFactory().get("/invoices/invoices.csv", secure=True)
    request.user, request.factory = user, acme
    request.membership = Membership.objects.get(user=user, factory=acme)

    answer = billing_invoices.history(request, "invoices")

    assert answer.streaming
    assert answer.is_async


def stand(factory, standing: str, cause: str = "unpaid", *, until: datetime = DEC_1) -> None:
    account = services.account_for(factory)
    account.standing, account.cause = standing, cause
    account.save()
    limits = factory.limits
    limits.standing, limits.standing_until = standing, until
    limits.read_only = standing != "past_due"
    limits.save()


@pytest.mark.parametrize(
    ("standing", "words"),
    [
        ("past_due", "Everything works until 1 December 2026"),
        ("read_only", "Nothing can be changed now"),
    ],
)
def test_every_page_says_what_is_to_be_paid_and_until_when(portal, acme, standing, words):
    stand(acme, standing)

    for path in ("/", "/machines/", "/usage/"):
        page = text(portal().get(path))
        assert "An invoice could not be collected." in page
        assert words in page
        assert "Pay now" in page


def test_who_may_not_pay_reads_a_plain_line(portal, acme):
    stand(acme, "past_due")

    page = text(portal("operator").get("/"))

    assert "An owner or an admin can settle it." in page
    assert "Pay now" not in page
    assert "could not be collected" not in page


def test_a_factory_without_a_plan_is_led_to_the_plans(portal, acme):
    stand(acme, "past_due", "no_plan")

    assert '<a class="btn btn-sm" href="/usage/plan/">Choose a plan</a>' in text(portal().get("/"))


def test_the_end_of_a_trial_is_announced_a_week_before(portal, acme):
    services.start_subscription(factory=acme, plan="workshop", by=None, trial=True)
    assert "The trial ends" not in text(portal().get("/"))

    Subscription.objects.update(trial_end=timezone.now() + timedelta(days=6))

    assert "Leave a card before then" in text(portal().get("/"))
    assert "The trial ends" not in text(portal("operator").get("/"))


def test_all_is_well_without_a_banner(portal):
    assert 'aria-label="Your bill"' not in text(portal().get("/"))
