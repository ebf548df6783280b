"""Two hundred terminals that post their punches, a thousand that only ask, and a web server that is killed."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from itertools import count
from typing import Final

import psutil
from django.db import connection

from bench.measure import Row, best_of, stopwatch
from bench.push_load import PARSING, serial
from bench.rps import WebServer, web_server
from bench.simulated import ROOT
from bench.tables import TRANSACTION, execute, punches
from iclock.domain.ingest import record_punches
from iclock.models import PushState, Terminal, Transaction
from iclock.punch import Source
from zkbio.launcher.processes import wait_until

UNITS: Final = 200
LARGE, LARGE_POSTS = 500, 3
SMALL_POSTS: Final = 10
IDLE_UNITS, IDLE_EVERY, IDLE_SECONDS = 1_000, 10, 30
KILLS: Final = 200
KILLED: Final = "77"
PATIENCE: Final = 300
_CDATA: Final = "/iclock/cdata"
_days = count()


def run() -> list[Row]:
    terminals = _register()
    with web_server("bench.push_wsgi:application") as web:
        rows = [*_large(web, terminals), *_small(web), _idle(web)]
    return [*rows, _killed(terminals[0])]


def _register() -> list[Terminal]:
    """Approved, as somebody did when they first dialled."""
    wanted = [serial(number) for number in range(IDLE_UNITS)]
    Terminal.objects.bulk_create((Terminal(sn=sn, alias=sn) for sn in wanted), ignore_conflicts=True)
    terminals = list(Terminal.objects.filter(sn__in=wanted).select_related("area").order_by("sn"))
    PushState.objects.bulk_create((PushState(terminal=each) for each in terminals), ignore_conflicts=True)
    execute("ANALYZE")
    return terminals


def _large(web: WebServer, terminals: Sequence[Terminal]) -> list[Row]:
    """Rows a second. best_of keeps the least: seconds."""
    rows = UNITS * LARGE_POSTS * LARGE
    best = best_of(
        {
            "alone": lambda: _record(terminals),
            "posted": lambda: _load(web, _CDATA, LARGE_POSTS, LARGE),
        }
    )
    return [
        Row("record_punches alone, 500 rows a call", rows / best["alone"], "rows/s"),
        Row("200 units posting 500 lines", rows / best["posted"], "rows/s"),
        Row("the posts, of record_punches alone", best["alone"] / best["posted"], at_least=0.5),
    ]


def _small(web: WebServer) -> list[Row]:
    posts = UNITS * SMALL_POSTS
    best = best_of(
        {
            "parsed": lambda: _load(web, PARSING, SMALL_POSTS, 1),
            "posted": lambda: _load(web, _CDATA, SMALL_POSTS, 1),
        }
    )
    return [
        Row("200 units posting 1 line, only parsed", posts / best["parsed"], "per s"),
        Row("200 units posting 1 line", posts / best["posted"], "per s"),
        Row("the posts, of parsing them", best["parsed"] / best["posted"], at_least=0.2),
    ]


def _idle(web: WebServer) -> Row:
    """CPU of the web server and of the database's processes that work for it."""
    _asked(web, IDLE_EVERY)  # everybody was heard of
    percent = best_of({"idle": lambda: _percent(web)})["idle"]
    return Row("1000 idle units at 10 s, web server and PostgreSQL, of a core", percent, "%", at_most=30)


def _percent(web: WebServer) -> float:
    before = _cpu(web)
    with stopwatch() as elapsed:
        answered = _asked(web, IDLE_SECONDS)
    spent = _cpu(web) - before
    if answered < IDLE_UNITS * (IDLE_SECONDS // IDLE_EVERY - 1):
        raise RuntimeError(f"only {answered} questions were answered")
    return 100 * spent / elapsed()


def _asked(web: WebServer, seconds: int) -> int:
    return int(_play("idle", web.port, IDLE_UNITS, IDLE_EVERY, seconds))


def _killed(terminal: Terminal) -> Row:
    """How many of the punches that were acknowledged right before SIGKILL aren't here."""
    acknowledged = []
    with web_server("zkbio.wsgi:application", workers=1) as web:
        for number in range(KILLS):
            acknowledged.append(_post_and_kill(web, terminal, number))
    mine = Transaction.objects.filter(terminal_sn=terminal.sn, emp_code=KILLED)
    stored = set(map(str, mine.values_list("punch_time", flat=True)))
    lost = len(set(acknowledged) - stored)
    return Row(f"acknowledged rows lost in {KILLS} kills", lost, "rows", at_most=0)


def _post_and_kill(web: WebServer, terminal: Terminal, number: int) -> str:
    moment = f"2026-02-{1 + number // 60:02} 08:{number % 60:02}:00"
    body = f"{KILLED}\t{moment}\t0\t1\n"
    connection = http.client.HTTPConnection("127.0.0.1", web.port, timeout=60)
    connection.request("POST", f"{_CDATA}?SN={terminal.sn}&table=ATTLOG&Stamp=1", body)
    told = connection.getresponse().read()
    victims = web.process.children()
    for victim in victims:
        victim.send_signal(signal.SIGKILL)
    connection.close()
    if told.strip() != b"OK: 1":
        raise RuntimeError(told.decode(errors="replace"))
    gone = {victim.pid for victim in victims}
    if not wait_until(lambda: any(child.pid not in gone for child in web.process.children()), 60):
        raise RuntimeError("no worker came after the one that was killed")
    return moment


def _record(terminals: Sequence[Terminal]) -> float:
    _forget()
    rows = punches(LARGE_POSTS * LARGE)
    with stopwatch() as elapsed:
        for post in range(LARGE_POSTS):
            for terminal in terminals[:UNITS]:
                record_punches(terminal, rows[post * LARGE : (post + 1) * LARGE], source=Source.PUSH)
    return elapsed()


def _load(web: WebServer, path: str, posts: int, lines: int) -> float:
    _forget()
    return float(_play("posts", web.port, path, UNITS, posts, lines, next(_days)))


def _play(*words: object) -> str:
    command = [sys.executable, "-m", "bench.push_load", *map(str, words)]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    return done.stdout


def _forget() -> None:
    """Every turn stores into an equally empty table; takes no time that counts."""
    execute(f"TRUNCATE {TRANSACTION}")


def _cpu(web: WebServer) -> float:
    """Seconds, of the web server's processes and of the PostgreSQL server's that it asks."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        server = psutil.Process(cursor.fetchone()[0]).parent()
    assert server is not None
    return sum(
        sum(each.cpu_times()[:2]) for process in (web.process, server) for each in [process, *process.children()]
    )
