# SPDX-License-Identifier: Apache-2.0
"""Where objects of OBS had their names in version 0.1; they are in `api.obs.models` by now."""

from __future__ import annotations

from airflow_provider_dli.api.obs.models import FileToSend, StoredObject

__all__ = ["FileToSend", "StoredObject"]
