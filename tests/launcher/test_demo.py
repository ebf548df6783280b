from __future__ import annotations

import subprocess

import pytest

from devices.domain.registry import register_device
from devices.models import Device
from devices.simulator.people import hire
from personnel.models import Area, Employee
from zkbio.launcher.demo import curl_line
from zkbio.launcher.demo_entries import enter_people, enter_terminal
from zkbio.launcher.options import read_options


def test_the_printed_line_knows_a_password_made_in_this_run() -> None:
    line = curl_line(read_options({}), username="admin", password="a'b")

    assert line.startswith("curl -s -H ")
    assert """'password=a'"'"'b'""" in line


def test_without_the_password_the_printed_line_says_which_one_to_set() -> None:
    line = curl_line(read_options({}), username="admin", password=None)

    said = subprocess.run(["sh", "-c", line], env={}, capture_output=True, text=True, timeout=10, check=False)

    assert said.stderr.endswith("ADMIN_PASSWORD: set it to the password of the first start\n")
    assert said.returncode != 0


@pytest.mark.django_db
def test_the_demos_terminals_are_entered_by_their_places() -> None:
    enter_terminal("Main entrance", {"host": "127.0.0.1", "port": 4370, "comm_key": 0})

    device = Device.objects.get()
    assert (device.key, device.name, device.port, device.interval) == ("main_entrance", "Demo Main entrance", 4370, 10)


@pytest.mark.django_db
def test_a_demo_terminal_on_another_port_is_the_same_device() -> None:
    for port in (4370, 4374):
        enter_terminal("Office", {"host": "127.0.0.1", "port": port, "comm_key": 0})

    assert list(Device.objects.values_list("key", "port")) == [("office", 4374)]


@pytest.mark.django_db
def test_a_demo_of_an_older_release_keeps_its_devices() -> None:
    register_device(key="127-0-0-1", name="Demo Office", host="127.0.0.1")

    enter_terminal("Office", {"host": "127.0.0.1", "port": 4370, "comm_key": 0})

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
