"""People found on terminals whom nobody put there: somebody decides who they are, and what becomes of them.

What is decided is carried out when the terminal is compared next. Rows are `TerminalPerson`; who decides is limited by
``scope``, and is told of each row on which nothing was done.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import groupby
from typing import Final

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models.functions import Collate

from iclock.domain.alarms import Kind, end_alarm, raise_alarm
from iclock.domain.kept import OTHER_NAME
from iclock.domain.marks import mark
from iclock.domain.plan import Fields
from iclock.domain.standing import BELONGING, UNDECIDED, Standing, in_order, is_unlike, standing_of
from iclock.domain.taking import card_of, names_of, privilege_of
from iclock.models import Alarm, SyncMark, Terminal, TerminalPerson
from iclock.policy import Direction, Strangers
from personnel.domain.people import areas_of, create_employee, lock_employees, update_employee
from personnel.domain.tree import SEED_ID
from personnel.models import Area, Employee
from personnel.models.organisation import UNAUTHORIZED_AREA_ID
from personnel.models.scope import Scope
from zkbio.accounts.domain import audit
from zkbio.texts import in_print

Refusals = list[tuple[TerminalPerson, str]]

_BATCH: Final = 500
_NAMED: Final = 5
_LONGEST: Final = 300
_GONE: Final = "They aren't on the unit any more, or somebody else decided on them meanwhile."
_OUTSIDE: Final = "This is outside of your limits."
_ADVICE: Final = "Decide on them in the list of people on terminals."
_NOT_ASKED: Final = "Nobody asks for a decision any more."
_REMOVED: Final = "Unknown people are removed from this unit now: nobody has to decide on them."
_WRITES: Final = frozenset({Direction.EXPORT, Direction.BOTH})
_NO_AREA: Final = "Give the terminal an area first."
_NOT_ADOPTED: Final = {
    Standing.RESIGNED: "They have resigned: reinstate them first.",
    Standing.IDLE: "They take no part in attendance, so they belong on no terminal: change that first.",
    Standing.DOUBTFUL: "They belong there, by another name: say that it is the same person, or give one of them"
    " another code.",
    Standing.RIGHT: "They belong there already.",
    Standing.REFUSED: "They belong there already.",
    Standing.SOON: "They belong there already.",
    Standing.MISSING: "They belong there already.",
    Standing.LEAVING: "They are being removed from the unit.",
}


def adopt(rows: Iterable[TerminalPerson], *, actor: object, scope: Scope) -> Refusals:
    """Make employees of these people, or bring those who are ones into the terminal's area; each for themselves."""
    refusals: Refusals = []
    terminals: dict[int, Terminal] = {}
    for found in _batches(rows):
        standing, inside = standing_of(found), _inside(found, scope)
        for row in found:
            terminals[row.terminal_id] = row.terminal
            outside = "" if row.pk in inside else _OUTSIDE
            if sentence := outside or _adopt(row, standing[row.pk], actor=actor, scope=scope):
                refusals.append((row, sentence))
    _judge(terminals.values())
    return refusals


def confirm_same(rows: Iterable[TerminalPerson], *, actor: object, scope: Scope) -> Refusals:
    """Whom the unit knows by another name is the employee of that code; then what is known of either may go on."""

    def why_not(_row: TerminalPerson, standing: Standing) -> str:
        return "" if standing == Standing.DOUBTFUL else "They have no other name here: there is nothing to confirm."

    def change(row: TerminalPerson) -> None:
        row.agreed_fields = {**row.agreed_fields, "name": row.held_fields.get("name", "")}
        row.placed, row.refusal, row.retry_at = True, "", None

    return _decide(rows, "iclock.confirm_people", why_not, change, actor=actor, scope=scope)


def remove_from_unit(rows: Iterable[TerminalPerson], *, actor: object, scope: Scope) -> Refusals:
    """Have these people taken off the unit, who don't belong on it."""

    def why_not(row: TerminalPerson, standing: Standing) -> str:
        if row.terminal.direction not in _WRITES:
            return "Nothing is written to this terminal: the direction in which its people go says so."
        return "They belong there: take them out of the area instead." if standing in BELONGING else ""

    def change(row: TerminalPerson) -> None:
        row.placed = True  # who was placed and isn't wanted goes

    return _decide(rows, "iclock.remove_people", why_not, change, actor=actor, scope=scope)


def judge_strangers(terminal: Terminal) -> None:
    """Raise the alarm of a terminal with people that wait for a decision, where its policy asks for that, or end it."""
    if terminal.strangers != Strangers.QUEUED or terminal.direction == Direction.OFF:
        removed = terminal.strangers == Strangers.REMOVED and terminal.direction in _WRITES
        end_alarm(terminal, Kind.STRANGERS, _REMOVED if removed else _NOT_ASKED)
    elif sentence := _undecided(terminal):
        if not raise_alarm(terminal, Kind.STRANGERS, sentence):
            mine = Alarm.objects.open().filter(terminal=terminal, kind=Kind.STRANGERS)
            mine.exclude(sentence=sentence).update(sentence=sentence)
    else:
        end_alarm(terminal, Kind.STRANGERS, "Nobody on this unit is unknown any more.")


def _undecided(terminal: Terminal) -> str:
    """Who on the unit waits for a decision, in a sentence that anybody may read: it names no employee."""
    rows = list(TerminalPerson.objects.unknown().filter(terminal=terminal).order_by())
    standing = standing_of(rows) if rows else {}
    unknown = in_order([row.emp_code for row in rows if standing[row.pk] == Standing.UNKNOWN])
    employees = sum(standing[row.pk] in UNDECIDED for row in rows) - len(unknown)
    told = [_unknown_in_words(unknown), _employees_in_words(employees)]
    return " ".join([*filter(None, told), _ADVICE]) if any(told) else ""


def _unknown_in_words(codes: Sequence[str]) -> str:
    if not codes:
        return ""
    named = in_print(", ".join(codes[:_NAMED]))
    who = "1 person on this unit is" if len(codes) == 1 else f"{len(codes)} people on this unit are"
    return f"{who} unknown here: {named}{' …' if len(codes) > _NAMED else '.'}"


def _employees_in_words(count: int) -> str:
    who = "1 employee is" if count == 1 else f"{count} employees are"
    return f"{who} on this unit against what is known here." if count else ""


def _adopt(row: TerminalPerson, standing: Standing, *, actor: object, scope: Scope) -> str:
    """ "" or why not. Whatever is wrong with one stops nobody else."""
    no_area = _NO_AREA if row.terminal.area_id == UNAUTHORIZED_AREA_ID else ""
    if refusal := no_area or _NOT_ADOPTED.get(standing, ""):
        return refusal
    try:
        with transaction.atomic():
            doubt = _enter(row, scope) if standing == Standing.UNKNOWN else _bring_in(row, scope)
            _settle(row, doubt)
            # Their fingers were not read, as strangers' never are.
            SyncMark.objects.filter(terminal=row.terminal_id).update(fingers_read_at=None)
            _record(actor, "iclock.adopt_people", row.terminal, [row.emp_code])
    except ValidationError as error:
        return _in_words(error)
    except Employee.DoesNotExist:
        return _OUTSIDE
    except IntegrityError:
        return "Somebody else was given this code or this card at the same moment."
    return ""


def _enter(row: TerminalPerson, scope: Scope) -> str:
    """A new person as the unit tells of them; the password and the fingers come with the next comparison."""
    held, terminal = Fields(**row.held_fields), row.terminal
    tells = terminal.direction == Direction.IMPORT
    employee = Employee(
        emp_code=row.emp_code,
        department_id=_department(scope),
        card_no=card_of(terminal, held.card) if held.card else None,
        dev_privilege=privilege_of(held.privilege) if tells else Employee.DevicePrivilege.USER,
        **names_of(held.name),
    )
    employee.clean_fields(exclude=["department"])
    create_employee(employee, areas=[terminal.area])
    return ""


def _bring_in(row: TerminalPerson, scope: Scope) -> str:
    """Into the terminal's area, beside the areas where they are. Says so if the unit may mean somebody else."""
    pk = Employee.objects.get(emp_code=row.emp_code).pk
    [employee] = lock_employees([pk], scope=scope)
    areas = Area.objects.filter(pk__in={*areas_of([pk]), row.terminal.area_id})
    update_employee(pk, {}, areas=areas, scope=scope)
    name = employee.full_name.strip()
    return OTHER_NAME.format(row.emp_code, row.held_fields["name"], name) if is_unlike(row, name) else ""


def _settle(row: TerminalPerson, doubt: str) -> None:
    """With a doubt they stay among those on whom somebody decides."""
    refusal = in_print(doubt)[:_LONGEST] if doubt else row.refusal
    if not TerminalPerson.objects.unknown().filter(pk=row.pk).update(placed=not doubt, refusal=refusal):
        raise ValidationError(_GONE)


def _department(scope: Scope) -> int:
    if scope.departments is None or SEED_ID in scope.departments:
        return SEED_ID
    return min(scope.departments)


def _decide(
    rows: Iterable[TerminalPerson],
    action: str,
    why_not: Callable[[TerminalPerson, Standing], str],
    change: Callable[[TerminalPerson], None],
    *,
    actor: object,
    scope: Scope,
) -> Refusals:
    """Change the rows that there is nothing against, those of a terminal at once."""
    refusals: Refusals = []
    terminals: dict[int, Terminal] = {}
    for found in _batches(rows):
        standing, inside = standing_of(found), _inside(found, scope)
        against = {row.pk: why_not(row, standing[row.pk]) if row.pk in inside else _OUTSIDE for row in found}
        refusals += [(row, against[row.pk]) for row in found if against[row.pk]]
        chosen = sorted((row for row in found if not against[row.pk]), key=lambda row: row.terminal_id)
        for pk, mine in groupby(chosen, key=lambda row: row.terminal_id):
            of_terminal = list(mine)
            terminals[pk] = of_terminal[0].terminal
            changed = _change(terminals[pk], of_terminal, change, action=action, actor=actor)
            refusals += [(row, _GONE) for row in of_terminal if row.pk not in changed]
    _judge(terminals.values())
    return refusals


def _change(
    terminal: Terminal,
    rows: Collection[TerminalPerson],
    change: Callable[[TerminalPerson], None],
    *,
    action: str,
    actor: object,
) -> set[int]:
    """The ids of the rows that were changed: those that still wait for a decision."""
    with transaction.atomic():
        mark([terminal.pk])
        waiting = TerminalPerson.objects.unknown().filter(pk__in=[row.pk for row in rows])
        # In the order in which whoever reconciles the terminal writes them.
        locked = list(waiting.order_by(Collate("emp_code", "C")).select_for_update(of=("self",), no_key=True))
        for row in locked:
            change(row)
        TerminalPerson.objects.bulk_update(locked, ["placed", "agreed_fields", "refusal", "retry_at"])
        if locked:
            _record(actor, action, terminal, [row.emp_code for row in locked])
    return {row.pk for row in locked}


def _batches(rows: Iterable[TerminalPerson]) -> Iterator[list[TerminalPerson]]:
    """As they are now, a batch at a time; who is gone from the unit meanwhile isn't among them."""
    pks = sorted({row.pk for row in rows})
    for start in range(0, len(pks), _BATCH):
        now = TerminalPerson.objects.filter(pk__in=pks[start : start + _BATCH])
        yield list(now.order_by("pk").select_related("terminal__area"))


def _judge(terminals: Iterable[Terminal]) -> None:
    for terminal in terminals:
        judge_strangers(terminal)


def _record(actor: object, action: str, terminal: Terminal, codes: list[str]) -> None:
    audit.record(actor=actor, action=action, subject=str(terminal), detail={"sn": terminal.sn, "codes": codes})


def _inside(rows: Collection[TerminalPerson], scope: Scope) -> set[int]:
    """The ids of the rows on which somebody with this scope may decide."""
    inside = TerminalPerson.objects.within(scope).filter(pk__in=[row.pk for row in rows])
    return set(inside.order_by().values_list("pk", flat=True))


def _in_words(error: ValidationError) -> str:
    if not hasattr(error, "error_dict"):
        return " ".join(error.messages)
    parts = (f"{name.replace('_', ' ')}: {' '.join(told)}" for name, told in error.message_dict.items())
    return " ".join(part[0].upper() + part[1:] for part in parts)
