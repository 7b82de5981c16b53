# SPDX-License-Identifier: Apache-2.0
"""What the tests of the pure room share: the answers that the documentation prints."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture
def golden() -> Callable[[str], bytes]:
    """Returns a documented body by its file name without `.json`."""
    return lambda name: (GOLDEN / f"{name}.json").read_bytes()
