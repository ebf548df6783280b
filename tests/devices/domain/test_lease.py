"""One session per terminal: the lease, its token and its expiry."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from django.db import connection
from django.db.models.functions import Now

from devices.domain import lease
from devices.domain.lease import BusyError, Lease, LeaseLostError, confirm, hold
from devices.models import Device

pytestmark = pytest.mark.django_db(transaction=True)


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
        Device.objects.update(lease_expires_at=Now() - timedelta(seconds=1))
        for _ in range(1_000):
            if Device.objects.filter(id=gate.id, lease_expires_at__gt=Now()).exists():
                break
        else:
            pytest.fail("the lease was not renewed")
        confirm(held, failures=0)


def test_a_lost_lease_is_not_renewed(gate: Device) -> None:
    past = Device.objects.annotate(past=Now() - timedelta(hours=1)).get().past
    Device.objects.update(lease_token=5, lease_expires_at=past)

    lease._renew([Lease(gate.id, 4)])

    gate.refresh_from_db()
    assert gate.lease_expires_at == past
