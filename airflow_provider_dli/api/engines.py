# SPDX-License-Identifier: Apache-2.0
"""What the Spark engines of DLI accept."""

from __future__ import annotations

import re

from airflow_provider_dli.api.errors import InputError


def takes_groups(spark_version: str) -> bool:
    """Say whether jobs on an engine may use package groups: Spark 3.3 and later may not.

    There files are named by `obs://` paths. Source:
    https://support.huaweicloud.com/api-dli/dli_02_0124.html
    """
    found = re.match(r"(\d+)\.(\d+)(\.|$)", spark_version)
    if not found:
        raise InputError("spark_version", spark_version, "give it as 3.1.1 or 3.3.1")
    return (int(found[1]), int(found[2])) < (3, 3)
