from __future__ import annotations

import pytest

from zkbio.launcher.testing import WORKERS, pytest_arguments


def test_the_suite_runs_in_two_workers_without_the_long_tests() -> None:
    assert pytest_arguments([]) == [*WORKERS, "-m", "not long"]
    assert pytest_arguments(["tests/devices", "-q"]) == [*WORKERS, "-m", "not long", "tests/devices", "-q"]


@pytest.mark.parametrize(
    "words",
    [
        ["tests/launcher/test_testing.py"],
        ["-x", "tests/launcher/test_testing.py::test_one[a]"],
        ["-n0"],
        ["-n", "4"],
        ["--numprocesses=4"],
        ["--pdb"],
        ["--dist=load"],
    ],
)
def test_a_single_file_and_a_callers_own_workers_run_as_asked(words: list[str]) -> None:
    assert pytest_arguments(words) == ["-m", "not long", *words]


def test_the_long_tests_run_in_one_process() -> None:
    assert pytest_arguments(["--long", "-x"]) == ["-x"]


def test_a_choice_of_marks_is_the_callers() -> None:
    assert pytest_arguments(["-m", "long"]) == ["-m", "long"]
