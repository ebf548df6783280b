"""Who is let in of the terminals that dial.

All that they have to show is their serial number, so what else can be asked of them may be.

Nobody learns why they aren't let in. An unknown one is remembered until somebody approves it, no more of them than
PUSH_PENDING_MOST; of one that isn't let in nothing else is kept.
"""

from __future__ import annotations

import hmac
import logging
import time
from collections import OrderedDict
from collections.abc import Mapping
from datetime import timedelta
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from threading import Lock
from types import MappingProxyType
from typing import Final, NamedTuple

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q
from django.db.models.functions import Now

from iclock.domain.alarms import Kind, raise_alarm
from iclock.domain.marks import hold_terminals
from iclock.domain.push_lookup import find_terminal
from iclock.domain.terminals import approve_terminals
from iclock.models import Alarm, PushState, Terminal, TerminalPresence
from zkbio.crypto import fingerprint

# The advisory lock of who remembers an unknown unit. Any constant does; this one spells "knock".
_REMEMBERING: Final = 0x6B6E6F636B
# Of a pending unit it is noted so often, at most, that it came again.
_NOTED_EVERY: Final = timedelta(minutes=1)
_BACK_AND_FORTH: Final = timedelta(minutes=10)
# So much of an address is the network.
_PREFIXES: Final[Mapping[int, int]] = MappingProxyType({4: 24, 6: 64})
_MOST_BUCKETS: Final = 20_000
# A unit shakes hands twice a minute at most; who guesses keys would like to do so more often.
_HANDSHAKES: Final = 10
_TWO_PLACES: Final = (
    "It dialled from two networks in turn: two units have this serial number, or somebody pretends to be it. It is"
    " given no orders while that goes on. Find out which is the right one, and give that one a secret path."
)

_log = logging.getLogger(__name__)


class Caller(NamedTuple):
    """Who asks: ``secret`` is of the path, ``comm_key`` what a unit shows when it shakes hands."""

    serial: str
    address: str
    secret: str = ""
    comm_key: str | None = None
    is_handshake: bool = False


def admit(caller: Caller) -> Terminal | None:
    """The terminal, with its ``push`` state, ``presence`` (if it has one) and ``area``; None for who isn't let in."""
    if not _is_in_networks(caller.address):
        return None
    terminal = _find(caller.serial) or _remember(caller)
    if terminal is None:
        return None
    if terminal.admission != Terminal.Admission.APPROVED:
        _note_pending(terminal)
        return None
    push = _state_of(terminal)
    if push is None:
        return None
    refusal = "" if _is_on_its_path(push, caller.secret) else "it came by another path than its own"
    if refusal := refusal or ("" if _has_key(push, caller) else "it didn't show its comm key"):
        _tell(terminal, caller, refusal)
        return None
    return terminal


def is_in_rate(serial: str, address: str) -> bool:
    """Whether this request, too, is within what one unit may ask of this process: nobody else uses up its share."""
    return _Buckets.take(f"{serial} {_network(address)}")


def is_ambiguous(terminal: Terminal) -> bool:
    """Whether two units dial under its serial number, as far as is known, or it dials from a network where it was not
    before and nobody knows yet whether it left the other one: neither may be told anything. A path of its own says
    who it is."""
    moved = PushState.objects.filter(terminal=terminal, path_digest="", moved_at__gt=Now() - _BACK_AND_FORTH)
    return moved.exists() or Alarm.objects.open().filter(terminal=terminal, kind=Kind.TWO_PLACES).exists()


def note_address(terminal: Terminal, address: str) -> None:
    """Where an admitted unit dials from. Back within minutes to a network that it had left, there are two."""
    here, push = _normal(address), terminal.push
    if here is None or push.address == str(here):
        return
    mine = PushState.objects.filter(terminal=terminal, address=push.address)
    if push.address is None or _network(push.address) == _network(str(here)):
        mine.update(address=str(here))
    else:
        back = push.former_address is not None and _network(push.former_address) == _network(str(here))
        lately = Q(moved_at__gt=Now() - _BACK_AND_FORTH)
        if back and mine.filter(lately).exists():
            raise_alarm(terminal, Kind.TWO_PLACES, _TWO_PLACES)
        mine.update(address=str(here), former_address=push.address, moved_at=Now())
        push.former_address = push.address
    push.address = str(here)
    # Where a unit is polled, its address is the one that is dialled.
    unpolled = Q(presence=None) | Q(presence__pull_time=None)
    Terminal.objects.filter(unpolled, pk=terminal.pk).update(ip_address=str(here))


def count_pending() -> int:
    """How many wait of those that were never heard of before."""
    return Terminal.objects.filter(admission=Terminal.Admission.PENDING, push__isnull=False).count()


def _tell(terminal: Terminal, caller: Caller, reason: str) -> None:
    """For whoever wonders why an approved unit is away; once a minute, because it tries again for years."""
    if _Buckets.take(f"told {terminal.sn}", cost=settings.PUSH_RATE):
        _log.warning("Terminal %s (%s) isn't let in from %s: %s.", terminal.sn, terminal.alias, caller.address, reason)


def _find(serial: str) -> Terminal | None:
    known = find_terminal(serial)
    if known is not None and _is_listed(serial) and known.admission == Terminal.Admission.PENDING:
        approve_terminals([known], actor="PUSH_SERIALS")
        known.admission = Terminal.Admission.APPROVED
    return known


def _remember(caller: Caller) -> Terminal | None:
    """An unknown unit: let in if it is listed, else kept as pending while there is room."""
    listed = _is_listed(caller.serial)
    if not listed and settings.PUSH_ADMISSION != "pending":
        return None
    here = _normal(caller.address)
    pending = {"alias": caller.serial, "admission": Terminal.Admission.PENDING, "ip_address": here and str(here)}
    with transaction.atomic():
        # Whoever comes while another one is remembered comes again.
        if not listed and not (_have_turn() and count_pending() < settings.PUSH_PENDING_MOST):
            return None
        terminal, created = Terminal.objects.get_or_create(sn=caller.serial, defaults=pending)
        if created:
            PushState.objects.create(terminal=terminal)
            _log.info("Terminal %s, which nobody has entered, dialled from %s.", caller.serial, here)
    return _find(caller.serial)


def _have_turn() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_REMEMBERING])
        return bool(cursor.fetchone()[0])


def _state_of(terminal: Terminal) -> PushState | None:
    """Its state, made at its first contact; None when the terminal was deleted meanwhile."""
    known: PushState | None = getattr(terminal, "push", None)
    if known is not None:
        return known
    with transaction.atomic():
        if not hold_terminals([terminal.pk]):
            return None
        state, _ = PushState.objects.get_or_create(terminal=terminal)
    terminal.push = state
    return state


def _note_pending(terminal: Terminal) -> None:
    """That a pending unit still knocks: one that was remembered here and doesn't is forgotten."""
    if terminal.admission != Terminal.Admission.PENDING or not hasattr(terminal, "push"):
        return
    mine = TerminalPresence.objects.filter(terminal=terminal)
    if hasattr(terminal, "presence"):
        overdue = Q(push_time=None) | Q(push_time__lt=Now() - _NOTED_EVERY)
        mine.filter(overdue).update(push_time=Now(), last_activity=Now())
        return
    with transaction.atomic():
        if hold_terminals([terminal.pk]):
            mine.get_or_create(
                terminal_id=terminal.pk,
                defaults={"since": Now(), "last_activity": Now(), "push_time": Now(), "expected": False},
            )


def _is_listed(serial: str) -> bool:
    return serial in settings.PUSH_SERIALS


def _is_on_its_path(push: PushState, secret: str) -> bool:
    """Whoever has a path of their own comes by it; the others come by nobody's."""
    digest = fingerprint(secret) if secret else ""
    if push.path_digest:
        return hmac.compare_digest(digest, push.path_digest)
    return not secret or not PushState.objects.filter(path_digest=digest).exists()


def _has_key(push: PushState, caller: Caller) -> bool:
    """Keys are shown with the handshake only: the rest is believed of the address that showed the right one last."""
    wanted = push.key_digest or _key_digest(settings.PUSH_COMM_KEY)
    here = _normal(caller.address)
    address = None if here is None else str(here)
    if not wanted:
        return True
    if caller.is_handshake:
        if not _Buckets.take(f"key {caller.serial} {_network(caller.address)}", cost=settings.PUSH_RATE / _HANDSHAKES):
            return False
        shown = _key_digest(caller.comm_key or "")
        if not hmac.compare_digest(shown, wanted):
            return False
        if (push.key_address, push.shown_digest) != (address, shown):
            PushState.objects.filter(pk=push.pk).update(key_address=address, shown_digest=shown)
            push.key_address, push.shown_digest = address, shown
        return True
    return address is not None and push.key_address == address and hmac.compare_digest(push.shown_digest, wanted)


def _key_digest(key: str) -> str:
    return fingerprint(key) if key else ""


def _is_in_networks(address: str) -> bool:
    if not settings.PUSH_NETWORKS:
        return True
    here = _normal(address)
    return here is not None and any(here in network for network in settings.PUSH_NETWORKS)


def _normal(address: str) -> IPv4Address | IPv6Address | None:
    """None for a caller whose address isn't known; an IPv4 address is one however it is written."""
    try:
        read = ip_address(address.partition("%")[0])
    except ValueError:
        return None
    return (read.ipv4_mapped or read) if isinstance(read, IPv6Address) else read


def _network(address: str) -> str:
    """ "" of a caller whose address isn't known."""
    read = _normal(address)
    return "" if read is None else str(ip_network(f"{read}/{_PREFIXES[read.version]}", strict=False))


class _Buckets:
    """What each unit may still ask: full after a minute of silence. Those unheard of the longest go first."""

    _lock: Final = Lock()
    _left: Final[OrderedDict[str, tuple[float, float]]] = OrderedDict()

    @classmethod
    def take(cls, who: str, *, cost: float = 1.0) -> bool:
        most, now = float(settings.PUSH_RATE), time.monotonic()
        with cls._lock:
            left, then = cls._left.pop(who, (most, now))
            left = min(most, left + (now - then) * most / 60)
            cls._left[who] = (left - cost if left >= cost else left, now)
            while len(cls._left) > _MOST_BUCKETS:
                cls._left.popitem(last=False)
        return left >= cost
