"""The 4370 protocol in numbers: what the driver and the simulated terminal must agree on.

A packet is ``<command u16><checksum u16><session u16><reply u16><data>``, little-endian; on TCP it travels in a
frame ``50 50 82 7d <length u32> <packet>``, on UDP alone. Nothing here does I/O and nothing here knows Django.
"""

from __future__ import annotations

import struct
from datetime import datetime
from typing import Final, NamedTuple

FRAME_MAGIC: Final = b"\x50\x50\x82\x7d"
FRAME_HEAD: Final = struct.Struct("<4sI")
PACKET_HEAD: Final = struct.Struct("<4H")
# The largest honest frame is a chunk of 65 472 bytes with its heads; anything above is garbage or an attack.
MAX_FRAME: Final = 0x20000
TCP_CHUNK: Final = 0xFFC0
UDP_CHUNK: Final = 16 * 1024
UPLOAD_CHUNK: Final = 1024

CMD_DB_RRQ: Final = 7
CMD_USER_WRQ: Final = 8
CMD_USERTEMP_RRQ: Final = 9
CMD_OPTIONS_RRQ: Final = 11
CMD_OPTIONS_WRQ: Final = 12
CMD_ATTLOG_RRQ: Final = 13
CMD_CLEAR_DATA: Final = 14
CMD_CLEAR_ATTLOG: Final = 15
CMD_DELETE_USER: Final = 18
CMD_DELETE_USERTEMP: Final = 19
CMD_UNLOCK: Final = 31
CMD_GET_FREE_SIZES: Final = 50
CMD_STARTENROLL: Final = 61
CMD_CANCELCAPTURE: Final = 62
CMD_STARTVERIFY: Final = 60
CMD_GET_PINWIDTH: Final = 69
CMD_GET_USERTEMP: Final = 88
CMD_SAVE_USERTEMPS: Final = 110
CMD_GET_TIME: Final = 201
CMD_SET_TIME: Final = 202
CMD_REG_EVENT: Final = 500
CMD_CONNECT: Final = 1000
CMD_EXIT: Final = 1001
CMD_ENABLEDEVICE: Final = 1002
CMD_DISABLEDEVICE: Final = 1003
CMD_RESTART: Final = 1004
CMD_POWEROFF: Final = 1005
CMD_REFRESHDATA: Final = 1013
CMD_GET_VERSION: Final = 1100
CMD_AUTH: Final = 1102
CMD_PREPARE_DATA: Final = 1500
CMD_DATA: Final = 1501
CMD_FREE_DATA: Final = 1502
CMD_PREPARE_BUFFER: Final = 1503
CMD_READ_BUFFER: Final = 1504
CMD_ACK_OK: Final = 2000
CMD_ACK_ERROR: Final = 2001
CMD_ACK_UNAUTH: Final = 2005
CMD_ACK_UNKNOWN: Final = 65535

FCT_FINGERTMP: Final = 2
FCT_USER: Final = 5

PUNCH_8: Final = struct.Struct("<HBIB")
PUNCH_16: Final = struct.Struct("<IIBB2xI")
PUNCH_40: Final = struct.Struct("<H24sBIB8s")
USER_28: Final = struct.Struct("<HB5s8sIxBhI")
USER_72: Final = struct.Struct("<HB8s24sIB4H24s")

_COMM_KEY_TICKS: Final = 50
_SECONDS_A_DAY: Final = 86_400


class Packet(NamedTuple):
    """One packet of either side; ``reply`` numbers an exchange: every packet of an answer repeats the request's."""

    command: int
    session: int
    reply: int
    data: bytes = b""

    def encode(self) -> bytes:
        """The packet's bytes with its checksum, ready for a datagram or a frame."""
        head = PACKET_HEAD.pack(self.command, 0, self.session, self.reply)
        return PACKET_HEAD.pack(self.command, checksum(head + self.data), self.session, self.reply) + self.data

    def frame(self) -> bytes:
        """The packet in its TCP frame."""
        body = self.encode()
        return FRAME_HEAD.pack(FRAME_MAGIC, len(body)) + body

    @classmethod
    def decode(cls, body: bytes) -> Packet:
        """The packet of a datagram or of a frame's body. Raises ValueError under 8 bytes."""
        if len(body) < PACKET_HEAD.size:
            raise ValueError(f"a packet has at least {PACKET_HEAD.size} bytes, got {len(body)}")
        command, _checksum, session, reply = PACKET_HEAD.unpack_from(body)
        return cls(command, session, reply, bytes(body[PACKET_HEAD.size :]))


def checksum(packet: bytes) -> int:
    """One's complement of the end-around-carry sum of the packet's 16-bit words, its checksum field being 0."""
    if len(packet) % 2:
        packet += b"\0"
    total: int = sum(struct.unpack(f"<{len(packet) // 2}H", packet))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def scramble_comm_key(key: int, session: int) -> bytes:
    """The four bytes that prove the knowledge of ``key`` (0 to 2**32 - 1) in ``session``."""
    mirrored = int(f"{key & 0xFFFFFFFF:032b}"[::-1], 2)
    a, b, c, d = struct.pack("<I", (mirrored + session) & 0xFFFFFFFF)
    a, b, c, d = a ^ ord("Z"), b ^ ord("K"), c ^ ord("S"), d ^ ord("O")
    return bytes((c ^ _COMM_KEY_TICKS, d ^ _COMM_KEY_TICKS, _COMM_KEY_TICKS, b ^ _COMM_KEY_TICKS))


def encode_time(moment: datetime) -> int:
    """A naive wall-clock time as the terminal counts it: months of 31 days from 2000-01-01."""
    days = (moment.year % 100) * 12 * 31 + (moment.month - 1) * 31 + moment.day - 1
    return days * _SECONDS_A_DAY + (moment.hour * 60 + moment.minute) * 60 + moment.second


def decode_time(value: int) -> datetime:
    """The naive wall-clock time behind ``value``. Raises ValueError for a day that no calendar has (31 February)."""
    days, seconds = divmod(value, _SECONDS_A_DAY)
    months, day = divmod(days, 31)
    year, month = divmod(months, 12)
    clock = seconds // 3600, seconds // 60 % 60, seconds % 60
    return datetime(2000 + year, month + 1, day + 1, *clock)  # noqa: DTZ001 - a terminal's clock knows no zone
