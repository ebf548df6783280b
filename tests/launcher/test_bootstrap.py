"""The bootstrap in a checkout of its own: its requirements are empty, its launcher only says it was reached."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from zkbio.launcher.state import ROOT

REACHED = "import sys; print('reached in', sys.prefix, 'with', *sys.argv[1:])"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("checkout")
    shutil.copytree(ROOT / "script", made / "script", ignore=shutil.ignore_patterns("__pycache__"))
    (made / "zkbio" / "launcher").mkdir(parents=True)
    (made / "zkbio" / "launcher" / "__main__.py").write_text(REACHED)
    (made / "requirements.txt").write_text("# nothing\n")
    (made / "requirements-dev.txt").write_text("# nothing for developers\n")
    return made


def begin(checkout: Path, command: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [checkout / "script" / command, *arguments],
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(checkout)},
        cwd="/",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.parametrize("command", ["start", "test", "check", "bench", "manage"])
@pytest.mark.parametrize("asked", ["--help", "-h"])
def test_each_command_says_how_it_is_used(checkout: Path, command: str, asked: str) -> None:
    process = begin(checkout, command, asked)
    said, _ = process.communicate(timeout=30)

    assert (process.returncode, said.splitlines()[0].startswith(f"Usage: ./script/{command}")) == (0, True)


def run(checkout: Path, command: str, *arguments: str) -> str:
    process = begin(checkout, command, *arguments)
    said, _ = process.communicate(timeout=100)
    assert process.returncode == 0, said
    return said


def reached(checkout: Path, words: str) -> str:
    return f"reached in {checkout}/.venv with {words}\n"


def test_two_bootstraps_at_once_make_one_environment(checkout: Path) -> None:
    both = [begin(checkout, "start", "--demo") for _ in range(2)]

    said = sorted((process.communicate(timeout=100)[0] for process in both), key=len)

    assert said[0] == reached(checkout, "start --demo")
    assert said[1].startswith("Making a virtual environment")


def test_an_environment_that_is_ready_is_used_as_it_is(checkout: Path) -> None:
    run(checkout, "start")

    assert run(checkout, "start", "--demo") == reached(checkout, "start --demo")


def test_developers_tools_are_installed_for_the_tests_only(checkout: Path) -> None:
    run(checkout, "start")

    assert "requirements-dev.txt" in run(checkout, "test", "-k", "a name with blanks")
    assert run(checkout, "check") == reached(checkout, "check")
    assert run(checkout, "start") == reached(checkout, "start")


def test_changed_requirements_are_installed_again(checkout: Path) -> None:
    run(checkout, "start")
    (checkout / "requirements.txt").write_text("# still nothing\n")

    assert run(checkout, "start").startswith("Installing requirements.txt")
    assert run(checkout, "start") == reached(checkout, "start")


def cut_the_installation(venv: Path) -> None:
    (venv / "installing").touch()


def remove_the_python(venv: Path) -> None:
    (venv / "bin" / "python").unlink()


def upgrade_the_python(venv: Path) -> None:
    installed = venv / "installed-requirements"
    installed.write_text(installed.read_text().replace(str((venv / "bin" / "python").resolve()), "/usr/bin/python3.10"))


@pytest.mark.parametrize("damage", [cut_the_installation, remove_the_python, upgrade_the_python])
def test_a_damaged_environment_is_made_anew(checkout: Path, damage: Callable[[Path], None]) -> None:
    run(checkout, "start")
    damage(checkout / ".venv")

    assert run(checkout, "start").startswith("Making a virtual environment")
    assert run(checkout, "start") == reached(checkout, "start")
