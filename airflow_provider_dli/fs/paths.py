# SPDX-License-Identifier: Apache-2.0
"""What `obs://` is to universal-pathlib, on which Airflow 3 builds its paths."""

from __future__ import annotations

from upath.implementations.cloud import CloudPath

# Imported, it makes the file system known to fsspec.
from airflow_provider_dli.fs import obs  # noqa: F401


class ObsPath(CloudPath):
    """A path `obs://bucket/key`."""

    __slots__ = ()
