from iclock.models.quarantine import QuarantinedRecord
from iclock.models.terminal import Terminal, TerminalPresence
from iclock.models.transaction import Transaction, TransactionBlock, TransactionSuperblock

__all__ = [
    "QuarantinedRecord",
    "Terminal",
    "TerminalPresence",
    "Transaction",
    "TransactionBlock",
    "TransactionSuperblock",
]
