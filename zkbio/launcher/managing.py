"""./script/manage: manage.py in the environment of the platform that runs on this state folder."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence

from zkbio.launcher.environment import program_environment
from zkbio.launcher.options import read_options
from zkbio.launcher.postgres import EmbeddedPostgres
from zkbio.launcher.state import ROOT
from zkbio.launcher.trouble import LaunchError
from zkbio.launcher.valkey import EmbeddedValkey


def manage(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    options = read_options(environ)
    root = options.state.root
    if not (root / "secrets.env").exists():
        raise LaunchError(f"Nothing was ever started with the state folder {root}; do that first: ./script/start")
    if options.database_url is None and EmbeddedPostgres(root).find_running() is None:
        raise LaunchError("The embedded PostgreSQL is not running; start it in another terminal: ./script/start")
    database_url = options.database_url or EmbeddedPostgres(root).url
    redis_url = options.redis_url or EmbeddedValkey(root).url
    prepared = program_environment(environ, options, database_url=database_url, redis_url=redis_url)
    os.execve(sys.executable, [sys.executable, str(ROOT / "manage.py"), *arguments], prepared)  # noqa: S606
