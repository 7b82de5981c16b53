# SPDX-License-Identifier: Apache-2.0
"""Addresses of pages in the cloud's console.

They are undocumented and were not tried. Those of a job are as the vendor's DataArts Studio logged
them in 2024 for Spark 3.1.1 on Huawei Cloud; for OTC and for regions outside China only the host is
assumed to differ. No page of a package group is known, so its link leads to the front page. An
account with a custom endpoint, such as an emulator's, has no console.
"""

from __future__ import annotations

from urllib.parse import quote

from airflow_provider_dli.api.access.account import Account
from airflow_provider_dli.api.access.endpoints import Cloud, dli_origin


def job_page(account: Account, batch_id: str) -> str | None:
    """Returns the address of a job's driver log, or `None` without a console."""
    front = _front(account)
    return front and f"{front}#/main/jobs/spark/submitLog/{_encoded(batch_id)}?type=RUN"


def packages_page(account: Account) -> str | None:
    """Returns the address of the page with the package groups, or `None` without a console."""
    return _front(account)


def spark_ui(account: Account, project_id: str, batch_id: str) -> str | None:
    """Returns the address of a job's Spark UI, or `None` without a console.

    DLI keeps it for the latest 100 jobs:
    https://support.huaweicloud.com/intl/en-us/productdesc-dli/dli_07_0005.html
    """
    host = _host(account)
    project, batch = _encoded(project_id), _encoded(batch_id)
    return host and f"https://{host}/dli/web/{project}/batch/{batch}/sparkui"


def _front(account: Account) -> str | None:
    host = _host(account)
    return host and f"https://{host}/dli/?region={_encoded(account.region or '')}"


def _host(account: Account) -> str | None:
    cloud, region = account.cloud, account.region
    if cloud is None or not region or account.origin != dli_origin(cloud, region):
        return None
    if cloud is Cloud.OTC:
        return "console.otc.t-systems.com"
    if region == "eu-west-101":
        return "console.eu.huaweicloud.com"
    return "console.huaweicloud.com" if region.startswith("cn-") else "console-intl.huaweicloud.com"


def _encoded(text: str) -> str:
    return quote(text, safe="")
