# SPDX-License-Identifier: Apache-2.0
"""`FileToSend` and `StoredObject`, where version 0.1 had them."""

from __future__ import annotations

import warnings

from airflow_provider_dli.api.obs.models import FileToSend, StoredObject

__all__ = ["FileToSend", "StoredObject"]

warnings.warn(
    "airflow_provider_dli.api.objects is deprecated: import from "
    "airflow_provider_dli.api.obs.models.",
    DeprecationWarning,
    stacklevel=2,
)
