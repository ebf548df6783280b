"""The action “Check” of devices: a page with every step of each check-up, and what to do."""

from __future__ import annotations

import logging
from typing import Any, Final, NamedTuple

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from devices.domain.checkup import check_device
from devices.domain.findings import Step
from devices.domain.lease import LeaseLostError
from devices.domain.live import OccupiedError, visit_each
from devices.models import Device

# They are checked at the same time, while somebody waits for the page.
MOST_AT_ONCE: Final = 20

_BUSY: Final = "Somebody else is talking to it, and a unit talks to one at a time: check again in a minute."
_FAILED: Final = "It could not be checked; the server's log says why."

_log = logging.getLogger(__name__)


class Checked(NamedTuple):
    """A device and its steps; or, without any, why it wasn't checked."""

    device: Device
    steps: list[Step]
    ok: bool
    verdict: str


@admin.action(description="Check", permissions=["operate"])
def check(page: Any, request: HttpRequest, queryset: QuerySet[Device]) -> HttpResponse | None:
    """Nothing is stored and nothing is changed, so nobody is asked first."""
    devices = list(queryset.order_by("name", "pk")[: MOST_AT_ONCE + 1])
    if len(devices) > MOST_AT_ONCE:
        page.message_user(request, f"At most {MOST_AT_ONCE} devices at once.", messages.ERROR)
        return None
    outcomes = dict(visit_each(devices, check_device(discreet=not _sees_everything(request)), gone=lambda: False))
    context = {
        **page.admin_site.each_context(request),
        "title": "Check-up",
        "opts": page.model._meta,
        "checked": [_told(device, outcomes[device]) for device in devices],
    }
    return TemplateResponse(request, "admin/devices/device/check.html", context)


def _sees_everything(request: HttpRequest) -> bool:
    """Sentences of the history name other units and networks too, to whoever may read it without limits."""
    return bool(request.user.is_superuser)


def _told(device: Device, outcome: list[Step] | Exception) -> Checked:
    if isinstance(outcome, OccupiedError | LeaseLostError):
        return Checked(device, [], False, _BUSY)
    if isinstance(outcome, Exception):
        _log.error("Device %s could not be checked.", device.key, exc_info=outcome)
        return Checked(device, [], False, _FAILED)
    *steps, verdict = outcome
    return Checked(device, steps, verdict.ok, verdict.sentence)
