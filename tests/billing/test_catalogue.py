"""The price list at Stripe: said before it is made, made once, never changed."""

import io
from dataclasses import replace
from decimal import Decimal

import pytest
from django.core.management import CommandError, call_command

from billing import catalogue, catalogue_sync, gateways, plans
from billing.catalogue_sync import State
from billing.gateways import StripeGateway
from tests.billing.conftest import API_KEY, start_standin
from tests.billing.test_chain import away


@pytest.fixture
def empty(tmp_path, wire, monkeypatch, settings):
    """A Stripe at which nothing was ever made."""
    running = start_standin(tmp_path)
    gateway = StripeGateway(api_key=API_KEY, api_base=running.url, max_retries=0, session=wire)
    settings.STRIPE_API_KEY = API_KEY
    monkeypatch.setattr(gateways, "_gateway", lambda _key, _base: gateway)
    yield gateway
    running.stop()


def run(*options: str) -> str:
    out = io.StringIO()
    call_command("sync_catalogue", *options, stdout=out)
    return out.getvalue()


def states(gateway):
    return {
        (f.kind, f.name): f.state for f in catalogue_sync.compare(gateway, plans.BOOK)
    }  # fmt: skip


def test_a_dry_run_says_what_is_missing_and_makes_nothing(empty):
    n = len(states(empty))
    with pytest.raises(CommandError, match=f"{n} to be made"):
        run()

    assert set(states(empty).values()) == {State.MISSING}


def test_everything_is_made_once(empty, wire):
    assert "Nothing is to be done" in run("--apply")
    posts = []
    wire.before = lambda method, path: posts.append(path) if method == "POST" else None

    assert "Nothing is to be done" in run("--apply")

    assert posts == []
    assert set(states(empty).values()) == {State.THERE}
    keys = [p.lookup_key for p in empty.our_prices()]
    assert sorted(keys) == sorted(s.lookup_key for s in catalogue.all_prices(plans.BOOK))


def test_one_product_has_the_prices_of_all_currencies(empty):
    run("--apply")
    run("--apply", "--version", "1")

    products = {
        p.product_id for p in empty.our_prices() if p.lookup_key.startswith("takt_plant_machine_")
    }
    assert len(products) == 2  # by the month and by the year


def test_a_subscription_finds_what_the_command_made(empty):
    run("--apply")
    before = {p.id for p in empty.our_prices()}

    ids = catalogue.ensure(empty, plan=plans.WORKSHOP, currency="GBP")

    assert set(ids) <= before


def test_what_a_subscription_made_first_is_kept(empty):
    ids = catalogue.ensure(empty, plan=plans.WORKSHOP, currency="EUR")

    run("--apply")

    assert set(ids) <= {p.id for p in empty.our_prices()}
    assert set(states(empty).values()) == {State.THERE}


def test_another_amount_needs_a_new_version(empty, capsys):
    spec = catalogue.prices_of(plans.WORKSHOP, currency="EUR")[0]
    catalogue.create_prices(empty, [replace(spec, unit_amount=Decimal(3100))])

    with pytest.raises(CommandError, match="1 differs"):
        run("--apply")

    (found,) = [
        f for f in catalogue_sync.compare(empty, plans.BOOK) if f.name == spec.lookup_key
    ]  # fmt: skip
    assert found.state is State.DIFFERS
    assert "3100 at Stripe, 2900 in the price list" in found.words
    assert "new version of the price list" in found.words


def test_prices_that_no_list_knows_are_named_and_left_alone(empty):
    spec = catalogue.prices_of(plans.WORKSHOP, currency="EUR")[0]
    catalogue.create_prices(empty, [replace(spec, lookup_key="takt_old_machine_eur_v0")])

    said = run("--apply")

    assert "only at Stripe price takt_old_machine_eur_v0" in said
    assert "takt_old_machine_eur_v0" in {p.lookup_key for p in empty.our_prices()}


def test_a_code_that_was_switched_off_stays_off(empty):
    run("--apply")
    code = empty.promotion_code("WELCOME20")
    empty._v1.promotion_codes.update(code.id, {"active": False})

    with pytest.raises(CommandError, match="1 differs"):
        run("--apply")

    assert not empty.promotion_code("WELCOME20").active


def test_without_stripe_it_says_so(empty, wire):
    wire.before = away
    with pytest.raises(CommandError, match="Stripe cannot be asked"):
        run()


def test_an_unknown_version_is_refused(empty):
    with pytest.raises(CommandError, match="no price list 99"):
        run("--version", "99")
