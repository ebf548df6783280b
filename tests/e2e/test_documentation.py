"""Every command that the documents print is run, as printed but for addresses and ports, by a shell."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from devices.simulator import SimulatedTerminal, TerminalSpec
from tests.e2e.test_launcher import PASSWORD, Launch, launched
from zkbio.launcher.state import ROOT
from zkbio.launcher.throwaway import throwaway_state
from zkbio.launcher.valkey import free_port

_FENCED = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"(?:^|\n\n)((?:    .+\n)+)")
# Tested by name elsewhere: the start by tests/e2e/test_launcher.py, the other two by whoever runs this.
# A documented request that is refused ends the shell.
STRICT_CURL = 'curl() { command curl --fail "$@"; }\n'
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


@pytest.fixture(scope="module")
def checkout(launch: Launch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a reader stands in: the commands, the environment, and the state of the platform that runs."""
    made = tmp_path_factory.mktemp("checkout")
    for name, target in {"script": ROOT / "script", ".venv": Path(sys.prefix), "var": launch.state_dir}.items():
        (made / name).symlink_to(target)
    return made


def run(script: str, launch: Launch, gate: SimulatedTerminal, checkout: Path) -> subprocess.CompletedProcess[str]:
    in_json = f'"ip": "{gate.host}", "port": {gate.port}'
    here = (
        script.replace('"ip": "192.168.1.201"', in_json)
        .replace("192.168.1.201", f"{gate.host} --port {gate.port}")
        .replace("localhost:8097", f"127.0.0.1:{launch.port}")
    )
    environ = {
        "PATH": os.environ["PATH"],
        "STATE_DIR": str(launch.state_dir),
        "API_PORT": str(launch.port),
        "ADMIN_PASSWORD": PASSWORD,
    }
    return subprocess.run(
        ["sh", "-eu", "-c", here], cwd=checkout, env=environ, capture_output=True, text=True, timeout=120, check=False
    )


def test_the_readme_begins_with_the_two_commands() -> None:
    assert [line.split("#")[0].strip() for line in commands("README.md")[0].splitlines()] == [
        "./script/start --demo",
        "./script/test",
    ]


def test_the_readmes_other_commands_do_what_they_say(launch: Launch, gate: SimulatedTerminal, checkout: Path) -> None:
    scripts = commands("README.md")[1:]

    added, removed, read = (run(script, launch, gate, checkout) for script in scripts)

    assert added.returncode == 0, added.stderr
    assert "front_gate" in added.stdout
    assert removed.returncode == 0, removed.stderr
    assert "Removed Front gate" in removed.stdout
    assert read.returncode == 0, read.stderr
    assert '"emp_code":"1001"' in read.stdout.replace(": ", ":")
    assert '"terminal_sn":"DOC0001"' in read.stdout.replace(": ", ":")


@pytest.mark.parametrize(("document", "but"), [("docs/api.md", ()), ("docs/devices.md", ("simulator",))])
def test_the_documents_commands_run_one_after_the_other(
    document: str, but: tuple[str, ...], launch: Launch, gate: SimulatedTerminal, checkout: Path
) -> None:
    """``but`` one that never ends, which another test runs."""
    script = "".join(block for block in commands(document) if not any(word in block for word in but))

    done = run(STRICT_CURL + script, launch, gate, checkout)

    assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
    assert '"success":false' not in done.stdout
    assert (checkout / "devices-backup.json").exists() is (document == "docs/devices.md"), "a path is the caller's"


def test_a_backup_can_be_made_and_restored(launch: Launch, gate: SimulatedTerminal, checkout: Path) -> None:
    (backup,) = [block for block in commands("docs/operations.md") if "pg_dump" in block]
    (restore,) = [block for block in commands("docs/operations.md") if "pg_restore" in block]

    done = run(backup + restore, launch, gate, checkout)

    assert (done.returncode, done.stderr) == (0, "")
    assert (checkout / "zkbio.dump").stat().st_size > 10_000


def test_templates_can_be_backed_up_and_restored(launch: Launch, gate: SimulatedTerminal, checkout: Path) -> None:
    (script,) = [block for block in commands("docs/operations.md") if "backup_templates" in block]
    (checkout / "passphrase.txt").write_text("correct horse battery\n")
    (checkout / "passphrase.txt").chmod(0o600)

    done = run(script, launch, gate, checkout)

    assert (done.returncode, done.stderr) == (0, "")
    assert "Templates written to templates.sealed: " in done.stdout
    assert "\nRestored: 0 new, 0 replaced, " in done.stdout


@pytest.mark.parametrize("number", [0, 1])
def test_the_simulators_commands_start_terminals(number: int) -> None:
    listening_and_dialling = [script for script in commands("docs/devices.md") if "devices.simulator" in script]
    assert len(listening_and_dialling) == 2
    words = listening_and_dialling[number].replace("4370", str(free_port())).replace("8097", str(free_port())).split()

    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        process.terminate()

    assert '"serial": "SIM0001"' in line
    assert process.returncode == 0
