"""What the operator asked for: read from the environment and the command line, checked before anything is started."""

from __future__ import annotations

import errno
import shlex
import socket
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psycopg2
import redis

from zkbio.launcher.state import DEMO_STATE, USUAL_STATE, StateDir
from zkbio.launcher.tls import Certificate
from zkbio.launcher.trouble import LaunchError

WILDCARDS = {"0.0.0.0", "::", "[::]", ""}  # noqa: S104 - recognised, not bound


@dataclass(frozen=True)
class Options:
    state: StateDir
    host: str = "0.0.0.0"  # noqa: S104 - terminals and clients call from other machines
    port: int = 8097
    admin_username: str | None = None
    admin_password: str | None = None
    database_url: str | None = None  # None: the embedded server
    redis_url: str | None = None
    demo: bool = False
    certificate: Certificate | None = None  # None: plain HTTP
    push_host: str = "0.0.0.0"  # noqa: S104
    push_port: int | None = None  # None: terminals that dial are served with everything else

    @property
    def url(self) -> str:
        return f"{'https' if self.certificate else 'http'}://{_named(self.host)}:{self.port}/"

    @property
    def push_url(self) -> str:
        """Without TLS always: many units don't speak it."""
        return f"http://{_named(self.push_host)}:{self.push_port}/" if self.push_port else self.url

    def command(self, **changed: object) -> str:
        """What to type for the same start, but for these variables."""
        default = DEMO_STATE if self.demo else USUAL_STATE
        kept: dict[str, object] = {} if self.state.root == default else {"STATE_DIR": self.state.root}
        if self.certificate and self.certificate != usual_certificate(self.state):
            kept |= {"CERT_FILE": self.certificate.cert, "KEY_FILE": self.certificate.key}
        kept |= {"PUSH_PORT": self.push_port} if self.push_port else {}
        words = [f"{name}={shlex.quote(str(value))}" for name, value in {**kept, **changed}.items()]
        chosen = {"--demo": self.demo, "--tls": self.certificate is not None}
        return " ".join([*words, "./script/start", *(word for word, wanted in chosen.items() if wanted)])


def read_options(environ: Mapping[str, str], arguments: Sequence[str] = ()) -> Options:
    unknown = [word for word in arguments if word not in {"--demo", "--tls"}]
    if unknown:
        raise LaunchError(
            f"./script/start knows no {unknown[0]!r}; its options are --demo and --tls (docs/operations.md)."
        )
    given = {name: value for name, value in environ.items() if value.strip()}
    demo = "--demo" in arguments
    state = StateDir(Path(given.get("STATE_DIR", DEMO_STATE if demo else USUAL_STATE)).absolute())
    host, port = given.get("API_HOST", Options.host), read_port(given.get("API_PORT", str(Options.port)))
    return Options(
        state=state,
        host=host,
        port=port,
        push_host=given.get("PUSH_HOST", host),
        push_port=read_push_port(given.get("PUSH_PORT", "0"), port),
        admin_username=given.get("ADMIN_USERNAME"),
        admin_password=given.get("ADMIN_PASSWORD"),
        database_url=read_url("DATABASE_URL", given.get("DATABASE_URL"), ("postgres", "postgresql")),
        redis_url=read_url("REDIS_URL", given.get("REDIS_URL"), ("redis", "rediss")),
        demo=demo,
        certificate=read_certificate_files(given, state, asked="--tls" in arguments),
    )


def usual_certificate(state: StateDir) -> Certificate:
    return Certificate(cert=state.root / "cert.pem", key=state.root / "key.pem")


def read_certificate_files(given: Mapping[str, str], state: StateDir, *, asked: bool) -> Certificate | None:
    """Who names a certificate or its key wants TLS, and with them; who asks for TLS gets what is missing made."""
    if not asked and not {"CERT_FILE", "KEY_FILE"} & given.keys():
        return None
    usual = usual_certificate(state)
    return Certificate(
        cert=Path(given.get("CERT_FILE", usual.cert)).absolute(),
        key=Path(given.get("KEY_FILE", usual.key)).absolute(),
        may_make=asked,
    )


def read_port(text: str, name: str = "API_PORT") -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise LaunchError(f"{name}={text} is no port; use one from 1 to 65535: {name}=8098 ./script/start")
    return int(text)


def read_push_port(text: str, port: int) -> int | None:
    """0 is none of its own."""
    if text == "0":
        return None
    own = read_port(text, "PUSH_PORT")
    if own == port:
        raise LaunchError(f"PUSH_PORT is API_PORT, {port}: leave it away, and terminals are served there too.")
    return own


def read_url(name: str, url: str | None, schemes: tuple[str, ...]) -> str | None:
    if url is None:
        return None
    form = f"write {name}={schemes[0]}://user:password@host/…, special characters percent-encoded"
    try:
        scheme, _ = urlsplit(url).scheme, urlsplit(url).port
    except ValueError as error:
        raise LaunchError(f"{name} can't be understood ({error}); {form}.") from error
    if scheme not in schemes:
        raise LaunchError(f"{name} begins with {url.partition(':')[0]!r}; {form}.")
    return url


def require_free_port(options: Options) -> None:
    """Binds each address and lets go of it again: says in words what the web server would only log."""
    _require_free("API", options.host, options.port, options)
    if options.push_port is not None:
        _require_free("PUSH", options.push_host, options.push_port, options)


def _require_free(whose: str, bound: str, port: int, options: Options) -> None:
    others = {"API_PORT": options.port} if whose == "PUSH" and options.port != Options.port else {}
    free = port + 1 if 1024 <= port < 65535 else 8097
    remedy = options.command(**others, **{f"{whose}_PORT": free})
    host = bound.strip("[]")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(1)
    except socket.gaierror as error:
        sentence = f"{whose}_HOST={host} is no address of this machine; {whose}_HOST=0.0.0.0 means all."
        raise LaunchError(sentence) from error
    except OSError as error:
        raise LaunchError(port_sentence(error, whose, bound, port, remedy)) from error


def port_sentence(error: OSError, whose: str, host: str, port: int, remedy: str) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} is taken by another program; choose another: {remedy}"
    if error.errno in {errno.EACCES, errno.EPERM}:
        return f"Ports below 1024 are root's, and {port} was asked for; choose another: {remedy}"
    return f"{whose}_HOST={host} is no address of this machine ({error.strerror}); {whose}_HOST=0.0.0.0 means all."


def _named(host: str) -> str:
    name = "localhost" if host in WILDCARDS else host
    return f"[{name}]" if ":" in name and not name.startswith("[") else name


def require_database(url: str) -> None:
    try:
        with closing(psycopg2.connect(url, connect_timeout=5)):
            return
    except psycopg2.Error as error:
        said = str(error).strip().splitlines()[0] if str(error).strip() else "no answer"
        raise LaunchError(f'DATABASE_URL can\'t be reached: {said}; try it with: psql "$DATABASE_URL"') from error


def require_redis(url: str) -> None:
    try:
        with redis.Redis.from_url(url, socket_timeout=5, socket_connect_timeout=5) as client:
            client.ping()
    except (redis.RedisError, ValueError, OSError) as error:
        raise LaunchError(
            f'REDIS_URL can\'t be reached: {error}; try it with: redis-cli -u "$REDIS_URL" ping'
        ) from error
