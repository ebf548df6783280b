from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any, Final

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404, HttpResponse, HttpResponseBase
from django.utils.translation import gettext as _
from django_filters.rest_framework import DjangoFilterBackend
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.mixins import ListModelMixin, RetrieveModelMixin
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from iclock.api.filters import AlarmFilter, BiodataFilter, CommandFilter, TerminalFilter, TransactionFilter, read_wanted
from iclock.api.rows import EXPORTED, export_statement, list_statement, one_statement
from iclock.api.serializers import (
    AlarmSerializer,
    BiodataSerializer,
    CommandSerializer,
    TemplateSerializer,
    TerminalSerializer,
    TerminalsSerializer,
    TerminalWriteSerializer,
    TransactionSerializer,
)
from iclock.domain import clearing
from iclock.domain.biodata import record_reading
from iclock.domain.commands import Kind, as_of_now, clear_commands, queue_commands
from iclock.domain.deletion import delete_punch
from iclock.domain.pages import Selection
from iclock.domain.terminals import approve_terminals, block_terminals, call_terminals, remove_terminals
from iclock.models import Alarm, Biodata, Terminal, TerminalCommand, Transaction
from iclock.models.transaction import visible_punches
from zkbio.api.actions import DONE, bulk_action
from zkbio.api.exports import KINDS, WORKBOOK_ROWS, export_answer
from zkbio.api.fields import is_id
from zkbio.api.filters import ZKOrderingFilter
from zkbio.api.pagination import InvalidPage, Links, Page, envelope, link, page_links, read_page
from zkbio.api.streams import BATCH_ROWS, Row, let_connection_go, list_answer, read_batches
from zkbio.api.viewsets import ZKModelViewSet, ZKReadOnlyViewSet

_CHANGE: Final = ("iclock.change_terminal",)
_MOST_TEMPLATES: Final = 1_000
_INCLUDE: Final = OpenApiParameter(
    "include", OpenApiTypes.STR, enum=("template",), description="The templates too, if the user may read them."
)


class TerminalViewSet(ZKModelViewSet[Terminal]):
    """Terminals."""

    queryset = Alarm.objects.annotate_terminals(Terminal.objects.with_state().select_related("area", "presence"))
    serializer_class = TerminalSerializer
    write_serializer_class = TerminalWriteSerializer
    filterset_class = TerminalFilter
    search_fields = ("sn", "alias", "terminal_name", "area__area_name")
    ordering_fields = ("id", "sn", "alias", "state", "ip_address", "area", "terminal_name", "last_activity")
    ordering = ("id",)

    def perform_destroy(self, instance: Terminal) -> None:
        remove_terminals([instance.pk], actor=self.request)

    @bulk_action(TerminalsSerializer, *_CHANGE)
    def clear_command(self, request: Request) -> Response:
        """Cancels what waits for these terminals."""
        clear_commands(self._chosen(), user=request.user)
        return Response(DONE)

    @bulk_action(TerminalsSerializer, *_CHANGE)
    def clear_capture(self, request: Request) -> Response:
        """Asks these terminals to forget their captured pictures."""
        return self._queue(Kind.CLEAR_CAPTURE)

    @bulk_action(TerminalsSerializer, *_CHANGE, clearing.PERMISSION)
    def clear_log(self, request: Request) -> Response:
        """Asks for the punch logs of these terminals to be cleared, each once all of it is stored here."""
        clearing.ask_to_clear(self._chosen(), user=self.request.user, actor=request)
        return Response(DONE)

    @bulk_action(TerminalsSerializer, *_CHANGE, "iclock.clear_terminal")
    def clear_all(self, request: Request) -> Response:
        """Asks these terminals to forget everything; none does before its log was read and stored."""
        return self._queue(Kind.CLEAR_ALL)

    @bulk_action(TerminalsSerializer, *_CHANGE)
    def upload_all(self, request: Request) -> Response:
        """Asks these terminals for everything they hold."""
        return self._queue(Kind.UPLOAD_ALL)

    @bulk_action(TerminalsSerializer, *_CHANGE)
    def upload_transaction(self, request: Request) -> Response:
        """Asks these terminals for their whole log."""
        return self._queue(Kind.UPLOAD_TRANSACTION)

    @bulk_action(TerminalsSerializer, *_CHANGE)
    def reboot(self, request: Request) -> Response:
        """Asks these terminals to restart."""
        return self._queue(Kind.REBOOT)

    @bulk_action(TerminalsSerializer, *_CHANGE)
    def approve(self, request: Request) -> Response:
        """Lets these terminals in."""
        approve_terminals(self._chosen(), actor=request)
        return Response(DONE)

    @bulk_action(TerminalsSerializer, *_CHANGE)
    def block(self, request: Request) -> Response:
        """Nothing is read from these terminals any more."""
        block_terminals(self._chosen(), actor=request)
        return Response(DONE)

    @bulk_action(TerminalsSerializer, *_CHANGE)
    def sync(self, request: Request) -> Response:
        """Reads these terminals now instead of when they are due."""
        call_terminals(terminal.pk for terminal in self._chosen())
        return Response(DONE)

    def _chosen(self) -> list[Terminal]:
        body = self.get_serializer(data=self.request.data)
        body.is_valid(raise_exception=True)
        chosen: list[Terminal] = body.validated_data["terminals"]
        return chosen

    def _queue(self, kind: str) -> Response:
        queue_commands(self._chosen(), kind, user=self.request.user)
        return Response(DONE)


class CommandViewSet(ZKReadOnlyViewSet[TerminalCommand]):
    """What terminals were asked to do, and what came of it."""

    queryset = as_of_now(TerminalCommand.objects.all())
    serializer_class = CommandSerializer
    filterset_class = CommandFilter
    ordering_fields = ("id", "terminal", "kind", "created_at", "sent_at", "finished_at")
    ordering = ("id",)


class AlarmViewSet(ZKReadOnlyViewSet[Alarm]):
    """What somebody should know about terminals: what is so now, and what was."""

    queryset = Alarm.objects.all()
    serializer_class = AlarmSerializer
    filterset_class = AlarmFilter
    ordering_fields = ("id", "terminal", "kind", "opened_at", "closed_at")
    ordering = ("id",)


@extend_schema_view(
    list=extend_schema(parameters=[_INCLUDE]),
    retrieve=extend_schema(parameters=[_INCLUDE]),
)
class BiodataViewSet(ZKReadOnlyViewSet[Biodata]):
    """What is enrolled. Templates themselves ask for a permission of their own, and each reading is written down."""

    queryset = Biodata.objects.select_related("employee")
    serializer_class = BiodataSerializer
    filterset_class = BiodataFilter
    ordering_fields = ("id", "employee", "bio_type", "update_time")
    ordering = ("id",)
    with_templates = False

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        self.with_templates = "template" in request.query_params.get("include", "").split(",")
        if self.with_templates:
            self.required_permissions = ("iclock.view_biodata", "iclock.read_template")
        super().initial(request, *args, **kwargs)

    def get_queryset(self) -> QuerySet[Biodata]:
        found = super().get_queryset()
        return found if self.with_templates else found.defer("sealed")

    def get_serializer_class(self) -> type[BiodataSerializer]:
        return TemplateSerializer if self.with_templates else BiodataSerializer

    def list(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponseBase:  # type: ignore[override]
        if self.with_templates and read_page(request).size > _MOST_TEMPLATES:
            sentence = _("With templates, a page has %d rows at most.") % _MOST_TEMPLATES
            raise ValidationError({"page_size": [sentence]})
        answer: Any = super().list(request, *args, **kwargs)
        if self.with_templates:
            record_reading(answer.data["data"], actor=request)
        return answer  # type: ignore[no-any-return]

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        answer = super().retrieve(request, *args, **kwargs)
        if self.with_templates:
            record_reading([answer.data], actor=request)
        return answer


@extend_schema_view(
    list=extend_schema(responses=TransactionSerializer(many=True)),
    retrieve=extend_schema(
        responses=TransactionSerializer, parameters=[OpenApiParameter("id", OpenApiTypes.INT, OpenApiParameter.PATH)]
    ),
)
class TransactionViewSet(ListModelMixin, RetrieveModelMixin, GenericViewSet[Transaction]):
    """Punches. Neither verb builds a model or a serializer: PostgreSQL writes the rows as JSON."""

    lookup_value_regex = "[^/]+"
    queryset = Transaction.objects.live()
    serializer_class = TransactionSerializer
    filter_backends = (DjangoFilterBackend, ZKOrderingFilter)
    filterset_class = TransactionFilter
    ordering_fields = ("id", "punch_time", "upload_time")
    ordering = ("id",)
    required_permissions: tuple[str, ...] = ()

    def list(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponseBase:  # type: ignore[override]
        page, selection = read_page(request), self._selection(request)
        batches = read_batches(list_statement(selection, offset=page.offset, limit=page.size), most=page.size)
        first = next(batches, [])
        if not first:
            return _empty_answer(page)
        count, last_id, _ = first[0]
        rows = ([text for *_, text in batch] for batch in chain([first], batches))
        links = _links(request, page, selection, count=count, last_id=last_id)
        return list_answer(rows, count=count, links=links, streamed=page.size > BATCH_ROWS)

    def retrieve(self, request: Request, pk: str, *args: Any, **kwargs: Any) -> HttpResponse:  # type: ignore[override]
        number, limits = _read_id(pk), visible_punches(request.user)
        if limits and not self.get_queryset().filter(limits, pk=number).exists():
            raise Http404
        for batch in read_batches(one_statement(number), most=1):
            return HttpResponse(batch[0][0].encode(), content_type="application/json")
        raise Http404

    def destroy(self, request: Request, pk: str, *args: Any, **kwargs: Any) -> Response:
        """The row stays, unseen: the next full read of its terminal doesn't bring it back."""
        punches = Transaction.objects.live().visible_to(request.user)
        if not delete_punch(punches, _read_id(pk), actor=request):
            raise Http404
        return Response(status=204)

    @extend_schema(
        filters=True,
        parameters=[OpenApiParameter("export_type", OpenApiTypes.STR, enum=tuple(KINDS), required=True)],
        responses={(200, media_type): OpenApiTypes.BINARY for media_type, _writer in KINDS.values()},
    )
    @action(detail=False, pagination_class=None, required_permissions=("iclock.view_transaction",))
    def export(self, request: Request) -> HttpResponseBase:
        """The list as a file, with its filters and its order: a header line first."""
        kind = request.query_params.get("export_type", "")
        if kind not in KINDS:
            sentence = _("Write one of these: %s.") % ", ".join(KINDS)
            raise ValidationError({"export_type": [sentence]})
        most = min(settings.MAX_EXPORT_ROWS, WORKBOOK_ROWS if kind == "xlsx" else settings.MAX_EXPORT_ROWS)
        statement = export_statement(self._selection(request), limit=most)
        # In a transaction PostgreSQL computes the rows as they are fetched; else all of them before the first.
        with transaction.atomic():
            rows = _rows_of_export(read_batches(statement, most=most), most=most)
            moments = ("punch_time", "upload_time")
            answer = export_answer(kind, name="transactions", header=EXPORTED, batches=rows, moments=moments)
        let_connection_go()
        return answer

    def _selection(self, request: Request) -> Selection:
        order = ZKOrderingFilter().get_ordering(request, self.get_queryset(), self)
        limits = visible_punches(request.user)
        if TransactionFilter.base_filters.keys().isdisjoint(request.query_params):
            return Selection(limits, order)
        wanted = read_wanted(request.query_params)
        return Selection(wanted.condition & limits, order, wanted.after_id)


def _rows_of_export(batches: Iterator[list[Row]], *, most: int) -> Iterator[list[Row]]:
    """Without the total, which stands in each row and may be more than a file may hold."""
    for batch in batches:
        if batch[0][0] > most:
            sentence = _("%(total)d rows are more than such a file holds (%(most)d): narrow the filters.")
            raise ValidationError({"export_type": [sentence % {"total": batch[0][0], "most": most}]})
        yield [row[1:] for row in batch]


def _empty_answer(page: Page) -> Response:
    """A first page without rows comes from an empty list: both were read by one statement."""
    if page.number > 1:
        raise InvalidPage
    return Response(envelope([], count=0, links=Links(None, None)))


def _links(request: Request, page: Page, selection: Selection, *, count: int, last_id: int | None) -> Links:
    """By page number; a reader that came with ``since_id`` is led on by id, which costs the same at any depth."""
    by_id = selection.since_id is not None and selection.order == ("id",) and "page" not in request.query_params
    if not by_id:
        return page_links(request, page, count=count)
    return Links(link(request, since_id=last_id) if last_id is not None and page.size < count else None, None)


def _read_id(text: str) -> int:
    if not is_id(text):
        raise Http404
    return int(text)
