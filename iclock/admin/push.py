"""Terminals that dial, on the page of terminals: what they told, have to show, and are asked for."""

from __future__ import annotations

from typing import Any, Final

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.http.request import split_domain_port
from django.template.response import TemplateResponse
from django.utils.html import format_html_join
from django.views.decorators.cache import never_cache

from iclock.domain import push_orders, push_secrets
from iclock.domain.push_gathering import lines_of
from iclock.models import PushState, Terminal
from iclock.orders import Kind, require_code_page
from zkbio.admin import SecretField, second, tell_secret

MOST_AT_ONCE: Final = 20


class PushStateForm(forms.ModelForm[PushState]):
    """Writes what was typed and nothing else: posts of the unit write the same row."""

    comm_key = SecretField(
        label="Comm key",
        max_length=push_secrets.MOST_KEY,
        help_text="What the unit has to show when it shakes hands (pushcommkey), where it can.",
    )
    clear_comm_key = forms.BooleanField(label="Remove the comm key", required=False)

    class Meta:
        model = PushState
        fields = ("encoding",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        tell_secret(self.fields["comm_key"], is_set=bool(self.instance.key_digest))

    def clean_encoding(self) -> str:
        try:
            require_code_page(self.cleaned_data["encoding"])
        except ValueError as error:
            raise ValidationError(str(error)) from error
        return str(self.cleaned_data["encoding"])

    def clean_comm_key(self) -> str:
        push_secrets.check_key(self.cleaned_data["comm_key"])
        return str(self.cleaned_data["comm_key"])

    def save(self, commit: bool = True) -> PushState:
        PushState.objects.filter(pk=self.instance.pk).update(encoding=self.cleaned_data["encoding"])
        return self.instance


class PushInline(admin.StackedInline[PushState, Terminal]):
    """Of a terminal that dialled once, or was given a path. Whoever may change the terminal may change this."""

    model = PushState
    form = PushStateForm
    verbose_name = verbose_name_plural = "PUSH: it dials"
    can_delete = False
    extra = 0
    max_num = 1
    facts = ("handshake", "dials_from", "moved", "path", "log_lines", "verified", "told")
    readonly_fields = facts

    def get_fields(self, request: HttpRequest, obj: Terminal | None = None) -> Any:
        typed = ("encoding", "comm_key", "clear_comm_key") if self.has_change_permission(request) else ("encoding",)
        return (*typed, *self.facts)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("iclock.view_terminal") or self.has_change_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("iclock.change_terminal")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.display(description="last handshake")
    def handshake(self, state: PushState) -> str:
        return second(state.shook_hands_at)

    @admin.display(description="dials from")
    def dials_from(self, state: PushState) -> str:
        return state.address or "-"

    @admin.display(description="changed its network")
    def moved(self, state: PushState) -> str:
        return f"{second(state.moved_at)}, from {state.former_address}" if state.moved_at else "Never"

    @admin.display(description="path of its own")
    def path(self, state: PushState) -> str:
        return "Yes: it is let in by no other" if state.path_digest else "No"

    @admin.display(description="lines of its log")
    def log_lines(self, state: PushState) -> str:
        return str(lines_of(state.terminal))

    @admin.display(description="log compared")
    def verified(self, state: PushState) -> str:
        return second(state.verified_at)

    @admin.display(description="what it told of itself")
    def told(self, state: PushState) -> str:
        return format_html_join("\n", "<div>{} = {}</div>", sorted(state.options.items())) or "Nothing yet"


class PushActions:
    """For the list of terminals. They need what changing a terminal needs."""

    push_actions = ("give_path", "take_path_back", "ask_info", "ask_log", "ask_check", "ask_options")
    message_user: Any
    admin_site: Any
    model: Any

    @admin.action(description="Give it a secret path (PUSH)", permissions=["change"])
    def give_path(self, request: HttpRequest, queryset: QuerySet[Terminal]) -> HttpResponse | None:
        terminals = list(queryset.order_by("alias", "pk")[: MOST_AT_ONCE + 1])
        if len(terminals) > MOST_AT_ONCE:
            self.message_user(request, f"At most {MOST_AT_ONCE} terminals at once.", messages.ERROR)
            return None
        paths = [(each, address_of(request, push_secrets.give_path(each, actor=request))) for each in terminals]
        return _shown_once(request, {
            **self.admin_site.each_context(request),
            "title": "Secret paths",
            "opts": self.model._meta,
            "paths": paths,
        })  # fmt: skip

    @admin.action(description="Take its secret path back (PUSH)", permissions=["change"])
    def take_path_back(self, request: HttpRequest, queryset: QuerySet[Terminal]) -> None:
        taken = sum(push_secrets.take_path_back(terminal, actor=request) for terminal in queryset)
        self.message_user(request, f"Taken back: {taken}. These are let in by the path of everybody.")

    @admin.action(description="Ask it how it is (PUSH)", permissions=["change"])
    def ask_info(self, request: HttpRequest, queryset: QuerySet[Terminal]) -> None:
        self._ask(request, queryset, Kind.INFO)

    @admin.action(description="Have it send what is new (PUSH)", permissions=["change"])
    def ask_log(self, request: HttpRequest, queryset: QuerySet[Terminal]) -> None:
        self._ask(request, queryset, Kind.LOG)

    @admin.action(description="Have it look for what it hasn't sent (PUSH)", permissions=["change"])
    def ask_check(self, request: HttpRequest, queryset: QuerySet[Terminal]) -> None:
        self._ask(request, queryset, Kind.CHECK)

    @admin.action(description="Have it ask for its options (PUSH)", permissions=["change"])
    def ask_options(self, request: HttpRequest, queryset: QuerySet[Terminal]) -> None:
        self._ask(request, queryset, Kind.RELOAD_OPTIONS)

    def _ask(self, request: HttpRequest, queryset: QuerySet[Terminal], kind: Kind) -> None:
        approved = Terminal.Admission.APPROVED
        dialling = list(queryset.filter(push__isnull=False, admission=approved).select_related("push"))
        for terminal in dialling:
            push_orders.ask(terminal, kind, user=request.user)
        if dialling:
            told = f"Asked: {len(dialling)}; the list of orders to PUSH terminals says what comes of it."
            self.message_user(request, told, messages.SUCCESS)
        if left := queryset.count() - len(dialling):
            self.message_user(request, f"Never dialled, or not approved: {left}.", messages.WARNING)


def address_of(request: HttpRequest, secret: str) -> str:
    """What is entered on the unit: the name under which this page was asked for, and the port of terminals."""
    host = request.get_host()
    if not settings.PUSH_PORT:
        return f"{request.scheme}://{host}/p/{secret}"
    name, _port = split_domain_port(host)
    return f"http://{name}:{settings.PUSH_PORT}/p/{secret}"


@never_cache
def _shown_once(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    return TemplateResponse(request, "admin/iclock/terminal/secret_paths.html", context)
