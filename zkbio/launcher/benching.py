"""./script/bench NAME … | all: measures on throw-away servers that are as durable as a start's."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from zkbio.launcher.postgres import EmbeddedPostgres
from zkbio.launcher.start import step
from zkbio.launcher.state import ROOT
from zkbio.launcher.supervisor import say
from zkbio.launcher.throwaway import throwaway_servers


def bench(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Gives the exit code of the bench: 1 when a bar is missed."""
    began = time.monotonic()
    with ExitStack() as stack:
        with step("Starting throw-away PostgreSQL and Redis"):
            prepared = stack.enter_context(throwaway_servers(environ, with_redis=True, durable=True))
            prepared["BENCH_SUPERUSER_URL"] = EmbeddedPostgres(Path(prepared["STATE_DIR"])).superuser_url
            for command in (("migrate", "--noinput", "-v", "0"), ("collectstatic", "--noinput", "-v", "0")):
                subprocess.run([sys.executable, "manage.py", *command], cwd=ROOT, env=prepared, check=True, timeout=300)
        code = subprocess.run(
            [sys.executable, "-m", "bench", *arguments], cwd=ROOT, env=prepared, check=False
        ).returncode
    say(f"Bench: exit code {code} after {time.monotonic() - began:.1f} s")
    return code
