"""One terminal that dials with all that its requests need, by one statement that is written once.

A thousand idle units ask a hundred times a second: having Django compose the same query anew each time is most of what
an answer costs.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

import orjson
from django.db import models

from iclock.models import PushState, Terminal, TerminalPresence
from personnel.models import Area
from zkbio.api.streams import Statement, read_batches

_MODELS: Final[dict[str, type[models.Model]]] = {
    "terminal": Terminal,
    "area": Area,
    "push": PushState,
    "presence": TerminalPresence,
}


def _columns(name: str) -> str:
    return ", ".join(f'{name}."{field.column}"' for field in _MODELS[name]._meta.concrete_fields)


_FIND: Final = f"""
SELECT EXISTS (
    SELECT FROM iclock_pushcommand waiting
    WHERE waiting.terminal_id = terminal.id AND waiting.state IN ('queued', 'sent')
), {", ".join(map(_columns, _MODELS))}
FROM iclock_terminal terminal
JOIN personnel_area area ON area.id = terminal.area_id
LEFT JOIN iclock_pushstate push ON push.terminal_id = terminal.id
LEFT JOIN iclock_terminalpresence presence ON presence.terminal_id = terminal.id
WHERE terminal.sn = %(sn)s"""  # noqa: S608 - names of columns


def find_terminal(serial: str) -> Terminal | None:
    """With ``area``, ``push`` and ``presence``, as ``select_related`` would have them."""
    rows = next(read_batches(Statement(_FIND, {"sn": serial}), most=1), [])
    if not rows:
        return None
    waits, *columns = rows[0]
    left = iter(columns)
    terminal: Terminal = _read(Terminal, left)
    terminal.area = _read(Area, left)
    for name in ("push", "presence"):
        relation: Any = Terminal._meta.get_field(name)
        related = _read(_MODELS[name], left)
        relation.set_cached_value(terminal, related)
        if related is not None:
            related.terminal = terminal
    if hasattr(terminal, "push"):
        terminal.push.anything_open = waits
    return terminal


def _read(model: type[models.Model], left: Iterator[Any]) -> Any:
    """The next columns as an object; None where a join found nothing."""
    fields = model._meta.concrete_fields
    values = [_value(field, value) for field, value in zip(fields, islice(left, len(fields)), strict=True)]
    primary_key = values[[field.primary_key for field in fields].index(True)]
    return None if primary_key is None else model.from_db("default", [field.attname for field in fields], values)


def _value(field: models.Field[Any, Any], value: Any) -> Any:
    return orjson.loads(value) if isinstance(field, models.JSONField) and isinstance(value, str) else value
