"""What the answers of billing look like, for the document of the API."""

from drf_spectacular.utils import OpenApiExample

USAGE = OpenApiExample(
    "Workshop, 12 machines",
    response_only=True,
    value={
        "plan": "workshop",
        "plan_name": "Workshop",
        "next_plan": None,
        "currency": "EUR",
        "status": "active",
        "period_start": "2026-11-01T00:00:00Z",
        "period_end": "2026-12-01T00:00:00Z",
        "counted_to": "2026-11-17T10:00:00Z",
        "so_far_minor": 34800,
        "forecast_minor": 38925,
        "forecast_low_minor": 38110,
        "forecast_high_minor": 39740,
        "forecast_basis": "The days left are taken to be like the last 47 days ...",
        "meters": [
            {
                "meter": "readings",
                "label": "Readings",
                "used": 231_400_000,
                "held": 0,
                "included": 240_000_000,
                "price_minor": 25,
                "price_per": "per extra million",
                "so_far_minor": 0,
                "forecast_minor": 4125,
            }
        ],
        "daily": [{"on": "2026-11-01", "total_minor": 34800}],
        "forecast_daily": [
            {
                "on": "2026-11-30",
                "expected_minor": 38925,
                "low_minor": 38110,
                "high_minor": 39740,
            }
        ],
        "previous": [{"on": "2026-10-31", "total_minor": 43800}],
        "previous_total_minor": 43800,
        "machines": [
            {
                "machine_id": "7b0c8a2e-3a55-4d0e-9a0e-5b9d2a1c0f11",
                "name": "Mill 3",
                "n_readings": 19_800_000,
                "n_images": 0,
                "cost_minor": 2900,
            }
        ],
        "others": [{"label": "Discount of 20 %, so far", "amount_minor": -6960}],
        "trial_end": None,
        "after_trial_minor": None,
        "ends_at": None,
    },
)
INVOICE = OpenApiExample(
    "A month of twelve machines",
    response_only=True,
    value={
        "id": 17,
        "number": "7QK2M1XA-0004",
        "status": "paid",
        "currency": "EUR",
        "total_minor": 38925,
        "due_minor": 38925,
        "paid_minor": 38925,
        "period_start": "2026-10-01T00:00:00Z",
        "period_end": "2026-11-01T00:00:00Z",
        "created_at": "2026-11-01T00:00:00Z",
        "finalized_at": "2026-11-01T01:00:00Z",
        "paid_at": "2026-11-01T01:00:00Z",
        "subtotal_minor": 38925,
        "discount_minor": 0,
        "tax_minor": 0,
        "has_pdf": True,
        "has_receipt": True,
        "credit_notes": [],
        "lines": [
            {
                "description": "12 machine x Workshop: active machines",
                "quantity": 12,
                "amount_minor": 34800,
                "period_start": "2026-10-01T00:00:00Z",
                "period_end": "2026-11-01T00:00:00Z",
            }
        ],
    },
)
PLANS = OpenApiExample(
    "Prices in euros",
    response_only=True,
    value={
        "currency": "EUR",
        "version": 2,
        "plans": [
            {
                "key": "workshop",
                "name": "Workshop",
                "summary": "A month without readings costs nothing.",
                "machine_minor": 2900,
                "yearly_machine_minor": 29000,
                "trial_days": 30,
                "included_readings_per_machine": 20_000_000,
                "included": {"images": 5000, "planning_minutes": 300, "archive_mb": 50_000},
                "max_machines": None,
                "max_people": None,
                "history_days": None,
            }
        ],
        "extras": [
            {
                "item": "readings",
                "label": "Readings",
                "price_minor": 25,
                "per": 1_000_000,
                "per_label": "extra million",
            }
        ],
        "add_ons": [
            {
                "key": "fast_answer",
                "name": "Answer within one hour",
                "price_minor": 4900,
                "plans": ["workshop"],
            }
        ],
    },
)
_SUBSCRIPTION = {
    "plan": "workshop",
    "version": 2,
    "status": "trialing",
    "currency": "EUR",
    "trial_end": "2027-01-01T00:00:00Z",
    "next_plan": None,
    "ends_at": None,
    "closes_factory": False,
    "has_card": False,
    "percent_off": None,
    "discount_ends_at": None,
    "standing": "good",
    "cause": "",
    "standing_until": None,
}
SUBSCRIPTION = OpenApiExample("In a trial", response_only=True, value=_SUBSCRIPTION)
CHOICE = OpenApiExample("A larger plan", request_only=True, value={"plan": "plant"})
PREVIEW = OpenApiExample(
    "Plant instead of Workshop",
    response_only=True,
    value={
        "plan": "plant",
        "current": "workshop",
        "starts_at": "2026-11-21T00:00:00Z",
        "is_at_once": True,
        "in_trial": False,
        "n_machines": 2,
        "amount_minor": 1333,
        "currency": "EUR",
        "month_before_minor": 5800,
        "month_after_minor": 9800,
        "month_off_minor": 0,
        "percent_off": None,
        "discount_ends_at": None,
        "carried": {"readings": 90_000_000},
        "excess": [],
    },
)
LEDGER = OpenApiExample(
    "A late reading",
    response_only=True,
    value={
        "id": 4711,
        "meter": "readings",
        "hour": "2026-11-17T09:00:00Z",
        "billed_hour": "2026-11-17T09:00:00Z",
        "quantity": 12,
        "revision": 1,
        "reason": "late_data",
        "written_at": "2026-11-17T11:04:10Z",
    },
)
BUDGET = OpenApiExample(
    "550 euros a month",
    response_only=True,
    value={
        "amount_minor": 55000,
        "currency": "EUR",
        "left_minor": 17346,
        "recipients": "Petra Lang",
        "alerts": [
            {"percent": 50, "amount_minor": 27500, "state": "sent", "on": "2026-11-01"},
            {"percent": 80, "amount_minor": 44000, "state": "likely", "on": "2026-11-27"},
            {"percent": 100, "amount_minor": 55000, "state": "not_this_month", "on": None},
        ],
    },
)
CAPS = OpenApiExample(
    "Readings stop at ten million extra",
    response_only=True,
    value={
        "item": "readings",
        "label": "Readings",
        "max_extra": 10_000_000,
        "extra_so_far": 4_200_000,
        "action": "keep",
        "actions": ["keep", "refuse"],
        "reached_at": None,
        "held": 0,
        "keep_until": None,
        "buy_back_minor": 0,
        "words": "What comes beyond is kept for 7 days and can be bought back.",
    },
)
NEW_BUDGET = OpenApiExample("550 euros", request_only=True, value={"amount_minor": 55000})
NEW_CAP = OpenApiExample(
    "Ten million extra readings",
    request_only=True,
    value={"item": "readings", "max_extra": 10_000_000, "action": "keep"},
)
