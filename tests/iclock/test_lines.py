"""What posts count, whatever was in them."""

from __future__ import annotations

from datetime import datetime

from iclock.lines import Attendance, OperationLine, PictureLine, TemplateLine, Uploaded, UserLine
from iclock.punch import Punch, Reject

PUNCH = Punch("7", datetime(2026, 3, 2, 8), 0, 1)
REJECT = Reject(b"x", "why")


def test_every_line_of_a_post_is_acknowledged() -> None:
    assert Attendance([PUNCH, PUNCH], [REJECT], [OperationLine(20)]).count == 4
    assert Uploaded([UserLine("7")], [REJECT, REJECT], [PUNCH], ignored=3).count == 7
    assert (Attendance([], []).count, Uploaded([], []).count) == (0, 0)


def test_templates_and_photos_are_not_shown() -> None:
    assert "S3CRET" not in repr([TemplateLine("7", 1, 0, data=b"S3CRET"), PictureLine("7", "bio", data=b"S3CRET")])


def test_a_person_has_no_password() -> None:
    assert UserLine.__slots__ == ("pin", "name", "privilege", "card", "group", "time_zones", "verify")
