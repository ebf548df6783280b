"""News of this app, for whoever cares."""

from django.dispatch import Signal

# Sent after each COMMIT that added punches, with ``terminal_sn: str`` and ``new: int``. Receivers that fail are logged.
punches_recorded = Signal()

# Sent after the COMMIT when something waits at terminals (a command, or the wish to read them now), with
# ``terminal_ids: frozenset[int]``. Receivers that fail are logged.
terminals_called = Signal()

# Sent after the COMMIT that changed who belongs on terminals, or what they should know of them, once for all of a
# transaction, with ``terminal_ids: frozenset[int]``. Receivers that fail are logged.
terminals_marked = Signal()
