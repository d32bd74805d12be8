"""HTTPS on one machine: an own authority, made once, and a short-lived certificate from it.

OpenSSL, curl and Chromium all refuse a certificate for `*.localhost` (a wildcard needs two labels
after the star), so the host of every factory is named in full. Whoever makes a factory leaves an
empty file named after its host in `var/hosts`; the certificate is then made anew.
`*.takt.localhost` has labels enough and always works.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
import re
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_ALWAYS = (
    "localhost", "takt.localhost", "*.takt.localhost", "acme.localhost", "globex.localhost",
)  # fmt: skip
_ADDRESSES = ("127.0.0.1", "::1")
_HOST = re.compile(r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+localhost")
# Every handshake carries all names: a few hundred are a few kilobytes.
_MOST_HOSTS = 500
_AUTHORITY_LIFE = dt.timedelta(days=3650)
# Browsers refuse certificates that live longer than 398 days.
_SERVER_LIFE = dt.timedelta(days=90)
_RENEW_BEFORE = dt.timedelta(days=30)


class Certificates:
    """The files `ca.pem`, `ca.key`, `tls.pem` and `tls.key` of one installation."""

    def __init__(self, var: Path) -> None:
        self.authority = var / "ca.pem"
        self.certificate = var / "tls.pem"
        self.key = var / "tls.key"
        self.hosts_folder = var / "hosts"
        self._authority_key = var / "ca.key"

    def ensure(self, *, now: dt.datetime) -> bool:
        """Make what is missing, near its end or lacks a host; say whether the server's is new."""
        self.hosts_folder.mkdir(parents=True, exist_ok=True)
        renewed = not self._is_good(self.authority, self._authority_key, now=now)
        if renewed:
            self._make_authority(now)
        if renewed or not self._is_good(self.certificate, self.key, now=now) or self.lacks_hosts():
            self._make_server(now)
            return True
        return False

    def lacks_hosts(self) -> bool:
        """Say whether a host has been asked for that the certificate does not name."""
        certificate = x509.load_pem_x509_certificate(self.certificate.read_bytes())
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return not set(self._hosts()) <= set(names.get_values_for_type(x509.DNSName))

    def _hosts(self) -> list[str]:
        asked = [file for file in self.hosts_folder.iterdir() if _HOST.fullmatch(file.name)]
        newest = sorted(asked, key=lambda file: file.stat().st_mtime, reverse=True)[:_MOST_HOSTS]
        return [*_ALWAYS, *sorted({file.name for file in newest} - set(_ALWAYS))]

    def _is_good(self, certificate: Path, key: Path, *, now: dt.datetime) -> bool:
        if not (certificate.exists() and key.exists()):
            return False
        parsed = x509.load_pem_x509_certificate(certificate.read_bytes())
        return parsed.not_valid_before_utc <= now < parsed.not_valid_after_utc - _RENEW_BEFORE

    def _make_authority(self, now: dt.datetime) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        # A second authority of the same name would confuse a browser that knows the first.
        name = _name(f"Takt on this machine ({x509.random_serial_number() % 16**6:06x})")
        usage = x509.KeyUsage(
            key_cert_sign=True, crl_sign=True, digital_signature=False, content_commitment=False,
            key_encipherment=False, data_encipherment=False, key_agreement=False,
            encipher_only=False, decipher_only=False,
        )  # fmt: skip
        certificate = (
            _builder(name, name, key, now=now, life=_AUTHORITY_LIFE)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(_only_for_this_machine(), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
            .sign(key, hashes.SHA256())
        )
        _write_key(self._authority_key, key)
        _write(self.authority, certificate.public_bytes(serialization.Encoding.PEM), mode=0o644)

    def _make_server(self, now: dt.datetime) -> None:
        authority = x509.load_pem_x509_certificate(self.authority.read_bytes())
        authority_key = serialization.load_pem_private_key(
            self._authority_key.read_bytes(), password=None
        )
        assert isinstance(authority_key, ec.EllipticCurvePrivateKey)
        key = ec.generate_private_key(ec.SECP256R1())
        names = [
            *(x509.DNSName(host) for host in self._hosts()),
            *(x509.IPAddress(ipaddress.ip_address(address)) for address in _ADDRESSES),
        ]
        issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
        certificate = (
            _builder(_name("localhost"), authority.subject, key, now=now, life=_SERVER_LIFE)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(issuer_key, critical=False)
            .sign(authority_key, hashes.SHA256())
        )
        _write_key(self.key, key)
        _write(self.certificate, certificate.public_bytes(serialization.Encoding.PEM), mode=0o644)


def _only_for_this_machine() -> x509.NameConstraints:
    """Keep a stolen authority from vouching for anything beyond the loopback names."""
    loopback = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))
    return x509.NameConstraints(
        permitted_subtrees=[x509.DNSName("localhost"), *map(x509.IPAddress, loopback)],
        excluded_subtrees=None,
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    *,
    now: dt.datetime,
    life: dt.timedelta,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # The clocks of a browser in a container and of this machine may differ.
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + life)
    )


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    data = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,  # the only form that granian reads
        serialization.NoEncryption(),
    )
    _write(path, data, mode=0o600)


def _write(path: Path, data: bytes, *, mode: int) -> None:
    draft = path.with_name(path.name + ".new")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(fd, "wb") as file:
        file.write(data)
    draft.replace(path)
