"""Claim codes: typed right, used once, guessed never."""

from datetime import UTC, datetime, timedelta

import pytest
from django.test import RequestFactory

from tenants import claims, leaving, services
from tenants.models import AuditEntry, ClaimCode, ClaimGuesses
from tenants.requests import client_address

NOON = datetime(2026, 11, 17, 12, tzinfo=UTC)


@pytest.fixture
def code(acme):
    return claims.make(factory=acme, at=NOON, by=None)[1]


def test_a_code_is_typed_in_any_case_and_spacing(acme, code):
    used = claims.use(code=f" {code.lower().replace('-', ' ')} ", at=NOON)

    assert (used.factory, used.n_used) == (acme, 1)


def test_a_code_looks_like_nothing_that_could_be_confused(code):
    assert len(code) == 11
    assert not set(code) & set("01OIL")


def test_the_check_is_the_sum_of_place_times_value():
    # Values: 2 is 0, 3 is 1, 4 is 2; 1*0 + 2*1 + 3*2 + 0... = 8, the character of value 8 is A.
    assert claims.check_character("23422222") == "A"


def test_one_wrong_character_and_two_swapped_ones_are_always_noticed(code):
    text = code.replace("-", "")
    for i in range(len(text)):
        for other in set(claims.ALPHABET) - {text[i]}:
            with pytest.raises(claims.CodeRefused):
                claims.plain(text[:i] + other + text[i + 1 :])
    for i in range(len(text) - 1):
        if text[i] != text[i + 1]:
            with pytest.raises(claims.CodeRefused):
                claims.plain(text[:i] + text[i + 1] + text[i] + text[i + 2 :])


def test_a_code_is_kept_only_as_a_keyed_digest(code):
    row = ClaimCode.objects.get()

    assert code.replace("-", "").encode() not in bytes(row.digest)
    assert len(row.digest) == 32
    assert row.hint == code[:3]


def test_a_code_is_used_as_often_as_it_says(acme):
    _, code = claims.make(factory=acme, at=NOON, by=None, max_uses=2)
    claims.use(code=code, at=NOON)
    claims.use(code=code, at=NOON)

    with pytest.raises(claims.CodeRefused):
        claims.use(code=code, at=NOON)


@pytest.mark.parametrize(
    "spoil",
    [
        {"expires_at": NOON},
        {"revoked_at": NOON},
        {"n_used": 1},
    ],
)
def test_a_code_that_is_over_is_refused(code, spoil):
    ClaimCode.objects.update(**spoil)

    with pytest.raises(claims.CodeRefused):
        claims.use(code=code, at=NOON)


def test_a_code_of_a_factory_that_takes_no_new_devices_is_refused(acme, code):
    leaving.set_standing(factory=acme, standing="read_only", until=None)

    with pytest.raises(claims.CodeRefused):
        claims.use(code=code, at=NOON)


def test_another_factory_ends_no_code(acme, globex, code):
    row = ClaimCode.objects.get()

    assert not claims.revoke(factory=globex, code_id=row.pk, at=NOON, by=None)
    assert claims.revoke(factory=acme, code_id=row.pk, at=NOON, by=None)
    assert not claims.revoke(factory=acme, code_id=row.pk, at=NOON, by=None)


def test_making_and_ending_a_code_are_on_record_without_the_code(acme, code):
    claims.revoke(factory=acme, code_id=ClaimCode.objects.get().pk, at=NOON, by=None)

    entries = AuditEntry.objects.filter(factory=acme, action__startswith="claim_code")
    assert [entry.action for entry in entries.order_by("id")] == [
        "claim_code.made",
        "claim_code.revoked",
    ]
    assert code not in str([entry.detail for entry in entries])


def test_a_factory_has_a_bounded_number_of_open_codes(acme, monkeypatch):
    monkeypatch.setattr(claims, "MAX_OPEN_CODES", 1)
    claims.make(factory=acme, at=NOON, by=None)

    with pytest.raises(claims.TooManyCodes):
        claims.make(factory=acme, at=NOON, by=None)
    claims.make(factory=acme, at=NOON + claims.VALID_FOR, by=None)


def test_an_address_is_stopped_and_another_goes_on(db):
    for _ in range(claims.GUESSES_AN_ADDRESS):
        claims.reserve_guess(address="192.0.2.1", at=NOON)

    with pytest.raises(claims.TooManyGuesses) as stopped:
        claims.reserve_guess(address="192.0.2.1", at=NOON + timedelta(minutes=20))
    assert stopped.value.retry_after_s == 40 * 60 + 1
    claims.reserve_guess(address="192.0.2.2", at=NOON)
    claims.reserve_guess(address="192.0.2.1", at=NOON + timedelta(hours=1))


def test_many_addresses_together_are_stopped_too(db, monkeypatch):
    monkeypatch.setattr(claims, "GUESSES_IN_ALL", 3)
    for n in range(3):
        claims.reserve_guess(address=f"192.0.2.{n}", at=NOON)

    with pytest.raises(claims.TooManyGuesses):
        claims.reserve_guess(address="192.0.2.9", at=NOON)
    assert not ClaimGuesses.objects.filter(address="192.0.2.9").exists()


def test_a_stopped_address_does_not_use_up_what_all_may_try(db):
    for _ in range(claims.GUESSES_AN_ADDRESS):
        claims.reserve_guess(address="192.0.2.1", at=NOON)
    for _ in range(5):
        with pytest.raises(claims.TooManyGuesses):
            claims.reserve_guess(address="192.0.2.1", at=NOON)

    assert ClaimGuesses.objects.get(address="").n == claims.GUESSES_AN_ADDRESS


def test_a_right_code_is_no_guess(db):
    for _ in range(3 * claims.GUESSES_AN_ADDRESS):
        claims.reserve_guess(address="192.0.2.1", at=NOON)
        claims.forgive_guess(address="192.0.2.1", at=NOON)

    assert set(ClaimGuesses.objects.values_list("n", flat=True)) == {0}


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:aaaa::1", "2001:db8:1:2::"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("nonsense", "unknown"),
    ],
)
def test_what_counts_as_one_guesser(address, counted):
    assert claims.network(address) == counted


def test_counts_of_yesterday_are_forgotten(db):
    claims.reserve_guess(address="192.0.2.1", at=NOON)

    services.tidy(at=NOON + timedelta(days=2))

    assert not ClaimGuesses.objects.exists()


def test_a_sender_cannot_choose_the_address_that_is_counted(settings):
    request = RequestFactory().get("/", headers={"X-Forwarded-For": "10.9.9.9, 192.0.2.7"})

    assert client_address(request) == "127.0.0.1"
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    assert client_address(request) == "192.0.2.7"
