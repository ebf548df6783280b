"""One session per terminal: the lease, its token and its expiry."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models.functions import Now

from devices.domain import lease
from devices.domain.lease import BusyError, Lease, LeaseLostError, confirm, hold
from devices.models import Device

pytestmark = pytest.mark.django_db(transaction=True)


def eventually(question: Callable[[], bool]) -> bool:
    end = time.monotonic() + 20
    while not (answer := question()) and time.monotonic() < end:
        time.sleep(0.005)
    return answer


def renewed(gate: Device) -> bool:
    """Whether somebody renews the lease after it was made to expire."""
    Device.objects.update(lease_expires_at=Now() - timedelta(seconds=1))
    return eventually(lambda: Device.objects.filter(id=gate.id, lease_expires_at__gt=Now()).exists())


def renew_and_hang_up(held: Lease) -> None:
    try:
        lease._renew([held])
    finally:
        connection.close()


def somebody_waits_for_us() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))"
        )
        return bool(cursor.fetchone()[0])


@pytest.fixture
def gate(db: None) -> Device:
    return Device.objects.create(key="gate", name="Gate", host="127.0.0.1")


def test_a_held_device_is_busy_and_a_returned_one_is_free(gate: Device) -> None:
    with hold(gate.id) as first, pytest.raises(BusyError), hold(gate.id):
        pass

    with hold(gate.id) as second:
        assert second.token == first.token + 1


def test_an_unknown_device_is_busy(db: None) -> None:
    with pytest.raises(BusyError), hold(4711):
        pass


def test_of_eight_that_want_a_device_at_once_one_gets_it(gate: Device) -> None:
    start, end = Barrier(8), Barrier(8)

    def want(_: int) -> bool:
        start.wait(timeout=20)
        try:
            with hold(gate.id):
                end.wait(timeout=20)
                return True
        except BusyError:
            end.wait(timeout=20)
            return False
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(want, range(8))) == 1


def test_an_expired_lease_is_taken_over_and_its_former_holder_notices(gate: Device) -> None:
    with hold(gate.id) as first:
        Device.objects.update(lease_expires_at=Now() - timedelta(seconds=1))
        with hold(gate.id) as second:
            with pytest.raises(LeaseLostError):
                confirm(first, failures=7)
            confirm(second, failures=3)

    gate.refresh_from_db()
    assert (gate.failures, gate.lease_expires_at) == (3, None)


def test_giving_back_a_lost_lease_does_not_free_the_new_holders(gate: Device) -> None:
    with hold(gate.id):
        Device.objects.update(lease_token=99)

    gate.refresh_from_db()
    assert gate.lease_expires_at is not None


def test_held_leases_are_renewed(gate: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "_RENEW_SECONDS", 0.01)
    with hold(gate.id) as held:
        assert renewed(gate)
        confirm(held, failures=0)


def test_a_database_that_is_away_for_a_moment_does_not_end_the_renewing(
    gate: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """InterfaceError is not a DatabaseError: it once ended the renewing of all leases of the process."""
    monkeypatch.setattr(lease, "_RENEW_SECONDS", 0.01)
    answers = iter([InterfaceError("connection already closed"), OperationalError("server closed the connection")])
    truly = lease._renew

    def renew(held: list[Lease]) -> None:
        for failure in answers:
            raise failure
        truly(held)

    monkeypatch.setattr(lease, "_renew", renew)
    with hold(gate.id):
        assert renewed(gate)


def test_whatever_ends_the_renewing_the_next_lease_begins_it_anew(
    gate: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "_RENEW_SECONDS", 0.01)
    keeper = lease._Keeper()
    monkeypatch.setattr(lease, "_keeper", keeper)
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    with monkeypatch.context() as broken:
        broken.setattr(lease, "_renew", lambda _: 1 / 0)
        with hold(gate.id):
            assert eventually(lambda: not keeper._running)

    with hold(gate.id):
        assert renewed(gate)


def test_a_lost_lease_is_not_renewed(gate: Device) -> None:
    past = Device.objects.annotate(past=Now() - timedelta(hours=1)).get().past
    Device.objects.update(lease_token=5, lease_expires_at=past)

    lease._renew([Lease(gate.id, 4, past)])

    gate.refresh_from_db()
    assert gate.lease_expires_at == past


def test_a_lease_that_was_given_back_while_it_was_about_to_be_renewed_is_free(gate: Device) -> None:
    with hold(gate.id) as given_back:
        pass

    lease._renew([given_back])

    with hold(gate.id) as next_one:
        assert next_one.token == given_back.token + 1


def test_a_renewing_that_waits_for_a_lease_to_be_given_back_leaves_it_free(gate: Device) -> None:
    with hold(gate.id) as held, ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            Device.objects.filter(id=gate.id).update(lease_expires_at=None)
            renewing = pool.submit(renew_and_hang_up, held)
            assert eventually(somebody_waits_for_us)
        renewing.result(timeout=20)

        gate.refresh_from_db()
        assert gate.lease_expires_at is None
