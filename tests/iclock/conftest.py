from __future__ import annotations

import pytest

from iclock.models import Terminal


@pytest.fixture
def terminal(db: None) -> Terminal:
    return Terminal.objects.create(sn="CKJF201260077", alias="Gate", time_zone="Europe/Madrid")
