"""The certificate with which the web server speaks TLS: the operator's own, or one that is made here."""

from __future__ import annotations

import ssl
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from zkbio.launcher.state import write_private
from zkbio.launcher.trouble import LaunchError

VALID: Final = timedelta(days=365)
SOON: Final = timedelta(days=30)
BACKDATED: Final = timedelta(hours=1)  # clients' clocks are not all right
OURS: Final = "Open attendance platform, made at its start"
LONGEST_NAME: Final = 253


@dataclass(frozen=True)
class Certificate:
    cert: Path
    key: Path
    # Whether one may be made where there is none: not where somebody means one of their own.
    may_make: bool = field(default=True, compare=False)

    def prepare(self, names: Iterable[str], *, now: datetime | None = None) -> list[str]:
        """Makes what is missing, renews our own when it has expired; gives what is worth saying.

        Raises LaunchError for everything that the web server could not serve.
        """
        now = now or datetime.now(UTC)
        missing = [path for path in (self.cert, self.key) if not path.exists()]
        if missing and not self.may_make:
            raise LaunchError(
                f"{missing[0]} is not there, which CERT_FILE or KEY_FILE means; put it there, or start with --tls"
                " to have a self-signed certificate made."
            )
        if len(missing) == 2:
            return [*self.make(names, now), *self.remarks(now)]
        if missing:
            there = self.key if missing[0] == self.cert else self.cert
            raise LaunchError(f"{missing[0]} is missing beside {there}; put it there, or remove both for new ones.")
        found = self.require_pair()
        if found.not_valid_after_utc <= now and is_ours(found):
            return [f"the certificate expired on {day(found)}", *self.make(names, now), *self.remarks(now)]
        return self.remarks(now)

    def require_pair(self) -> x509.Certificate:
        """The certificate, if the key is the one that belongs to it."""
        found, key = read_certificate(self.cert), read_key(self.key)
        if public_bytes(found) != public_bytes(key):
            raise LaunchError(f"The key {self.key} is not that of the certificate {self.cert}; name the two together.")
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self.cert, self.key, password=lambda: "")
        except (ssl.SSLError, OSError) as error:
            raise LaunchError(f"{self.cert} and {self.key} can't be served: {error}") from error
        return found

    def remarks(self, now: datetime) -> list[str]:
        found = self.require_pair()
        if found.not_valid_after_utc <= now:
            raise LaunchError(f"The certificate {self.cert} expired on {day(found)}; put a new one there.")
        if found.not_valid_before_utc > now:
            begins = f"{found.not_valid_before_utc:%Y-%m-%d}"
            raise LaunchError(
                f"The certificate {self.cert} is not valid before {begins}; is this machine's clock right?"
            )
        said = [f"certificate {self.cert}, valid until {day(found)}"]
        if found.not_valid_after_utc - now < SOON:
            left = (found.not_valid_after_utc - now).days
            how = f"for a new one: rm '{self.cert}' '{self.key}', and start again" if is_ours(found) else "replace it"
            said.append(f"it expires in {left} days; {how}")
        if self.key.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            said.append(f"others may read its key; end that with: chmod 600 '{self.key}'")
        return said

    def make(self, names: Iterable[str], now: datetime) -> list[str]:
        """RSA 2048, self-signed. No authority: whoever trusts it trusts this server and no other."""
        key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        made = self_signed(key, names, now).public_bytes(serialization.Encoding.PEM)
        for path, content in ((self.key, pem), (self.cert, made)):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_private(path, content.decode("ascii"))
        self.cert.chmod(0o644)  # clients are given it
        return [f"made a self-signed certificate, {self.cert}, which clients have to be told to trust"]


def self_signed(key: rsa.RSAPrivateKey, names: Iterable[str], now: datetime) -> x509.Certificate:
    subject = x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, OURS), x509.NameAttribute(NameOID.COMMON_NAME, "localhost")]
    )
    usage = x509.KeyUsage(
        digital_signature=True,
        key_encipherment=True,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    public = key.public_key()
    builder = (
        x509.CertificateBuilder(subject, subject, public, x509.random_serial_number(), now - BACKDATED, now + VALID)
        .add_extension(x509.SubjectAlternativeName(alternative_names(names)), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
    )
    return builder.sign(key, hashes.SHA256())


def alternative_names(names: Iterable[str]) -> list[x509.GeneralName]:
    found: list[x509.GeneralName] = []
    for name in dict.fromkeys(["localhost", "127.0.0.1", "::1", *names]):
        try:
            found.append(x509.IPAddress(ip_address(name.strip("[]"))))
        except ValueError:
            if name.isascii() and len(name) <= LONGEST_NAME:
                found.append(x509.DNSName(name))
    return list(dict.fromkeys(found))


def is_ours(found: x509.Certificate) -> bool:
    return found.issuer == found.subject and OURS in found.subject.rfc4514_string().replace("\\", "")


def day(found: x509.Certificate) -> str:
    return f"{found.not_valid_after_utc:%Y-%m-%d}"


def read_certificate(path: Path) -> x509.Certificate:
    """The first one of the file, which is the server's own."""
    try:
        return x509.load_pem_x509_certificates(read(path))[0]
    except ValueError as error:
        raise LaunchError(f"{path} holds no certificate in PEM form; is it the file that CERT_FILE means?") from error


def read_key(path: Path) -> PrivateKeyTypes:
    try:
        return serialization.load_pem_private_key(read(path), password=None)
    except TypeError as error:
        raise LaunchError(f"The key {path} has a passphrase, which nobody could type; store it without one.") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise LaunchError(f"{path} holds no private key in PEM form; is it the file that KEY_FILE means?") from error


def public_bytes(pair: x509.Certificate | PrivateKeyTypes) -> bytes:
    return pair.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise LaunchError(
            f"{path} can't be read ({error.strerror}); whoever starts the platform must be able to."
        ) from error
