# SPDX-License-Identifier: Apache-2.0
"""Endpoints by cloud and region. There is no list of regions, so new ones work at once."""

from __future__ import annotations

from enum import StrEnum
from urllib.parse import quote

from airflow_provider_dli.api.protocol.errors import InputError


class Cloud(StrEnum):
    """The two clouds that offer DLI."""

    HUAWEI = "huawei"
    OTC = "otc"


# Regions of Huawei Cloud whose hosts do not end in myhuaweicloud.com.
# https://support.huaweicloud.com/eu/api-drs/drs_api_0111.html
_DOMAINS = {"eu-west-101": "myhuaweicloud.eu"}


def dli_origin(cloud: Cloud, region: str) -> str:
    """Returns the address of DLI, without a trailing slash."""
    return f"https://dli.{region}.{_domain(cloud, region)}"


def iam_origin(cloud: Cloud, region: str) -> str:
    """Returns the address of IAM, without a trailing slash.

    On Huawei Cloud this is the global one. It serves every region, including those without an
    address of their own: https://support.huaweicloud.com/intl/en-us/api-iam/iam_01_0004.html
    """
    if cloud is Cloud.OTC:
        return f"https://iam.{region}.{_domain(cloud, region)}"
    return f"https://iam.{_domain(cloud, region)}"


def obs_origin(cloud: Cloud, region: str) -> str:
    """Returns the address of OBS, without a trailing slash and without a bucket."""
    return f"https://obs.{region}.{_domain(cloud, region)}"


def obs_url(bucket: str, key: str, cloud: Cloud | None, region: str | None) -> str:
    """Returns the HTTPS form of `obs://bucket/key`, the only one documented for package uploads.

    Raises `InputError` if cloud or region are unknown.
    """
    if cloud is None or not region:
        missing = "cloud" if cloud is None else "region"
        raise InputError(
            "paths",
            f"obs://{bucket}/{key}",
            f"an obs:// path needs the connection's {missing}; "
            "set it, or use https://bucket.obs.region.host/key",
        )
    return f"https://{bucket}.obs.{region}.{_domain(cloud, region)}/{quote(key, safe='/!')}"


def _domain(cloud: Cloud, region: str) -> str:
    if cloud is Cloud.OTC:
        return "otc.t-systems.com"
    return _DOMAINS.get(region, "myhuaweicloud.com")
