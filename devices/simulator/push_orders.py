"""What a unit does with a command of the PUSH protocol, and the code it returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from string import hexdigits
from typing import Final, Literal

from devices.simulator.enrolment import ENROL_NOBODY, finger_data
from devices.simulator.push_diary import Album, Diary
from devices.simulator.push_generation import Generation
from devices.simulator.push_lines import FINGER, Scribe
from devices.simulator.push_templates import (
    BAD_PARAMETER,
    FULL,
    NO_SUCH_PIN,
    OK,
    UNSUPPORTED,
    Wrong,
    delete_biodata,
    delete_finger,
    number_of,
    update_biodata,
    update_finger,
    update_picture,
)
from devices.simulator.spec import SimTemplate, SimUser
from devices.simulator.state import Clearing, Refused, TerminalState

_ALREADY_THERE: Final = 2
_ENROLMENT_FAILED: Final = 4
_UNLOCK_SECONDS: Final = 5.0
_BY_COMMAND: Final = Clearing(-1, 0)

Arguments = Mapping[str, str]
Then = Literal["", "reload", "reboot"]
Upload = Callable[[str, list[str]], None]


@dataclass(frozen=True, slots=True)
class Reply:
    """What is returned, the lines told behind it, and what the unit does when it was answered."""

    returned: int = OK
    told: tuple[str, ...] = ()
    then: Then = ""


class Orders:
    """Carries out commands on ``state``. ``upload`` posts lines of a kind, and raises when they don't get through."""

    def __init__(
        self,
        state: TerminalState,
        diary: Diary,
        album: Album,
        scribe: Scribe,
        upload: Upload,
    ) -> None:
        self.state, self.diary, self.album, self.scribe, self.upload = state, diary, album, scribe, upload
        self._enrolments = 0

    @property
    def generation(self) -> Generation:
        return self.scribe.generation

    def carry_out(self, text: str) -> Reply:
        """Do what ``text`` says; what the unit refuses is a code, too."""
        verb = verb_of(text)
        handler = _VERBS.get(verb)
        if handler is None:
            return Reply(UNSUPPORTED)
        try:
            return handler(self, _arguments(text[len(verb) :]))
        except Wrong as wrong:
            return Reply(wrong.code)
        except Refused:
            return Reply(FULL)

    # People

    def update_user(self, told: Arguments) -> Reply:
        user_id = told.get("pin", "")
        numeric = self.state.spec.user_width == 28
        if not (user_id.isdecimal() if numeric else user_id.isalnum()) or len(user_id) > self.state.spec.pin_width:
            raise Wrong(BAD_PARAMETER)
        kept = self.state.person(user_id) or SimUser(0, user_id)
        self.state.add_user(_changed(kept, told))
        self.diary.absorb(user_id)
        return Reply()

    def delete_user(self, told: Arguments) -> Reply:
        """Who isn't there needn't be deleted."""
        user_id = told.get("pin", "")
        if not user_id:
            raise Wrong(BAD_PARAMETER)
        user = self.state.person(user_id)
        if user is not None:
            self.state.delete_user(user.uid)
        self.album.forget_person(user_id)
        self.diary.absorb(user_id)
        return Reply()

    def update_finger(self, told: Arguments) -> Reply:
        user = update_finger(self.state, told)
        self.diary.absorb(user.user_id)
        return Reply()

    def delete_finger(self, told: Arguments) -> Reply:
        delete_finger(self.state, told)
        self.diary.absorb(told["pin"])
        return Reply()

    def update_biodata(self, told: Arguments) -> Reply:
        self._check_biodata()
        if number_of(told, "type") == FINGER:
            return self.update_finger(_as_finger(told))
        update_biodata(self.state, self.album, told)
        return Reply()

    def delete_biodata(self, told: Arguments) -> Reply:
        self._check_biodata()
        if "type" in told and number_of(told, "type") == FINGER:
            return self.delete_finger(_as_finger(told))
        delete_biodata(self.album, told)
        return Reply()

    def _check_biodata(self) -> None:
        if not self.generation.biodata:
            raise Wrong(UNSUPPORTED)

    def update_picture(self, told: Arguments) -> Reply:
        update_picture(self.state, self.album, told)
        return Reply()

    # Questions

    def query_users(self, told: Arguments) -> Reply:
        """People and what they are enrolled with are posted before the command is answered."""
        user_id = told.get("pin")
        users = [user for user in self.state.users() if user_id in (None, user.user_id)]
        fingers = [(user.user_id, finger) for user in users for finger in self._fingers(user)]
        bios = [bio for user in users for bio in self.album.bios_of(user.user_id) if self.generation.biodata]
        scribe = self.scribe
        if self.generation.access:
            self.upload("user", [scribe.queried_user(user) for user in users])
            self.upload("templatev10", [scribe.queried_finger(*finger) for finger in fingers])
        else:
            self.upload("OPERLOG", [scribe.user(user) for user in users])
            self.upload("OPERLOG", [scribe.finger(*finger) for finger in fingers])
        self.upload("BIODATA", [scribe.bio(bio) for bio in bios])
        return Reply(len(users) + len(fingers) + len(bios))

    def _fingers(self, user: SimUser) -> list[SimTemplate]:
        held = (self.state.template(user.uid, finger) for finger in range(10))
        return [template for template in held if template]

    def query_punches(self, told: Arguments) -> Reply:
        start, end = _between(told)
        first, punches = self.state.punches_after(0)
        wanted = [(first + place, punch) for place, punch in enumerate(punches) if start <= punch.time <= end]
        if self.generation.access:
            self.upload("transaction", [self.scribe.queried_punch(punch) for _, punch in wanted])
        else:
            self.upload("ATTLOG", [self.scribe.punch(punch, place) for place, punch in wanted])
        return Reply(len(wanted))

    def sum_punches(self, told: Arguments) -> Reply:
        start, end = _between(told)
        _, punches = self.state.punches_after(0)
        return Reply(OK, (f"AttlogSum={sum(start <= punch.time <= end for punch in punches)}",))

    def inform(self, _told: Arguments) -> Reply:
        return Reply(OK, tuple(f"{key}={value}" for key, value in facts(self.state).items()))

    # The unit

    def nothing(self, _told: Arguments) -> Reply:
        """CHECK and LOG: what isn't told yet is told in every round anyway."""
        return Reply()

    def clear_log(self, _told: Arguments) -> Reply:
        self.state.clear_log(_BY_COMMAND)
        return Reply()

    def clear_photos(self, _told: Arguments) -> Reply:
        self.album.photos.clear()
        return Reply()

    def clear_data(self, _told: Arguments) -> Reply:
        self.state.clear_data(_BY_COMMAND)
        self.album.clear()
        self.diary.absorb_emptying()
        return Reply()

    def set_option(self, told: Arguments) -> Reply:
        text = told["text"]
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise Wrong(BAD_PARAMETER)
        self.state.options[key] = value
        return Reply()

    def reload(self, _told: Arguments) -> Reply:
        return Reply(then="reload")

    def reboot(self, _told: Arguments) -> Reply:
        return Reply(then="reboot")

    def unlock(self, _told: Arguments) -> Reply:
        self.state.unlocks.append(_UNLOCK_SECONDS)
        return Reply()

    def enrol(self, told: Arguments) -> Reply:
        """Somebody comes and gives their finger, unless ``enrol_result`` says how it ends; it is told as any."""
        finger = number_of(told, "fid")
        if not 0 <= finger <= 9:
            raise Wrong(BAD_PARAMETER)
        user = self.state.person(told.get("pin", ""))
        if user is None:
            raise Wrong(NO_SUCH_PIN)
        if told.get("overwrite") == "0" and self.state.template(user.uid, finger):
            return Reply(_ALREADY_THERE)
        result = self.state.enrol_result
        if result:
            return Reply(_ENROLMENT_FAILED if result == ENROL_NOBODY else result)
        self._enrolments += 1
        self.state.put_template(SimTemplate(user.uid, finger, finger_data(user.uid, finger, self._enrolments)))
        return Reply()


def facts(state: TerminalState) -> dict[str, str]:
    """What a unit tells of itself: its options and its counters."""
    counts, spec = state.counts(), state.spec
    return {
        **state.options,
        "FWVersion": spec.firmware,
        "UserCount": str(counts.users),
        "FPCount": str(counts.templates),
        "TransactionCount": str(counts.punches),
        "MaxUserCount": str(spec.user_capacity),
        "MaxFingerCount": str(spec.finger_capacity),
        "MaxAttLogCount": str(spec.punch_capacity),
    }


def verb_of(text: str) -> str:
    """The words that say what to do, as far as units know them; else the first word."""
    words = text.split("\t", 1)[0].split(" ")
    for count in (3, 2, 1):
        verb = " ".join(words[:count])
        if verb in _VERBS:
            return verb
    return words[0]


def told_as(text: str) -> str:
    """What a unit calls the command in its answer: short, the server knows it by its id."""
    verb = verb_of(text)
    return verb.split(" ")[0] if verb.startswith("DATA ") else verb.removesuffix(" ATTLOG")


def _arguments(rest: str) -> Arguments:
    """The values by lower-case name, and under ``text`` all of it as it came."""
    text = rest.strip(" ")
    pairs = (part.partition("=") for part in text.split("\t"))
    return {**{key.lower(): value for key, equals, value in pairs if equals}, "text": text}


def _changed(user: SimUser, told: Arguments) -> SimUser:
    """What isn't told stays."""
    privilege, group = number_of(told, "pri", user.privilege), number_of(told, "grp", user.group)
    if max(privilege, group) > 255:
        raise Wrong(BAD_PARAMETER)
    return replace(
        user,
        name=told.get("name", user.name),
        password=told.get("passwd", user.password),
        privilege=privilege,
        card=number_of(told, "card", user.card),
        group=group,
        time_zones=_zones(told["tz"]) if told.get("tz") else user.time_zones,
    )


def _zones(text: str) -> tuple[int, int, int, int]:
    """Four numbers of four hexadecimal digits; a shorter text leaves the last ones 0."""
    if len(text) > 16 or any(digit not in hexdigits for digit in text):
        raise Wrong(BAD_PARAMETER)
    whole = text.ljust(16, "0")
    return int(whole[:4], 16), int(whole[4:8], 16), int(whole[8:12], 16), int(whole[12:], 16)


def _as_finger(told: Arguments) -> Arguments:
    """A fingerprint that came as BIODATA."""
    valid = "3" if told.get("duress") == "1" else told.get("valid", "1")
    same = {"pin": told.get("pin", ""), "valid": valid}
    given = {"fid": told.get("no"), "tmp": told.get("tmp")}
    return {**same, **{key: value for key, value in given.items() if value is not None}}


def _between(told: Arguments) -> tuple[datetime, datetime]:
    try:
        return datetime.fromisoformat(told["starttime"]), datetime.fromisoformat(told["endtime"])
    except (KeyError, ValueError) as error:
        raise Wrong(BAD_PARAMETER) from error


_VERBS: Final[dict[str, Callable[[Orders, Arguments], Reply]]] = {
    "DATA UPDATE USERINFO": Orders.update_user,
    "DATA DELETE USERINFO": Orders.delete_user,
    "DATA UPDATE FINGERTMP": Orders.update_finger,
    "DATA DELETE FINGERTMP": Orders.delete_finger,
    "DATA UPDATE BIODATA": Orders.update_biodata,
    "DATA DELETE BIODATA": Orders.delete_biodata,
    "DATA UPDATE USERPIC": Orders.update_picture,
    "DATA QUERY USERINFO": Orders.query_users,
    "DATA QUERY ATTLOG": Orders.query_punches,
    "VERIFY SUM ATTLOG": Orders.sum_punches,
    "INFO": Orders.inform,
    "CHECK": Orders.nothing,
    "LOG": Orders.nothing,
    "CLEAR LOG": Orders.clear_log,
    "CLEAR PHOTO": Orders.clear_photos,
    "CLEAR DATA": Orders.clear_data,
    "SET OPTION": Orders.set_option,
    "RELOAD OPTIONS": Orders.reload,
    "REBOOT": Orders.reboot,
    "AC_UNLOCK": Orders.unlock,
    "ENROLL_FP": Orders.enrol,
}
