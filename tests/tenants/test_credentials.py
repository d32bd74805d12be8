import pytest

from tenants import credentials
from tenants.models import Credential


def test_a_token_is_shown_once_and_kept_as_a_digest(acme):
    token = credentials.issue_api_key(factory=acme, name="line PC")

    row = Credential.objects.get(name="line PC")

    assert token.startswith("takt_api_")
    assert len(token) >= 52
    assert bytes(row.digest) == credentials.digest(token)
    assert token not in {str(value) for value in vars(row).values()}


def test_a_device_has_two_valid_tokens_at_the_most(acme):
    for _ in range(2):
        credentials.issue_device_token(factory=acme, device_id=7, name="Mill 1")

    with pytest.raises(credentials.TooManyTokens):
        credentials.issue_device_token(factory=acme, device_id=7, name="Mill 1")


def test_a_revoked_key_is_no_longer_found(acme):
    token = credentials.issue_api_key(factory=acme, name="old")
    found = credentials.find_api_key(token)
    assert found is not None

    credentials.revoke(credential_id=found.pk, factory=acme)

    assert credentials.find_api_key(token) is None


def test_another_factory_cannot_revoke_a_key(acme, globex):
    token = credentials.issue_api_key(factory=acme, name="mine")
    found = credentials.find_api_key(token)
    assert found is not None

    assert credentials.revoke(credential_id=found.pk, factory=globex) is False
    assert credentials.find_api_key(token) is not None


def test_a_device_token_is_no_api_key(acme):
    token = credentials.issue_device_token(factory=acme, device_id=1, name="Mill 1")

    assert credentials.find_api_key(token) is None
