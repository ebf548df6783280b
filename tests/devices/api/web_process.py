"""The web role as it is started, on the test's database."""

from __future__ import annotations

import http.client
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import psutil
from django.db import connection

from zkbio.launcher.options import Options
from zkbio.launcher.processes import wait_until
from zkbio.launcher.roles import web_command
from zkbio.launcher.state import ROOT, StateDir
from zkbio.launcher.valkey import free_port


@dataclass
class WebProcess:
    port: int
    process: subprocess.Popen[bytes]

    def worker(self) -> psutil.Process:
        """The only one that there is, with ``workers=1``."""
        (worker,) = psutil.Process(self.process.pid).children()
        return worker

    def temporary_files(self) -> int:
        """Open ones that have no name any more; gunicorn has one itself, by which it shows that it lives,
        and its output is the test's."""
        opened = (each for each in Path(f"/proc/{self.worker().pid}/fd").iterdir() if int(each.name) > 2)
        names = [str(number.readlink()) for number in opened if number.is_symlink()]
        return sum(name.endswith(" (deleted)") and "/wgunicorn-" not in name for name in names)

    def get(self, path: str, token: str) -> tuple[int, Any]:
        client = http.client.HTTPConnection("localhost", self.port, timeout=60)
        try:
            client.request("GET", path, headers={"Authorization": f"Token {token}"} if token else {})
            answer = client.getresponse()
            return answer.status, orjson.loads(answer.read())
        finally:
            client.close()


@contextmanager
def web_process(*, workers: int = 1, **more: str) -> Iterator[WebProcess]:
    options = Options(state=StateDir(Path(os.devnull)), host="127.0.0.1", port=free_port())
    name = str(connection.settings_dict["NAME"])
    environ = {
        **os.environ,
        "DATABASE_URL": os.environ["DATABASE_URL"].rpartition("/")[0] + f"/{name}",
        "DATABASE_POOL": "5",
        "DEVICE_NETWORKS": "127.0.0.0/8",
        **more,
    }
    with subprocess.Popen([*web_command(options), "--workers", str(workers)], cwd=ROOT, env=environ) as process:
        web = WebProcess(options.port, process)
        try:
            assert wait_until(lambda: _listens(web), 30)
            yield web
        finally:
            process.terminate()
            process.wait(timeout=30)


def _listens(web: WebProcess) -> bool:
    try:
        return web.get("/api/schema/", "")[0] == 200
    except OSError:
        return False
