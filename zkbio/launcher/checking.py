"""./script/check: every check that needs no test run; all of them, then one verdict."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from zkbio.launcher.start import step
from zkbio.launcher.state import ROOT
from zkbio.launcher.supervisor import say
from zkbio.launcher.throwaway import throwaway_servers
from zkbio.launcher.trouble import LaunchError

STEP_SECONDS = 900
LINT_IMPORTS = str(Path(sys.executable).parent / "lint-imports")

CHECKS: dict[str, list[str]] = {
    "ruff check": ["-m", "ruff", "check", "."],
    "ruff format": ["-m", "ruff", "format", "--check", "."],
    "mypy": ["-m", "mypy"],
    "mypy of the bootstrap": ["-m", "mypy", "--strict", "--config-file=", "script/bootstrap.py"],
    "import contracts": [LINT_IMPORTS],
    "migrations": ["manage.py", "makemigrations", "--check", "--dry-run"],
    "deployment": ["manage.py", "check", "--deploy", "--fail-level", "WARNING"],
}


def check(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    if arguments:
        raise LaunchError("./script/check takes no arguments.")
    began = time.monotonic()
    with ExitStack() as stack:
        with step("Starting a throw-away PostgreSQL"):
            prepared = stack.enter_context(throwaway_servers(environ, with_redis=False))
        prepared["HTTPS_ONLY"] = "1"  # as where TLS ends at a proxy: the strictest settings
        failed = [title for title, command in CHECKS.items() if not passes(title, command, prepared)]
    verdict = f"failed: {', '.join(failed)}" if failed else f"all {len(CHECKS)} passed"
    say(f"Checks: {verdict} after {time.monotonic() - began:.1f} s")
    return 1 if failed else 0


def passes(title: str, command: Sequence[str], environ: Mapping[str, str]) -> bool:
    with step(title) as remarks:
        result = subprocess.run(
            [sys.executable, *command], cwd=ROOT, env=dict(environ), check=False, timeout=STEP_SECONDS
        )
        remarks.append("passed" if result.returncode == 0 else "FAILED")
    return result.returncode == 0
