# SPDX-License-Identifier: Apache-2.0
"""What a task's log is, for those who know no Airflow."""

from __future__ import annotations

from typing import Any, Protocol


class Log(Protocol):
    """What the loggers of Airflow 2 and 3 have in common."""

    def info(self, event: Any, *args: Any) -> Any:
        """Log a line."""
        ...

    def warning(self, event: Any, *args: Any) -> Any:
        """Log a warning."""
        ...
