from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from zkbio.launcher.postgres import EmbeddedPostgres
from zkbio.launcher.processes import identify
from zkbio.launcher.state import ROOT
from zkbio.launcher.throwaway import throwaway_state
from zkbio.launcher.valkey import EmbeddedValkey

KILLED_RUN = """
import os, signal
from zkbio.launcher.postgres import EmbeddedPostgres
from zkbio.launcher.throwaway import throwaway_state
from zkbio.launcher.valkey import EmbeddedValkey
with throwaway_state() as state:
    for server in (EmbeddedPostgres(state.root, durable=False), EmbeddedValkey(state.root)):
        server.start()
        print(server.running.pid)
    print(state.root, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_servers_and_folders_are_gone_after_the_block() -> None:
    with throwaway_state() as state:
        database, queue = EmbeddedPostgres(state.root, durable=False), EmbeddedValkey(state.root)
        database.start()
        queue.start()
        folders = [state.root, database.socket_dir(), database.home()]
        pids = [server.running.pid for server in (database, queue) if server.running]

    assert len(pids) == 2
    assert [pid for pid in pids if identify(pid)] == []
    assert [folder for folder in folders if folder.exists()] == []


def test_what_a_killed_run_left_is_removed_by_the_next_one() -> None:
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_RUN],
        cwd=ROOT,
        env=os.environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    *_, postgres, valkey, root = killed.stdout.split()
    assert identify(int(postgres)) is not None

    with throwaway_state() as state:
        assert not Path(root).exists()
        assert identify(int(postgres)) is None
        assert identify(int(valkey)) is None
        assert state.root.exists()


def test_a_folder_in_use_is_left_alone() -> None:
    with throwaway_state() as first, throwaway_state() as second:
        assert first.root.exists()
        assert second.root.exists()
