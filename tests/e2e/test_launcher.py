"""The commands as an operator runs them: real processes, their own state folders, ports and embedded servers."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from zkbio.launcher.processes import identify, wait_until
from zkbio.launcher.state import ROOT
from zkbio.launcher.throwaway import throwaway_state
from zkbio.launcher.valkey import free_port

PASSWORD = "a good long passphrase"
READY_SECONDS = 90


@dataclass
class Launch:
    process: subprocess.Popen[bytes]
    state_dir: Path
    port: int
    output: Path

    def said(self) -> str:
        return self.output.read_text()

    def await_ready(self) -> None:
        done = wait_until(lambda: "Ready after" in self.said() or self.process.poll() is not None, READY_SECONDS)
        assert done, self.said()
        assert self.process.poll() is None, self.said()

    def descendants(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def pid_of(self, part: str) -> int:
        """Of the first program below the launcher whose command line has that part."""
        return next(found.pid for found in self.descendants() if part in " ".join(found.cmdline()))

    def end(self, number: signal.Signals = signal.SIGTERM) -> float:
        """Seconds it took to stop."""
        began = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(timeout=60)
        return time.monotonic() - began


# As a script's "&" starts it: the shell hands SIGINT on as ignored.
IN_THE_BACKGROUND = ["/bin/sh", "-c", 'trap "" INT; exec "$0" "$@"']


@contextmanager
def launched(state_dir: Path, port: int, *arguments: str, **more: str) -> Iterator[Launch]:
    environ = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "STATE_DIR": str(state_dir), "API_PORT": str(port)}
    output = state_dir / f"output-{time.monotonic_ns()}"
    with output.open("wb") as file:
        process = subprocess.Popen(
            [*IN_THE_BACKGROUND, ROOT / "script" / "start", *arguments],
            env={**environ, "API_HOST": "127.0.0.1", **more},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    launch = Launch(process, state_dir, port, output)
    try:
        yield launch
    finally:
        if process.poll() is None:
            launch.end()


def outcome(launch: Launch) -> tuple[int, str]:
    """Of a start that gives up by itself."""
    return launch.process.wait(timeout=60), launch.said()


def login_page(port: int) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/admin/login/", headers={"Host": "localhost"})
        return connection.getresponse().status
    except OSError:
        return 0
    finally:
        connection.close()


@pytest.fixture
def state_dir() -> Iterator[Path]:
    with throwaway_state() as state:
        yield state.root


@pytest.fixture(scope="module")
def shared() -> Iterator[Launch]:
    """A running platform for the tests that leave it running."""
    with throwaway_state() as state, launched(state.root, free_port(), ADMIN_PASSWORD=PASSWORD) as launch:
        launch.await_ready()
        yield launch


def test_a_start_serves_and_keeps_a_given_password_to_itself(shared: Launch) -> None:
    assert login_page(shared.port) == 200
    assert f"http://127.0.0.1:{shared.port}/admin/" in shared.said()
    assert PASSWORD not in shared.said()


def test_a_second_start_says_that_one_is_running(shared: Launch) -> None:
    with launched(shared.state_dir, free_port()) as second:
        code, said = outcome(second)

    assert code == 1
    assert f"running already (process {shared.process.pid}, http://127.0.0.1:{shared.port}/)" in said


def test_manage_reaches_the_running_platform(shared: Launch) -> None:
    result = subprocess.run(
        [ROOT / "script" / "manage", "showmigrations", "--plan"],
        env={"PATH": os.environ["PATH"], "STATE_DIR": str(shared.state_dir)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert result.returncode == 0, result.stderr
    assert "[X]" in result.stdout
    assert "[ ]" not in result.stdout


def test_two_run_side_by_side_and_one_that_stops_leaves_nothing_behind(shared: Launch, state_dir: Path) -> None:
    with launched(state_dir, free_port(), ADMIN_PASSWORD=PASSWORD) as beside:
        beside.await_ready()
        assert [login_page(launch.port) for launch in (shared, beside)] == [200, 200]
        below = beside.descendants()

        assert beside.end() < 30

        assert beside.process.returncode == 0
        assert [found.pid for found in below if identify(found.pid)] == []
        order = re.findall(r"^(.+) stopped in", beside.said(), re.MULTILINE)
        assert order == ["Celery beat", "Celery worker", "Web server", "Redis", "PostgreSQL"]
        assert [login_page(launch.port) for launch in (shared, beside)] == [200, 0]


def test_servers_that_die_come_back(shared: Launch) -> None:
    os.kill(shared.pid_of("gunicorn"), signal.SIGKILL)
    os.kill(shared.pid_of("bin/postgres -D"), signal.SIGKILL)

    assert wait_until(lambda: "Web server stopped" in shared.said() and "PostgreSQL stopped" in shared.said(), 10)
    assert wait_until(lambda: login_page(shared.port) == 200, 30)
    assert wait_until(lambda: any("bin/postgres -D" in " ".join(p.cmdline()) for p in shared.descendants()), 30)


def test_after_a_kill_the_next_start_takes_the_servers_over(state_dir: Path) -> None:
    with launched(state_dir, free_port()) as launch:
        launch.await_ready()
        password = re.search(r"printed this once: (\S+)", launch.said())
        postgres, redis = launch.pid_of("bin/postgres -D"), launch.pid_of("valkey-server")
        others = [found for found in launch.descendants() if "zkbio" in " ".join(found.cmdline()[:5])]
        stale = [found.pid for found in others if found.pid not in {postgres, redis}]
        launch.process.kill()
        launch.process.wait(timeout=10)
    with launched(state_dir, launch.port) as heir:
        heir.await_ready()

        assert "ended what it left: Celery beat, Celery worker, Web server." in heir.said()
        assert heir.said().count("taken over") == 2
        assert identify(postgres) is not None
        assert identify(redis) is not None
        assert len(stale) > 2
        assert [pid for pid in stale if identify(pid)] == []
        assert password is not None
        assert password.group(1) not in heir.said()
        assert "the password was printed at the first start" in heir.said()

        heir.process.send_signal(signal.SIGINT)
        assert wait_until(lambda: "Stopping." in heir.said(), 10)
        assert heir.end(signal.SIGINT) < 30, "a second Ctrl-C changes nothing"
        assert heir.process.returncode == 0
    assert identify(postgres) is None
    assert identify(redis) is None


def test_a_stop_while_starting_leaves_nothing_behind(state_dir: Path) -> None:
    with launched(state_dir, free_port()) as launch:
        assert wait_until(lambda: "Collecting static files" in launch.said(), READY_SECONDS)
        below = launch.descendants()

        assert launch.end() < 30

        assert "Stopped before everything was up." in launch.said()
        assert [found.pid for found in below if identify(found.pid)] == []


def test_a_taken_port_is_one_sentence(state_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with launched(state_dir, port) as launch:
            code, said = outcome(launch)

    other_port = f"STATE_DIR={state_dir} API_PORT={port + 1} ./script/start"
    assert code == 1
    assert said.endswith(f"Port {port} is taken by another program; choose another: {other_port}\n")


def test_a_start_that_is_refused_leaves_no_state_folder(state_dir: Path) -> None:
    new = state_dir / "new"
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with launched(state_dir, port, "--demo", STATE_DIR=str(new)) as launch:
            code, said = outcome(launch)

    assert (code, said.endswith(f"STATE_DIR={new} API_PORT={port + 1} ./script/start --demo\n")) == (1, True)
    assert not new.exists()


def test_an_unreachable_database_is_one_sentence(state_dir: Path) -> None:
    with launched(state_dir, free_port(), DATABASE_URL=f"postgres://u:p@127.0.0.1:{free_port()}/zkbio") as launch:
        code, said = outcome(launch)

    assert code == 1
    assert "DATABASE_URL can't be reached: connection to server at" in said
    assert "Traceback" not in said


def test_a_guessable_administrator_password_is_refused(state_dir: Path) -> None:
    with launched(state_dir, free_port(), ADMIN_PASSWORD="admin") as launch:
        code, said = outcome(launch)

    assert code == 1
    assert "This password is too short." in said
    assert "Traceback" not in said


@pytest.mark.skipif(shutil.which("curl") is None, reason="the printed line needs curl")
def test_the_demos_printed_line_shows_punches_arriving(state_dir: Path) -> None:
    with launched(state_dir, free_port(), "--demo") as launch:
        launch.await_ready()
        line = next(line for line in launch.said().splitlines() if line.startswith("  curl "))
        environ = psutil.Process(launch.pid_of("devices.simulator")).environ()
        assert environ == {"PATH": environ["PATH"], "LC_ALL": "C", "PYTHONUNBUFFERED": "1"}, "it needs no secrets"

        def newest(asking: str = line) -> dict[str, Any]:
            answer = subprocess.run(["/bin/sh", "-c", asking], capture_output=True, text=True, timeout=30, check=True)
            return dict(json.loads(answer.stdout))

        assert wait_until(lambda: newest()["count"] != 0, 60), newest()
        first = newest()["count"]
        assert wait_until(lambda: newest()["count"] != first, 60), "no new punch arrived"
        assert all(punch["first_name"] for punch in newest()["data"]), "the people of the demo have names"

        assert f"DEMO0004 dials http://127.0.0.1:{launch.port}/ itself" in launch.said()
        dialling = line.replace("transactions/?", "transactions/?terminal_sn=DEMO0004&")
        told = newest(dialling)["count"]
        assert wait_until(lambda: newest(dialling)["count"] > told >= 500, 60), "nobody told of a punch by itself"
        terminals = newest(line.replace("transactions/?", "terminals/?sn=DEMO0004&"))["data"]
        assert [(terminal["alias"], terminal["state"]) for terminal in terminals] == [("Demo Canteen", "1")]
        assert "DEMO0004" not in (state_dir / "log" / "worker.log").read_text(), "nobody dials it"
        assert launch.end() < 30
