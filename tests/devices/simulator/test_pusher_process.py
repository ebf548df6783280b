"""``python -m devices.simulator --push-url``: terminals that dial, in a process of their own, and their control."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest

from devices.simulator import Pusher, SimulatedTerminal, SimUser, TerminalSpec
from devices.simulator.control import Control
from tests.devices.simulator.push_server import PushServer
from tests.devices.simulator.test_simulator_process import simulator
from tests.devices.simulator.wire_client import WireClient

DIALLING = ("--push-url", "{url}", "--push-delay", "0.02")


@pytest.fixture
def server() -> Iterator[PushServer]:
    with PushServer() as server:
        yield server


def options(server: PushServer, *more: str) -> list[str]:
    return [option.format(url=server.url) for option in (*DIALLING, *more)]


def serials(server: PushServer) -> set[str]:
    return {parse_qs(urlsplit(target).query)["SN"][0] for target in server.targets()}


def test_the_last_terminals_dial_and_listen_too(server: PushServer) -> None:
    with simulator(*options(server, "--count", "3", "--pushers", "1", "--log-size", "5", "--people", "2")) as process:
        told = [process.hear() for _ in range(3)]
        server.await_bodies("getrequest", 2)
        with WireClient(told[2]["port"]) as client:
            assert len(client.connect().table(13, 0)) == 4 + 5 * 40
        process.popen.send_signal(signal.SIGTERM)
        assert process.popen.wait(timeout=10) == 0
    assert [one.get("push") for one in told] == [None, None, True]
    assert serials(server) == {"SIM0003"}
    assert len(server.bodies("ATTLOG")[0].splitlines()) == 5


def test_who_only_dials_has_no_port_and_is_under_control(server: PushServer) -> None:
    only = options(server, "--push-only", "--control", "--push-generation", "2.2", "--people", "2", "--count", "2")
    with simulator(*only) as process:
        told = [process.hear() for _ in range(2)]
        unit = {"serial": "SIM0001"}
        spoilt = process.order(push_fault={**unit, "kind": "OffLine", "on": "ATTLOG"})
        process.order(punch={**unit, "user_id": "1001", "at": "2026-03-02T08:00:01"})
        lost = process.order(state=unit)
        healed = process.order(heal=unit)
        (body,) = server.await_bodies("ATTLOG", 1)
        server.await_bodies("getrequest", len(server.bodies("getrequest")) + 6)
        state = process.order(state=unit)
    assert told == [{"serial": "SIM0001", "push": True}, {"serial": "SIM0002", "push": True}]
    assert (spoilt, healed) == ({"ok": True}, {"ok": True})
    assert (lost["acknowledged"], lost["caught_up"]) == (0, False)
    assert body == b"1001\t2026-03-02 08:00:01\t0\t1\t0\t0\t0\n"
    assert (state["acknowledged"], state["caught_up"], state["push_commands"]) == (1, True, [])


def test_a_reboot_by_control_is_one_of_both_sides(server: PushServer) -> None:
    terminal = SimulatedTerminal(TerminalSpec(serial="PU0001", users=(SimUser(1, "1"),)))
    pusher = Pusher(terminal, server.url)
    control = Control({"PU0001": terminal}, {"PU0001": pusher})
    pusher.step()
    assert control.answer('{"reboot": {"serial": "PU0001"}}') == '{"ok": true, "reboots": 1}'
    pusher.step()
    assert (pusher.reboots, server.kinds().count("cdata")) == (1, 2)


def test_a_terminal_that_does_not_dial_has_no_such_faults() -> None:
    control = Control({"PU0001": SimulatedTerminal(TerminalSpec(serial="PU0001"))})
    refused = control.answer('{"push_fault": {"serial": "PU0001", "kind": "OffLine"}}')
    assert refused.startswith('{"ok": false')
