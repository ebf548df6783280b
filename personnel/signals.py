"""News of this app, for whoever cares. Sent inside of the transaction that makes it true: who fails undoes it."""

from django.dispatch import Signal

# People of these areas are to be brought up to date on terminals, because they joined, left or look different there:
# ``area_ids: frozenset[int]``, ``emp_codes: frozenset[str]`` (empty when an area itself moved), ``anew: bool``: what is
# known of them there is to be read again.
people_changed = Signal()

# Templates of these people are to be forgotten: ``employees: list[Employee]``, ``kinds: frozenset[str]`` out of
# finger_print, face, finger_vein and palm. ``people_changed`` follows.
templates_withdrawn = Signal()
