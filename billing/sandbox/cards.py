"""Test cards: by name (`pm_card_visa`) and by number, and what the bank says to each.

Source: docs.stripe.com/testing
"""

from dataclasses import dataclass

from billing.sandbox.errors import ApiError


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a bank refuses: Stripe's code, the bank's decline code, the words a payer reads."""

    code: str
    decline_code: str | None
    message: str


@dataclass(frozen=True, slots=True)
class TestCard:
    """`on_attach`: refused already when it is saved. `asks`: pays only with the payer present."""

    brand: str
    number: str
    refusal: Refusal | None = None
    on_attach: bool = False
    asks: bool = False

    @property
    def last4(self) -> str:
        return self.number[-4:]

    @property
    def label(self) -> str:
        shown = {"amex": "American Express"}.get(self.brand, self.brand.title())
        return f"{shown} ending in {self.last4}"


DECLINED = Refusal("card_declined", "generic_decline", "Your card was declined.")
_FUNDS = Refusal("card_declined", "insufficient_funds", "Your card has insufficient funds.")
_LOST = Refusal("card_declined", "lost_card", "Your card was declined.")
_EXPIRED = Refusal("expired_card", None, "Your card has expired.")
_CVC = Refusal("incorrect_cvc", None, "Your card's security code is incorrect.")
_ERROR = Refusal(
    "processing_error",
    None,
    "An error occurred while processing your card. Try again in a little bit.",
)
AUTHENTICATION = Refusal(
    "authentication_required",
    "authentication_required",
    "Your card was declined. This transaction requires authentication.",
)

TEST_CARDS = {
    "pm_card_visa": TestCard("visa", "4242424242424242"),
    "pm_card_mastercard": TestCard("mastercard", "5555555555554444"),
    "pm_card_amex": TestCard("amex", "378282246310005"),
    "pm_card_chargeCustomerFail": TestCard("visa", "4000000000000341", DECLINED),
    "pm_card_authenticationRequired": TestCard("visa", "4000002760003184", asks=True),
    "pm_card_chargeDeclined": TestCard("visa", "4000000000000002", DECLINED, on_attach=True),
    "pm_card_chargeDeclinedInsufficientFunds": TestCard(
        "visa", "4000000000009995", _FUNDS, on_attach=True
    ),
    "pm_card_chargeDeclinedLostCard": TestCard("visa", "4000000000009987", _LOST, on_attach=True),
    "pm_card_chargeDeclinedExpiredCard": TestCard(
        "visa", "4000000000000069", _EXPIRED, on_attach=True
    ),
    "pm_card_chargeDeclinedIncorrectCvc": TestCard(
        "visa", "4000000000000127", _CVC, on_attach=True
    ),
    "pm_card_chargeDeclinedProcessingError": TestCard(
        "visa", "4000000000000119", _ERROR, on_attach=True
    ),
}


def by_number(number: str) -> str:
    """Return the name of the test card with a number as a person types it.

    Raises:
        ApiError: not one of the test cards; in Stripe's words for a real card in test mode.
    """
    digits = "".join(filter(str.isdigit, number))
    for name, card in TEST_CARDS.items():
        if card.number == digits:
            return name
    if not _luhn(digits):
        raise ApiError(
            "Your card number is incorrect.", status=402, kind="card_error",
            code="incorrect_number", param="number",
        )  # fmt: skip
    raise ApiError(
        "Your card was declined. Your request was in test mode, but used a non test card. "
        "For a list of valid test cards, visit: https://stripe.com/docs/testing.",
        status=402, kind="card_error", code="card_declined", decline_code="test_mode_live_card",
    )  # fmt: skip


def _luhn(digits: str) -> bool:
    """Check the last digit of a card number (ISO/IEC 7812-1)."""
    if len(digits) < 12:
        return False
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if place % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0
