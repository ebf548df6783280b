"""The embedded PostgreSQL: one cluster in the state folder, reached by Unix socket and password only."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

import psycopg2

from zkbio.launcher import programs, secret_file
from zkbio.launcher.owner import ENVIRON, Owner, server_owner
from zkbio.launcher.processes import Identity, Running, identify, spawn, wait_until
from zkbio.launcher.state import StateDir, write_private
from zkbio.launcher.trouble import LaunchError

NAME = "zkbio"  # of the role and of its database
SUPERUSER = "postgres"
SOCKET_BASE = Path("/tmp")  # noqa: S108 - short, and the folder below it is unguessable and checked
OUTSIDE_BASES = (Path("/var/lib"), Path("/var/tmp"))  # noqa: S108 - neither is wiped at a reboot
WAL_SEGMENT_BYTES = 16 * 1024 * 1024  # less than this free, and PostgreSQL can't go on
READY_SECONDS = 120.0  # recovery after a crash included

# Written into postgresql.conf once, for the operator to change later.
INITIAL_SETTINGS = {
    "max_connections": "300",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] ",
    # Statements and row contents stay out of the log: they hold secrets and people's data.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}
THROW_AWAY_SETTINGS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class EmbeddedPostgres:
    """A cluster below `state_dir`. `durable=False` is for tests: a power cut may then damage it."""

    def __init__(self, state_dir: Path, *, durable: bool = True) -> None:
        self.state = StateDir(state_dir)
        self.durable = durable
        self.owner = server_owner()
        self.running: Running | None = None

    @property
    def url(self) -> str:
        return self._url(NAME, self._secrets()["POSTGRES_PASSWORD"], NAME)

    @property
    def superuser_url(self) -> str:
        return self._url(SUPERUSER, self._secrets()["POSTGRES_SUPERUSER_PASSWORD"], SUPERUSER)

    @property
    def data(self) -> Path:
        return self.home() / "data"

    def _secrets(self) -> dict[str, str]:
        return secret_file.load_or_make(self.state.root / "secrets.env")

    def _url(self, role: str, password: str, database: str) -> str:
        """The socket's folder stands where a host would, percent-encoded; it is lower-case, as parsers make hosts."""
        return f"postgres://{role}:{quote(password)}@{quote(str(self.socket_dir()), safe='')}/{database}"

    # -- folders

    def home(self) -> Path:
        """STATE_DIR/postgres, or where that link points when the server's user can't reach STATE_DIR."""
        link = self.state.root / "postgres"
        if link.is_symlink() and not link.exists():
            raise LaunchError(f"{link} points to {link.readlink()}, which is gone; bring it back or remove the link.")
        return (link if link.exists() else self._make_home(link)).resolve()

    def _make_home(self, link: Path) -> Path:
        link.mkdir(mode=0o700)
        if not self.owner.is_other:
            return link
        link.chmod(0o711)
        if self.owner.can_enter(link):
            return link
        link.rmdir()
        outside = next(
            (base for base in OUTSIDE_BASES if os.access(base, os.W_OK) and self.owner.can_enter(base)), None
        )
        if outside is None:
            raise LaunchError(
                f"PostgreSQL runs as {self.owner.name}, who can reach neither {self.state.root} nor /var/lib; "
                "choose another folder: STATE_DIR=/srv/zkbio ./script/start"
            )
        folder = Path(tempfile.mkdtemp(prefix="zkbio-", dir=outside))
        folder.chmod(0o711)
        link.symlink_to(folder)
        print(f"  {self.owner.name} can't reach {self.state.root}: PostgreSQL's data goes to {folder}", flush=True)
        return folder

    def socket_dir(self) -> Path:
        """A folder with an unguessable short name (paths of sockets end at 107 bytes), kept while it is ours."""
        note = self.state.run / "postgres-socket"
        if note.exists():
            folder = Path(note.read_text().strip())
            if is_private(folder, self.owner):
                return folder
        folder = SOCKET_BASE / f"zkbio-{secrets.token_hex(8)}"
        folder.mkdir(mode=0o700)
        if self.owner.is_other:
            os.chown(folder, self.owner.uid, self.owner.gid)
        write_private(note, f"{folder}\n")
        return folder

    # -- the cluster

    def prepare(self) -> None:
        """Folders, secrets, and at the first start the cluster itself."""
        self.state.prepare()
        home = self.home()
        if not (self.state.root / "secrets.env").exists() and self.data.exists():
            raise LaunchError(
                f"{self.data} holds a database, but {self.state.root}/secrets.env with its keys is gone; restore that "
                f"file from a backup, or start empty: mv '{self.state.root}' '{self.state.root}.old'"
            )
        if not self.owner.can_enter(home):
            raise LaunchError(
                f"{self.owner.name}, as whom PostgreSQL runs, can no longer enter {home}; see: namei -l {home}"
            )
        if not self.data.exists():
            self.state.require_space()
            self._make_cluster(home)
        version = (self.data / "PG_VERSION").read_text().strip()
        if version != programs.POSTGRES_MAJOR:
            raise LaunchError(
                f"{self.data} was made by PostgreSQL {version}, this release has {programs.POSTGRES_MAJOR}; "
                "docs/operations.md, 'Moving to another PostgreSQL', says how the data gets across."
            )

    def _make_cluster(self, home: Path) -> None:
        fresh, password_file = home / "data.new", home / "password"
        shutil.rmtree(fresh, ignore_errors=True)  # of a start that was cut off
        password_file.unlink(missing_ok=True)
        fresh.mkdir(mode=0o700)
        write_private(password_file, self._secrets()["POSTGRES_SUPERUSER_PASSWORD"])
        if self.owner.is_other:
            os.chown(fresh, self.owner.uid, self.owner.gid)
            os.chown(password_file, self.owner.uid, self.owner.gid)
        try:
            made = self.owner.run(self._initdb_command(fresh, password_file), seconds=120)
        finally:
            password_file.unlink()
        if made.returncode:
            raise LaunchError(f"PostgreSQL's initdb failed: {last_line(made.stderr)}")
        fresh.rename(home / "data")

    def _initdb_command(self, folder: Path, password_file: Path) -> list[str | Path]:
        settings = [f"--set={name}={value}" for name, value in INITIAL_SETTINGS.items()]
        return [
            programs.postgres_programs(self.owner, self.home()) / "initdb",
            *("--pgdata", folder, "--username", SUPERUSER, "--pwfile", password_file),
            *("--auth=scram-sha-256", "--encoding=UTF8", "--data-checksums"),
            *("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
            *settings,
            *(() if self.durable else ("--no-sync",)),
        ]

    # -- the server

    def launch(self) -> Running:
        """Starts the server, or takes over the one that an earlier launcher left; returns before it is ready."""
        found = self.find_running()
        if found and f"unix_socket_directories={self.socket_dir()}" not in found.identity.command:
            found.stop(signal.SIGINT, 15.0)  # nobody can reach it: its folder was swept out of /tmp
            found = None
        self.running = found or spawn(
            self._server_command(),
            environ=ENVIRON,
            log=self.state.log / "postgres.log",
            cwd=Path("/"),
            user=self.owner.arguments(),
        )
        return self.running

    def find_running(self) -> Running | None:
        """The server whose number stands in the cluster's own lock file, if it is one, on this cluster."""
        pid_file = self.data / "postmaster.pid"
        try:
            identity = identify(int(pid_file.read_text().splitlines()[0]))
        except (FileNotFoundError, ValueError, IndexError):
            return None
        if identity and self._is_our_server(identity):
            return Running(identity)
        if written_before_boot(pid_file):  # its number now means some other process, which PostgreSQL would believe
            pid_file.unlink()
        return None

    def _is_our_server(self, identity: Identity) -> bool:
        return identity.command[0].endswith("/bin/postgres") and str(self.data) in identity.command

    def _server_command(self) -> list[str | Path]:
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.socket_dir()),
            "unix_socket_permissions": "0700",
            **({} if self.durable else THROW_AWAY_SETTINGS),
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return [programs.postgres_programs(self.owner, self.home()) / "postgres", "-D", self.data, *options]

    def wait_ready(self, seconds: float = READY_SECONDS) -> None:
        """Until it takes the superuser's password; then sees to the platform's role and database."""
        deadline = time.monotonic() + seconds
        wait_until(lambda: self._answers() or not self._alive(), seconds)
        if not self._alive():
            self.state.require_space(WAL_SEGMENT_BYTES)
            raise LaunchError(f"PostgreSQL did not start: {last_line_of(self.state.log / 'postgres.log')}")
        if time.monotonic() >= deadline:
            raise LaunchError(f"PostgreSQL was not ready after {seconds:.0f} s; see {self.state.log}/postgres.log")
        self._ensure_database()

    def _alive(self) -> bool:
        return self.running is not None and self.running.alive()

    def _answers(self) -> bool:
        try:
            psycopg2.connect(self.superuser_url, connect_timeout=5).close()
        except psycopg2.OperationalError:
            return False
        return True

    def _ensure_database(self) -> None:
        """The platform's role owns its database and is no superuser; tests may make databases with it."""
        right = "NOCREATEDB" if self.durable else "CREATEDB"
        with closing(psycopg2.connect(self.superuser_url, connect_timeout=5)) as connection:
            connection.autocommit = True
            cursor = connection.cursor()
            cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (NAME,))
            if cursor.fetchone() is None:
                password = (self._secrets()["POSTGRES_PASSWORD"],)
                cursor.execute(f"CREATE ROLE {NAME} LOGIN NOSUPERUSER {right} PASSWORD %s", password)
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (NAME,))
            if cursor.fetchone() is None:
                cursor.execute(f"CREATE DATABASE {NAME} OWNER {NAME}")
                cursor.execute(f"REVOKE CONNECT ON DATABASE {NAME} FROM PUBLIC")

    def start(self) -> None:
        self.prepare()
        self.launch()
        self.wait_ready()

    def stop(self, seconds: float = 15.0) -> None:
        """Fast: open transactions are rolled back, the cluster is closed in order."""
        self._end(signal.SIGINT, seconds)

    def stop_immediately(self) -> None:
        """As a power cut would: no checkpoint; the next start recovers from the log."""
        self._end(signal.SIGQUIT, 10.0)

    def _end(self, first: signal.Signals, seconds: float) -> None:
        if self.running is None:
            return
        self.running.send(first)
        if not self.running.wait(seconds):
            self.running.stop(signal.SIGQUIT, 5.5)  # it kills its own backends after 5 s
        self.running.collect()
        self.running = None

    def remove_socket_dir(self) -> None:
        """After an orderly stop, so that /tmp stays clean; the next start makes another."""
        shutil.rmtree(self.socket_dir())
        (self.state.run / "postgres-socket").unlink()


def is_private(folder: Path, owner: Owner) -> bool:
    """Whether it is a real folder of that user's which nobody else may enter."""
    try:
        status = folder.lstat()
    except FileNotFoundError:
        return False
    return status.st_uid == owner.uid and status.st_mode & 0o177777 == 0o040700


def written_before_boot(path: Path) -> bool:
    booted = time.time() - float(Path("/proc/uptime").read_text().split()[0])
    return path.stat().st_mtime < booted - 60


def last_line(text: str) -> str:
    return next((line for line in reversed(text.strip().splitlines()) if line.strip()), "it said nothing")


def last_line_of(log: Path) -> str:
    """The last complaint of a server's log, without its time stamp."""
    tail = log.read_bytes()[-8192:].decode(errors="replace") if log.exists() else ""
    fatal = [line for line in tail.splitlines() if "FATAL" in line or "PANIC" in line]
    said = re.sub(r"^.*?(FATAL|PANIC): +", "", last_line(fatal[-1] if fatal else tail))
    return f"{said} (see {log})"


@contextmanager
def embedded_postgres(state_dir: Path, *, durable: bool = True) -> Iterator[str]:
    """A server for the length of a block; gives the URL of its empty database."""
    server = EmbeddedPostgres(state_dir, durable=durable)
    try:
        server.start()
        yield server.url
    finally:
        server.stop()
        server.remove_socket_dir()
