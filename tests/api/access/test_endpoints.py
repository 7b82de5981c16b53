# SPDX-License-Identifier: Apache-2.0
"""Cloud and region to addresses."""

from __future__ import annotations

import pytest

from airflow_provider_dli.api.access.endpoints import (
    Cloud,
    dli_origin,
    iam_origin,
    obs_origin,
    obs_url,
)
from airflow_provider_dli.api.protocol.errors import InputError


@pytest.mark.parametrize(
    ("cloud", "region", "origin"),
    [
        (Cloud.HUAWEI, "cn-north-4", "https://dli.cn-north-4.myhuaweicloud.com"),
        (Cloud.HUAWEI, "ap-southeast-3", "https://dli.ap-southeast-3.myhuaweicloud.com"),
        (Cloud.HUAWEI, "eu-west-101", "https://dli.eu-west-101.myhuaweicloud.eu"),
        (Cloud.HUAWEI, "opened-today-1", "https://dli.opened-today-1.myhuaweicloud.com"),
        (Cloud.OTC, "eu-de", "https://dli.eu-de.otc.t-systems.com"),
    ],
)
def test_cloud_and_region_give_the_address_of_dli(cloud: Cloud, region: str, origin: str) -> None:
    assert dli_origin(cloud, region) == origin


@pytest.mark.parametrize(
    ("cloud", "region", "origin"),
    [
        (Cloud.HUAWEI, "cn-north-4", "https://iam.myhuaweicloud.com"),
        (Cloud.HUAWEI, "opened-today-1", "https://iam.myhuaweicloud.com"),
        (Cloud.HUAWEI, "eu-west-101", "https://iam.myhuaweicloud.eu"),
        (Cloud.OTC, "eu-de", "https://iam.eu-de.otc.t-systems.com"),
        (Cloud.OTC, "eu-nl", "https://iam.eu-nl.otc.t-systems.com"),
        (Cloud.OTC, "opened-today-1", "https://iam.opened-today-1.otc.t-systems.com"),
    ],
)
def test_cloud_and_region_give_the_address_of_iam(cloud: Cloud, region: str, origin: str) -> None:
    assert iam_origin(cloud, region) == origin


@pytest.mark.parametrize(
    ("cloud", "region", "origin"),
    [
        (Cloud.HUAWEI, "cn-north-4", "https://obs.cn-north-4.myhuaweicloud.com"),
        (Cloud.HUAWEI, "eu-west-101", "https://obs.eu-west-101.myhuaweicloud.eu"),
        (Cloud.OTC, "eu-de", "https://obs.eu-de.otc.t-systems.com"),
    ],
)
def test_cloud_and_region_give_the_address_of_obs(cloud: Cloud, region: str, origin: str) -> None:
    assert obs_origin(cloud, region) == origin


@pytest.mark.parametrize(
    ("cloud", "region", "url"),
    [
        (Cloud.HUAWEI, "cn-north-4", "https://b.obs.cn-north-4.myhuaweicloud.com/x/a.jar"),
        (Cloud.HUAWEI, "eu-west-101", "https://b.obs.eu-west-101.myhuaweicloud.eu/x/a.jar"),
        (Cloud.OTC, "eu-de", "https://b.obs.eu-de.otc.t-systems.com/x/a.jar"),
    ],
)
def test_an_obs_object_has_the_address_of_its_cloud(cloud: Cloud, region: str, url: str) -> None:
    assert obs_url("b", "x/a.jar", cloud, region) == url


@pytest.mark.parametrize(
    ("cloud", "region", "missing"),
    [(None, "eu-de", "cloud"), (Cloud.OTC, None, "region"), (Cloud.OTC, "", "region")],
)
def test_an_obs_object_of_an_unknown_place_is_refused(
    cloud: Cloud | None, region: str | None, missing: str
) -> None:
    with pytest.raises(InputError) as refusal:
        obs_url("b", "x/a.jar", cloud, region)

    assert str(refusal.value) == (
        f"paths is 'obs://b/x/a.jar': an obs:// path needs the connection's {missing}; "
        "set it, or use https://bucket.obs.region.host/key"
    )


@pytest.mark.parametrize(("text", "cloud"), [("huawei", Cloud.HUAWEI), ("otc", Cloud.OTC)])
def test_a_cloud_is_known_by_its_word(text: str, cloud: Cloud) -> None:
    assert Cloud(text) is cloud
