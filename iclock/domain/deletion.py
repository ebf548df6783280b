"""Deleting a punch: a tombstone, so that the next full read of its terminal doesn't bring it back."""

from __future__ import annotations

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from iclock.models import Transaction
from zkbio.accounts.domain import audit


def delete_punch(punches: QuerySet[Transaction], punch_id: int, *, actor: object) -> bool:
    """Bury one of ``punches``; False when it isn't among them (any more). The trail keeps what it was."""
    with transaction.atomic():
        punch = punches.select_for_update(of=("self",), no_key=True).filter(pk=punch_id).first()
        if punch is None:
            return False
        Transaction.objects.filter(pk=punch_id).update(deleted_at=Now())
        detail = {"id": punch_id, "emp_code": punch.emp_code, "terminal_sn": punch.terminal_sn}
        audit.record(
            actor=actor,
            action="iclock.delete_transaction",
            subject=f"punch {punch}",
            detail={**detail, "punch_time": f"{punch.punch_time:%Y-%m-%d %H:%M:%S}"},
        )
    return True
