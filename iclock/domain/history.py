"""What is over is told for a while, and then forgotten, a batch at a time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from django.conf import settings
from django.db.models import QuerySet
from django.db.models.functions import Now

from iclock.models import PersonIntent

_BATCH: Final = 10_000


def purge(rows: QuerySet[Any], *, moment: str, days: int) -> int:
    """Delete rows whose ``moment`` is more than ``days`` ago, no more than a batch; how many these were."""
    old = rows.filter(**{f"{moment}__lt": Now() - timedelta(days=days)}).order_by("pk").values_list("pk", flat=True)
    deleted: int = rows.filter(pk__in=list(old[:_BATCH])).delete()[0]
    return deleted


def purge_intents() -> int:
    """Forget what was done with people on terminals ``RUN_HISTORY_DAYS`` ago; how much this was."""
    return purge(PersonIntent.objects.all(), moment="at", days=settings.RUN_HISTORY_DAYS)
