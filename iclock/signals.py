"""News of this app, for whoever cares."""

from django.dispatch import Signal

# Sent after each COMMIT that added punches, with ``terminal_sn: str`` and ``new: int``. Receivers that fail are logged.
punches_recorded = Signal()
