"""The manual's examples (ZKBio Time 9.0 API User Manual, version 1.0), one JSON file a chapter, as they are printed.

``section`` is the number in the manual's text; its table of contents (``contents``) counts otherwise: there the devices
are chapter 4, and employees to positions 5 to 8.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

CASES: Final[dict[str, dict[str, Any]]] = {
    case["section"]: case
    for file in sorted((Path(__file__).parent / "golden").glob("*.json"))
    for case in json.loads(file.read_text())
}
