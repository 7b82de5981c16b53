# SPDX-License-Identifier: Apache-2.0
"""What the Spark engines of DLI accept."""

from __future__ import annotations

import re

from airflow_provider_dli.api.protocol.errors import InputError


def takes_groups(spark_version: str) -> bool:
    """Say whether jobs on an engine may use package groups: Spark 3.3 and later may not.

    There files are named by `obs://` paths, and neither by a group nor by the name of a package.
    Source: https://support.huaweicloud.com/api-dli/dli_02_0124.html
    """
    return _release(spark_version) < (3, 3)


def wants_agency(spark_version: str) -> bool:
    """Say whether jobs on an engine name the agency with which DLI reads OBS: from Spark 3.3 on.

    Without one such a job is not scheduled, or cannot load its files. Sources:
    https://support.huaweicloud.com/intl/en-us/usermanual-dli/dli_01_0616.html,
    https://support.huaweicloud.com/usermanual-dli/dli_01_0681.html
    """
    return _release(spark_version) >= (3, 3)


def takes_modules(spark_version: str) -> bool:
    """Say whether jobs on an engine load data sources as modules: before Spark 3.1 they do.

    Later ones name their class paths in `conf`. Source:
    https://support.huaweicloud.com/intl/en-us/usermanual-dli/dli_01_0384.html
    """
    return _release(spark_version) < (3, 1)


def _release(spark_version: str) -> tuple[int, int]:
    found = re.match(r"(\d+)\.(\d+)(\.|$)", str(spark_version))
    if not found or not isinstance(spark_version, str):
        raise InputError("spark_version", spark_version, "give it as 3.1.1 or 3.3.1")
    return int(found[1]), int(found[2])
