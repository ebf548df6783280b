"""What can go wrong with a terminal, in words for the person who has to mend it."""

from __future__ import annotations

from typing import ClassVar


class TerminalError(Exception):
    """The terminal could not be used; the message says why and what to do. ``code`` is for programs.

    ``in_step`` says whether the session can go on: the exchange was whole, only its outcome is unwelcome.
    """

    code: ClassVar[str] = "terminal"
    in_step: ClassVar[bool] = False


class UnreachableError(TerminalError):
    """Nothing answers at the address."""

    code = "unreachable"


class BrokenOffError(UnreachableError):
    """Somebody answered, and then the connection broke."""

    code = "broken_off"


class TimedOutError(TerminalError):
    """The terminal, or the whole session, took longer than allowed."""

    code = "timeout"


class KeyRefusedError(TerminalError):
    """The comm key is wrong."""

    code = "comm_key"


class ProtocolError(TerminalError):
    """What came is not the protocol, or contradicts itself; it is refused rather than guessed."""

    code = "protocol"


class UnreadableError(ProtocolError):
    """A table came whole and can't be read; the session is in order."""

    in_step = True


class MiscountError(UnreadableError):
    """A table and the terminal's own counter disagree."""

    code = "miscount"


class RefusedError(TerminalError):
    """The terminal understood and said no."""

    code = "refused"
    in_step = True


class StoppedError(TerminalError):
    """Our own process is stopping; the terminal did nothing wrong."""

    code = "stopped"


class UnfitError(TerminalError):
    """What should be written doesn't fit this unit; nothing was sent.

    ``facts`` stand in the ``sentence`` where it names them, so that it can be told in other languages.
    """

    code = "unfit"
    in_step = True

    def __init__(self, sentence: str, **facts: object) -> None:
        super().__init__(sentence % facts if facts else sentence)
        self.sentence = sentence
        self.facts = facts


class FullError(TerminalError):
    """The unit has no room left."""

    code = "full"
    in_step = True


class UnknownUserError(TerminalError):
    """The unit doesn't have this person."""

    code = "unknown_user"
    in_step = True


class KnownUserError(TerminalError):
    """The unit has this person already."""

    code = "known_user"
    in_step = True


class UnknownFingerError(TerminalError):
    """The unit doesn't have this finger."""

    code = "unknown_finger"
    in_step = True


class NotKeptError(TerminalError):
    """The unit acknowledged and keeps something else."""

    code = "not_kept"
    in_step = True


class MayBeLockedError(TerminalError):
    """The unit was disabled and could not be enabled again: it may take no finger until somebody does."""

    code = "may_be_locked"
