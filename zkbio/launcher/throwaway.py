"""State folders for one run of the tests or checks: made anew, and gone at its end."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from zkbio.launcher.environment import program_environment
from zkbio.launcher.options import Options
from zkbio.launcher.postgres import SOCKET_BASE, EmbeddedPostgres
from zkbio.launcher.processes import recall
from zkbio.launcher.state import StateDir
from zkbio.launcher.valkey import EmbeddedValkey

PREFIX = "zkbio-test-"


@contextmanager
def throwaway_state() -> Iterator[StateDir]:
    """A folder that PostgreSQL's user can reach, short enough for sockets; removed with all that lies below."""
    sweep()
    root = Path(tempfile.mkdtemp(prefix=PREFIX, dir=SOCKET_BASE))
    root.chmod(0o711)
    lock = os.open(root / "in-use.new", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    (root / "in-use.new").rename(root / "in-use")  # so that nobody ever sees it without its lock
    try:
        state = StateDir(root)
        state.prepare()
        yield state
    finally:
        remove(root)
        os.close(lock)


def sweep() -> None:
    """Removes what runs left that were killed: folders of ours whose lock nobody holds."""
    for root in SOCKET_BASE.glob(f"{PREFIX}*"):
        try:
            if not root.is_symlink() and root.stat().st_uid == os.geteuid():
                remove_if_abandoned(root)
        except FileNotFoundError:  # its own run is removing it just now
            continue


def remove_if_abandoned(root: Path) -> None:
    lock = os.open(root / "in-use", os.O_RDWR)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        remove(root)
    except BlockingIOError:
        return
    finally:
        os.close(lock)


def remove(root: Path) -> None:
    if (root / "postgres").exists():
        server = EmbeddedPostgres(root, durable=False)
        server.running = server.find_running()
        server.stop_immediately()
        server.remove_socket_dir()
        shutil.rmtree(server.home())
    left = recall(root / "run" / "redis.json")
    if left is not None:
        left.stop(signal.SIGKILL, 5.0)
    shutil.rmtree(root)


@contextmanager
def throwaway_servers(base: Mapping[str, str], *, with_redis: bool, durable: bool = False) -> Iterator[dict[str, str]]:
    """Fresh embedded servers; gives the environment in which the platform's code reaches them.

    ``durable``: PostgreSQL waits for its disk as in production, which is what a bench measures.
    """
    with ExitStack() as stack:
        state = stack.enter_context(throwaway_state())
        database = EmbeddedPostgres(state.root, durable=durable)
        database.start()
        redis_url = "redis://127.0.0.1:1/0"  # nobody's: whoever asks is refused at once
        if with_redis:
            redis = EmbeddedValkey(state.root)
            stack.callback(redis.stop)
            redis.start()
            redis_url = redis.url
        private = {name: value for name, value in base.items() if name not in OPERATORS}
        yield program_environment(private, Options(state=state), database_url=database.url, redis_url=redis_url)


# What an operator may have set for a real installation has no place in a test.
OPERATORS = {
    *("DATABASE_URL", "REDIS_URL", "STATE_DIR", "STATIC_ROOT", "MEDIA_ROOT", "SECRET_KEY", "TOKEN_KEY", "FIELD_KEYS"),
    *("ALLOWED_HOSTS", "DEVICE_NETWORKS", "API_HOST", "API_PORT", "ADMIN_USERNAME", "ADMIN_PASSWORD"),
    *("DEVICES_FILE", "CERT_FILE", "KEY_FILE", "SECURE_COOKIES", "HTTPS_ONLY", "TRUST_PROXY"),
}
