# SPDX-License-Identifier: Apache-2.0
"""The errors, where version 0.1 had them."""

from __future__ import annotations

import warnings

from airflow_provider_dli.api.protocol.errors import *  # noqa: F403  # all of them, as before
from airflow_provider_dli.api.protocol.errors import restored as restored

warnings.warn(
    "airflow_provider_dli.api.errors is deprecated: import from airflow_provider_dli.exceptions.",
    DeprecationWarning,
    stacklevel=2,
)
