# SPDX-License-Identifier: Apache-2.0
"""Pages of the console: by cloud and region, and none for an endpoint of one's own."""

from __future__ import annotations

import pytest

from airflow_provider_dli.api.access.account import Account
from airflow_provider_dli.api.access.auth import Token
from airflow_provider_dli.api.access.consoles import job_page, packages_page, spark_ui
from airflow_provider_dli.api.access.endpoints import Cloud, dli_origin

BATCH = "1e016f5a-54e9-496e-9767-41af8cb2ebbd"


def account(cloud: Cloud | None, region: str | None, origin: str = "") -> Account:
    known = dli_origin(cloud, region) if cloud and region else "https://dli.example"
    return Account(origin or known, "p", Token("t"), cloud=cloud, region=region)


@pytest.mark.parametrize(
    ("cloud", "region", "host"),
    [
        (Cloud.HUAWEI, "cn-north-9", "console.huaweicloud.com"),
        (Cloud.HUAWEI, "ap-southeast-3", "console-intl.huaweicloud.com"),
        (Cloud.HUAWEI, "eu-west-101", "console.eu.huaweicloud.com"),
        (Cloud.OTC, "eu-de", "console.otc.t-systems.com"),
    ],
)
def test_pages_are_in_the_console_of_cloud_and_region(cloud: Cloud, region: str, host: str) -> None:
    known = account(cloud, region)

    front = f"https://{host}/dli/?region={region}"
    assert packages_page(known) == front
    assert job_page(known, BATCH) == f"{front}#/main/jobs/spark/submitLog/{BATCH}?type=RUN"
    assert spark_ui(known, "p", BATCH) == f"https://{host}/dli/web/p/batch/{BATCH}/sparkui"


@pytest.mark.parametrize(
    "unknown",
    [
        account(None, None),
        account(Cloud.HUAWEI, None),
        account(Cloud.HUAWEI, "eu-west-101", "http://127.0.0.1:8000"),
    ],
)
def test_where_no_console_is_known_there_are_no_pages(unknown: Account) -> None:
    assert packages_page(unknown) is None
    assert job_page(unknown, BATCH) is None
    assert spark_ui(unknown, "p", BATCH) is None


def test_what_is_put_into_an_address_is_encoded() -> None:
    page = job_page(account(Cloud.OTC, "eu-de"), "a/b#c?d")

    assert page is not None
    assert "/a%2Fb%23c%3Fd?" in page
