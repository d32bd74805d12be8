import datetime as dt
import socket
import ssl
import threading
from pathlib import Path

import pytest
from cryptography import x509

from infra.local.certificates import Certificates

NOW = dt.datetime.now(dt.UTC)


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    certificates = Certificates(tmp_path)
    certificates.ensure(now=NOW)
    return certificates


def handshake(certificates: Certificates, host: str) -> str | None:
    """Connect as a client that trusts only our authority; return its TLS version."""
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(certificates.certificate, certificates.key)
    client_side = ssl.create_default_context(cafile=str(certificates.authority))
    ours, theirs = socket.socketpair()

    def serve() -> None:
        try:
            server_side.wrap_socket(theirs, server_side=True).close()
        except OSError:
            theirs.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with client_side.wrap_socket(ours, server_hostname=host) as connection:
            return connection.version()
    finally:
        ours.close()
        thread.join()


@pytest.mark.parametrize(
    "host",
    ["localhost", "127.0.0.1", "::1", "acme.localhost", "globex.localhost", "a.takt.localhost"],
)
def test_clients_accept_the_hosts_that_are_always_there(certificates, host):
    assert handshake(certificates, host) == "TLSv1.3"


def test_the_host_of_a_new_factory_is_accepted_after_it_was_asked_for(certificates):
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(certificates, "initech.localhost")
    (certificates.hosts_folder / "initech.localhost").touch()

    assert certificates.ensure(now=NOW)
    assert handshake(certificates, "initech.localhost") == "TLSv1.3"


def test_a_name_outside_this_machine_is_never_certified(certificates):
    (certificates.hosts_folder / "bank.example").touch()

    assert not certificates.ensure(now=NOW)


def test_the_authority_may_only_vouch_for_this_machine(certificates):
    authority = x509.load_pem_x509_certificate(certificates.authority.read_bytes())

    limits = authority.extensions.get_extension_for_class(x509.NameConstraints)

    assert limits.critical
    assert x509.DNSName("localhost") in (limits.value.permitted_subtrees or [])


def test_nothing_is_made_anew_without_need(certificates):
    assert not certificates.ensure(now=NOW + dt.timedelta(days=59))


def test_a_certificate_near_its_end_is_renewed_by_the_same_authority(certificates):
    authority = certificates.authority.read_bytes()

    assert certificates.ensure(now=NOW + dt.timedelta(days=61))
    assert certificates.authority.read_bytes() == authority


def test_keys_are_in_the_form_that_granian_reads_and_for_us_alone(certificates):
    assert certificates.key.read_bytes().startswith(b"-----BEGIN PRIVATE KEY-----")
    assert certificates.key.stat().st_mode & 0o777 == 0o600
