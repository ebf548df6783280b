"""Entering a device: one spelling, one sentence per field, and the database decides who was first."""

from __future__ import annotations

import threading

import pytest
from django.core.exceptions import ValidationError
from django.db import close_old_connections, connection
from django.utils import timezone

from devices.domain.registry import (
    AlreadyRegisteredError,
    key_for,
    normalise_key,
    parse_comm_key,
    register_device,
    set_polled,
)
from devices.models import Device
from iclock.domain import presence
from iclock.models import Terminal, TerminalPresence

GOOD = {"key": "door", "name": "Door", "host": "10.0.0.5"}


@pytest.mark.django_db
def test_a_device_is_entered_due_at_once_with_its_comm_key_sealed():
    device = register_device(key=" Main Door", name=" Main door ", host="10.0.0.5", comm_key=4_294_967_295)
    stored = Device.objects.get(pk=device.pk)
    assert (stored.key, stored.name, stored.host, stored.port) == ("main_door", "Main door", "10.0.0.5", 4370)
    assert stored.comm_key == 4_294_967_295
    assert b"4294967295" not in bytes(stored.comm_key_sealed)
    assert stored.next_poll_at <= timezone.now()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("key", "a/b"),
        ("key", "x" * 51),
        ("name", " "),
        ("name", "x" * 101),
        ("host", "localhost"),
        ("host", "203.0.113.9"),
        ("port", 0),
        ("port", 65_536),
        ("timeout", 0),
        ("timeout", 61),
        ("encoding", "klingon"),
        ("encoding", "rot13"),
        ("encoding", "utf-16"),
        ("encoding", "utf-8\0"),
        ("time_zone", "Mars/Olympus"),
        ("transport", "carrier pigeon"),
        ("interval", 0),
    ],
)
def test_what_cannot_work_is_refused_under_the_name_of_its_field(field, value):
    with pytest.raises(ValidationError) as caught:
        register_device(**{**GOOD, field: value})
    assert list(caught.value.message_dict) == [field]
    assert Device.objects.count() == 0


@pytest.mark.django_db
def test_all_wrong_fields_are_named_at_once():
    with pytest.raises(ValidationError) as caught:
        register_device(key="door", name="", host="nowhere", port=0)
    assert sorted(caught.value.message_dict) == ["host", "name", "port"]


@pytest.mark.django_db
def test_a_second_device_at_the_same_address_is_refused():
    register_device(**GOOD)
    with pytest.raises(AlreadyRegisteredError) as caught:
        register_device(**{**GOOD, "key": "other"})
    assert caught.value.message_dict == {"host": ["10.0.0.5 port 4370 is registered already, with the id door."]}


@pytest.mark.django_db
def test_an_id_that_is_taken_is_refused():
    register_device(**GOOD)
    with pytest.raises(ValidationError) as caught:
        register_device(**{**GOOD, "host": "10.0.0.6"})
    assert caught.value.message_dict == {"key": ["The id 'door' is taken."]}


@pytest.mark.django_db(transaction=True)
def test_of_several_who_register_one_address_at_once_one_wins():
    barrier, outcomes = threading.Barrier(4), []

    def register(number: int) -> None:
        try:
            connection.ensure_connection()
            barrier.wait(timeout=20)
            register_device(key=f"door{number}", name="Door", host="10.0.0.5")
            outcomes.append("won")
        except AlreadyRegisteredError:
            outcomes.append("lost")
        finally:
            connection.close()
            close_old_connections()

    threads = [threading.Thread(target=register, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert sorted(outcomes) == ["lost", "lost", "lost", "won"]
    assert Device.objects.count() == 1


@pytest.mark.parametrize(("text", "key"), [(" Main Door ", "main_door"), ("A-1", "a-1"), ("a  b", "a__b")])
def test_an_id_is_stripped_lowered_and_without_spaces(text, key):
    assert normalise_key(text) == key


def test_a_letter_whose_small_one_is_ascii_makes_no_other_id():
    assert normalise_key("\u212ait") == "\u212ait"
    with pytest.raises(ValidationError):
        register_device(key="\u212ait", name="Kit", host="10.0.0.5")


def test_an_id_that_nobody_chose_is_made_of_the_address():
    assert key_for("10.0.0.5", 4370) == "10-0-0-5"
    assert key_for("fc00::1", 4371) == "fc00--1-4371"


@pytest.mark.parametrize(("text", "key"), [("", 0), ("0", 0), (" 123456\n", 123_456), ("4294967295", 4_294_967_295)])
def test_a_comm_key_is_a_number_of_32_bits(text, key):
    assert parse_comm_key(text) == key


@pytest.mark.parametrize("text", ["-1", "12a", "1.5", "\u0661\u0662", "4294967296", "9" * 5000])
def test_anything_else_is_no_comm_key_and_is_not_repeated(text):
    with pytest.raises(ValidationError) as caught:
        parse_comm_key(text)
    assert caught.value.messages == ["A comm key is a number from 0 to 4294967295."]


@pytest.mark.django_db
def test_polling_is_switched_for_those_that_change():
    devices = [register_device(**{**GOOD, "key": f"d{n}", "host": f"10.0.0.{n}"}) for n in (1, 2)]
    assert set_polled([devices[0].pk], enabled=False) == 1
    assert set_polled([device.pk for device in devices], enabled=False) == 1
    assert Device.objects.filter(enabled=True).count() == 0


@pytest.mark.django_db
def test_a_terminal_is_waited_for_while_its_device_is_polled():
    terminal = Terminal.objects.create(sn="SN9", alias="Door")
    device = register_device(**GOOD)
    Device.objects.update(terminal=terminal)
    presence.mark_online(terminal)

    def state():
        return TerminalPresence.objects.values_list("expected", "online").get()

    set_polled([device.pk], enabled=False)
    assert state() == (False, False)
    set_polled([device.pk], enabled=True)
    assert state() == (True, False)
    device.refresh_from_db()
    device.delete()
    assert state() == (False, False)
