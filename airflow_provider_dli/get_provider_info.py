# SPDX-License-Identifier: Apache-2.0
"""What Airflow asks a provider for when it looks for plugins. Imports nothing of Airflow."""

from __future__ import annotations

from typing import Any

from airflow_provider_dli import connection_form


def get_provider_info() -> dict[str, Any]:
    """Describe the package for `airflow providers list`, `hooks` and the connection form."""
    integration = "Data Lake Insight (DLI)"
    return {
        "package-name": "airflow-provider-dli",
        "name": integration,
        "description": "Stages what a Spark job needs in Data Lake Insight (DLI) of Huawei Cloud "
        "and Open Telekom Cloud, and runs exactly one job.",
        "integrations": [
            {
                "integration-name": integration,
                "external-doc-url": "https://support.huaweicloud.com/intl/en-us/dli/index.html",
                "tags": ["service"],
            }
        ],
        "hooks": [_modules(integration, "hooks.dli", "hooks.obs")],
        "operators": [
            _modules(
                integration,
                *("operators.packages", "operators.staging"),
                *("operators.spark", "operators.cancelling"),
            )
        ],
        "sensors": [_modules(integration, "sensors.packages", "sensors.spark")],
        "triggers": [_modules(integration, "triggers.packages", "triggers.spark")],
        "extra-links": [
            f"airflow_provider_dli.links.spark.{link}"
            for link in ("SparkJobLink", "PackageGroupLink", "SparkUiLink")
        ],
        "filesystems": ["airflow_provider_dli.fs.obs"],
        "cli": ["airflow_provider_dli.commands.airflow_cli.get_cli_commands"],
        "connection-types": [
            {
                "connection-type": "dli",
                "hook-class-name": "airflow_provider_dli.hooks.dli.DliHook",
                "hook-name": integration,
                **connection_form.declared(),
            }
        ],
    }


def _modules(integration: str, *modules: str) -> dict[str, Any]:
    return {
        "integration-name": integration,
        "python-modules": [f"airflow_provider_dli.{module}" for module in modules],
    }
