# SPDX-License-Identifier: Apache-2.0
"""The type of a task's log, for code that does not import Airflow."""

from __future__ import annotations

from typing import Any, Protocol


class Log(Protocol):
    """The methods that the loggers of Airflow 2 and 3 share."""

    def info(self, event: Any, *args: Any) -> Any:
        """Logs a line."""
        ...

    def warning(self, event: Any, *args: Any) -> Any:
        """Logs a warning."""
        ...
