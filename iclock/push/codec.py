"""The PUSH protocol's text as values: what terminals that dial us send, of every generation. Pure.

No bytes make a reader raise: a line that can't be read is a reject with its reason, and its neighbours are read. Only
a photo, which comes alone, is refused by a `RefusalError`.
"""

from iclock.push.attendance import read_attlog, read_kept_line, read_rtlog, read_rtstate
from iclock.push.people import read_lines, read_querydata
from iclock.push.telling import read_answers, read_info, read_options, read_photo
from iclock.push.text import RefusalError, is_rubble

__all__ = [
    "RefusalError",
    "is_rubble",
    "read_answers",
    "read_attlog",
    "read_info",
    "read_kept_line",
    "read_lines",
    "read_options",
    "read_photo",
    "read_querydata",
    "read_rtlog",
    "read_rtstate",
]
