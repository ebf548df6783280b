from iclock.models.alarm import Alarm
from iclock.models.biodata import Biodata
from iclock.models.command import TerminalCommand
from iclock.models.mark import SyncMark
from iclock.models.quarantine import QuarantinedRecord
from iclock.models.terminal import Terminal, TerminalPresence
from iclock.models.transaction import Transaction, TransactionBlock, TransactionSuperblock

__all__ = [
    "Alarm",
    "Biodata",
    "QuarantinedRecord",
    "SyncMark",
    "Terminal",
    "TerminalCommand",
    "TerminalPresence",
    "Transaction",
    "TransactionBlock",
    "TransactionSuperblock",
]
