"""Commands to terminals, and what came of them."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from iclock.domain.commands import as_of_now, cancel_commands
from iclock.models import TerminalCommand
from zkbio.admin import GrowingAdmin, second


@admin.register(TerminalCommand)
class TerminalCommandAdmin(GrowingAdmin[TerminalCommand]):
    list_display = ("id", "terminal", "kind", "state_word", "result_word", "asked_by", "asked", "sent", "finished")
    list_select_related = ("terminal", "created_by")
    list_filter = ("state", "kind")
    ordering = ("-id",)
    search_fields = ("terminal__sn", "terminal__alias")
    actions = ("cancel",)
    fields = ("terminal", "kind", "state_word", "result_word", "asked_by", "asked", "sent", "finished")

    def get_queryset(self, request: HttpRequest) -> QuerySet[TerminalCommand]:
        return as_of_now(super().get_queryset(request))

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("iclock.change_terminal")

    @admin.action(description="Cancel", permissions=["cancel"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[TerminalCommand]) -> None:
        cancelled = cancel_commands(TerminalCommand.objects.filter(pk__in=queryset.values("pk")))
        self.message_user(request, f"Cancelled: {cancelled}. What was sent already can't be.", messages.SUCCESS)

    @admin.display(description="state", ordering="state_now")
    def state_word(self, command: Any) -> str:
        return str(TerminalCommand.State(command.state_now).label)

    @admin.display(description="result")
    def result_word(self, command: Any) -> str:
        return command.result_now or "-"

    @admin.display(description="asked by")
    def asked_by(self, command: TerminalCommand) -> str:
        return str(command.created_by or "-")

    @admin.display(description="asked", ordering="created_at")
    def asked(self, command: TerminalCommand) -> str:
        return second(command.created_at)

    @admin.display(description="sent", ordering="sent_at")
    def sent(self, command: TerminalCommand) -> str:
        return second(command.sent_at)

    @admin.display(description="finished", ordering="finished_at")
    def finished(self, command: TerminalCommand) -> str:
        return second(command.finished_at)
