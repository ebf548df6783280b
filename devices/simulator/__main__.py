"""``python -m devices.simulator``: terminals in a process of their own, until SIGTERM or SIGINT.

One JSON line a terminal says where it listens, and whether it dials. With ``--control``, orders are read from standard
input (see `devices.simulator.control`) and its end stops the process.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import sys
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from datetime import timedelta
from threading import Event, Thread

from devices.simulator.control import Control
from devices.simulator.people import hire, working_days
from devices.simulator.push_generation import GENERATIONS, Habits
from devices.simulator.pusher import Pusher
from devices.simulator.spec import PUNCH_WIDTHS, TerminalSpec
from devices.simulator.terminal import SimulatedTerminal


def main(argv: Sequence[str] | None = None) -> int:
    """Run the terminals that the options describe."""
    options = _parser().parse_args(argv)
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    terminals = [_terminal(options, index) for index in range(options.count)]
    pushers = _pushers(options, terminals)
    with ExitStack() as running:
        for terminal in terminals:
            pusher = pushers.get(terminal.spec.serial)
            if not (pusher and options.push_only):
                running.enter_context(terminal)
            _say(json.dumps(_address(terminal, pushes=pusher is not None)))
        for pusher in pushers.values():
            running.enter_context(pusher)
        _employ(terminals, pushers, options, stop)
        stop.wait()
        for pusher in pushers.values():
            pusher.leave()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m devices.simulator", description="Simulated attendance terminals.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=4370, help="of the first terminal, the others follow; 0: any free")
    parser.add_argument("--count", type=int, default=1, help="how many terminals")
    parser.add_argument("--serial", default="SIM0001", help="of the first terminal; its number counts on")
    parser.add_argument("--comm-key", type=int, default=0)
    parser.add_argument("--people", type=int, default=24)
    parser.add_argument("--log-size", type=int, default=0, help="punches already in each log")
    parser.add_argument("--capacity", type=int, default=100_000, help="punches a log can hold")
    parser.add_argument("--user-capacity", type=int, default=3_000, help="people a unit can hold")
    parser.add_argument("--finger-capacity", type=int, default=3_000, help="fingers a unit can hold")
    parser.add_argument("--fp-version", default="10", help="of the fingerprint algorithm")
    parser.add_argument("--punch-every", type=float, default=0.0, metavar="SECONDS", help="0: nobody punches")
    parser.add_argument("--punch-width", type=int, choices=PUNCH_WIDTHS, default=40, help="bytes a punch (generation)")
    parser.add_argument("--utc-offset", type=int, default=0, metavar="MINUTES", help="of the terminals' clocks")
    parser.add_argument("--second-connection", choices=("wait", "refuse"), default="wait", help="while one is busy")
    parser.add_argument("--push-url", help="of the server to dial, like http://127.0.0.1:8097/p/secret")
    parser.add_argument("--pushers", type=int, help="how many dial, the last ones; default: all, with --push-url")
    parser.add_argument("--push-generation", choices=tuple(GENERATIONS), default="2.4", help="of their firmware")
    parser.add_argument("--push-only", action="store_true", help="who dials doesn't listen")
    parser.add_argument("--push-key", default="", help="the pushcommkey of who dials")
    parser.add_argument("--push-delay", type=float, metavar="SECONDS", help="between requests; default: as told")
    parser.add_argument("--push-insecure", action="store_true", help="take any certificate")
    parser.add_argument("--seed", type=int, default=0, help="same seed, same people, cards and minutes")
    parser.add_argument("--control", action="store_true", help="read JSON orders from standard input")
    return parser


def _terminal(options: argparse.Namespace, index: int) -> SimulatedTerminal:
    people = hire(options.people, seed=options.seed)
    spec = TerminalSpec(
        serial=_serial(options.serial, index),
        comm_key=options.comm_key,
        users=people,
        user_capacity=max(options.user_capacity, options.people),
        finger_capacity=options.finger_capacity,
        fp_version=options.fp_version,
        punch_capacity=options.capacity,
        punch_width=options.punch_width,
        user_width=72 if options.punch_width == 40 else 28,
        utc_offset=timedelta(minutes=options.utc_offset),
        second_connection=options.second_connection,
    )
    terminal = SimulatedTerminal(spec, host=options.host, port=options.port + index if options.port else 0)
    terminal.fill(working_days(people, options.log_size, until=terminal.now(), seed=options.seed + index))
    return terminal


def _serial(first: str, index: int) -> str:
    """The serial ``index`` places after ``first``: its trailing number counts on, at the same width."""
    stem = first.rstrip("0123456789")
    digits = first[len(stem) :]
    if not index:
        return first
    return f"{stem}{int(digits or 0) + index:0{len(digits)}d}"


def _pushers(options: argparse.Namespace, terminals: list[SimulatedTerminal]) -> dict[str, Pusher]:
    """Those of the terminals that dial, by serial: the last ones."""
    if not options.push_url:
        return {}
    count = len(terminals) if options.pushers is None else options.pushers
    habits = Habits(
        comm_key=options.push_key,
        insecure=options.push_insecure,
        delay=options.push_delay,
        error_delay=options.push_delay,
    )
    generation = GENERATIONS[options.push_generation]
    dialling = terminals[max(0, len(terminals) - count) :]
    return {
        terminal.spec.serial: Pusher(terminal, options.push_url, generation=generation, habits=habits)
        for terminal in dialling
    }


def _address(terminal: SimulatedTerminal, *, pushes: bool) -> dict[str, str | int]:
    address: dict[str, str | int] = {"serial": terminal.spec.serial}
    if terminal.running:
        address |= {"host": terminal.host, "port": terminal.port, "comm_key": terminal.spec.comm_key}
    if pushes:
        address["push"] = True
    return address


def _employ(
    terminals: list[SimulatedTerminal], pushers: dict[str, Pusher], options: argparse.Namespace, stop: Event
) -> None:
    if options.punch_every > 0 and options.people > 0:
        Thread(target=_keep_punching, args=(terminals, options, stop), daemon=True).start()
    if options.control:
        control = Control({terminal.spec.serial: terminal for terminal in terminals}, pushers)
        Thread(target=_obey, args=(sys.stdin, control, stop), daemon=True).start()


def _keep_punching(terminals: list[SimulatedTerminal], options: argparse.Namespace, stop: Event) -> None:
    draw = random.Random(options.seed)  # noqa: S311 - who comes next
    inside: set[tuple[str, str]] = set()
    while not stop.wait(options.punch_every):
        for terminal in terminals:
            users = terminal.users()
            if users:
                _pass_by(terminal, draw.choice(users).user_id, inside)


def _pass_by(terminal: SimulatedTerminal, user_id: str, inside: set[tuple[str, str]]) -> None:
    """Whoever is out checks in, whoever is in checks out."""
    who = terminal.spec.serial, user_id
    if terminal.punch(user_id, state=int(who in inside)) is not None:
        inside ^= {who}


def _obey(lines: Iterable[str], control: Control, stop: Event) -> None:
    for line in lines:
        if line.strip():
            _say(control.answer(line))
    stop.set()


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
