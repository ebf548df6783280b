"""The demo's simulated terminals: ports that stay, and the line that shows punches arriving."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

from zkbio.launcher.options import Options
from zkbio.launcher.roles import DEMO_DIALLING, DEMO_POLLED, dialled_url
from zkbio.launcher.state import write_private
from zkbio.launcher.trouble import LaunchError
from zkbio.launcher.valkey import can_listen

FIRST_PORT = 4370


def choose_first_port(note: Path) -> int:
    """The first of DEMO_POLLED neighbouring free ports; the same as last time if they are free."""
    candidates = list(range(FIRST_PORT, FIRST_PORT + 50 * DEMO_POLLED, DEMO_POLLED))
    if note.exists():
        candidates.insert(0, int(note.read_text()))
    for first in candidates:
        if all(can_listen(port) for port in range(first, first + DEMO_POLLED)):
            write_private(note, f"{first}\n")
            return first
    raise LaunchError(
        f"No {DEMO_POLLED} neighbouring ports are free for the simulated terminals; see who has them: ss -ltnp"
    )


def announced(log: Path, offset: int) -> list[dict[str, str | int]]:
    """What the simulator has said since that place in its log: one JSON line a terminal."""
    if not log.exists():
        return []
    lines = log.read_bytes()[offset:].decode(errors="replace").splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("\n")]


def entering(terminals: list[dict[str, str | int]]) -> list[str]:
    """The command that registers those that can be dialled."""
    listening = [terminal for terminal in terminals if "port" in terminal]
    return [sys.executable, "-m", "zkbio.launcher.demo_entries", json.dumps(listening)]


def preparing() -> list[str]:
    """The command for what has to be there before any of them is switched on."""
    return [sys.executable, "-m", "zkbio.launcher.demo_entries", "prepare"]


def whereabouts(terminals: list[dict[str, str | int]]) -> str:
    listening = [f"{terminal['serial']} on port {terminal['port']}" for terminal in terminals if "port" in terminal]
    return ", ".join([*listening, *(f"{terminal['serial']} dials" for terminal in terminals if "push" in terminal)])


def who_dials(options: Options) -> str:
    return f"The simulated terminal {DEMO_DIALLING} dials {dialled_url(options)} itself (PUSH); the others are polled."


def curl_line(options: Options, *, username: str, password: str | None) -> str:
    """Logs in and reads the newest punches; the password stands in it only if it was made in this run."""
    asked = "" if password else ': "${ADMIN_PASSWORD:?set it to the password of the first start}" && '
    secret = shlex.quote(f"password={password}") if password else '"password=$ADMIN_PASSWORD"'
    login = f"--data-urlencode {shlex.quote(f'username={username}')} --data-urlencode {secret}"
    curl = f"curl -s --cacert {shlex.quote(str(options.certificate.cert))}" if options.certificate else "curl -s"
    token = f'{curl} {login} {options.url}api-token-auth/ | sed \'s/.*"token": *"\\([^"]*\\)".*/\\1/\''
    punches = f"'{options.url}iclock/api/transactions/?ordering=-id&page_size=3'"
    return f'{asked}{curl} -H "Authorization: Token $({token})" {punches}'
