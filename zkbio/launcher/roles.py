"""The platform's own programs: how each is started, and for how long it may take its leave."""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from zkbio.launcher.environment import in_url_form
from zkbio.launcher.options import WILDCARDS, Options
from zkbio.launcher.owner import ENVIRON
from zkbio.launcher.processes import Running, recall, remember, spawn
from zkbio.launcher.state import ROOT, StateDir
from zkbio.launcher.supervisor import Service
from zkbio.launcher.tls import Certificate

WEB_WORKERS = 2
# Connections a process (the Celery worker opens one for a visit), and for how long one query may hold it up.
WEB_SETTINGS = {"DATABASE_POOL": "20", "DATABASE_LOCK_SECONDS": "2", "DATABASE_STATEMENT_SECONDS": "15"}
WORKER_THREADS = 50
PLAIN = ("--config", "python:zkbio.launcher.leaving")
BARE = {**ENVIRON, "PYTHONUNBUFFERED": "1"}  # the simulator plays other people's hardware: it gets none of our secrets
DEMO_TERMINALS = 4
DEMO_POLLED = 3  # the others dial
DEMO_FIRST, DEMO_DIALLING = "DEMO0001", "DEMO0004"
DEMO_PEOPLE = 36
DEMO_SEED = 7  # the same people at every start
NAMES = {
    "simulator": "Simulated terminals",
    "beat": "Celery beat",
    "worker": "Celery worker",
    "push": "Web server for terminals",
    "web": "Web server",
}
STOP_SECONDS = {"simulator": 1.0, "beat": 2.0, "worker": 6.0, "push": 5.0, "web": 5.0}


def commands(options: Options) -> dict[str, list[str]]:
    """What runs, in the order in which it is started; terminals have a web server of their own if they have a port."""
    push = {"push": push_command(options)} if options.push_port else {}
    return {"web": web_command(options), **push, "worker": worker_command(), "beat": beat_command()}


def settings_of(role: str, options: Options) -> dict[str, str]:
    """Those that only this role is given: with a port of their own, terminals are served there and there only."""
    if role not in {"web", "push"}:
        return {}
    return {**WEB_SETTINGS, **({"SERVE": role} if options.push_port else {})}


def web_command(options: Options) -> list[str]:
    ending = tls_words(options.certificate) if options.certificate else PLAIN
    return [*gunicorn(options.host, options.port), *ending]


def push_command(options: Options) -> list[str]:
    """Plain HTTP, whatever the other web server speaks: many units know nothing else."""
    if options.push_port is None:
        raise ValueError("Terminals have no port of their own.")
    return [*gunicorn(options.push_host, options.push_port), *PLAIN]


def gunicorn(bound: str, port: int) -> list[str]:
    host = in_url_form(bound.strip("[]"))
    return [
        *(sys.executable, "-m", "gunicorn", "zkbio.wsgi:application", "--bind", f"{host}:{port}"),
        *("--worker-class", "gevent", "--workers", str(WEB_WORKERS), "--worker-connections", "1000"),
        *("--timeout", "120", "--graceful-timeout", "4", "--keep-alive", "5"),
        *("--limit-request-line", "8190", "--limit-request-fields", "100", "--limit-request-field_size", "8190"),
        *("--log-level", "warning", "--no-control-socket"),
    ]


def tls_words(certificate: Certificate) -> list[str]:
    return [
        *("--config", "python:zkbio.launcher.handshakes"),
        *("--certfile", str(certificate.cert), "--keyfile", str(certificate.key)),
    ]


def worker_command() -> list[str]:
    """Quiet: Celery's banner is printed, not logged, and a program that prints onto a full disk ends."""
    return [
        *(sys.executable, "-m", "celery", "--quiet", "-A", "zkbio.celery:app", "worker", "--pool", "threads"),
        *("--concurrency", str(WORKER_THREADS), "--without-gossip", "--without-mingle", "--loglevel", "INFO"),
    ]


def beat_command() -> list[str]:
    """What is due stands in PostgreSQL, so beat keeps no file of its own, which a full disk would end it by."""
    return [
        *(sys.executable, "-m", "celery", "--quiet", "-A", "zkbio.celery:app", "beat"),
        *("--scheduler", "celery.beat:Scheduler", "--pidfile=", "--loglevel", "INFO"),
    ]


def devices_file_command() -> list[str]:
    return [sys.executable, str(ROOT / "manage.py"), "import_devices", "--at-start"]


def simulator_command(first_port: int, options: Options) -> list[str]:
    return [
        *(sys.executable, "-m", "devices.simulator", "--count", str(DEMO_TERMINALS), "--port", str(first_port)),
        *("--people", str(DEMO_PEOPLE), "--seed", str(DEMO_SEED), "--punch-every", "3", "--log-size", "500"),
        *("--serial", DEMO_FIRST, "--push-url", dialled_url(options), "--push-only"),
        *("--pushers", str(DEMO_TERMINALS - DEMO_POLLED)),
        *(["--push-insecure"] if dialled_url(options).startswith("https:") else []),
    ]


def dialled_url(options: Options) -> str:
    """Where the demo's terminal dials to, which is on this machine: by an address, whatever the machine is called."""
    apart = options.push_port is not None
    host, port = (options.push_host, options.push_port) if apart else (options.host, options.port)
    return f"{'https' if options.certificate and not apart else 'http'}://{in_url_form(reachable(host))}:{port}/"


def reachable(bound: str) -> str:
    """The address by which a program of this machine reaches who listens there."""
    host = bound.strip("[]")
    return host if host not in WILDCARDS else "::1" if ":" in host else "127.0.0.1"


def service(key: str, command: Sequence[str], *, environ: Mapping[str, str], state: StateDir) -> Service:
    record = state.run / f"{key}.json"

    def launch() -> Running:
        running = spawn(command, environ=environ, log=state.log / f"{key}.log", cwd=ROOT, user={})
        remember(record, running)
        return running

    def end(running: Running) -> None:
        running.stop(signal.SIGTERM, STOP_SECONDS[key])
        record.unlink(missing_ok=True)

    return Service(NAMES[key], launch, end)


def stop_leftovers(state: StateDir) -> list[str]:
    """Ends what a killed launcher left behind, and only that; gives the names of what there was."""
    return [NAMES[key] for key in NAMES if stop_leftover(state.run / f"{key}.json", STOP_SECONDS[key])]


def stop_leftover(record: Path, seconds: float) -> bool:
    left = recall(record)
    if left is not None:
        left.stop(signal.SIGTERM, seconds)
    record.unlink(missing_ok=True)
    return left is not None
