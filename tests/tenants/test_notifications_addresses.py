"""Where a webhook may not go, whatever its address looks like."""

import datetime
import socket
import ssl
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tenants.notifications import addresses, sending
from tenants.notifications.addresses import AddressRefused, HostUnknown
from tests.tenants.receiver import listening

NOW = datetime.datetime.now(datetime.UTC)

NOT_PUBLIC = """
0.0.0.0 10.0.0.1 100.64.0.1 100.100.100.200 127.0.0.1 127.255.255.254 168.63.129.16
169.254.169.254 169.254.170.2 172.16.0.1 172.31.255.255 192.0.0.192 192.0.2.1 192.88.99.1
192.168.1.1 198.18.0.1 198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.250 240.0.0.1
255.255.255.255
:: ::1 ::127.0.0.1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254
64:ff9b::7f00:1 64:ff9b::a9fe:a9fe 64:ff9b:1::1 100::1 2001::1 2001:db8::1 2002:7f00:1::
3fff::1 5f00::1 fc00::1 fd00:ec2::254 fe80::1 fe80::1%eth0 fec0::1 ff02::1
"""
PUBLIC = """
1.1.1.1 8.8.8.8 100.63.255.255 100.128.0.1 172.15.0.1 172.32.0.1 169.253.0.1 192.167.0.1
223.255.255.255 2606:4700::1111 2a00:1450:4001::1 ::ffff:8.8.8.8 64:ff9b::808:808
"""


@pytest.mark.parametrize("address", NOT_PUBLIC.split())
def test_what_is_not_the_internet_at_large_is_not_public(address):
    assert not addresses.is_public(ip_address(address))


@pytest.mark.parametrize("address", PUBLIC.split())
def test_what_is_on_the_internet_is_public(address):
    assert addresses.is_public(ip_address(address))


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example/",  # not HTTPS
        "ftp://hooks.example/",
        "https://",
        "https:///path",
        "//hooks.example/",
        "hooks.example",
        "javascript:alert(1)",
        "https://user:password@hooks.example/",
        "https://hooks.example@127.0.0.1/",
        "https://hooks.example/#part",
        "https://hooks.example:22/",
        "https://hooks.example:6379/",
        "https://hooks.example:99999/",
        "https://hooks.example:x/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[fe80::1%25eth0]/",
        "https://[not an address]/",
        "https://127.0.0.1/",
        "https://169.254.169.254/latest/meta-data/",
        "https://hooks.example/with space",
        "https://hooks.example/\r\nX-Injected: 1",
        "https://hooks.example/ü",
        "https://hooks.example/" + "x" * 500,
    ],
)
def test_an_address_of_another_kind_is_refused_unasked(url):
    with pytest.raises(AddressRefused):
        addresses.parse(url)


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST", "127.1", "0x7f000001", "2130706433", "0177.0.0.1"],
)
def test_every_way_to_write_this_machine_is_refused_after_it_is_resolved(host):
    answer = sending.post(f"https://{host}/", b"{}", {}, at=NOW)

    assert answer.is_refused
    assert "public" in answer.error


def test_a_name_of_this_machine_that_redirects_is_refused_before_it_is_asked(settings):
    with listening() as server:
        settings.WEBHOOK_ALLOW_PRIVATE = False
        answer = sending.post(f"https://localhost:{server.port}/", b"{}", {}, at=NOW)
        assert answer.is_refused
        settings.WEBHOOK_ALLOW_PRIVATE = True
        server.status, server.headers = 302, {"Location": "/elsewhere"}
        answer = sending.post(f"http://localhost:{server.port}/", b"{}", {}, at=NOW)

    assert "redirect" in answer.error
    assert [request.path for request in server.requests] == ["/"]


def test_one_private_address_among_public_ones_is_enough(monkeypatch):
    found = [(2, 1, 6, "", (ip, 443)) for ip in ("93.184.216.34", "10.0.0.7")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_a, **_k: found)

    with pytest.raises(AddressRefused, match=r"10\.0\.0\.7"):
        addresses.resolve(addresses.parse("https://hooks.example/"))


def test_a_name_is_resolved_once_and_the_checked_address_is_the_one_that_is_asked(
    settings, monkeypatch
):
    """A name server that answers differently the second time (DNS rebinding) gains nothing."""
    asked: list[str] = []
    real = socket.getaddrinfo

    def rebinding(host, port, *args, **kwargs):
        if host != "hooks.example":
            return real(host, port, *args, **kwargs)
        asked.append(host)
        ip = "127.0.0.1" if len(asked) == 1 else "192.0.2.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, port))]

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    settings.WEBHOOK_ALLOW_PRIVATE = True
    with listening() as server:
        answer = sending.post(f"http://hooks.example:{server.port}/x?y=1", b"{}", {}, at=NOW)

    assert answer.is_ok
    assert asked == ["hooks.example"]
    (request,) = server.requests
    assert (request.path, request.headers["host"]) == ("/x?y=1", f"hooks.example:{server.port}")


def test_a_name_that_is_not_known_may_be_known_later():
    with pytest.raises(HostUnknown):
        addresses.resolve(addresses.parse("https://nowhere.invalid/"))

    assert not sending.post("https://nowhere.invalid/", b"{}", {}, at=NOW).is_refused


def test_a_closed_port_is_a_failure_with_a_reason(settings):
    settings.WEBHOOK_ALLOW_PRIVATE = True
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

    answer = sending.post(f"http://127.0.0.1:{port}/", b"{}", {}, at=NOW)

    assert answer.error == "Nothing listens at this address."


@pytest.fixture
def certificate(tmp_path):
    """A certificate of `localhost`, signed by itself: (file of both, file to trust)."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - datetime.timedelta(days=1))
        .not_valid_after(NOW + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM)
    both = tmp_path / "both.pem"
    both.write_bytes(
        pem
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(pem)
    return both, trusted


def test_https_proves_the_name_and_not_the_address(settings, monkeypatch, certificate):
    settings.WEBHOOK_ALLOW_PRIVATE = True
    both, trusted = certificate
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    with listening(tls=context) as server:
        unknown = sending.post(f"https://localhost:{server.port}/", b"{}", {}, at=NOW)
        monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
        known = sending.post(f"https://localhost:{server.port}/", b"{}", {}, at=NOW)
        misnamed = sending.post(f"https://127.0.0.1:{server.port}/", b"{}", {}, at=NOW)

    assert known.is_ok
    assert "not trusted" in unknown.error
    assert "not trusted" in misnamed.error
    assert len(server.requests) == 1
