from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from devices.domain.memory import loss_of
from devices.domain.registry import register_device
from devices.driver.session import Sizes
from devices.driver.tables import Rows
from devices.models import Device
from devices.simulator.people import hire
from iclock.domain import presence, push_feeding
from iclock.domain.belonging import count_belonging
from iclock.domain.push_admission import Caller, admit
from iclock.models import Terminal
from iclock.punch import Source
from personnel.models import Area, Employee
from zkbio.accounts.models import AuditEntry
from zkbio.launcher.demo import curl_line, entering, whereabouts, who_dials
from zkbio.launcher.demo_entries import enter_dialling, enter_people, enter_terminal, forget_logs
from zkbio.launcher.options import Options, read_options
from zkbio.launcher.roles import dialled_url, simulator_command
from zkbio.launcher.state import StateDir
from zkbio.launcher.tls import Certificate


def test_the_printed_line_knows_a_password_made_in_this_run() -> None:
    line = curl_line(read_options({}), username="admin", password="a'b")

    assert line.startswith("curl -s -H ")
    assert """'password=a'"'"'b'""" in line


def test_without_the_password_the_printed_line_says_which_one_to_set() -> None:
    line = curl_line(read_options({}), username="admin", password=None)

    said = subprocess.run(["sh", "-c", line], env={}, capture_output=True, text=True, timeout=10, check=False)

    assert said.stderr.endswith("ADMIN_PASSWORD: set it to the password of the first start\n")
    assert said.returncode != 0


NOWHERE = StateDir(Path("/nowhere"))
CERTIFICATE = Certificate(cert=Path("cert.pem"), key=Path("key.pem"))
FOUND: list[dict[str, str | int]] = [
    {"serial": "DEMO0003", "host": "127.0.0.1", "port": 4372, "comm_key": 0},
    {"serial": "DEMO0004", "push": True},
]


@pytest.mark.parametrize(
    ("options", "url"),
    [
        (Options(NOWHERE), "http://127.0.0.1:8097/"),
        (Options(NOWHERE, host="192.168.1.5", port=81), "http://192.168.1.5:81/"),
        (Options(NOWHERE, host="::"), "http://[::1]:8097/"),
        (Options(NOWHERE, certificate=CERTIFICATE), "https://127.0.0.1:8097/"),
        (Options(NOWHERE, certificate=CERTIFICATE, push_port=8081), "http://127.0.0.1:8081/"),
        (Options(NOWHERE, host="127.0.0.1", push_host="[::1]", push_port=8081), "http://[::1]:8081/"),
    ],
)
def test_the_demos_terminal_dials_where_terminals_are_served(options: Options, url: str) -> None:
    command = simulator_command(4370, options)

    assert dialled_url(options) == url
    assert command[command.index("--push-url") + 1] == url
    assert ("--push-insecure" in command) is url.startswith("https:")
    assert who_dials(options).startswith(f"The simulated terminal DEMO0004 dials {url} ")


def test_only_terminals_that_listen_are_registered_and_it_is_said_which_one_dials() -> None:
    assert json.loads(entering(FOUND)[-1]) == FOUND[:1]
    assert whereabouts(FOUND) == "DEMO0003 on port 4372, DEMO0004 dials"


SIZES = Sizes(users=2, fingers=0, faces=0, punches=5, punch_capacity=0, punches_free=0)


def terminal_on(port: int) -> dict[str, str | int]:
    return {"serial": "DEMO0001", "host": "127.0.0.1", "port": port, "comm_key": 0}


@pytest.mark.django_db
def test_the_demos_terminals_are_entered_by_their_places() -> None:
    enter_terminal("Main entrance", terminal_on(4370))

    device = Device.objects.get()
    assert (device.key, device.name, device.port, device.interval) == ("main_entrance", "Demo Main entrance", 4370, 10)


@pytest.mark.django_db
def test_a_demo_terminal_on_another_port_is_the_same_device() -> None:
    for port in (4370, 4374):
        enter_terminal("Office", terminal_on(port))

    assert list(Device.objects.values_list("key", "port")) == [("office", 4374)]


@pytest.mark.django_db
def test_a_demo_of_an_older_release_keeps_its_devices() -> None:
    register_device(key="127-0-0-1", name="Demo Office", host="127.0.0.1")

    enter_terminal("Office", terminal_on(4370))

    assert Device.objects.get().key == "127-0-0-1"


@pytest.mark.django_db
def test_the_demos_people_have_the_names_that_their_terminals_show() -> None:
    people = hire(3, seed=7)

    enter_people(people)

    entered = Employee.objects.order_by("emp_code")
    assert [(each.emp_code, str(each.first_name), str(each.last_name)) for each in entered] == [
        (person.user_id, *person.name.split(" ")) for person in people
    ]
    assert {area.area_code for each in entered for area in each.areas.all()} == {"demo"}


@pytest.mark.django_db
def test_people_whom_somebody_deleted_from_the_demo_stay_away() -> None:
    enter_people(hire(2))
    Employee.objects.all().delete()

    enter_people(hire(2))

    assert (Employee.objects.count(), Area.objects.filter(area_code="demo").count()) == (0, 1)


@pytest.mark.django_db
def test_the_demos_terminals_hang_where_its_people_are() -> None:
    enter_people(hire(2))
    enter_terminal("Office", terminal_on(4370))

    terminal = Terminal.objects.select_related("area").get()
    assert (terminal.sn, terminal.alias, terminal.area.area_code) == ("DEMO0001", "Demo Office", "demo")
    assert count_belonging([terminal]) == {terminal.pk: 2}


@pytest.mark.django_db
def test_new_logs_of_the_demos_units_are_not_compared_with_those_of_the_last_start() -> None:
    enter_terminal("Office", terminal_on(4370))
    other = register_device(key="other", name="Other", host="127.0.0.1", port=4999)
    Device.objects.update(log_width=40, log_bytes=400, log_digest=b"d" * 32, log_tail=b"t" * 40)

    forget_logs()

    assert list(Device.objects.filter(log_bytes=0).values_list("key", flat=True)) == ["office"]
    assert loss_of(Device.objects.get(key="office"), SIZES, Rows(40, b"new rows" * 25)) is None
    assert Device.objects.get(pk=other.pk).log_bytes == 400


def call_of_the_dialling_one() -> Terminal | None:
    return admit(Caller("DEMO0004", "127.0.0.1"))


@pytest.mark.django_db
def test_the_demos_terminal_that_dials_is_let_in_at_once_where_its_people_are() -> None:
    enter_people(hire(2))
    for _start in range(2):
        enter_dialling()

    terminal = call_of_the_dialling_one()
    assert terminal is not None
    assert (terminal.alias, terminal.area.area_code, count_belonging([terminal])) == (
        "Demo Canteen",
        "demo",
        {terminal.pk: 2},
    )
    assert not Device.objects.exists()


@pytest.mark.django_db
def test_the_demos_terminal_that_dialled_before_it_was_entered_is_let_in() -> None:
    assert call_of_the_dialling_one() is None

    enter_dialling()

    assert call_of_the_dialling_one() is not None


@pytest.mark.django_db
def test_the_demos_terminal_that_somebody_blocked_stays_blocked() -> None:
    enter_dialling()
    Terminal.objects.update(admission=Terminal.Admission.BLOCKED)

    enter_dialling()

    assert call_of_the_dialling_one() is None


@pytest.mark.django_db
def test_where_an_earlier_release_dialled_it_the_demos_terminal_stays_and_is_told_what_to_do_when_it_calls() -> None:
    former = Terminal.objects.create(sn="DEMO0004", alias="Renamed")
    presence.mark_online(former)
    device = register_device(key="127-0-0-1-4373", name="Demo Canteen", host="127.0.0.1", port=4373)
    Device.objects.filter(pk=device.pk).update(terminal=former)
    other = register_device(key="other", name="Other", host="127.0.0.1", port=4999)

    enter_dialling()
    terminal = call_of_the_dialling_one()
    assert terminal is not None
    presence.mark_online(terminal, source=Source.PUSH)

    assert (terminal.pk, terminal.alias) == (former.pk, "Renamed")
    assert [*Device.objects.all()] == [other]
    assert AuditEntry.objects.get(action="devices.remove").detail == {"id": "127-0-0-1-4373"}
    assert [*push_feeding.listening()] == [former]


@pytest.mark.django_db
def test_an_earlier_demos_device_that_never_answered_is_taken_out_and_nobody_elses_is() -> None:
    register_device(key="canteen", name="Demo Canteen", host="127.0.0.1", port=4373)

    enter_dialling()
    assert not Device.objects.exists()

    mine = register_device(key="canteen", name="Mine", host="10.0.0.9")
    enter_dialling()
    assert [*Device.objects.all()] == [mine]
