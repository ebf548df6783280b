"""Where terminals that dial knock: in any letter case, with or without ``.aspx`` and a slash, maybe below a secret."""

from __future__ import annotations

from typing import Final

from django.urls import re_path

from iclock.push.views import VERBS, serve

_VERBS: Final = "|".join(sorted(VERBS))
# A unit's address is entered by hand, and firmware adds a slash of its own.
PATH: Final = rf"^(?:p/+(?P<secret>[^/]+)/+)?iclock/+(?P<verb>{_VERBS})(?:\.aspx)?/*$"

urlpatterns = [re_path(PATH, serve, name="push")]
