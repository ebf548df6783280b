from __future__ import annotations

import os

import pytest

from zkbio.launcher.benching import bench


def test_a_bench_runs_on_servers_of_its_own_and_its_exit_code_is_the_answer(capfd: pytest.CaptureFixture[str]) -> None:
    code = bench(["nonsense"], os.environ)

    said = capfd.readouterr()
    assert code == 2
    assert "Starting throw-away PostgreSQL and Redis ..." in said.out
    assert said.err.startswith("Usage: ./script/bench all | decode | pull")
