"""Which programs run, and what each is told beside the settings of all."""

from __future__ import annotations

import http.client
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from zkbio.launcher import roles, start
from zkbio.launcher.options import Options
from zkbio.launcher.processes import wait_until
from zkbio.launcher.state import ROOT, StateDir
from zkbio.launcher.throwaway import throwaway_servers
from zkbio.launcher.tls import Certificate
from zkbio.launcher.valkey import free_port

TOGETHER = Options(state=StateDir(Path("/nowhere")))
APART = Options(state=StateDir(Path("/nowhere")), push_host="::", push_port=8081)


def test_terminals_are_served_with_everything_else_unless_they_have_a_port() -> None:
    assert [*roles.commands(TOGETHER)] == ["web", "worker", "beat"]
    assert "SERVE" not in roles.settings_of("web", TOGETHER)


def test_with_a_port_of_their_own_terminals_are_served_there_and_there_only() -> None:
    assert [*roles.commands(APART)] == ["web", "push", "worker", "beat"]
    assert [roles.settings_of(role, APART).get("SERVE") for role in roles.commands(APART)] == [
        "web",
        "push",
        None,
        None,
    ]


def test_terminals_are_served_without_tls_whatever_people_are_served_with() -> None:
    certificate = Certificate(cert=Path("cert.pem"), key=Path("key.pem"))
    options = Options(state=APART.state, push_port=8081, certificate=certificate)
    assert "--certfile" in roles.web_command(options)
    assert "--certfile" not in roles.push_command(options)


def test_each_program_has_a_name_and_a_time_to_take_its_leave() -> None:
    assert {*roles.commands(APART), "simulator"} == {*roles.NAMES} == {*roles.STOP_SECONDS}


@pytest.mark.parametrize("host", ["::", "[::1]"])
def test_an_address_with_colons_is_bound_in_brackets(host: str) -> None:
    bound = Options(state=APART.state, push_host=host, push_port=8081)
    assert f"[{host.strip('[]')}]:8081" in roles.push_command(bound)


def test_both_web_servers_answer_each_to_its_own(tmp_path: Path) -> None:
    web, push = free_port(), free_port()
    options = Options(state=StateDir(tmp_path), host="127.0.0.1", port=web, push_host="127.0.0.1", push_port=push)
    with ExitStack() as stack:
        environ = stack.enter_context(throwaway_servers(os.environ, with_redis=False))
        for role, command in roles.commands(options).items():
            if role in {"web", "push"}:
                given = {**environ, "ALLOWED_HOSTS": "localhost", **roles.settings_of(role, options)}
                stack.enter_context(running(command, given))
        assert wait_until(lambda: start.serves_terminals(options), 60)
        assert wait_until(lambda: status(web, "/") == 401, 60)
        assert (status(push, "/"), status(web, "/iclock/ping")) == (404, 404)


@contextmanager
def running(command: list[str], environ: Mapping[str, str]) -> Iterator[None]:
    with subprocess.Popen(command, cwd=ROOT, env=environ) as process:
        try:
            yield
        finally:
            process.terminate()
            process.wait(timeout=20)


def status(port: int, path: str) -> int:
    """0 while nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path, headers={"Host": "localhost"})
        return connection.getresponse().status
    except OSError:
        return 0
    finally:
        connection.close()
