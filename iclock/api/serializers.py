from __future__ import annotations

from base64 import b64encode
from typing import Any

from django.utils.translation import gettext as _
from rest_framework import serializers
from rest_framework.validators import UniqueValidator

from iclock.domain.terminals import add_terminal, change_terminal, check_serial, check_transfer_time, is_known_serial
from iclock.models import Alarm, Biodata, Terminal, TerminalCommand
from personnel.models import Area
from personnel.models.scope import scope_of
from zkbio.api.fields import FlagField, IdListField, NaiveTimeField, TerminalZoneField
from zkbio.api.loose import LooseSerializer
from zkbio.api.serializers import ZKModelSerializer


class AreaOfTerminalSerializer(serializers.ModelSerializer[Area]):
    class Meta:
        model = Area
        fields = ["id", "area_code", "area_name"]


class TerminalSerializer(serializers.ModelSerializer[Terminal]):
    """A terminal in the vendor's order of keys, and how it is, behind them.

    ``state`` and ``last_activity`` come from ``with_state()``, ``alarms`` from ``annotate_terminals()``.
    """

    state = serializers.CharField(read_only=True)
    terminal_tz = TerminalZoneField(source="time_zone", read_only=True)
    area = AreaOfTerminalSerializer(read_only=True)
    last_activity = NaiveTimeField(allow_null=True)
    push_time = NaiveTimeField(source="presence.push_time", default=None, allow_null=True)
    is_attendance = FlagField(read_only=True)
    area_name = serializers.CharField(source="area.area_name", read_only=True)
    complete_until = NaiveTimeField(
        source="presence.complete_until",
        default=None,
        allow_null=True,
        help_text="Every punch made there until then is here.",
    )
    clock_drift = serializers.IntegerField(
        source="presence.clock_drift",
        default=None,
        allow_null=True,
        read_only=True,
        help_text="Seconds by which its clock was ahead when it was last read.",
    )
    alarms = serializers.ListField(
        source="open_alarms",
        child=serializers.ChoiceField(choices=Alarm.Kind.choices),
        read_only=True,
        help_text="The kinds of its open alarms.",
    )

    class Meta:
        model = Terminal
        fields = [
            "id",
            "sn",
            "ip_address",
            "alias",
            "terminal_name",
            "fw_ver",
            "push_ver",
            "state",
            "terminal_tz",
            "area",
            "last_activity",
            "user_count",
            "fp_count",
            "face_count",
            "palm_count",
            "transaction_count",
            "push_time",
            "transfer_time",
            "transfer_interval",
            "is_attendance",
            "area_name",
            "complete_until",
            "clock_drift",
            "user_capacity",
            "fp_capacity",
            "face_capacity",
            "transaction_capacity",
            "alarms",
        ]


class TerminalWriteSerializer(ZKModelSerializer[Terminal]):
    """What is written of a terminal, and the answer to it. The serial number is what punches are joined by."""

    kept_on_update = ("sn",)
    terminal_tz = TerminalZoneField(source="time_zone", required=False)
    is_attendance = FlagField(required=False)

    class Meta:
        model = Terminal
        fields = [
            "id",
            "sn",
            "ip_address",
            "alias",
            "terminal_name",
            "fw_ver",
            "push_ver",
            "terminal_tz",
            "area",
            "heartbeat",
            "transfer_time",
            "transfer_interval",
            "is_attendance",
        ]
        read_only_fields = ["terminal_name", "fw_ver", "push_ver"]
        extra_kwargs = {
            "sn": {"validators": [check_serial, UniqueValidator(Terminal.objects.all())]},
            "ip_address": {"required": True},
            "transfer_time": {"validators": [check_transfer_time]},
        }

    def validate_sn(self, sn: str) -> str:
        """Whoever entered a terminal that was here before would see what was punched at it."""
        if scope_of(self.context["request"].user).areas is not None and is_known_serial(sn):
            raise serializers.ValidationError(
                _("Punches of this serial number are here already: somebody without limits must enter the terminal.")
            )
        return sn

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """The default area is nobody's limit: whoever has limits names an area within them."""
        if self.instance is None and "area" not in attrs and scope_of(self.context["request"].user).areas is not None:
            field = self.fields["area"]
            raise serializers.ValidationError({"area": [field.error_messages["required"]]}, code="required")
        return attrs

    def create(self, validated_data: dict[str, Any]) -> Terminal:
        return add_terminal(**validated_data)

    def update(self, instance: Terminal, validated_data: dict[str, Any]) -> Terminal:
        return change_terminal(instance, **validated_data)


class TerminalsSerializer(LooseSerializer):
    """Which terminals an action is about."""

    terminals = IdListField(queryset=Terminal.objects.all())


class CommandSerializer(serializers.ModelSerializer[TerminalCommand]):
    """What a terminal was asked to do; ``state`` and ``result`` are as of now (iclock.domain.commands)."""

    state = serializers.ChoiceField(source="state_now", choices=TerminalCommand.State.choices, read_only=True)
    result = serializers.CharField(source="result_now", read_only=True, help_text="What came of it, in a sentence.")
    created_at = NaiveTimeField()
    sent_at = NaiveTimeField(allow_null=True)
    finished_at = NaiveTimeField(allow_null=True)

    class Meta:
        model = TerminalCommand
        fields = ["id", "terminal", "kind", "state", "result", "created_at", "sent_at", "finished_at"]


class AlarmSerializer(serializers.ModelSerializer[Alarm]):
    """What somebody should know about a terminal, and how it ended."""

    opened_at = NaiveTimeField()
    closed_at = NaiveTimeField(allow_null=True)

    class Meta:
        model = Alarm
        fields = ["id", "terminal", "kind", "sentence", "opened_at", "closed_at", "ending"]


class BiodataSerializer(serializers.ModelSerializer[Biodata]):
    """What is enrolled of somebody; the template itself comes with ``include=template`` only."""

    update_time = NaiveTimeField()

    class Meta:
        model = Biodata
        fields = ["id", "employee", "bio_type", "bio_no", "major_ver", "update_time", "sn"]


class TemplateSerializer(BiodataSerializer):
    template = serializers.SerializerMethodField(help_text="Base64; with include=template only.")

    class Meta(BiodataSerializer.Meta):
        fields = [*BiodataSerializer.Meta.fields, "template"]

    def get_template(self, biodata: Biodata) -> str:
        return b64encode(biodata.template).decode()


class TransactionSerializer(serializers.Serializer[Any]):
    """A punch, for the schema: the rows themselves are written by PostgreSQL (iclock.api.rows)."""

    id = serializers.IntegerField()
    emp_code = serializers.CharField()
    punch_time = serializers.CharField(help_text="The terminal's wall clock, YYYY-MM-DD HH:MM:SS.")
    punch_state = serializers.CharField()
    verify_type = serializers.IntegerField()
    work_code = serializers.CharField(allow_null=True)
    terminal_sn = serializers.CharField()
    terminal_alias = serializers.CharField(allow_null=True)
    area_alias = serializers.CharField(allow_null=True)
    longitude = serializers.FloatField(allow_null=True)
    latitude = serializers.FloatField(allow_null=True)
    gps_location = serializers.CharField()
    mobile = serializers.CharField(allow_null=True)
    source = serializers.IntegerField(  # type: ignore[assignment]
        help_text="1 from a terminal, 0 imported or entered by hand."
    )
    purpose = serializers.IntegerField()
    crc = serializers.CharField(allow_null=True)
    is_attendance = serializers.IntegerField()
    reserved = serializers.CharField(allow_null=True)
    upload_time = serializers.CharField(help_text="When it arrived, in the server's time zone.")
    sync_status = serializers.IntegerField()
    sync_time = serializers.CharField(allow_null=True)
    is_mask = serializers.IntegerField(allow_null=True)
    temperature = serializers.FloatField(allow_null=True)
    emp = serializers.IntegerField(allow_null=True)
    terminal = serializers.IntegerField(allow_null=True)
    first_name = serializers.CharField(allow_null=True)
    last_name = serializers.CharField(allow_null=True)
    department = serializers.CharField(allow_null=True)
    position = serializers.CharField(allow_null=True)
    punch_state_display = serializers.CharField()
    verify_type_display = serializers.CharField()
    utc_offset = serializers.IntegerField(help_text="Minutes east of UTC: punch_time minus this is the instant.")
