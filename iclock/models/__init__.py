from iclock.models.alarm import Alarm
from iclock.models.biodata import Biodata, ForgottenTemplate
from iclock.models.command import TerminalCommand
from iclock.models.enrolment import Enrolment
from iclock.models.mark import SyncMark
from iclock.models.person import PersonIntent, TerminalPerson
from iclock.models.push import PushCommand, PushPosition, PushState, TerminalEvent, TerminalPhoto
from iclock.models.quarantine import QuarantinedRecord
from iclock.models.terminal import Terminal, TerminalPresence
from iclock.models.transaction import Transaction, TransactionBlock, TransactionSuperblock

__all__ = [
    "Alarm",
    "Biodata",
    "Enrolment",
    "ForgottenTemplate",
    "PersonIntent",
    "PushCommand",
    "PushPosition",
    "PushState",
    "QuarantinedRecord",
    "SyncMark",
    "Terminal",
    "TerminalCommand",
    "TerminalEvent",
    "TerminalPerson",
    "TerminalPhoto",
    "TerminalPresence",
    "Transaction",
    "TransactionBlock",
    "TransactionSuperblock",
]
