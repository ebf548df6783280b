"""./script/test: the suite on fresh embedded servers, which are gone when it ends."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack

from zkbio.launcher.start import step
from zkbio.launcher.state import ROOT
from zkbio.launcher.supervisor import say
from zkbio.launcher.throwaway import throwaway_servers

# tests/conftest.py says what of it stays together and what comes first.
WORKERS = ["-n", "2", "--dist", "loadfile", "--no-loadscope-reorder"]
# Who writes a word that begins so looks closely at something, or has wishes of their own about workers.
ONE_PROCESS = ("-n", "--numprocesses", "--dist", "--pdb", "--trace", "-m", "--long")


def test(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """pytest's arguments, and --long for the tests that take minutes; returns pytest's exit code."""
    began = time.monotonic()
    with ExitStack() as stack:
        with step("Starting throw-away PostgreSQL and Redis"):
            prepared = stack.enter_context(throwaway_servers(environ, with_redis=True))
        code = run_pytest(pytest_arguments(arguments), prepared)
    say(f"Tests: exit code {code} after {time.monotonic() - began:.1f} s")
    return code


def pytest_arguments(arguments: Sequence[str]) -> list[str]:
    """Without --long, and without a choice of marks by the caller, the long tests are left out.

    The suite and its folders run in two workers; single files and tests, and all that is long, in one process.
    """
    rest = [word for word in arguments if word != "--long"]
    chosen = rest if "--long" in arguments or "-m" in rest else ["-m", "not long", *rest]
    return chosen if in_one_process(arguments) else [*WORKERS, *chosen]


def in_one_process(arguments: Sequence[str]) -> bool:
    return any(word.startswith(ONE_PROCESS) or word.endswith(".py") or "::" in word for word in arguments)


def run_pytest(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """pytest shares the terminal, so Ctrl-C reaches it by itself; other signals are handed on as one.

    Either way pytest ends, and only then are the servers stopped below it.
    """
    process = subprocess.Popen([sys.executable, "-m", "pytest", *arguments], cwd=ROOT, env=dict(environ))
    signal.signal(signal.SIGINT, lambda *_: None)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: process.send_signal(signal.SIGINT))
    status = process.wait()
    return 128 - status if status < 0 else status
