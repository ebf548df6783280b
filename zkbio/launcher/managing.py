"""./script/manage: manage.py in the environment of the platform that runs on this state folder."""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace

from zkbio.launcher.environment import program_environment
from zkbio.launcher.options import Options, read_options
from zkbio.launcher.postgres import EmbeddedPostgres
from zkbio.launcher.state import DEMO_STATE, ROOT, USUAL_STATE, StateDir, read_start_settings
from zkbio.launcher.trouble import LaunchError
from zkbio.launcher.valkey import EmbeddedValkey


def manage(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    options = choose_running(read_options(environ))
    root = options.state.root
    if not (root / "secrets.env").exists():
        raise LaunchError(f"Nothing was ever started with the state folder {root}; do that first: ./script/start")
    if options.database_url is None and EmbeddedPostgres(root).find_running() is None:
        raise LaunchError("The embedded PostgreSQL is not running; start it in another terminal: ./script/start")
    database_url = options.database_url or EmbeddedPostgres(root).url
    redis_url = options.redis_url or EmbeddedValkey(root).url
    environ = {**read_start_settings(options.state), **environ}
    prepared = program_environment(environ, options, database_url=database_url, redis_url=redis_url)
    os.chdir(environ.get("CALLED_FROM", "."))
    os.execve(sys.executable, [sys.executable, str(ROOT / "manage.py"), *arguments], prepared)  # noqa: S606


def choose_running(options: Options) -> Options:
    """Who named no folder means the platform that runs: the demo where only that does."""
    if options.state.root != USUAL_STATE or not is_running(StateDir(DEMO_STATE)) or is_running(options.state):
        return options
    print(f"This is for the demo that runs on {DEMO_STATE}.", file=sys.stderr)
    return replace(options, state=StateDir(DEMO_STATE), demo=True)


def is_running(state: StateDir) -> bool:
    """Whether a launcher holds the folder's lock."""
    try:
        descriptor = os.open(state.run / "lock", os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
