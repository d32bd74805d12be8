"""The pages of quality: what needs doing, plans, inspecting by hand, decisions, lots."""

import re
from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from frontend import lot_page
from production import services
from production.models import Inspection, InspectionPlan, Lot, Nonconformance
from production.services import CharacteristicFields, InspectionPlanFields, Measured
from tests.frontend.conftest import NOON
from tests.frontend.test_maintenance import text_of

KEEP = {"x-takt-keep": "1"}


@pytest.fixture
def plan(in_acme):
    product = services.make_product(item_no="B-100", name="Bracket", unit_cost_minor=1_250)
    services.save_defect_type(code="bore", name="Bore out of size")
    fields = InspectionPlanFields(
        name="After milling", operation="20 milling", sampling="per_lot", sample_n=20,
        acceptance_number=1, escape_cost_minor=9_000,
        characteristics=(
            CharacteristicFields(name="Bore", unit="mm", lower_limit=11.98, upper_limit=12.02,
                                 defect="bore"),
            CharacteristicFields(name="Surface", kind="attribute"),
        ),
    )  # fmt: skip
    return services.make_inspection_plan(product_id=product.pk, fields=fields, at=NOON, by=None)


@pytest.fixture
def lot(plan):
    return services.make_lot(
        product=plan.product, code="L-1042", quantity=Decimal(50), made_at=timezone.now(),
        at=timezone.now(),
    )  # fmt: skip


@pytest.fixture
def inspected(plan, lot, mill):
    """Return `inspected(bore, piece)`: an inspection of a piece of the lot."""
    at = timezone.now()
    services.finish_run(
        lot=lot, operation="20 milling", machine_id=mill.pk, started_at=at - timedelta(hours=1),
        ended_at=at, at=at, parameters={"tool": "T12"},
    )  # fmt: skip

    def make(bore=12.0, piece="1", **fields):
        return services.record_inspection(
            plan_id=plan.pk, lot_id=lot.pk, piece=piece, at=timezone.now(),
            measurements=[Measured("Bore", bore), Measured("Surface", is_good=True)], **fields,
        )  # fmt: skip

    return make


def test_without_a_plan_the_page_says_how_to_begin(in_acme, portal):
    page = text_of(portal("engineer").get("/quality/"))
    assert "Nothing is inspected yet" in page
    assert "/quality/plans/new/" in page
    assert "/quality/plans/new/" not in text_of(portal("operator").get("/quality/"))
    for path in ("plans/", "inspections/", "nonconformances/", "defects/", "record/"):
        text_of(portal("operator").get(f"/quality/{path}"))
    assert "No lot is known yet" in text_of(portal("viewer").get("/lots/"))


def test_the_page_begins_with_what_waits(inspected, portal):
    inspected(12.5, "3")  # two of the twenty of the sample
    inspected(12.0, "5")
    page = text_of(portal().get("/quality/"))

    assert "18 inspections are due, 1 nonconformance is open." in page
    assert re.search(r"1 of 2</td>.*50 %", page)
    assert "Bore out of size" in page


def test_a_plan_says_in_words_how_often_and_draws_the_chance(plan, inspected, portal):
    for piece in "123":
        inspected(12.0 + int(piece) / 100, piece)
    page = text_of(portal("viewer").get(f"/quality/plans/{plan.pk}/"))

    assert "20 of the parts of a lot are looked at after 20 milling." in page
    assert "more than 1 defective part is held" in page
    # Binomial, n = 20, c = 1: 95 % at 1.8 %, 10 % at 18 %.
    assert "A lot with 1.8 % defective parts is accepted 95 times in 100" in page
    assert "one with 18 % is accepted 10 times." in page
    assert "Bore: 3 values" in page
    assert "1 out of their limits" in page


def line(number, **fields):
    return {f"line-{number}-{name}": value for name, value in fields.items()}


PLAN = {
    "item_no": "C-7", "item_name": "Cover", "name": "Final", "operation": "",
    "sampling": "every_part", "sample_n": "1", "acceptance_number": "0", "escape_cost": "12.50",
    "line-TOTAL_FORMS": "2", "line-INITIAL_FORMS": "0",
    **line(0, name="Width", kind="variable", unit="mm", lower_limit="9.9", upper_limit="10.1"),
    **line(1, name="", kind="variable"),
}  # fmt: skip


def test_a_plan_is_made_and_revised_by_hand(in_acme, portal):
    answer = portal("engineer").post("/quality/plans/new/", PLAN)
    made = InspectionPlan.objects.get()
    assert answer.status_code == 302, answer.content[:3000]
    assert (made.product.item_no, made.escape_cost_minor) == ("C-7", 1_250)
    assert [row.name for row in made.characteristics.all()] == ["Width"]
    assert portal("operator").post("/quality/plans/new/", PLAN).status_code == 403

    lot = services.make_lot(product=made.product, code="L-1", made_at=NOON, at=NOON)
    services.record_inspection(
        plan_id=made.pk, lot_id=lot.pk, at=NOON, measurements=[Measured("Width", 10.0)]
    )
    revise = f"/quality/plans/{made.pk}/revise/"
    assert 'value="Width"' in text_of(portal("engineer").get(revise))
    portal("engineer").post(revise, PLAN | {"line-0-upper_limit": "10.2"})
    assert set(InspectionPlan.objects.values_list("version", "state")) == {
        (1, "obsolete"), (2, "released"),
    }  # fmt: skip


def test_a_plan_that_makes_no_sense_says_what(in_acme, portal):
    wrong = PLAN | {"line-0-lower_limit": "11"}
    page = text_of(portal("engineer").post("/quality/plans/new/", wrong), status=422)

    assert "Width: the lower limit lies above the upper one." in page
    assert not InspectionPlan.objects.exists()


@pytest.fixture
def sent(plan, lot):
    return {
        "plan": str(plan.pk), "lot": lot.code, "piece": "7", "c1": "12,01", "c2": "good",
        "request_id": str(uuid4()),
    }  # fmt: skip


def test_a_person_inspects_by_hand_and_a_double_tap_counts_once(sent, portal):
    form = text_of(portal("operator").get(f"/quality/record/?plan={sent['plan']}&lot=L-1042"))
    assert 'data-low="11.98"' in form
    assert "11.98 to 12.02 mm" in form

    for _ in range(2):
        answer = portal("operator").post("/quality/record/", sent, headers=KEEP)
    found = Inspection.objects.get(state="done")
    assert answer.json() == {"next": f"/quality/inspections/{found.pk}/"}
    assert (found.verdict, found.piece, str(found.created_by)) == ("pass", "7", "operator one")


def test_what_cannot_be_taken_is_said_and_kept(sent, portal):
    operator = portal("operator")
    for change, words in (
        ({"c1": "twelve"}, "Bore: twelve is no number."),
        ({"c1": "13", "verdict": "pass"}, "Bore is out of its limits"),
        ({"c1": "", "c2": ""}, "Say pass or fail"),
    ):
        answer = operator.post("/quality/record/", sent | change, headers=KEEP)
        assert answer.status_code == 409
        assert words in answer.json()["error"]
    assert "No lot of this product has the code L-9" in text_of(
        operator.get(f"/quality/record/?plan={sent['plan']}&lot=L-9")
    )


def test_what_is_due_is_inspected_from_the_list(inspected, portal):
    inspected()
    due = Inspection.objects.filter(state="due")[0]
    page = text_of(portal("operator").get(f"/quality/record/?due={due.pk}"))

    assert f"L-1042, piece {due.piece}" in page
    assert text_of(portal("operator").get("/quality/record/?due=x&plan=y"))


def test_two_who_disagree_are_shown_and_counted(inspected, portal, in_acme):
    found = inspected(12.5)
    judge = f"/quality/inspections/{found.pk}/judge/"
    assert portal("viewer").post(judge, {"verdict": "pass"}).status_code == 403
    refused = portal("operator").post(judge, {"verdict": "pass"}, headers=KEEP)
    assert refused.status_code == 409
    for role, verdict in (("operator", "fail"), ("engineer", "pass")):
        said = {"verdict": verdict, "note": "Looked again", "request_id": str(uuid4())}
        assert portal(role).post(judge, said, headers=KEEP).status_code == 200

    page = text_of(portal("viewer").get(f"/quality/inspections/{found.pk}/"))
    assert "They disagree." in page
    assert "engineer one: pass" in page
    assert "Kappa" in text_of(portal().get("/quality/"))
    assert "piece 1" in text_of(portal().get("/quality/inspections/?show=disputed"))


def test_material_is_set_apart_decided_and_closed(inspected, portal):
    inspected(12.5)
    found = Nonconformance.objects.get()
    act = f"/quality/nonconformances/{found.pk}/act/"
    assert portal("operator").post(act, {"action": "contain"}).status_code == 302
    assert portal("operator").post(act, {"action": "decide"}).status_code == 403
    early = portal("engineer").post(act, {"action": "close"}, headers=KEEP)
    assert (early.status_code, early.json()["error"]) == (409, "Nonconformance 1 is contained.")
    decide = {"action": "decide", "disposition": "scrap", "cost": "", "text": "Too large"}
    portal("engineer").post(act, decide)
    portal("engineer").post(act, {"action": "close"})

    page = text_of(portal("viewer").get(f"/quality/nonconformances/{found.pk}/"))
    assert "Closed: Scrap" in page
    assert "€12.50" in page
    assert "Too large" in page


def test_a_lot_shows_how_it_was_made_and_what_was_found(inspected, lot, portal):
    inspected(12.5)
    page = text_of(portal("viewer").get(f"/lots/{lot.pk}/"))

    for words in ("20 milling", "Mill 1", "T12", "1 looked at, 20 wanted, 1 defective", "piece 1",
                  "Nonconformances"):  # fmt: skip
        assert words in page
    assert "L-1042" in text_of(portal("viewer").get("/lots/?q=104"))
    assert "No lot fits" in text_of(portal("viewer").get("/lots/?q=99"))


def test_other_parts_of_the_portal_put_their_cards_on_a_lot(lot, portal, monkeypatch):
    card = lot_page.LotCard("pictures", "frontend/quality/word.html", None)
    monkeypatch.setattr(lot_page, "CARDS", [lambda _lot: card, lambda _lot: None])

    assert lot_page.lot_page(Lot.objects.get(), at=NOON).pictures == [card]
    assert text_of(portal().get(f"/lots/{lot.pk}/"))


def test_a_run_leads_to_the_readings_of_its_time(heard, inspected, lot, portal):
    heard({"spindle_c": 40.0})
    page = text_of(portal("viewer").get(f"/lots/{lot.pk}/"))
    (url,) = set(re.findall(r'href="(/explore/\?s=[^"]+)"', page))

    assert "from=" in url
    assert text_of(portal("viewer").get(url.replace("&amp;", "&")))


def test_a_lot_is_written_down_and_held_by_hand(plan, portal):
    said = {"product": str(plan.product_id), "code": "L-7", "quantity": "5"}
    portal("operator").post("/lots/new/", said)
    lot = Lot.objects.get(code="L-7")
    portal("operator").post(f"/lots/{lot.pk}/state/", {"state": "held", "text": "Looks wrong"})
    portal("operator").post(f"/lots/{lot.pk}/state/", {"state": "shipped"})

    page = text_of(portal("viewer").get(f"/lots/{lot.pk}/"))
    assert "Looks wrong" in page
    lot.refresh_from_db()
    assert lot.state == "held"
    assert portal("viewer").post(f"/lots/{lot.pk}/state/", {"state": "held"}).status_code == 403


def test_no_cell_of_an_export_is_a_formula(plan, portal):
    lot = services.make_lot(product=plan.product, code="=1+1", made_at=NOON, at=NOON)
    found = services.record_inspection(
        plan_id=plan.pk, lot_id=lot.pk, at=NOON, piece="@SUM(A1)", note="+49 1234",
        measurements=[Measured("Bore", 12.5)], verdict="fail",
    )  # fmt: skip
    text = text_of(portal("viewer").get("/quality/inspections.csv"))

    assert "'=1+1" in text
    assert "'@SUM(A1)" in text
    assert "'+49 1234" in text
    bore = found.measurements.get().characteristic
    values = text_of(portal("viewer").get(f"/quality/plans/{plan.pk}/{bore.pk}.csv"))
    assert ",12.5,mm,no," in values
    assert portal().get(f"/quality/plans/{plan.pk}/{uuid4()}.csv").status_code == 404


@pytest.mark.parametrize(
    "path",
    ["/quality/", "/quality/inspections/", "/quality/plans/", "/quality/nonconformances/",
     "/lots/", "/lots/{lot}/"],
)  # fmt: skip
def test_pages_ask_as_often_for_many_as_for_one(path, inspected, lot, portal):
    viewer, path = portal("viewer"), path.format(lot=lot.pk)

    def n_queries():
        with CaptureQueriesContext(connection) as asked:
            text_of(viewer.get(path))
        return len(asked)

    inspected(12.5)
    before = n_queries()
    for piece in "2345":
        inspected(12.5, piece)

    assert n_queries() == before
