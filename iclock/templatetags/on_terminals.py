"""The part of an employee's page that this app adds: on which terminals they are, and what keeps them from that."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from django import template
from django.template import Context
from django.urls import reverse
from django.utils.http import urlencode

from iclock.domain.belonging import belonging_among
from iclock.domain.standing import standing_of
from iclock.models import Terminal, TerminalPerson
from iclock.policy import Direction
from personnel.models import Employee

MOST_SHOWN: Final = 50

register = template.Library()


class OnTerminal(NamedTuple):
    terminal: Terminal
    standing: str
    refusal: str


@register.inclusion_tag("admin/personnel/employee/on_terminals.html", takes_context=True)
def on_terminals(context: Context, employee: Employee) -> dict[str, Any]:
    """As many queries for many terminals as for one; nothing for who may not see the people on terminals."""
    user = context["request"].user
    if not user.has_perm("iclock.view_terminalperson"):
        return {"shown": False}
    known = TerminalPerson.objects.visible_to(user).filter(emp_code=employee.emp_code)
    found = [*_found(known), *_on_their_way(employee, user)]
    asked = urlencode({"q": employee.emp_code, "shown": "all"})
    return {
        "shown": True,
        "found": found[:MOST_SHOWN],
        "more": len(found) > MOST_SHOWN,
        "all": f"{reverse('admin:iclock_terminalperson_changelist')}?{asked}",
    }


def _found(known: Any) -> list[OnTerminal]:
    """Those with a refusal first: whoever looks wants to know of them."""
    rows = list(known.defer("held_fingers", "agreed_fingers").select_related("terminal").order_by("pk"))
    rows = sorted(rows, key=lambda row: not row.refusal)[: MOST_SHOWN + 1]
    standing = standing_of(rows)
    return [OnTerminal(row.terminal, str(standing[row.pk].label), row.refusal) for row in rows]


def _on_their_way(employee: Employee, user: Any) -> list[OnTerminal]:
    """Where they belong, and of which nothing is known yet."""
    writable = Terminal.objects.visible_to(user).filter(
        direction__in=[Direction.EXPORT, Direction.BOTH], admission=Terminal.Admission.APPROVED
    )
    unheard = writable.exclude(people__emp_code=employee.emp_code).order_by()
    pairs = belonging_among(list(unheard.values_list("pk", flat=True)), [employee.pk])
    ids = sorted(terminal for terminal, _employee in pairs)[: MOST_SHOWN + 1]
    return [
        OnTerminal(terminal, "On their way there", "")
        for terminal in Terminal.objects.filter(pk__in=ids).order_by("pk")
    ]
