"""The requests of terminals that dial: read, one verb of the domain each, and its answer to the byte.

A unit takes 200 for "kept for good" and forgets; anything else, and it sends the same again. So 200 comes after COMMIT
or not at all, and no sentence about a failure ever has it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Final, TypeVar

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, UnreadablePostError
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt

from iclock.domain import push_admission, push_contact, push_orders, push_uploads
from iclock.domain.push_admission import Caller
from iclock.models import Terminal
from iclock.push import answers, codec
from iclock.push.request import PushRequest, RefusedRequest, read_body, read_request
from zkbio.api.streams import let_connection_go
from zkbio.clock import zone
from zkbio.pooled.storing import beside

T = TypeVar("T")
Verb = Callable[[Terminal, PushRequest], bytes]

# For who is unknown, waits, was blocked, comes by another's path, without a key or from elsewhere: nobody learns which.
NOT_ADMITTED: Final = "This unit is not admitted here."
_LATER: Final = "Nothing of this was kept; send it again later."
_RETRY_SECONDS: Final = 30
# A body of so many bytes is read in about 20 ms.
_LARGE: Final = 128 * 1024

_log = logging.getLogger(__name__)


@csrf_exempt
def serve(request: HttpRequest, verb: str, secret: str | None = None) -> HttpResponse:
    """One request of one unit."""
    try:
        return _answer(_carry_out(request, read_request(request, verb=verb, secret=secret or "")))
    except RefusedRequest as refusal:
        return _answer(str(refusal).encode(), status=refusal.status)
    except UnreadablePostError:
        return _answer(b"The body could not be read.", status=400)
    except (OperationalError, InterfaceError, OSError) as error:
        _log.error("A unit is asked to send again: %s", str(error).strip().partition("\n")[0])
        return _answer(_LATER.encode(), status=503)
    except Exception:  # noqa: BLE001 - whatever it is, the unit has to keep what it has
        _log.exception("A unit's request (%s) failed by a defect here; the unit sends it again.", verb)
        return _answer(_LATER.encode(), status=500)


def _carry_out(request: HttpRequest, asked: PushRequest) -> bytes:
    if not push_admission.is_in_rate(asked.serial, asked.address):
        raise RefusedRequest(429, "Too many requests of this unit.")
    terminal = push_admission.admit(
        Caller(asked.serial, asked.address, asked.secret, asked.query.get("pushcommkey"), asked.is_handshake)
    )
    if terminal is None:
        if asked.is_handshake and _generation(asked) >= 3:
            return answers.OK  # so that it goes on to register, which is refused
        raise RefusedRequest(403, NOT_ADMITTED)
    verbs = VERBS[asked.verb]
    if asked.method not in verbs:
        raise RefusedRequest(405, f"{asked.verb} is asked for by {' or '.join(verbs)}.")
    push_contact.note_heard(terminal, asked.address)
    return verbs[asked.method](terminal, read_body(request, asked))


def _answer(body: bytes, *, status: int = 200) -> HttpResponse:
    response = HttpResponse(body, content_type="text/plain", status=status)
    response["Content-Length"] = str(len(body))
    # Django would write a line for each refusal, and refused units ask again every few seconds, for years.
    response._has_been_logged = True  # type: ignore[attr-defined]
    if status in {429, 503}:
        response["Retry-After"] = str(_RETRY_SECONDS)
    return response


def _read(reader: Callable[..., T], asked: PushRequest, *how: str) -> T:
    """The lines of a body. Of a large one they are read while others are served."""
    if codec.is_rubble(asked.body):
        raise RefusedRequest(413, "More and shorter lines than any unit sends.")
    if len(asked.body) <= _LARGE:
        return reader(asked.body, *how)
    let_connection_go()
    return beside(reader, asked.body, *how)


def _generation(asked: PushRequest) -> int:
    told = asked.query.get("pushver", "").partition(".")[0]
    return int(told) if told.isascii() and told.isdigit() and len(told) < 3 else 0


def _say_options_or_time(terminal: Terminal, asked: PushRequest) -> bytes:
    if not asked.is_handshake:
        return answers.time_answer(timezone.now().astimezone(zone(terminal.time_zone)))
    block = push_contact.options_for(terminal, asked.serial, asked.query.get("pushver", ""))
    told = answers.option_block(
        answers.Options(
            serial=block.serial,
            offset_minutes=block.offset_minutes,
            stamps=block.stamps,
            error_delay=block.error_delay,
            delay=block.delay,
            trans_times=block.trans_times,
            trans_interval=block.trans_interval,
            push_version=block.push_ver,
        )
    )
    push_contact.note_handshake(terminal, push_contact.digest_of(block), block.push_ver)
    return told


def _take_upload(terminal: Terminal, asked: PushRequest) -> bytes:
    """What isn't named here are lines that name their kind themselves, or quarantine."""
    if not asked.table:
        raise RefusedRequest(400, "The name of the table is missing.")
    take = _TABLES.get(asked.table, _take_lines)
    return take(terminal, asked)


def _take_punches(terminal: Terminal, asked: PushRequest) -> bytes:
    attendance = _read(codec.read_attlog, asked, terminal.push.encoding)
    push_uploads.store_attendance(terminal, attendance, table=asked.table, stamp=asked.query.get("stamp", ""))
    return answers.acknowledged(attendance.count)


def _take_events(terminal: Terminal, asked: PushRequest) -> bytes:
    attendance = _read(codec.read_rtlog, asked, terminal.push.encoding)
    push_uploads.store_attendance(terminal, attendance, table=asked.table, stamp=asked.query.get("stamp", ""))
    return answers.OK


def _take_state(terminal: Terminal, asked: PushRequest) -> bytes:
    push_uploads.store_events(terminal, _read(codec.read_rtstate, asked, terminal.push.encoding).operations)
    return answers.OK


def _take_options(terminal: Terminal, asked: PushRequest) -> bytes:
    push_contact.note_options(terminal, codec.read_options(asked.body, terminal.push.encoding))
    return answers.OK


def _take_lines(terminal: Terminal, asked: PushRequest) -> bytes:
    uploaded = _read(codec.read_lines, asked, asked.table, terminal.push.encoding)
    push_uploads.store_lines(terminal, uploaded, table=asked.table, stamp=asked.query.get("stamp", ""))
    return answers.acknowledged(uploaded.count)


def _take_query(terminal: Terminal, asked: PushRequest) -> bytes:
    table = asked.query.get("tablename", "")
    uploaded = _read(codec.read_querydata, asked, table, terminal.push.encoding)
    push_uploads.store_lines(terminal, uploaded, table=table.upper(), stamp="")
    return answers.OK


def _take_photo(terminal: Terminal, asked: PushRequest) -> bytes:
    try:
        picture = codec.read_photo(asked.body)
    except codec.RefusalError as error:
        push_uploads.refuse_photo(terminal, reason=str(error), size=len(asked.body))
    else:
        push_uploads.store_photo(terminal, picture)
    return answers.OK


def _say_what_to_do(terminal: Terminal, asked: PushRequest) -> bytes:
    if told := asked.query.get("info", ""):
        push_contact.note_info(terminal, codec.read_info(told))
    return push_orders.hand_out(terminal) or answers.OK


def _hear_what_came(terminal: Terminal, asked: PushRequest) -> bytes:
    push_orders.note_answers(terminal, _read(codec.read_answers, asked, terminal.push.encoding))
    return answers.OK


def _register(terminal: Terminal, asked: PushRequest) -> bytes:
    push_contact.note_options(terminal, codec.read_options(asked.body, terminal.push.encoding))
    return answers.registry_answer(push_contact.registry_code_of(terminal))


def _say_configuration(terminal: Terminal, asked: PushRequest) -> bytes:
    block = push_contact.options_for(terminal, asked.serial, terminal.push_ver)
    push_contact.note_handshake(terminal, push_contact.digest_of(block))
    return answers.push_config(
        session=push_contact.registry_code_of(terminal),
        error_delay=block.error_delay,
        request_delay=block.delay,
        trans_interval=block.trans_interval,
    )


def _say_time(terminal: Terminal, _asked: PushRequest) -> bytes:
    return answers.rttime_answer(timezone.now().astimezone(zone(terminal.time_zone)))


def _say_ok(_terminal: Terminal, _asked: PushRequest) -> bytes:
    return answers.OK


_TABLES: Final[Mapping[str, Verb]] = {
    "ATTLOG": _take_punches,
    "RTLOG": _take_events,
    "RTSTATE": _take_state,
    "OPTIONS": _take_options,
    "ATTPHOTO": _take_photo,
    "TABLEDATA": _take_query,
}
VERBS: Final[Mapping[str, Mapping[str, Verb]]] = {
    "cdata": {"GET": _say_options_or_time, "POST": _take_upload},
    "fdata": {"POST": _take_upload},
    "getrequest": {"GET": _say_what_to_do},
    "devicecmd": {"POST": _hear_what_came},
    "ping": {"GET": _say_ok},
    "registry": {"POST": _register},
    "push": {"GET": _say_configuration, "POST": _say_configuration},
    "querydata": {"POST": _take_query},
    "rtdata": {"GET": _say_time},
}
