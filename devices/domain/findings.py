"""What a check-up finds, as steps with a sentence and with advice, in the language that is active. Pure."""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from django.conf import settings
from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, ngettext

from devices.domain import clocks
from devices.driver.errors import KeyRefusedError, ProtocolError, TerminalError, TimedOutError, UnreachableError
from devices.driver.tables import Rows, decode_punches
from devices.driver.unit import Sizes
from devices.driver.users import UnitUser
from iclock.punch import Reject
from zkbio.clock import zone

_HALF_HOUR: Final = timedelta(minutes=30)
# The farthest that two places on earth are apart on the clock.
_FARTHEST: Final = timedelta(hours=26)

_BROKEN: Final[Mapping[str, str]] = {
    "broken_off": gettext_noop("The connection broke in the middle of an answer."),
    "timeout": gettext_noop("The device took too long to answer."),
    "protocol": gettext_noop("The device gave an answer that can't be understood."),
    "miscount": gettext_noop("What the device sent doesn't agree with its own count."),
    "refused": gettext_noop("The device refused."),
    "stopped": gettext_noop("The conversation was ended because the server stops."),
}
_MEND: Final[Mapping[str, str]] = {
    "broken_off": gettext_noop("Look at its cable and its network, and check again."),
    "timeout": gettext_noop("Give it a longer timeout, or look at its network; if it goes on, restart the unit."),
    "protocol": gettext_noop("Restart the unit; if it goes on, its firmware is not known here: report its model."),
    "miscount": gettext_noop(
        "Check again when nobody punches; if it goes on, restart the unit, and then report its model and firmware."
    ),
    "refused": gettext_noop("Restart the unit, and check again."),
    "stopped": gettext_noop("Check again once the server is back."),
}
_REJECTS: Final[Mapping[str, str]] = {
    "calendar": gettext_noop("a date that no calendar has"),
    "user table": gettext_noop("a number that is nobody's on the unit"),
    "user id": gettext_noop("no user id"),
}


class Step(NamedTuple):
    """One thing that was looked at. ``name`` is for programs; ``advice`` says what to do, where something is wrong."""

    name: str
    ok: bool
    sentence: str
    advice: str = ""


def find_broken(stage: str, error: TerminalError) -> Step:
    """A conversation that broke off at ``stage``. The driver's own words are English, and tell more."""
    english = error.code not in _BROKEN or (translation.get_language() or "en").startswith("en")
    sentence = str(error) if english else _(_BROKEN[error.code])
    return Step(stage, False, sentence, _(_MEND[error.code]) if error.code in _MEND else "")


def find_at_the_door(error: TerminalError, *, at: str, udp: bool) -> Step | None:
    """What is wrong where not even a connection came about; None when one did."""
    cause = error.__cause__
    if isinstance(error, TimedOutError) and udp:
        cause = TimeoutError()  # nobody accepts anything by UDP
    if not isinstance(error, UnreachableError | TimedOutError) or not isinstance(cause, OSError):
        return None
    told = {"at": at, "why": cause.strerror or cause}
    if isinstance(cause, ConnectionRefusedError):
        sentence = _("%(at)s refuses the connection: a machine is there, but nothing listens on that port.")
        advice = _("Is that the terminal's own address, and the port of its menu (usually 4370)?")
    elif isinstance(cause, TimeoutError) or cause.errno in {errno.EHOSTUNREACH, errno.EHOSTDOWN}:
        sentence = _("Nothing answers at %(at)s.")
        advice = _("Is it switched on, is its cable plugged in, is that its address, is a firewall between?")
    else:
        sentence = _("There is no way to %(at)s (%(why)s).")
        advice = _("Look at this machine's own network and its routes.")
    return Step("connection", False, sentence % told, advice)


def find_in_the_greeting(error: TerminalError) -> Step:
    """What is wrong where somebody accepted the connection, and no session came about."""
    if isinstance(error, KeyRefusedError):
        advice = _("Compare it with the comm key in the terminal's menu, under communication; 0 means none.")
        return Step("comm_key", False, _("It refuses the comm key."), advice)
    if isinstance(error, ProtocolError):
        advice = _("Look which machine has this address, and which port the terminal's menu names.")
        return Step("session", False, _("What answers there is no ZKTeco terminal."), advice)
    if isinstance(error, TimedOutError):
        sentence = _("It accepts the connection and then says nothing.")
        advice = _("A unit talks to one program at a time: end the other one; otherwise restart the unit.")
        return Step("session", False, sentence, advice)
    sentence = _("It accepts the connection and breaks it off.")
    return Step(
        "session",
        False,
        sentence,
        _("A unit talks to one program at a time: end the other one; otherwise restart the unit."),
    )


def find_of_sizes(sizes: Sizes | None) -> Step:
    if sizes is None:
        sentence = _("It doesn't tell how much it holds, so nothing of it can be read: nothing is taken for empty.")
        advice = _("Restart the unit; if it goes on, its firmware is not known here: report its model.")
        return Step("sizes", False, sentence, advice)
    rooms = (
        (_("people"), sizes.users, sizes.user_capacity),
        (_("fingers"), sizes.fingers, sizes.finger_capacity),
        (_("faces"), sizes.faces, sizes.face_capacity),
        (_("punches"), sizes.punches, sizes.punch_capacity),
    )
    held = ", ".join(_room(*room) for room in rooms if room[1] or room[2] > 0)
    sentence = _("It holds %(held)s.") % {"held": held}
    percent = settings.CAPACITY_ALARM_PERCENT
    full = [what for what, count, room in rooms if room > 0 and count * 100 >= room * percent]
    if not full:
        return Step("sizes", True, sentence)
    advice = _("Nearly full: %(what)s. Take away who has left; a log is cleared once all of it is stored here.")
    return Step("sizes", False, sentence, advice % {"what": ", ".join(full)})


def _room(what: str, count: int, room: int) -> str:
    facts = {"count": count, "room": room, "what": what}
    return (_("%(count)d of %(room)d %(what)s") if room > 0 else _("%(count)d %(what)s")) % facts


def find_of_clock(wall: datetime | None, now: datetime, time_zone: str) -> Step:
    if wall is None:
        sentence = _("The device tells no time, or one that no calendar has.")
        return Step("clock", False, sentence, _("Set its clock."))
    name = time_zone or settings.ZKBIO_TIME_ZONE
    drift = clocks.drift_of(wall, now, zone(name))
    seconds = abs(round(drift.total_seconds()))
    told = {"wall": wall, "off": _duration(seconds), "zone": name}
    if seconds <= settings.CLOCK_ALARM_SECONDS:
        return Step("clock", True, _("Its clock shows %(wall)s and is right (%(zone)s, off by %(off)s).") % told)
    ahead = _("Its clock shows %(wall)s: %(off)s ahead of the time in %(zone)s.")
    behind = _("Its clock shows %(wall)s: %(off)s behind the time in %(zone)s.")
    advice = _("Set its clock; stamps of punches that were made meanwhile are wrong.")
    if _is_another_zone(drift):
        advice = _(
            "It may be set for another time zone: correct the zone on the terminal's page (before it has one,"
            " by add_device --time-zone), or set the unit's clock."
        )
    return Step("clock", False, (ahead if drift > timedelta(0) else behind) % told, advice)


def _is_another_zone(drift: timedelta) -> bool:
    """Whether it is off by whole or half hours, as zones are apart."""
    halves = round(drift / _HALF_HOUR)
    rest = abs(drift - halves * _HALF_HOUR).total_seconds()
    return halves != 0 and abs(drift) <= _FARTHEST and rest <= settings.CLOCK_ALARM_SECONDS


def _duration(seconds: int) -> str:
    if seconds >= 172_800:
        return _("%(days)d days") % {"days": seconds // 86_400}
    parts = ((seconds // 3600, "h"), (seconds // 60 % 60, "min"), (seconds % 60, "s"))
    return " ".join(f"{count} {unit}" for count, unit in parts if count) or "0 s"


def find_of_people(people: Sequence[UnitUser]) -> Step:
    width = len(people[0].raw) if people else 0
    facts = {"count": len(people), "width": width, "nameless": sum(not user.user_id for user in people)}
    if not people:
        return Step("people", True, _("Nobody is on it."))
    if facts["nameless"]:
        sentence = (
            _("Its %(count)d people can be read (%(width)d bytes each), but %(nameless)d have no user id.") % facts
        )
        return Step(
            "people", False, sentence, _("Punches of theirs can't be anybody's: give them user ids, or delete them.")
        )
    sentence = ngettext(
        "Its %(count)d person can be read (%(width)d bytes).",
        "Its %(count)d people can be read (%(width)d bytes each).",
        len(people),
    )
    return Step("people", True, sentence % facts)


def find_of_log(rows: Rows, people: Sequence[UnitUser] | None) -> Step:
    facts = {"count": len(rows), "width": rows.width}
    if not len(rows):
        return Step("log", True, _("Its log is empty."))
    if rows.width == 8 and people is None:
        # Such rows say who punched by the number that the person has in the table which couldn't be read.
        sentence = _("Its log of %(count)d punches is whole, but whose they are can't be told without its people.")
        return Step("log", False, sentence % facts)
    rejects = decode_punches(rows, user_ids={user.uid: user.user_id for user in people or ()}).rejects
    if not rejects:
        sentence = ngettext(
            "Its log of %(count)d punch is whole and can be read (%(width)d bytes).",
            "Its log of %(count)d punches is whole and can be read (%(width)d bytes each).",
            len(rows),
        )
        return Step("log", True, sentence % facts)
    sentence = _("Of the %(count)d rows of its log, these can't be punches: %(kinds)s.")
    advice = _("They will be kept in quarantine with their bytes, and everything else is stored: look at them there.")
    return Step("log", False, sentence % {**facts, "kinds": _kinds(rejects)}, advice)


def _kinds(rejects: Sequence[Reject]) -> str:
    counted = Counter(next((_(why) for word, why in _REJECTS.items() if word in each.reason), "?") for each in rejects)
    return ", ".join(f"{count} ({why})" for why, count in counted.most_common())
