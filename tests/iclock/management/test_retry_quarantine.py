from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from iclock.domain.ingest import record_punches
from iclock.models import Terminal, Transaction
from iclock.punch import Reject, Source

pytestmark = pytest.mark.django_db(transaction=True)


def run(**options: str) -> str:
    out = StringIO()
    call_command("retry_quarantine", stdout=out, **options)
    return out.getvalue()


def test_records_are_tried_again_of_one_terminal_or_of_all(terminal: Terminal) -> None:
    other = Terminal.objects.create(sn="OTHER", alias="Other")
    good, bad = Reject(b"7\t2026-03-02 08:00:00", "?"), Reject(b"7\t2026-02-31 08:00:00", "?")
    for of in (terminal, other):
        record_punches(of, [], source=Source.IMPORT, rejects=[good, bad])

    assert run(terminal="OTHER") == "Punches now: 1. Kept: 1.\n"
    assert Transaction.objects.get().terminal_sn == "OTHER"
    assert run() == "Punches now: 1. Kept: 2.\n"
    with pytest.raises(CommandError, match="no record of a terminal with the serial number NONE"):
        run(terminal="NONE")
