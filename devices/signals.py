"""News of this app, for whoever cares."""

from django.dispatch import Signal

# Sent after each COMMIT that changed which devices there are, or how they are dialled. Receivers that fail are logged.
devices_changed = Signal()
