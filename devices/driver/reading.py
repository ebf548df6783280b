"""What is asked of a terminal without changing it."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import datetime
from typing import Final

from devices import protocol
from devices.driver.errors import MiscountError, ProtocolError, UnreadableError
from devices.driver.tables import PUNCH_WIDTHS, Rows, split_rows
from devices.driver.templates import FINGERS, Template, Templates, decode_templates
from devices.driver.unit import Identity, Sizes
from devices.driver.users import USER_WIDTHS, UnitUser, decode_users, find_user
from devices.driver.wire import Wire

# What a serial number may be made of: it is a key, and stands in logs and addresses.
_SERIAL: Final = re.compile(r"[!-~]{1,50}")
_PADDING: Final = bytes(6)
_VERSION: Final = re.compile(r"[0-9]{1,5}")
# What reading a table costs besides its chunks: the counters before and after, its announcement and its end.
_TABLE_TRIPS: Final = 4
_USUAL_TEMPLATE: Final = 1_200


class Reading:
    """The reading part of a session."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._address = wire.address

    def identity(self) -> Identity:
        identity = self._wire.identity()
        self._require_serial(identity.serial)
        return identity

    def serial(self) -> str:
        """The serial number alone."""
        serial = self._wire.serial()
        self._require_serial(serial)
        return serial

    def _require_serial(self, serial: str) -> None:
        if not serial:
            raise ProtocolError(f"{self._address} tells no serial number; such a unit isn't read.")
        if _SERIAL.fullmatch(serial) is None:
            raise ProtocolError(f"{self._address} tells {serial[:60]!a} as its serial number, which is none.")

    def sizes(self) -> Sizes:
        """Raises ProtocolError for a short answer: "no punches" and "I don't tell" must not look alike."""
        sizes = self._wire.sizes()
        if sizes is None:
            raise ProtocolError(f"{self._address} gave a short answer about its sizes; nothing is taken for zero.")
        if min(sizes[:4]) < 0:
            raise ProtocolError(f"{self._address} counts less than nothing: {sizes}.")
        return sizes

    def fp_version(self) -> str:
        """The version of the unit's fingerprint algorithm, such as "10"; "" where it tells none."""
        told = self._wire.option("~ZKFPVersion")
        return told if _VERSION.fullmatch(told) else ""

    def clock(self) -> datetime | None:
        """The terminal's naive wall clock, None when it tells none or a date that no calendar has."""
        return self._wire.clock()

    def punch_rows(self, before: Sizes) -> Rows:
        """The whole punch log, undecoded. ``before`` are the sizes just read; they are read again afterwards,
        because people go on punching. A table that agrees with neither is read once more, then refused."""
        try:
            return self._read_log(before)
        except MiscountError:
            return self._read_log(self.sizes())

    def users(self) -> list[UnitUser]:
        """Everybody on the unit."""
        return decode_users(self._user_rows(self.sizes()), encoding=self._address.encoding)

    def templates(self) -> Templates:
        """All fingers on the unit, 0.8 to 1.6 KB each; read once more when their number is not the counter's.

        Raises UnreadableError for a table that came whole and makes no sense: who catches it can go on.
        """
        return self._templates_after(self.sizes())

    def fingers(self, user_id: str) -> list[Template]:
        """A person's fingers, in the order of their index. Raises UnknownUserError."""
        user = find_user(self.users(), user_id)
        held = [template for template in self.templates().templates if template.uid == user.uid]
        return sorted(held, key=lambda template: template.finger)

    def template(self, uid: int, finger: int) -> bytes | None:
        """One finger's template, None when the unit has none; cheaper than the table, but silent about validity.

        The answer ends with a byte that isn't the template's, and on some firmware with six zeros before it.
        """
        if finger not in FINGERS:
            return None
        answer = self._wire.piece(protocol.CMD_GET_USERTEMP, uid.to_bytes(2, "little") + bytes((finger,)))
        return (answer or b"")[:-1].removesuffix(_PADDING) or None

    def _held(self, which: Collection[tuple[int, int]]) -> dict[tuple[int, int], bytes]:
        """Those of these fingers (uid and index) that the unit has, read the way that has fewer round trips.

        What the table doesn't tell for certain is asked for finger by finger.
        """
        sizes = self.sizes() if len(which) > _TABLE_TRIPS else None
        if sizes is None or self._table_trips(sizes.fingers) >= len(which):
            return self._asked_for(which)
        try:
            table = self._templates_after(sizes)
        except UnreadableError:
            return self._asked_for(which)
        doubtful = table.doubtful()
        held = {(one.uid, one.finger): one.data for one in table.templates if one.uid not in doubtful}
        asked = self._asked_for([key for key in which if key[0] in doubtful])
        return {key: held[key] for key in which if key in held} | asked

    def _asked_for(self, which: Collection[tuple[int, int]]) -> dict[tuple[int, int], bytes]:
        asked = {key: self.template(*key) for key in which}
        return {key: data for key, data in asked.items() if data is not None}

    def _table_trips(self, fingers: int) -> int:
        chunk = protocol.UDP_CHUNK if self._address.udp else protocol.TCP_CHUNK
        return _TABLE_TRIPS + -(-fingers * _USUAL_TEMPLATE // chunk)

    def _templates_after(self, before: Sizes) -> Templates:
        try:
            return self._read_templates(before)
        except MiscountError:
            return self._read_templates(self.sizes())

    def _read_log(self, before: Sizes) -> Rows:
        table = self._wire.table(protocol.CMD_ATTLOG_RRQ)
        return split_rows(table, widths=PUNCH_WIDTHS, between=(before.punches, self.sizes().punches))

    def _user_rows(self, before: Sizes) -> Rows:
        """Many units have no answer for a table without rows; the counter is certain, so it isn't asked for."""
        if not before.users:
            return Rows(0, b"")
        table = self._wire.table(protocol.CMD_USERTEMP_RRQ, protocol.FCT_USER)
        return split_rows(table, widths=USER_WIDTHS, between=(before.users, self.sizes().users))

    def _read_templates(self, before: Sizes) -> Templates:
        if not before.fingers:
            return Templates([], [])
        table = self._wire.table(protocol.CMD_DB_RRQ, protocol.FCT_FINGERTMP)
        return decode_templates(table, between=(before.fingers, self.sizes().fingers))
