"""Every error of these paths in their one shape: ``{"success": false, "error": <a sentence>}``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from django.core.exceptions import ValidationError
from django.utils.functional import Promise
from django.utils.translation import get_language, gettext_lazy
from django.utils.translation import gettext as _
from rest_framework.exceptions import APIException
from rest_framework.response import Response

from devices.domain.attendance import CrowdedError
from devices.domain.lease import LeaseLostError
from devices.domain.live import CallerGoneError, OccupiedError
from devices.domain.live_changes import NoConsentError
from devices.domain.registry import OUTSIDE, AlreadyRegisteredError
from devices.driver.errors import (
    KnownUserError,
    StoppedError,
    TerminalError,
    UnfitError,
    UnknownUserError,
)
from devices.models import Device
from personnel.models.scope import scope_of
from zkbio.api.dialect import failure
from zkbio.api.errors import exception_handler as plain_handler

# nginx's number for a caller who hung up; nobody reads it.
_GONE: Final = 499
_RETRY_SECONDS: Final = 5

# By their codes, what goes wrong with a device. The driver's own English sentences say more, but not to everybody.
_REASONS: Final[Mapping[str, str | Promise]] = {
    "unreachable": gettext_lazy("The device can't be reached: is it switched on, and is its address right?"),
    "broken_off": gettext_lazy("The connection broke in the middle of an answer."),
    "timeout": gettext_lazy("The device took too long to answer."),
    "comm_key": gettext_lazy("The device refuses the password."),
    "protocol": gettext_lazy("The device gave an answer that can't be understood."),
    "miscount": gettext_lazy("What the device sent doesn't agree with its own count."),
    "refused": gettext_lazy("The device refused."),
    "stopped": gettext_lazy("The conversation was ended because the server stops."),
    "unfit": gettext_lazy("The device can't hold this."),
    "full": gettext_lazy("The device has no room left."),
    "unknown_user": gettext_lazy("The device doesn't have this person."),
    "unknown_finger": gettext_lazy("The device doesn't have this finger."),
    "known_user": gettext_lazy("The device has this person already."),
    "not_kept": gettext_lazy("The device acknowledged, but keeps something else."),
    "may_be_locked": gettext_lazy("The device was disabled and could not be enabled again: enable or restart it."),
    "address": gettext_lazy("The device's address is outside the networks of terminals, so it is not dialled."),
    "sealed_key": gettext_lazy("The device's password can't be opened: enter it again."),
    "identity": gettext_lazy("Another terminal answers at the device's address than the one that belongs there."),
    "blocked": gettext_lazy("The terminal is blocked."),
    "doubt": gettext_lazy("Something doesn't agree, so the log was not cleared."),
    "doubtful_time": gettext_lazy("The server's clock and the database's differ, so the device's was not set."),
    "no_consent": gettext_lazy("The person did not agree to biometrics: note that on the employee first."),
    "storage": gettext_lazy("Nothing was lost, but storing failed."),
}
# These name other terminals, the operator's networks, what the database says: for the history, not for whoever asks.
_KEPT_BACK: Final = frozenset({"identity", "address", "storage"})


class Refusal(APIException):
    """What a request gets instead of what it asked for; ``more`` are keys beside the sentence."""

    def __init__(self, status: int, sentence: str, **more: Any) -> None:
        super().__init__(sentence)
        self.status_code = status
        self.wait = _RETRY_SECONDS if status == 503 else None
        self.more = more


class UnknownDevice(Refusal):
    """404, with the ids that there are."""

    def __init__(self, key: str, available: list[str]) -> None:
        sentence = _("Device '%(id)s' not found.") % {"id": key}
        super().__init__(404, sentence, disponibles=available)


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """None means a defect."""
    refusal = _limited_refusal(error, context) or refusal_of(error)
    answer = plain_handler(refusal or error, context)
    if answer is not None:
        answer.data = {**failure(answer.data), **(refusal.more if refusal else {})}
    return answer


def _limited_refusal(error: Exception, context: dict[str, Any]) -> Refusal | None:
    """Instead of a sentence that names the operator's networks, for who is limited."""
    outside = isinstance(error, ValidationError) and OUTSIDE in {
        said.code for said in getattr(error, "error_dict", {}).get("host", ())
    }
    if not outside or scope_of(context["request"].user).unlimited:
        return None
    return Refusal(400, str(_REASONS["address"]))


def refusal_of(error: Exception) -> Refusal | None:
    """What to answer for an error of a device or of the registry."""
    match error:
        case Refusal():
            refusal = error
        case OccupiedError() | LeaseLostError():
            refusal = Refusal(503, _("The device is busy; try again in a few seconds."))
        case CrowdedError():
            refusal = Refusal(503, _("Too many long answers at the moment; please try again a little later."))
        case CallerGoneError():
            refusal = Refusal(_GONE, _("The caller hung up."))
        case TerminalError():
            refusal = Refusal(_status_of(error), reason(error))
        case AlreadyRegisteredError(there=there):
            refusal = Refusal(409, _taken(there))
        case ValidationError():
            refusal = Refusal(400, _words(error))
        case _:
            return None
    return refusal


def reason(error: Exception) -> str:
    """What went wrong with a device, as one sentence in the caller's language."""
    if not isinstance(error, TerminalError):
        refusal = refusal_of(error)
        return _("Something went wrong here; the server's log says what.") if refusal is None else str(refusal.detail)
    if isinstance(error, UnfitError) and (sentence := _(error.sentence)) != error.sentence:
        return sentence % error.facts if error.facts else sentence
    if error.code not in _REASONS or (get_language() == "en" and error.code not in _KEPT_BACK):
        return str(error)
    return str(_REASONS[error.code])


def _status_of(error: TerminalError) -> int:
    match error:
        case UnknownUserError():
            return 404
        case KnownUserError() | NoConsentError():
            return 409
        case UnfitError():
            return 400
        case StoppedError():
            return 503
    return 500


def _taken(there: Device) -> str:
    told = {"ip": there.host, "port": there.port, "id": there.key}
    return _("%(ip)s port %(port)s is registered already, with the id '%(id)s'.") % told


def _words(error: ValidationError) -> str:
    """Every sentence of the domain, after the name that the field has here."""
    if not hasattr(error, "error_dict"):
        return " ".join(error.messages)
    names = {"host": "ip", "key": "id", "comm_key": "password"}
    return " ".join(f"{names.get(field, field)}: {' '.join(said)}" for field, said in error.message_dict.items())
