"""Every command that the documents print is run, as printed but for addresses and ports, by a shell."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from devices.simulator import SimulatedTerminal, TerminalSpec
from tests.e2e.test_launcher import PASSWORD, Launch, launched
from zkbio.launcher.programs import POSTGRES_MAJOR, POSTGRES_PACKAGE, package_folder
from zkbio.launcher.state import ROOT
from zkbio.launcher.throwaway import throwaway_state
from zkbio.launcher.valkey import free_port

_FENCED = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"(?:^|\n\n)((?:    .+\n)+)")
# Tested by name elsewhere: the start by tests/e2e/test_launcher.py, the other two by whoever runs this.
ELSEWHERE = {"./script/start --demo", "./script/test"}


def commands(document: str) -> list[str]:
    """The code blocks of a document that a reader would paste into a shell."""
    text = (ROOT / document).read_text()
    return [*_FENCED.findall(text), *(re.sub("^    ", "", block, flags=re.M) for block in _INDENTED.findall(text))]


@pytest.fixture(scope="module")
def gate() -> Iterator[SimulatedTerminal]:
    with SimulatedTerminal(TerminalSpec(serial="DOC0001")) as terminal:
        terminal.punch("1001")
        yield terminal


@pytest.fixture(scope="module")
def launch() -> Iterator[Launch]:
    with throwaway_state() as state, launched(state.root, free_port(), ADMIN_PASSWORD=PASSWORD) as running:
        running.await_ready()
        yield running


def run(script: str, launch: Launch, gate: SimulatedTerminal) -> subprocess.CompletedProcess[str]:
    here = script.replace("192.168.1.201", f"{gate.host} --port {gate.port}").replace(
        "localhost:8097", f"127.0.0.1:{launch.port}"
    )
    here = re.sub(r"\bvar(?=[/ \n])", str(launch.state_dir), here)
    environ = {
        "PATH": f"{package_folder(POSTGRES_PACKAGE)}/pginstall{POSTGRES_MAJOR}/bin:{os.environ['PATH']}",
        "STATE_DIR": str(launch.state_dir),
        "API_PORT": str(launch.port),
        "ADMIN_PASSWORD": PASSWORD,
    }
    return subprocess.run(
        ["sh", "-eu", "-c", here], cwd=ROOT, env=environ, capture_output=True, text=True, timeout=120, check=False
    )


def test_the_readme_begins_with_the_two_commands() -> None:
    assert [line.split("#")[0].strip() for line in commands("README.md")[0].splitlines()] == [
        "./script/start --demo",
        "./script/test",
    ]


def test_the_readmes_other_commands_do_what_they_say(launch: Launch, gate: SimulatedTerminal) -> None:
    adding, reading = commands("README.md")[1:]

    added, read = run(adding, launch, gate), run(reading, launch, gate)

    assert added.returncode == 0, added.stderr
    assert "front_gate" in added.stdout
    assert read.returncode == 0, read.stderr
    assert '"emp_code":"1001"' in read.stdout.replace(": ", ":")
    assert '"terminal_sn":"DOC0001"' in read.stdout.replace(": ", ":")


@pytest.mark.parametrize(("document", "but"), [("docs/api.md", ()), ("docs/devices.md", ("add_device", "simulator"))])
def test_the_documents_commands_run_one_after_the_other(
    document: str, but: tuple[str, ...], launch: Launch, gate: SimulatedTerminal
) -> None:
    """``but`` those that other tests run: the README's, and one that never ends."""
    script = "".join(block for block in commands(document) if not any(word in block for word in but))

    done = run(script, launch, gate)

    assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"


def test_a_backup_can_be_made_and_restored(launch: Launch, gate: SimulatedTerminal, tmp_path: Path) -> None:
    (backup,) = [block for block in commands("docs/operations.md") if "pg_dump" in block]
    (restore,) = [block for block in commands("docs/operations.md") if "pg_restore" in block]

    done = run(f"cd {tmp_path}\n{backup}{restore}", launch, gate)

    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "zkbio.dump").stat().st_size > 10_000


def test_the_simulators_command_starts_a_terminal(tmp_path: Path) -> None:
    (script,) = [script for script in commands("docs/devices.md") if "devices.simulator" in script]
    words = script.replace("4370", str(free_port())).split()

    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        process.terminate()

    assert '"serial": "SIM0001"' in line
    assert process.returncode == 0
