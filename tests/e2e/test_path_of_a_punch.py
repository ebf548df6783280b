"""The main job in real processes: a punch on a terminal becomes a row that an API client reads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.e2e.test_launcher import PASSWORD, Launch, launched
from zkbio.launcher.state import ROOT
from zkbio.launcher.throwaway import throwaway_state
from zkbio.launcher.valkey import free_port

SECONDS = 60
READ_BUFFER = 1504


class Terminals:
    """Two simulated terminals in a process of their own, steered over standard input."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "devices.simulator", "--count=2", "--port=0", "--control", "--log-size=3000"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.addresses = [self._line(), self._line()]

    def order(self, verb: str, serial: str, **arguments: object) -> dict[str, Any]:
        assert self._process.stdin is not None
        print(json.dumps({verb: {"serial": serial, **arguments}}), file=self._process.stdin, flush=True)
        answer = self._line()
        assert answer["ok"], answer
        return answer

    def end(self) -> None:
        self._process.terminate()
        self._process.wait(timeout=20)

    def _line(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line: dict[str, Any] = json.loads(self._process.stdout.readline())
        return line


class Client:
    """An HR system: it knows a base URL and a token."""

    def __init__(self, launch: Launch) -> None:
        self._base = f"http://127.0.0.1:{launch.port}"
        login = requests.post(
            f"{self._base}/api-token-auth/", json={"username": "Admin", "password": PASSWORD}, timeout=20
        )
        assert login.status_code == 200, login.text
        self._headers = {"Authorization": f"Token {login.json()['token']}"}

    def transactions(self, **filters: object) -> list[dict[str, Any]]:
        answer = requests.get(
            f"{self._base}/iclock/api/transactions/",
            params={"page_size": 50_000, "ordering": "id", **filters},
            headers=self._headers,
            timeout=60,
        )
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert body["count"] == len(body["data"])
        rows: list[dict[str, Any]] = body["data"]
        return rows

    def terminals(self) -> dict[str, str]:
        answer = requests.get(f"{self._base}/iclock/api/terminals/", headers=self._headers, timeout=20)
        return {row["sn"]: row["state"] for row in answer.json()["data"]}


def manage(launch: Launch, *arguments: str) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": os.environ["PATH"], "STATE_DIR": str(launch.state_dir), "API_PORT": str(launch.port)}
    return subprocess.run(
        [ROOT / "script" / "manage", *arguments], env=environ, capture_output=True, text=True, timeout=60, check=False
    )


def eventually(question: Callable[[], bool]) -> bool:
    end = time.monotonic() + SECONDS
    while not (answer := question()) and time.monotonic() < end:
        time.sleep(0.1)
    return answer


def ledger(terminals: Terminals, serial: str) -> list[tuple[str, str]]:
    state = terminals.order("state", serial)
    return sorted((user_id, at.replace("T", " ")) for user_id, at, *_codes in state["ledger"])


def rows(client: Client, serial: str) -> list[tuple[str, str]]:
    return sorted((row["emp_code"], row["punch_time"]) for row in client.transactions(terminal_sn=serial))


@pytest.fixture(scope="module")
def terminals() -> Iterator[Terminals]:
    running = Terminals()
    yield running
    running.end()


@pytest.fixture(scope="module")
def launch(terminals: Terminals) -> Iterator[Launch]:
    with (
        throwaway_state() as state,
        launched(state.root, free_port(), ADMIN_PASSWORD=PASSWORD, TICK_SECONDS="1") as running,
    ):
        running.await_ready()
        yield running


@pytest.fixture(scope="module")
def client(launch: Launch, terminals: Terminals) -> Client:
    for number, where in enumerate(terminals.addresses, start=1):
        name = ["--id", f"gate_{number}", "--name", f"Gate {number}"]
        added = manage(launch, "add_device", where["host"], "--port", str(where["port"]), *name, "--interval", "2")
        assert added.returncode == 0, added.stderr
    return Client(launch)


def test_two_punches_on_two_terminals_are_read_with_a_token(client: Client, terminals: Terminals) -> None:
    first, second = (where["serial"] for where in terminals.addresses)
    one = terminals.order("punch", first, user_id="1001", state=1, verify=15)
    other = terminals.order("punch", second, user_id="1002")

    assert eventually(lambda: len(client.transactions()) == 6_002)

    (row,) = client.transactions(terminal_sn=first, emp_code="1001", start_time=one["at"])
    assert row["punch_time"] == one["at"].replace("T", " ")
    assert (row["punch_state"], row["verify_type"], row["terminal_alias"]) == ("1", 15, "Gate 1")
    assert len(client.transactions(terminal_sn=second, emp_code="1002", start_time=other["at"])) == 1
    assert client.terminals() == {first: "1", second: "1"}


def test_a_connection_that_drops_in_a_transfer_loses_and_doubles_nothing(client: Client, terminals: Terminals) -> None:
    serial = terminals.addresses[0]["serial"]
    terminals.order("fault", serial, kind="Close", command=READ_BUFFER, after=20_000, times=1)
    at = terminals.order("punch", serial, user_id="1003")["at"]

    assert eventually(lambda: len(client.transactions(terminal_sn=serial, emp_code="1003", start_time=at)) == 1)

    assert rows(client, serial) == ledger(terminals, serial)
    assert client.terminals()[serial] == "1"


def test_the_command_line_does_what_the_worker_does(launch: Launch, client: Client, terminals: Terminals) -> None:
    done = manage(launch, "sync_devices", "--json")

    reports = [json.loads(line) for line in done.stdout.splitlines()]
    assert {report["device"] for report in reports} == {"gate_1", "gate_2"}
    assert {report["outcome"] for report in reports} <= {"ok", "unchanged", "busy"}, done.stderr
    for where in terminals.addresses:
        assert rows(client, where["serial"]) == ledger(terminals, where["serial"])


def test_the_log_of_the_worker_has_no_traceback(launch: Launch, client: Client) -> None:
    logs = [path.read_text(errors="replace") for path in Path(launch.state_dir / "log").glob("*.log")]

    assert logs
    assert [log for log in logs if "Traceback" in log] == []
