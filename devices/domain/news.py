"""What a visit makes known about a terminal's log and clock, beside the punches: written with them, or not at all."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, NamedTuple

from devices.domain import clocks
from devices.domain.clocks import Correction
from devices.domain.lease import Lease, confirm
from devices.domain.memory import Loss, loss_of, remember, rows_held
from devices.driver.session import Sizes
from devices.driver.tables import Rows
from devices.models import Device
from iclock.domain.alarms import Kind, note_event
from iclock.domain.completeness import complete_until, move_complete_until
from iclock.domain.health import Report
from iclock.domain.ingest import WallRange
from iclock.models import Terminal, TerminalPresence
from zkbio.clock import zone


class Heard(NamedTuple):
    """What a terminal told of itself. Its clock showed ``wall`` at ``at``, by the database's clock; then it counted,
    and then its log was read: None when it was not downloaded."""

    wall: datetime | None
    at: datetime
    sizes: Sizes
    rows: Rows | None


class News(NamedTuple):
    """What is to be written. ``remembered`` are columns of the device."""

    terminal: Terminal
    drift: timedelta | None
    remembered: dict[str, Any]
    complete_until: datetime | None
    loss: tuple[Kind, str] | None


def news_of(device: Device, terminal: Terminal, heard: Heard) -> News:
    """``device`` is as it was before."""
    drift = None if heard.wall is None else clocks.drift_of(heard.wall, heard.at, zone(terminal.time_zone))
    loss = None if heard.rows is None else loss_of(device, heard.sizes, heard.rows)
    return News(
        terminal=terminal,
        drift=drift,
        remembered={} if heard.rows is None else remember(heard.rows),
        complete_until=complete_until(heard.at, drift, tolerance=clocks.tolerance(), where=zone(terminal.time_zone)),
        loss=loss and _told(loss, device, heard),
    )


def write_news(lease: Lease, news: News) -> None:
    """To be called in the transaction that stores the punches, or that finds there are none. Raises LeaseLostError."""
    confirm(lease, **news.remembered)
    write_news_of_terminal(news)


def write_news_of_terminal(news: News) -> None:
    """The part that isn't the device's, for whoever writes that along with other columns."""
    if news.loss is not None:
        note_event(news.terminal, *news.loss)
    if news.complete_until is not None:
        move_complete_until(news.terminal, news.complete_until)


def doubtful_stamps(terminal: Terminal, heard: Heard, *, now: datetime) -> WallRange | None:
    """Of a log that was read until ``now``."""
    if heard.wall is None:
        return None
    drift = clocks.drift_of(heard.wall, heard.at, zone(terminal.time_zone))
    known = TerminalPresence.objects.filter(terminal=terminal, clock_read_at__isnull=False).first()
    since_last, before = None, 0
    if known is not None and known.clock_read_at is not None:
        since_last, before = max(heard.at - known.clock_read_at, timedelta(0)), known.clock_drift or 0
    return clocks.doubtful(
        heard.wall, drift, before=timedelta(seconds=before), since_last=since_last, reading=now - heard.at
    )


def report_of(news: News, heard: Heard, correction: Correction | None, *, again: bool = False) -> Report:
    """A clock that was set is as it is since then: whoever lets it be set needn't hear that it was wrong.

    Unless it had to be set ``again``, right after the last time.
    """
    sizes, drift, at = heard.sizes, news.drift, heard.at
    if correction is not None and correction.shown is not None and correction.at is not None and not again:
        at = correction.at
        drift = clocks.drift_of(correction.shown, at, zone(news.terminal.time_zone))
    return Report(
        user_count=sizes.users,
        fp_count=sizes.fingers,
        face_count=sizes.faces,
        transaction_count=sizes.punches,
        user_capacity=sizes.user_capacity,
        fp_capacity=sizes.finger_capacity,
        face_capacity=sizes.face_capacity,
        transaction_capacity=sizes.punch_capacity,
        drift=clocks.seconds_of(drift),
        heard_at=at,
    )


def tell_counts(terminal: Terminal, sizes: Sizes) -> None:
    """After people or fingers were changed on the unit, which counts so many now."""
    counts = {"user_count": sizes.users, "fp_count": sizes.fingers}
    Terminal.objects.filter(pk=terminal.pk).exclude(**counts).update(**counts)


def _told(loss: Loss, device: Device, heard: Heard) -> tuple[Kind, str]:
    """The kind of the event, and what may be missing: since the log was read last, whatever it counted meanwhile."""
    whole = device.log_read_at or heard.at
    hole = f"between {_moment(min(whole, heard.at))} and {_moment(heard.at)}"
    rows = 0 if heard.rows is None else len(heard.rows)
    if loss is Loss.OVERRUN:
        return Kind.LOG_OVERRUN, (
            f"The log is full, and none of its {rows_held(device)} punches that were read last is on it any more:"
            f" others made {hole} may have been overwritten before they were read. Read it more often, or clear it."
        )
    return Kind.LOG_CLEARED, (
        f"The log held {rows_held(device)} punches when it was read last and now holds {rows}, none of those: somebody"
        f" cleared it elsewhere. What was read is kept; punches made {hole} may be missing."
    )


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
