"""./script/start: brings everything up in order, says what it does, supervises it, and stops it in order."""

from __future__ import annotations

import fcntl
import http
import http.client
import os
import secrets
import signal
import ssl
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from zkbio.launcher import demo, roles
from zkbio.launcher.environment import own_names, program_environment
from zkbio.launcher.options import Options, read_options, require_database, require_free_port, require_redis
from zkbio.launcher.postgres import EmbeddedPostgres, last_line
from zkbio.launcher.processes import Running, recall, spawn, wait_until
from zkbio.launcher.signals import StopSignals
from zkbio.launcher.state import ROOT, StateDir, keep_start_settings
from zkbio.launcher.supervisor import Service, Supervisor, say
from zkbio.launcher.trouble import LaunchError, StopRequestedError
from zkbio.launcher.valkey import EmbeddedValkey

STEP_SECONDS = 600.0
WEB_SECONDS = 90.0
TEND_SECONDS = 0.5
AS_ROOT = (
    "You are root, and so will be the web server, the worker and Redis: better start it as an ordinary user "
    "(docs/operations.md, 'As a service')."
)


def start(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    began = began_at(environ)
    options = read_options(environ, arguments)
    if not options.state.root.exists():
        require_all(options)
    options.state.prepare()
    signals = StopSignals()
    signals.install()
    if os.geteuid() == 0:
        say(AS_ROOT)
    with the_only_start(options):
        return Start(options, environ, signals, began).run()


def began_at(environ: Mapping[str, str]) -> float:
    """When the operator pressed return: script/bootstrap.py says it, so that its installing counts too."""
    return float(environ.get("BOOTSTRAP_BEGAN") or time.monotonic())


def require_all(options: Options) -> None:
    """What would refuse the start a moment later, asked before there is a state folder."""
    require_free_port(options)
    if options.database_url is not None:
        require_database(options.database_url)
    if options.redis_url is not None:
        require_redis(options.redis_url)


@contextmanager
def the_only_start(options: Options) -> Iterator[None]:
    """One launcher for one state folder; the lock ends with the process, however that ends."""
    descriptor = os.open(options.state.run / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(descriptor, 1000, 0).decode() or "it is just starting"
            raise LaunchError(
                f"It is running already ({holder.strip()}) with the state folder {options.state.root}; "
                f"for a second one beside it: {beside(options)}"
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()}, {options.url}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def beside(options: Options) -> str:
    ports = {"API_PORT": 8098, **({"PUSH_PORT": options.push_port + 1} if options.push_port else {})}
    return options.command(STATE_DIR="/another/folder", **ports)


@contextmanager
def step(title: str) -> Iterator[list[str]]:
    """Says what is done and how long it took; what is appended to the list is said at its end."""
    remarks: list[str] = []
    began = time.monotonic()
    say(f"{title} ...")
    yield remarks
    say("".join(f"  {remark}\n" for remark in remarks) + f"  {time.monotonic() - began:.1f} s")


class Start:
    def __init__(self, options: Options, environ: Mapping[str, str], signals: StopSignals, began: float) -> None:
        self.options = options
        self.state: StateDir = options.state
        self.signals = signals
        self.base = environ
        self.began = began
        self.environ: dict[str, str] = {}
        self.supervisor = Supervisor(options.state.log)
        self.made_password: str | None = None

    def run(self) -> int:
        try:
            self.bring_up()
            while not self.signals.requested:
                self.supervisor.tend()
                time.sleep(TEND_SECONDS)
        except StopRequestedError:
            say("Stopped before everything was up.")
        finally:
            if self.supervisor.services:
                say("Stopping.")
            self.supervisor.stop_all()
        return 0

    def bring_up(self) -> None:
        self.clear_away()
        require_free_port(self.options)
        self.certificate()
        database_url, redis_url = self.stores()
        self.environ = program_environment(self.base, self.options, database_url=database_url, redis_url=redis_url)
        keep_start_settings(self.state, self.environ)
        self.django_step("Migrating the database", "migrate", "--noinput", "-v", "1")
        self.devices_file()
        self.django_step("Collecting static files", "collectstatic", "--noinput", "-v", "0")
        self.administrator()
        self.programs()
        if self.options.demo:
            self.terminals()
        self.summary()

    def clear_away(self) -> None:
        left = roles.stop_leftovers(self.state)
        if left:
            say(f"An earlier start was killed; ended what it left: {', '.join(left)}.")

    def certificate(self) -> None:
        if self.options.certificate is not None:
            with step("Looking after the certificate") as remarks:
                remarks.extend(self.options.certificate.prepare(own_names(self.options.host)))

    # -- PostgreSQL and Redis

    def stores(self) -> tuple[str, str]:
        return self.database(), self.redis()

    def database(self) -> str:
        if self.options.database_url is not None:
            with step("Reaching the database of DATABASE_URL"):
                self.stop_unused_postgres()
                require_database(self.options.database_url)
            return self.options.database_url
        server = EmbeddedPostgres(self.state.root)
        with step("Starting PostgreSQL (embedded)") as remarks:
            server.prepare()
            taken_over = server.find_running() is not None
            self.supervisor.start(Service("PostgreSQL", server.launch, lambda _: end_postgres(server)))
            with self.signals.interruptible():
                server.wait_ready()
            remarks.append(
                f"taken over from a killed start, data in {server.data}" if taken_over else f"data in {server.data}"
            )
        return server.url

    def stop_unused_postgres(self) -> None:
        if (self.state.root / "postgres").exists():
            server = EmbeddedPostgres(self.state.root)
            server.running = server.find_running()
            server.stop()

    def redis(self) -> str:
        server = EmbeddedValkey(self.state.root)
        if self.options.redis_url is not None:
            with step("Reaching the Redis of REDIS_URL"):
                roles.stop_leftover(server.record, 5.0)
                require_redis(self.options.redis_url)
            return self.options.redis_url
        with step("Starting Redis (embedded Valkey)") as remarks:
            server.prepare()
            taken_over = recall(server.record) is not None
            self.supervisor.start(Service("Redis", server.launch, lambda _: server.stop(2.0)))
            with self.signals.interruptible():
                server.wait_ready()
            remarks.append(f"{'taken over, ' if taken_over else ''}127.0.0.1:{server.port()}, data in {server.folder}")
        return server.url

    # -- Django

    def django_step(self, title: str, *arguments: str) -> None:
        with step(title):
            self.run_once(arguments[0], [sys.executable, str(ROOT / "manage.py"), *arguments], {})

    def run_once(self, name: str, command: Sequence[str], extra: Mapping[str, str]) -> str:
        """Runs it to its end; gives the last line it said. Its failure is this start's."""
        log = self.state.log / f"{name}.log"
        log.unlink(missing_ok=True)
        running = spawn(command, environ={**self.environ, **extra}, log=log, cwd=ROOT, user={})
        try:
            with self.signals.interruptible():
                ended = running.wait(STEP_SECONDS)
        finally:
            running.stop(signal.SIGTERM, 5.0)
        said = last_line(log.read_text(errors="replace"))
        if not ended or running.child is None or running.child.returncode:
            reason = said.rpartition("ImproperlyConfigured: ")[2]
            raise LaunchError(f"The step '{name}' failed: {reason} (all of it: {log})")
        return said

    def devices_file(self) -> None:
        """Here, so that the web server's processes don't race for it. Whatever it holds stops nothing."""
        if "DEVICES_FILE" not in self.environ:
            return
        with step(f"Loading {self.environ['DEVICES_FILE']}") as remarks:
            try:
                remarks.append(self.run_once("import_devices", roles.devices_file_command(), {}))
            except LaunchError as error:
                remarks.append(str(error))

    def administrator(self) -> None:
        name = self.options.admin_username or "admin"
        password = self.options.admin_password or secrets.token_urlsafe(15)
        given = {
            "ADMIN_USERNAME": name,
            "ADMIN_PASSWORD": password,
            "ADMIN_USERNAME_GIVEN": str(int(bool(self.options.admin_username))),
        }
        with step("Looking after the administrator") as remarks:
            said = self.run_once("administrator", [sys.executable, "-m", "zkbio.launcher.administrator"], given)
            remarks.append(self.about_administrator(name, password, created=said == "created"))

    def about_administrator(self, name: str, password: str, *, created: bool) -> str:
        if not created:
            ignored = "; ADMIN_PASSWORD is only used when the user is created" if self.options.admin_password else ""
            remedy = f"./script/manage changepassword {name}"
            return f"there is one; the password was printed at the first start{ignored}. To set a new one: {remedy}"
        if self.options.admin_password:
            return f"created {name}, with the password of ADMIN_PASSWORD"
        self.made_password = password
        return f"created {name}; the password, printed this once: {password}"

    # -- the platform's own programs

    def programs(self) -> None:
        options = self.options
        apart = f", another for terminals on {options.push_host}:{options.push_port}" if options.push_port else ""
        with step(f"Starting the web server on {options.host}:{options.port}{apart}, Celery worker and beat"):
            for key, command in roles.commands(options).items():
                # The operator's own settings win, but not over who serves what.
                special = roles.settings_of(key, options)
                environ = special | self.environ | {name: special[name] for name in special if name == "SERVE"}
                self.supervisor.start(roles.service(key, command, environ=environ, state=self.state))
            with self.signals.interruptible():
                self.await_web("web", lambda: answers(self.options, self.environ))
                if options.push_port:
                    self.await_web("push", lambda: serves_terminals(self.options))

    def await_web(self, key: str, is_up: Callable[[], bool]) -> None:
        web = next(service for service in self.supervisor.services if service.name == roles.NAMES[key])
        ready = wait_until(lambda: is_up() or not is_alive(web.running), WEB_SECONDS)
        if not ready or not is_alive(web.running):
            log = self.state.log / f"{key}.log"
            raise LaunchError(
                f"The {web.name[0].lower()}{web.name[1:]} did not answer: "
                f"{last_line(log.read_text(errors='replace'))} (see {log})"
            )

    def terminals(self) -> None:
        with step(f"Starting {roles.DEMO_TERMINALS} simulated terminals and registering them") as remarks:
            log = self.state.log / "simulator.log"
            offset = log.stat().st_size if log.exists() else 0
            self.run_once("demo", demo.preparing(), {})
            command = roles.simulator_command(demo.choose_first_port(self.state.run / "demo-port"), self.options)
            self.supervisor.start(roles.service("simulator", command, environ=roles.BARE, state=self.state))
            with self.signals.interruptible():
                wait_until(lambda: len(demo.announced(log, offset)) == roles.DEMO_TERMINALS, 30.0)
            found = demo.announced(log, offset)
            if len(found) != roles.DEMO_TERMINALS:
                raise LaunchError(f"The simulated terminals did not start: {last_line(log.read_text())} (see {log})")
            self.run_once("demo", demo.entering(found), {})
            remarks.append(demo.whereabouts(found))

    def summary(self) -> None:
        name = self.options.admin_username or "admin"
        curl = demo.curl_line(self.options, username=name, password=self.made_password)
        seconds = time.monotonic() - self.began
        say(f"\nReady after {seconds:.1f} s: {self.options.url}admin/ (log in as {name}); Ctrl-C stops everything.")
        if self.options.push_port:
            say(f"Terminals that dial are served on {self.options.push_url} and nowhere else.")
        if self.options.demo:
            say(demo.who_dials(self.options))
        say(f"State: {self.state.root}, logs: {self.state.log}")
        arriving = "See punches arrive, the first within ten seconds"
        say(f"{arriving if self.options.demo else 'Read the newest punches'}:\n  {curl}\n")


def end_postgres(server: EmbeddedPostgres) -> None:
    server.stop(4.0)
    server.remove_socket_dir()


def is_alive(running: Running | None) -> bool:
    return running is not None and running.alive()


def answers(options: Options, environ: Mapping[str, str]) -> bool:
    """Whether the log-in page is served; asked under a name that ALLOWED_HOSTS lets in."""
    name = environ["ALLOWED_HOSTS"].split(",")[0].strip().lstrip(".*") or "localhost"
    host = roles.reachable(options.host)
    connection = http.client.HTTPConnection(host, options.port, timeout=10)
    if options.certificate:  # ours, whatever names it holds
        context = ssl._create_unverified_context()  # noqa: S323
        connection = http.client.HTTPSConnection(host, options.port, timeout=10, context=context)
    try:
        connection.request("GET", "/admin/login/", headers={"Host": name})
        return connection.getresponse().status < 400
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def serves_terminals(options: Options) -> bool:
    """Whether a unit gets an answer; one that tells no serial number gets none that is worth anything."""
    connection = http.client.HTTPConnection(roles.reachable(options.push_host), options.push_port, timeout=10)
    try:
        connection.request("GET", "/iclock/ping")
        return connection.getresponse().status == http.HTTPStatus.BAD_REQUEST
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
