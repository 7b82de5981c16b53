# SPDX-License-Identifier: Apache-2.0
"""Answers with errors by name, as (status, headers, body).

The body of a gateway gets its `request_id` when it is sent. Codes and texts are the published ones,
if there are any: https://support.huaweicloud.com/intl/en-us/api-dli/dli_02_0056.html and
https://support.huaweicloud.com/intl/en-us/devg-apisign/api-sign-errorcode.html.
"""

from __future__ import annotations

from typing import Any

_HTML = {"Content-Type": "text/html"}
_JSON = {"Content-Type": "application/json"}


def _error(code: str, message: str) -> dict[str, str]:
    return {"error_code": code, "error_msg": message}


PRESETS: dict[str, tuple[int, dict[str, str], Any]] = {
    # Recorded from another service behind the same gateway, without Retry-After:
    # https://github.com/langgenius/dify/issues/18378
    "throttled": (
        429,
        {},
        _error(
            "APIG.0308",
            "The throttling threshold has been reached: "
            "policy ip over ratelimit,limit:5,time:1 minute",
        ),
    ),
    # DLI reports internal errors with 400.
    "internal-error": (400, {}, _error("DLI.0999", "Server-side error.")),
    "permission-denied": (
        400,
        {},
        _error(
            "DLI.0003",
            "Permission denied for resource 'resources. xxx', User = 'xxx', "
            "Action = \"UPDATE_RESOURCE'.",
        ),
    ),
    "quota-exceeded": (400, {}, _error("DLI.1028", "The quota is exceeded.")),
    "bad-token": (400, {}, _error("DLI.0015", "Token info for token is null")),
    "token-expired": (
        401,
        {},
        _error("APIGW.0301", "Incorrect IAM authentication information: token expires"),
    ),
    "forbidden": (403, {}, _error("APIGW.0302", "The API is not allowed to be accessed")),
    "not-found": (404, {}, _error("DLI.0023", "The resource does not exist.")),
    "gateway-timeout": (504, {}, _error("APIGW.0201", "Backend timeout")),
    "unavailable": (503, {}, _error("APIGW.0201", "Backend unavailable")),
    "unavailable-html": (503, _HTML, "<html><body><h1>503 Service Unavailable</h1></body></html>"),
    # Invalid answers with a status of success.
    "malformed-json": (200, _JSON, '{"resources": [{"resource_name": "a.jar", '),
    "html": (200, _HTML, "<html><body>Please log in to the proxy.</body></html>"),
    "empty-object": (200, {}, {}),
    "empty-body": (200, _JSON, ""),
    "not-successful": (200, {}, {"is_success": "false", "message": "The request failed."}),
}
