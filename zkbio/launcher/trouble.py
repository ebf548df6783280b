"""What stops a start, in one sentence with the command that mends it."""

from __future__ import annotations

import errno

DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class LaunchError(Exception):
    """Its text is the whole message: no traceback is shown with it."""


class StopRequestedError(Exception):
    """Ctrl-C, SIGTERM or SIGHUP came while something was being brought up."""


def in_a_sentence(error: OSError) -> str:
    """An error of the operating system that nobody foresaw more exactly."""
    where = f" at {error.filename}" if error.filename else ""
    if error.errno in DISK_FULL:
        return f"The disk is full{where}; see what fills it with: df -h"
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return f"No permission to write{where}; choose another folder: STATE_DIR=/path/to/folder ./script/start"
    if error.errno in {errno.EMFILE, errno.ENFILE}:
        return "Too many files are open; allow more with: ulimit -n 4096"
    return f"The system said: {error.strerror or error}{where}"
