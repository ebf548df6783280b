"""The answers that docs/devices.md prints have the shape of those that a unit brings about."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import orjson
import pytest

from devices.domain.registry import register_device
from devices.models import Device
from devices.simulator import SimPunch, SimTemplate, SimulatedTerminal, SimUser, TerminalSpec
from tests.devices.api.conftest import Ask
from zkbio.launcher.state import ROOT

pytestmark = pytest.mark.django_db(transaction=True)
BODIES = {"POST users": {"user_id": "2010", "name": "Ana"}, "PUT 2010": {"name": "Eva"}}


@pytest.fixture
def unit() -> Iterator[SimulatedTerminal]:
    spec = TerminalSpec(
        serial="CKJF201260077",
        users=(SimUser(1, "1001", "José Fischer", privilege=14, card=1810111),),
        templates=(SimTemplate(1, 1, b"\x01" * 900),),
        punches=(SimPunch("1001", datetime(2026, 3, 2, 7, 58, 12), verify=1, state=0),),
    )
    with SimulatedTerminal(spec) as terminal:
        yield terminal


def shape(value: Any) -> Any:
    """Keys in their order, and kinds instead of values; of rows the first; of texts by id any."""
    if isinstance(value, dict):
        return [(key, shape(inner) if key != "errors" else "errors") for key, inner in value.items()]
    return [shape(row) for row in value[:1]] if isinstance(value, list) else type(value)


def test_every_documented_answer_is_the_units(
    ask: Ask, unit: SimulatedTerminal, add_device: Callable[..., Device]
) -> None:
    add_device(unit, key="main_door")
    register_device(key="warehouse", name="Warehouse", host="127.0.0.1", port=1)
    (block,) = re.findall(r"^```json\n(.*?)^```", (ROOT / "docs/devices.md").read_text(), re.MULTILINE | re.DOTALL)
    documented: dict[str, Any] = orjson.loads(block)

    answered = {}
    for request in documented:
        method, path = request.split()
        answered[request] = ask(method, path, BODIES.get(f"{method} {path.rpartition('/')[2]}"))[1]

    assert {request: shape(answer) for request, answer in answered.items()} == {
        request: shape(answer) for request, answer in documented.items()
    }
