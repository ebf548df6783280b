"""What can go wrong with a terminal, in words for the person who has to mend it."""

from __future__ import annotations

from typing import ClassVar


class TerminalError(Exception):
    """The terminal could not be used; the message says why and what to do. ``code`` is for programs."""

    code: ClassVar[str] = "terminal"


class UnreachableError(TerminalError):
    """Nothing answers at the address, or the connection broke."""

    code = "unreachable"


class TimedOutError(TerminalError):
    """The terminal, or the whole session, took longer than allowed."""

    code = "timeout"


class KeyRefusedError(TerminalError):
    """The comm key is wrong."""

    code = "comm_key"


class ProtocolError(TerminalError):
    """What came is not the protocol, or contradicts itself; it is refused rather than guessed."""

    code = "protocol"


class MiscountError(ProtocolError):
    """A table and the terminal's own counter disagree. The transfer itself was whole, the session is in order."""

    code = "miscount"


class RefusedError(TerminalError):
    """The terminal understood and said no."""

    code = "refused"


class StoppedError(TerminalError):
    """Our own process is stopping; the terminal did nothing wrong."""

    code = "stopped"
