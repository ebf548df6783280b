"""Run as a script: posts of several units at once in one process of gevent's, as the web's are.

For each line on standard input it stores one post for each, and tells what became of them, how long the slowest took,
and for how long at most nobody else was served meanwhile.
"""

from gevent import monkey

monkey.patch_all()

import json  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from datetime import datetime, timedelta  # noqa: E402

import django  # noqa: E402
import gevent  # noqa: E402

POSTS = 6
PATIENCE = 1.0


def main(serial: str) -> None:
    django.setup()
    from iclock.domain import push_gathering  # noqa: PLC0415 - these need Django

    push_gathering.LOCK_SECONDS = PATIENCE  # type: ignore[misc]
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while sys.stdin.readline():
        others = gevent.spawn(serve_others)
        posts = [gevent.spawn(post, serial, number) for number in range(POSTS)]
        outcomes = [each.get() for each in posts]
        others.kill()
        told = {
            "outcomes": sorted({outcome for outcome, _ in outcomes}),
            "slowest": max(seconds for _, seconds in outcomes),
            "longest": gaps.pop(),
        }
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()


gaps: list[float] = []


def serve_others() -> None:
    """Requests that ask the database for something else."""
    from django.db import connection  # noqa: PLC0415

    from iclock.models import PushState  # noqa: PLC0415

    gaps[:] = [0.0]
    last = time.monotonic()
    while True:
        gevent.sleep(0.01)
        assert PushState.objects.exists()
        connection.close()
        now = time.monotonic()
        gaps[0], last = max(gaps[0], now - last), now


def post(serial: str, number: int) -> tuple[str, float]:
    from django.db import OperationalError, connection  # noqa: PLC0415

    from iclock.domain.push_uploads import store_attendance  # noqa: PLC0415
    from iclock.lines import Attendance  # noqa: PLC0415
    from iclock.models import Terminal  # noqa: PLC0415
    from iclock.punch import Punch  # noqa: PLC0415

    begun = time.monotonic()
    terminal = Terminal.objects.select_related("area", "push", "presence").get(sn=serial)
    punch = Punch(str(number + 1), datetime(2026, 3, 2, 8) + timedelta(seconds=number), 0, 1)
    try:
        store_attendance(terminal, Attendance([punch], ()), table="ATTLOG", stamp="1")
    except OperationalError:
        outcome = "send again"
    else:
        outcome = "stored"
    finally:
        connection.close()
    return outcome, time.monotonic() - begun


if __name__ == "__main__":
    main(*sys.argv[1:])
