"""How rows of a terminal's log that were put aside are read again."""

from __future__ import annotations

from devices.driver.tables import PUNCH_WIDTHS, Rows, decode_punches, decode_row
from iclock.punch import Decoded


def read_kept_row(raw: bytes) -> Decoded:
    """What a row says by itself; how many bytes it has tells its generation.

    A row of 8 bytes names only the unit's own number of a person. Such numbers are given to others later on, so the
    user table of now doesn't say whose it was then.
    """
    if len(raw) not in PUNCH_WIDTHS:
        return Decoded(None, f"{len(raw)} bytes are no row of a log; rows have {', '.join(map(str, PUNCH_WIDTHS))}")
    punch, log = decode_row(raw), decode_punches(Rows(len(raw), raw), user_ids={})
    if punch is None or log.punches:
        return Decoded(punch, "" if punch else log.rejects[0].reason)
    if len(raw) == min(PUNCH_WIDTHS):
        number = int.from_bytes(raw[:2], "little")
        return Decoded(
            punch, f"it names only number {number} of its terminal, which others may have by now: say whose it was"
        )
    return Decoded(punch, log.rejects[0].reason)
