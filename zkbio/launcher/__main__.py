"""python -m zkbio.launcher start|test|check|bench|manage, as the commands in script/ call it inside the environment."""

from __future__ import annotations

import os
import signal
import sys

from zkbio.launcher.benching import bench
from zkbio.launcher.checking import check
from zkbio.launcher.managing import manage
from zkbio.launcher.start import start
from zkbio.launcher.testing import test
from zkbio.launcher.trouble import LaunchError, in_a_sentence

COMMANDS = {"start": start, "test": test, "check": check, "bench": bench, "manage": manage}


def main(arguments: list[str]) -> int:
    """Whatever stops a command is said in one sentence; only a mistake of ours shows a traceback.

    SIGINT is taken even where a script started us with "&", which hands it on as ignored, to our children too.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return COMMANDS[arguments[0]](arguments[1:], os.environ)
    except LaunchError as error:
        print(error, file=sys.stderr)
    except OSError as error:
        print(in_a_sentence(error), file=sys.stderr)
    except KeyboardInterrupt:
        return 130
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
