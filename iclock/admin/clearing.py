"""The action “Clear the log” of terminals, with a page between that says what will happen to which of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from django.contrib import admin, messages
from django.contrib.admin import helpers
from django.contrib.admin.utils import model_ngettext
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from iclock.domain.clearing import PERMISSION, ask_to_clear, count_stored_of
from iclock.models import Terminal

# Each is counted: of a terminal with a million punches that takes a tenth of a second.
MOST_AT_ONCE: Final = 100


@admin.action(description="Clear the log …", permissions=["clear_log"])
def clear_log(page: Any, request: HttpRequest, queryset: QuerySet[Terminal]) -> HttpResponse | None:
    """Asks first. What was confirmed is what was shown: the terminals' ids come back with the form."""
    terminals = list(queryset.order_by("alias", "pk")[: MOST_AT_ONCE + 1])
    if len(terminals) > MOST_AT_ONCE:
        page.message_user(request, f"At most {MOST_AT_ONCE} terminals at once.", messages.ERROR)
        return None
    if "confirmed" not in request.POST:
        return _confirmation(page, request, terminals)
    ask_to_clear(terminals, user=request.user, actor=request)
    what = "Asked for: the list of commands says what comes of it. A log is cleared only once all of it is stored here."
    page.message_user(request, what, messages.SUCCESS)
    return None


def may_clear_log(request: HttpRequest) -> bool:
    """Changing terminals is needed as well, as for everything that is asked of one."""
    return bool(request.user.has_perms(["iclock.change_terminal", PERMISSION]))


def _confirmation(page: Any, request: HttpRequest, terminals: Sequence[Terminal]) -> HttpResponse:
    context = {
        **page.admin_site.each_context(request),
        "title": "Clear the punch log?",
        "opts": page.model._meta,
        "action_checkbox_name": helpers.ACTION_CHECKBOX_NAME,
        "of_these": f"{len(terminals)} {model_ngettext(page.model._meta, len(terminals))}",
        "terminals": [(terminal, count_stored_of(terminal.sn)) for terminal in terminals],
    }
    return TemplateResponse(request, "admin/iclock/terminal/clear_log.html", context)
