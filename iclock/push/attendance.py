"""Punches on the lines of every generation: ATTLOG, the 3.x rtlog, and the 3.x table of transactions. Pure.

An ATTLOG line is ``PIN  time  status  verify  workcode  reserved  reserved …`` with TABs between, two to many fields;
the status is the in/out state. Units that look at faces tell of a mask and a temperature behind the reserved fields.
What is missing is 0, as the unit itself has it. Codes stay as they were told: they mean different things on different
firmware.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from iclock.lines import Attendance, OperationLine
from iclock.punch import Decoded, Punch, Reject
from iclock.push.text import (
    RefusalError,
    fault_of_pin,
    fields_of,
    lines_of,
    moment_of,
    number_of,
    reject_of,
    require_length,
    text_of,
    zk_moment_of,
)

MOST_LINE: Final = 2_000
STATE_UNKNOWN: Final = 255
# Of a state, not of an event: none of the protocol's has this code.
DOOR_ALARM: Final = -1

# Somebody was let in: by a verification, a card, a password, in an open interval, as the first of the day and so on.
# From 20 on they were refused (wrong zone, unknown card, expired, too early), or it is the door that tells of itself.
_LET_IN: Final = range(20)
_KEYED: Final = re.compile(r"\s*(?:transaction[ \t]+)?\w{1,20}=", re.IGNORECASE | re.ASCII)
_TRANSACTION: Final = re.compile(r"\s*transaction[ \t]+", re.IGNORECASE | re.ASCII)
_MOST_VALUE: Final = 64
_MASK: Final = re.compile(r"\d{1,3}", re.ASCII)
_DEGREES: Final = re.compile(r"\d{1,3}(\.\d{1,4})?", re.ASCII)
_NO_DEGREES: Final = 255


def read_attlog(body: bytes, encoding: str = "utf-8") -> Attendance:
    """The punches of an ATTLOG post; a line that is none is a reject, and its neighbours are read."""
    punches: list[Punch] = []
    rejects: list[Reject] = []
    for line in lines_of(body, MOST_LINE):
        try:
            decoded = decode_attlog(text_of(line, MOST_LINE, encoding))
        except RefusalError as refusal:
            decoded = Decoded(None, str(refusal))
        if decoded.punch is None or decoded.fault:
            rejects.append(reject_of(line, decoded.fault))
        else:
            punches.append(decoded.punch)
    return Attendance(punches, rejects)


def decode_attlog(text: str) -> Decoded:
    """The punch of an ATTLOG line, or why it is none. Raises RefusalError where not even a time can be read."""
    fields = [field.strip() for field in text.split("\t")]
    if len(fields) < 2:
        raise RefusalError("there is no TAB in it, so no time behind a user id")
    pin, told, status, verify, work, _, _, mask, warmth = (*fields, *[""] * 7)[:9]
    moment = moment_of(told)
    work_code = work if work.strip("0") else None
    codes = number_of(status, "status"), number_of(verify, "verification")
    punch = Punch(pin, moment, *codes, work_code, _mask(mask), _temperature(warmth))
    return Decoded(punch, fault_of_pin(pin))


def read_rtlog(body: bytes, encoding: str = "utf-8") -> Attendance:
    """The events of a 3.x unit: ``time=  pin=  cardno=  eventaddr=  event=  inoutstatus=  verifytype=  index=``.

    Who was let in has punched. Every other event is acknowledged too, or the unit would send it for ever; but it is no
    punch: nobody came or went when a door was forced, or when somebody was refused or isn't known.
    """
    found = Attendance(punches := [], rejects := [], operations := [])
    for line in lines_of(body, MOST_LINE):
        try:
            event = event_of(text_of(line, MOST_LINE, encoding))
        except RefusalError as refusal:
            rejects.append(reject_of(line, str(refusal)))
            continue
        if isinstance(event, Punch):
            punches.append(event)
        else:
            operations.append(event)
    return found


def event_of(text: str) -> Punch | OperationLine:
    """A line of the rtlog, or of the table of transactions, which names some fields otherwise. Raises RefusalError."""
    word = _TRANSACTION.match(text)
    told = fields_of(text[word.end() :] if word else text)
    event = _either(told, "event", "eventtype")
    if not event:
        raise RefusalError("it names no event")
    code, moment = number_of(event, "event"), zk_moment_of(_either(told, "time", "time_second"))
    pin = told.get("pin", "")
    fault = fault_of_pin(pin)
    if code not in _LET_IN or not pin.strip("0"):
        return _door_event(told, code, "" if fault else pin, moment)
    if fault:
        raise RefusalError(fault)
    direction = _either(told, "inoutstatus", "inoutstate")
    state = int(direction) if direction in {"0", "1"} else STATE_UNKNOWN
    verify = number_of(_either(told, "verifytype", "verified"), "verification")
    mask, warmth = _mask(told.get("maskflag", "")), _temperature(told.get("temperature", ""))
    return Punch(pin, moment, state, verify, None, mask, warmth)


def _door_event(told: Mapping[str, str], code: int, person: str, moment: datetime) -> OperationLine:
    names = (("eventaddr", "doorid"), ("inoutstatus", "inoutstate"), ("verifytype", "verified"), ("cardno", "cardno"))
    values = tuple(_either(told, *pair)[:_MOST_VALUE] for pair in names)
    return OperationLine(code, person, moment, values, "door")


def read_rtstate(body: bytes, encoding: str = "utf-8") -> Attendance:
    """How the doors of a 3.x unit are: ``time=  sensor=  relay=  alarm=  door=``, an operation where one is alarmed.

    A unit says so every few seconds: the ordinary states aren't kept, and neither is what can't be read.
    """
    alarms: list[OperationLine] = []
    for line in lines_of(body, MOST_LINE):
        try:
            told = fields_of(text_of(line, MOST_LINE, encoding))
            moment = zk_moment_of(told.get("time", ""))
        except RefusalError:
            continue
        if told.get("alarm", "").strip("0"):
            values = tuple(told.get(name, "")[:_MOST_VALUE] for name in ("sensor", "relay", "door", "alarm"))
            alarms.append(OperationLine(DOOR_ALARM, "", moment, values, "door"))
    return Attendance([], [], alarms)


def read_kept_line(raw: bytes) -> Decoded:
    """A line that was kept because it was bad, read again, whatever it is; of any generation."""
    text = raw.decode("utf-8", "surrogateescape")
    try:
        require_length(raw, MOST_LINE)
        if not _KEYED.match(text):
            return decode_attlog(text)
        event = event_of(text)
    except RefusalError as refusal:
        return Decoded(None, str(refusal))
    return Decoded(event) if isinstance(event, Punch) else Decoded(None, "the event is no punch")


def _mask(text: str) -> int | None:
    """As the unit codes it. Where something else stands there, the punch counts all the same."""
    return int(text) if _MASK.fullmatch(text) else None


def _temperature(text: str) -> float | None:
    """In degrees of the unit's choosing; 0 and 255 are none."""
    degrees = float(text) if _DEGREES.fullmatch(text) else 0.0
    return degrees if 0 < degrees < _NO_DEGREES else None


def _either(told: Mapping[str, str], name: str, other: str) -> str:
    return told.get(name) or told.get(other, "")
