"""The life of a few people by the API, and of three terminals in two areas, in real processes.

After each step the units hold exactly the right people and fingers, their strangers untouched; the one that was away
the whole time is right ten seconds after it returns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from devices.simulator import SimTemplate, SimUser, TerminalSpec
from tests.faults.stack import Stack, Unit, Web, eventually

SOON = {"TICK_SECONDS": "1", "KNOCK_SECONDS": "1"}
GUEST = SimUser(1, "900", "Guest", privilege=14, password="4321", card=77, group=2, time_zones=(1, 3, 2, 1))
GUESTS_FINGER = SimTemplate(1, 9, b"the guest's finger " * 40)
FINGER = b"a finger of Ana's " * 45
_REGISTER = """
import sys
from devices.models import Device
for serial, port in zip(sys.argv[1::2], sys.argv[2::2]):
    Device(key=serial.lower(), name=serial, host="127.0.0.1", port=int(port), timeout=2, interval=3600).save()
"""
_ENROL = """
import sys
from iclock.domain.enrolments import ask
from iclock.models import Terminal
from personnel.models import Employee
sn, code, finger = sys.argv[1:]
ask(Terminal.objects.get(sn=sn), Employee.objects.get(emp_code=code), int(finger), user=None, actor="test")
"""


class Client:
    """An HR system."""

    def __init__(self, web: Web) -> None:
        self._base = f"http://127.0.0.1:{web.port}"
        self._headers = {"Authorization": f"Token {web.token}"}

    def post(self, path: str, **body: object) -> dict[str, Any]:
        return self._send("POST", path, body)

    def patch(self, path: str, **body: object) -> dict[str, Any]:
        return self._send("PATCH", path, body)

    def terminal(self, serial: str) -> dict[str, Any]:
        answer = requests.get(
            f"{self._base}/iclock/api/terminals/", params={"sn": serial}, headers=self._headers, timeout=20
        )
        (row,) = answer.json()["data"]
        return dict(row)

    def summary(self, employee: int) -> str:
        answer = requests.get(f"{self._base}/personnel/api/employees/{employee}/", headers=self._headers, timeout=20)
        return str(answer.json()["fingerprint"])

    def _send(self, method: str, path: str, body: dict[str, object]) -> dict[str, Any]:
        answer = requests.request(method, f"{self._base}{path}", json=body, headers=self._headers, timeout=20)
        assert answer.status_code in {200, 201}, answer.text
        return dict(answer.json())


def people(unit: Unit) -> dict[str, tuple[str, int]]:
    """Everybody but the stranger."""
    return {user.user_id: (user.name, user.card) for user in unit.users() if user != GUEST}


def fingers(unit: Unit) -> dict[tuple[str, int], bytes]:
    codes = {user.uid: user.user_id for user in unit.users()}
    return {(codes[each.uid], each.finger): each.data for each in unit.templates() if each != GUESTS_FINGER}


@pytest.fixture
def units() -> Iterator[dict[str, Unit]]:
    """Each with a stranger on it."""
    specs = [
        TerminalSpec(serial=f"PPL{name}", users=(GUEST,), templates=(GUESTS_FINGER,))
        for name in ("GATE", "CANTEEN", "DEPOT")
    ]
    running = {spec.serial: Unit(spec) for spec in specs}
    for unit in running.values():
        unit.start()
    yield running
    for unit in running.values():
        unit.stop()


def test_the_units_hold_exactly_the_right_people_and_fingers_after_each_step(
    stack: Stack, units: dict[str, Unit]
) -> None:
    gate, canteen, depot = units.values()
    stack.django(_REGISTER, *[word for sn, unit in units.items() for word in (sn, str(unit.port))])
    with stack.web() as web, stack.working(**SOON):
        client = Client(web)
        office, yard = (
            client.post("/personnel/api/areas/", area_code=code, area_name=code)["id"] for code in ("OFFICE", "YARD")
        )
        assert eventually(lambda: len(_known(stack, units)) == 3)
        for unit, area in ((gate, office), (canteen, office), (depot, yard)):
            client.patch(f"/iclock/api/terminals/{client.terminal(unit.spec.serial)['id']}/", area=area)
        assert eventually(lambda: _is_compared(stack, units))
        canteen.stop()

        def holds(
            unit: Unit, who: dict[str, tuple[str, int]], whose: dict[tuple[str, int], bytes]
        ) -> Callable[[], bool]:
            return lambda: (people(unit), fingers(unit)) == (who, whose)

        hers: dict[tuple[str, int], bytes] = {}

        def then(at_gate: dict[str, Any], at_depot: dict[str, Any]) -> None:
            """Exactly these people, and Ana's fingers where she is."""
            for unit, who in ((gate, at_gate), (depot, at_depot)):
                whose = hers if "71" in who else {}
                assert eventually(holds(unit, who, whose)), (unit.spec.serial, people(unit), fingers(unit).keys())

        # hire
        new = {"department": 1, "area": [office]}
        ana = client.post("/personnel/api/employees/", emp_code="71", first_name="Ana", card_no="4711", **new)["id"]
        bob = client.post("/personnel/api/employees/", emp_code="72", first_name="Bob", **new)["id"]
        then({"71": ("Ana", 4711), "72": ("Bob", 0)}, {})

        # enrol at one's menu, move to the other
        uid = gate.uid_of("71")
        assert uid is not None
        hers["71", 3] = FINGER
        gate.put_template(SimTemplate(uid, 3, FINGER))
        stack.execute("UPDATE devices_device SET next_poll_at = now() WHERE key = %s", gate.spec.serial.lower())
        assert eventually(lambda: client.summary(ana) == "Ver 10:1")
        client.post("/personnel/api/employees/adjust_area/", employees=[ana], areas=[yard])
        then({"72": ("Bob", 0)}, {"71": ("Ana", 4711)})
        client.post("/personnel/api/employees/adjust_area/", employees=[ana], areas=[office, yard])
        then({"71": ("Ana", 4711), "72": ("Bob", 0)}, {"71": ("Ana", 4711)})

        # have another finger enrolled at the other
        stack.django(_ENROL, depot.spec.serial, "71", "6")
        assert eventually(lambda: _enrolled(stack) == [("done", 3)]), _enrolled(stack)
        hers["71", 6] = fingers(depot)["71", 6]
        then({"71": ("Ana", 4711), "72": ("Bob", 0)}, {"71": ("Ana", 4711)})
        assert client.summary(ana) == "Ver 10:2"

        # resign, reinstate
        left = {"resign_date": "2026-11-20", "resign_type": 1, "disableatt": True}
        client.post("/personnel/api/employees/adjust_resign/", employees=[ana, bob], **left)
        then({}, {})
        client.post("/personnel/api/resigns/reinstatement/", employees=[ana])
        then({"71": ("Ana", 4711)}, {"71": ("Ana", 4711)})

        # rename, change the card
        client.patch(f"/personnel/api/employees/{ana}/", first_name="Anabel")
        then({"71": ("Anabel", 4711)}, {"71": ("Anabel", 4711)})
        client.patch(f"/personnel/api/employees/{ana}/", card_no="4712")
        then({"71": ("Anabel", 4712)}, {"71": ("Anabel", 4712)})

        # the unit that was away the whole time
        assert people(canteen) == {}
        canteen.start()
        assert eventually(holds(canteen, {"71": ("Anabel", 4712)}, hers), seconds=10)
        for unit in units.values():
            assert GUEST in unit.users()
            assert GUESTS_FINGER in unit.templates()
            assert not unit.disabled


def _known(stack: Stack, units: dict[str, Unit]) -> list[tuple[str]]:
    return stack.query("SELECT sn FROM iclock_terminal WHERE sn = ANY(%s)", list(units))


def _is_compared(stack: Stack, units: dict[str, Unit]) -> bool:
    rows = stack.query(
        "SELECT count(*) FROM iclock_syncmark m JOIN iclock_terminal t ON t.id = m.terminal_id"
        " WHERE t.sn = ANY(%s) AND m.compared_at IS NOT NULL AND m.done >= m.wanted",
        list(units),
    )
    return int(rows[0][0]) == len(units)


def _enrolled(stack: Stack) -> list[tuple[str, int]]:
    return stack.query("SELECT state, scans FROM iclock_enrolment ORDER BY id")
