"""State folders for servers that a test starts and stops by itself."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from zkbio.launcher.state import StateDir
from zkbio.launcher.throwaway import throwaway_state


@pytest.fixture
def state() -> Iterator[StateDir]:
    with throwaway_state() as made:
        yield made
