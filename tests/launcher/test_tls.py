"""The certificate of the web server, and what a slow or wrong handshake does to others: nothing."""

from __future__ import annotations

import http.client
import selectors
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from time import monotonic

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from zkbio.launcher import handshakes, roles
from zkbio.launcher.demo import curl_line
from zkbio.launcher.environment import program_environment
from zkbio.launcher.options import Options, read_options
from zkbio.launcher.processes import wait_until
from zkbio.launcher.state import ROOT, StateDir
from zkbio.launcher.tls import Certificate, is_ours
from zkbio.launcher.trouble import LaunchError
from zkbio.launcher.valkey import free_port

NOW = datetime.now(UTC)
NAMES = ["localhost", "127.0.0.1", "[::1]", "gate-server", "192.168.1.9", "grün"]


@pytest.fixture
def pair(tmp_path: Path) -> Certificate:
    return Certificate(cert=tmp_path / "cert.pem", key=tmp_path / "key.pem")


def read(pair: Certificate) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pair.cert.read_bytes())


# -- which certificate


@pytest.mark.parametrize("environ", [{}, {"CERT_FILE": " ", "KEY_FILE": ""}])
def test_nobody_who_does_not_ask_for_tls_gets_it(environ: dict[str, str]) -> None:
    options = read_options(environ)

    assert (options.certificate, options.url) == (None, "http://localhost:8097/")


def test_asked_for_by_name_it_lies_in_the_state_folder() -> None:
    options = read_options({"STATE_DIR": "/srv/zkbio"}, ["--tls"])

    assert options.certificate == Certificate(cert=Path("/srv/zkbio/cert.pem"), key=Path("/srv/zkbio/key.pem"))
    assert options.url == "https://localhost:8097/"
    assert options.command(API_PORT=8098) == "STATE_DIR=/srv/zkbio API_PORT=8098 ./script/start --tls"


def test_who_names_the_files_wants_tls_with_them() -> None:
    options = read_options({"CERT_FILE": "/etc/ssl/a.pem", "KEY_FILE": "/etc/ssl/a.key"})

    assert options.certificate == Certificate(cert=Path("/etc/ssl/a.pem"), key=Path("/etc/ssl/a.key"))
    assert options.command() == "CERT_FILE=/etc/ssl/a.pem KEY_FILE=/etc/ssl/a.key ./script/start --tls"


def test_the_programs_then_keep_cookies_to_tls(state: StateDir) -> None:
    plain, tls = (
        program_environment({}, options, database_url="", redis_url="")
        for options in (Options(state=state), read_options({"STATE_DIR": str(state.root)}, ["--tls"]))
    )

    assert ("SECURE_COOKIES" in plain, tls["SECURE_COOKIES"]) == (False, "1")


def test_the_printed_line_trusts_the_certificate_that_is_served() -> None:
    options = read_options({"STATE_DIR": "/srv/my state"}, ["--tls"])

    line = curl_line(options, username="admin", password="pw")

    assert line.count("curl -s --cacert '/srv/my state/cert.pem' ") == 2
    assert "http://" not in line


# -- making one


def test_what_is_missing_is_made(pair: Certificate) -> None:
    said = pair.prepare(NAMES, now=NOW)

    made = read(pair)
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost", "gate-server"]
    assert names.get_values_for_type(x509.IPAddress) == [ip_address(x) for x in ("127.0.0.1", "::1", "192.168.1.9")]
    assert made.not_valid_after_utc - NOW < timedelta(days=365)
    assert made.not_valid_after_utc - NOW > timedelta(days=364, hours=23)
    assert getattr(made.public_key(), "key_size", 0) == 2048
    assert pair.key.stat().st_mode & 0o777 == 0o600
    assert said == [
        f"made a self-signed certificate, {pair.cert}, which clients have to be told to trust",
        f"certificate {pair.cert}, valid until {made.not_valid_after_utc:%Y-%m-%d}",
    ]


@pytest.mark.parametrize("there", [[], ["key.pem"]])
def test_a_named_certificate_that_is_not_there_is_not_made_unasked(tmp_path: Path, there: list[str]) -> None:
    for name in there:
        (tmp_path / name).write_text("a key")
    named = {"CERT_FILE": str(tmp_path / "cert.pem"), "KEY_FILE": str(tmp_path / "key.pem")}
    pair = read_options(named).certificate
    assert pair is not None

    assert sentence(pair).startswith(f"{tmp_path}/cert.pem is not there, which CERT_FILE or KEY_FILE means;")
    assert [path.name for path in tmp_path.iterdir()] == there


def test_with_tls_asked_for_a_named_one_is_made_and_the_line_says_where(tmp_path: Path) -> None:
    named = {"CERT_FILE": str(tmp_path / "cert.pem"), "KEY_FILE": str(tmp_path / "key.pem")}
    pair = read_options(named, ["--tls"]).certificate
    assert pair is not None

    assert pair.prepare(NAMES)[0].startswith(f"made a self-signed certificate, {tmp_path}/cert.pem, which clients")


def test_what_is_there_stays(pair: Certificate) -> None:
    pair.prepare(NAMES)
    before = pair.cert.read_bytes(), pair.key.read_bytes()

    said = pair.prepare(NAMES)

    assert (pair.cert.read_bytes(), pair.key.read_bytes()) == before
    assert len(said) == 1


def test_its_end_is_told_a_month_before(pair: Certificate) -> None:
    pair.prepare(NAMES, now=NOW)

    said = pair.prepare(NAMES, now=NOW + timedelta(days=350))

    assert said[1] == f"it expires in 14 days; for a new one: rm '{pair.cert}' '{pair.key}', and start again"


def test_our_own_is_renewed_when_it_has_expired(pair: Certificate) -> None:
    pair.prepare(NAMES, now=NOW - timedelta(days=400))
    before = read(pair)

    said = pair.prepare(NAMES, now=NOW)

    assert read(pair).serial_number != before.serial_number
    assert said[0] == f"the certificate expired on {before.not_valid_after_utc:%Y-%m-%d}"


# -- what can't be served


def another(pair: Certificate, *, begins: datetime = NOW, days: int = 365) -> None:
    """Not of our making: a key of another kind, another name, another life."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "example.org")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 4711, begins, begins + timedelta(days=days))
    made = builder.sign(key, hashes.SHA256())
    pair.cert.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    pair.key.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


def sentence(pair: Certificate) -> str:
    with pytest.raises(LaunchError) as raised:
        pair.prepare(NAMES, now=NOW)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_a_given_one_of_another_kind_is_served(pair: Certificate) -> None:
    another(pair)
    pair.key.chmod(0o600)

    assert len(pair.prepare(NAMES, now=NOW)) == 1
    assert not is_ours(read(pair))


def test_a_key_that_others_may_read_is_told(pair: Certificate) -> None:
    another(pair)
    pair.key.chmod(0o644)

    assert pair.prepare(NAMES, now=NOW)[1] == f"others may read its key; end that with: chmod 600 '{pair.key}'"


def test_a_given_one_that_expired_is_not_replaced(pair: Certificate) -> None:
    another(pair, begins=NOW - timedelta(days=10), days=5)
    before = pair.cert.read_bytes()

    assert "expired on" in sentence(pair)
    assert pair.cert.read_bytes() == before


def test_one_that_is_not_valid_yet_is_a_sentence(pair: Certificate) -> None:
    another(pair, begins=NOW + timedelta(days=2))

    assert "is not valid before" in sentence(pair)


def test_a_key_of_another_certificate_is_a_sentence(pair: Certificate, tmp_path: Path) -> None:
    pair.prepare(NAMES)
    another(Certificate(cert=tmp_path / "other.pem", key=pair.key))

    assert sentence(pair) == f"The key {pair.key} is not that of the certificate {pair.cert}; name the two together."


@pytest.mark.parametrize("which", ["cert", "key"])
def test_one_without_the_other_is_a_sentence(pair: Certificate, which: str) -> None:
    pair.prepare(NAMES)
    getattr(pair, which).unlink()

    assert f"{getattr(pair, which)} is missing beside" in sentence(pair)


@pytest.mark.parametrize(("which", "said"), [("cert", "holds no certificate"), ("key", "holds no private key")])
@pytest.mark.parametrize("content", [b"", b"-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n", b"\xff"])
def test_what_is_no_pem_is_a_sentence(pair: Certificate, which: str, said: str, content: bytes) -> None:
    pair.prepare(NAMES)
    getattr(pair, which).write_bytes(content)

    assert f"{getattr(pair, which)} {said} in PEM form" in sentence(pair)


def test_a_key_with_a_passphrase_is_a_sentence_and_asks_nobody(pair: Certificate) -> None:
    another(pair)
    key = serialization.load_pem_private_key(pair.key.read_bytes(), None)
    locked = serialization.BestAvailableEncryption(b"secret")
    pair.key.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked))

    assert "has a passphrase" in sentence(pair)


def test_a_folder_in_its_place_is_a_sentence(pair: Certificate) -> None:
    pair.prepare(NAMES)
    pair.cert.unlink()
    pair.cert.mkdir()

    assert "can't be read (Is a directory)" in sentence(pair)


# -- serving


class Served:
    """The web server's own command with an application that needs no database."""

    def __init__(self, port: int, certificate: Certificate, log: Path) -> None:
        self.port, self.certificate, self.log = port, certificate, log

    def status(self, *, trust: bool = True, timeout: float = 10, newest: ssl.TLSVersion | None = None) -> int:
        context = ssl.create_default_context(cafile=str(self.certificate.cert) if trust else None)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        if newest is not None:
            context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, newest
            context.set_ciphers("DEFAULT:@SECLEVEL=0")  # so that it is the server who says no
        connection = http.client.HTTPSConnection("localhost", self.port, timeout=timeout, context=context)
        try:
            connection.request("GET", "/")
            return connection.getresponse().status
        finally:
            connection.close()

    def serves(self) -> bool:
        try:
            return self.status() == 200
        except ConnectionError:
            return False


@pytest.fixture
def served(pair: Certificate, tmp_path: Path) -> Iterator[Served]:
    pair.prepare(NAMES)
    port = free_port()
    options = Options(state=StateDir(tmp_path), host="127.0.0.1", port=port, certificate=pair)
    command = ["wsgiref.simple_server:demo_app" if ":application" in w else w for w in roles.web_command(options)]
    log = tmp_path / "web.log"
    with log.open("wb") as file, subprocess.Popen(command, cwd=ROOT, stdout=file, stderr=file) as process:
        served = Served(port, pair, log)
        try:
            assert wait_until(served.serves, 30), log.read_text()
            yield served
        finally:
            process.terminate()


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1")
def test_clients_that_trust_it_are_served_by_tls_1_2_or_newer(served: Served) -> None:
    assert served.status(newest=ssl.TLSVersion.TLSv1_2) == 200
    assert served.status(newest=ssl.TLSVersion.TLSv1_3) == 200
    with pytest.raises((ssl.SSLError, ConnectionError)):
        served.status(newest=ssl.TLSVersion.TLSv1_1)
    with pytest.raises(ssl.SSLCertVerificationError):
        served.status(trust=False)


SOCKETS = 500
HELLO = bytes.fromhex("16030102000100 01fc0303")  # the beginning of a ClientHello


def test_five_hundred_handshakes_that_drip_keep_nobody_waiting_and_are_ended(served: Served) -> None:
    with ExitStack() as stack:
        slow = [
            stack.enter_context(socket.create_connection(("127.0.0.1", served.port), timeout=20))
            for _ in range(SOCKETS)
        ]
        began, ended = monotonic(), threading.Event()
        dripper = threading.Thread(target=drip, args=(slow, ended))
        dripper.start()
        stack.callback(dripper.join, 20)
        stack.callback(ended.set)

        with ThreadPoolExecutor(20) as clients:
            answers = list(clients.map(lambda _: served.status(timeout=4), range(20)))

        assert answers == [200] * 20
        assert closed(slow) == 0, "the test did not measure what it says"
        assert wait_until(lambda: closed(slow) == SOCKETS, handshakes.HANDSHAKE_SECONDS + 10)
        assert monotonic() - began > handshakes.HANDSHAKE_SECONDS - 1
    assert served.log.read_text() == "", "who never shook hands is no news"


def drip(slow: list[socket.socket], ended: threading.Event) -> None:
    for one in slow:
        one.sendall(HELLO)
    while not ended.wait(1.0):
        for one in slow:
            try:
                one.sendall(b"x")
            except OSError:  # ended meanwhile, which the test counts
                continue


def closed(slow: list[socket.socket]) -> int:
    with selectors.DefaultSelector() as watch:
        for one in slow:
            watch.register(one, selectors.EVENT_READ)
        return len(watch.select(timeout=0))


def test_who_speaks_no_tls_is_turned_away_without_a_word_in_the_log(served: Served) -> None:
    with socket.create_connection(("127.0.0.1", served.port), timeout=10) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"HTTP" not in what_comes(plain)

    assert served.status() == 200
    assert served.log.read_text() == ""


def what_comes(plain: socket.socket) -> bytes:
    try:
        return plain.recv(1000)
    except ConnectionResetError:
        return b""
