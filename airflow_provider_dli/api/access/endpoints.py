# SPDX-License-Identifier: Apache-2.0
"""Cloud and region to addresses. There is no list of regions: a new one works the day it opens."""

from __future__ import annotations

from enum import StrEnum
from urllib.parse import quote

from airflow_provider_dli.api.protocol.errors import InputError


class Cloud(StrEnum):
    """The two brands under which DLI exists."""

    HUAWEI = "huawei"
    OTC = "otc"


# Regions of Huawei Cloud whose hosts do not end in myhuaweicloud.com.
# https://support.huaweicloud.com/eu/api-drs/drs_api_0111.html
_DOMAINS = {"eu-west-101": "myhuaweicloud.eu"}


def dli_origin(cloud: Cloud, region: str) -> str:
    """Give the address of DLI, without a slash at its end."""
    return f"https://dli.{region}.{_domain(cloud, region)}"


def iam_origin(cloud: Cloud, region: str) -> str:
    """Give the address of IAM, without a slash at its end.

    On Huawei Cloud the global one, which serves every region and also those that have none of
    their own: https://support.huaweicloud.com/intl/en-us/api-iam/iam_01_0004.html
    """
    if cloud is Cloud.OTC:
        return f"https://iam.{region}.{_domain(cloud, region)}"
    return f"https://iam.{_domain(cloud, region)}"


def obs_origin(cloud: Cloud, region: str) -> str:
    """Give the address of OBS, without a slash at its end; a bucket's name goes before the host."""
    return f"https://obs.{region}.{_domain(cloud, region)}"


def obs_url(bucket: str, key: str, cloud: Cloud | None, region: str | None) -> str:
    """Give the HTTPS form of `obs://bucket/key`, the only one that package uploads document.

    Raises `InputError` where cloud or region are not known.
    """
    if cloud is None or not region:
        missing = "cloud" if cloud is None else "region"
        raise InputError(
            "paths",
            f"obs://{bucket}/{key}",
            f"an obs:// path needs the connection's {missing}; "
            "set it, or give https://bucket.obs.region.host/key",
        )
    return f"https://{bucket}.obs.{region}.{_domain(cloud, region)}/{quote(key, safe='/!')}"


def _domain(cloud: Cloud, region: str) -> str:
    if cloud is Cloud.OTC:
        return "otc.t-systems.com"
    return _DOMAINS.get(region, "myhuaweicloud.com")
