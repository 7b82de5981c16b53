"""In how many ways an answer may fail to come, and what the client makes of each."""

from __future__ import annotations

from typing import Any

from airflow_provider_dli.api.protocol.errors import (
    AnswerLostError,
    DliError,
    ServiceError,
    UnusableAnswerError,
)

LOST: dict[str, tuple[dict[str, Any], type[DliError]]] = {
    "500": ({"status": 500, "body": "oops"}, ServiceError),
    "502": ({"status": 502, "body": "<html>bad gateway</html>"}, ServiceError),
    "503": ({"action": "unavailable"}, ServiceError),
    "503 html": ({"action": "unavailable-html"}, ServiceError),
    "504": ({"action": "gateway-timeout"}, ServiceError),
    "400 DLI.0999": ({"action": "internal-error"}, ServiceError),
    "reset": ({"action": "reset"}, AnswerLostError),
    "cut off": ({"action": "cut-off"}, AnswerLostError),
    "read timeout": ({"action": "hang"}, AnswerLostError),
    "html": ({"action": "html"}, UnusableAnswerError),
    "malformed": ({"action": "malformed-json"}, UnusableAnswerError),
    "empty body": ({"action": "empty-body"}, UnusableAnswerError),
    "empty object": ({"action": "empty-object"}, UnusableAnswerError),
}
"""The fault of the emulator that makes it, and the error. The fixture `dli` keeps silence short."""

WARNING = "The wait continues after an error"
"""What a wait logs of each."""

BLIPS = LOST | {"a list": ({"status": 200, "body": "[]"}, UnusableAnswerError)}
