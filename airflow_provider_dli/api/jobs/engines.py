# SPDX-License-Identifier: Apache-2.0
"""The Spark engines of DLI: what each takes and needs, and until when each cloud supports it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import NamedTuple

from airflow_provider_dli.api.protocol.errors import InputError


class Lifecycle(NamedTuple):
    """What a cloud publishes about an engine; a date that it does not publish is `None`.

    `status` is the word of the page `source`, as it read on the day `as_of`.
    """

    status: str
    end_of_sale: date | None
    end_of_support: date | None
    source: str
    as_of: date

    def is_past_support(self, today: date) -> bool:
        """Whether the support has ended: by the published date, or by the published status."""
        if self.end_of_support is None:
            return self.status == "EOS"
        return today > self.end_of_support


class Engine(NamedTuple):
    """A Spark version of DLI. The lifecycles are keyed by cloud, `huawei` and `otc`.

    Sources: for `takes_groups` https://support.huaweicloud.com/api-dli/dli_02_0124.html, for
    `takes_modules` https://support.huaweicloud.com/intl/en-us/usermanual-dli/dli_01_0384.html, for
    `needs_agency` https://support.huaweicloud.com/intl/en-us/usermanual-dli/dli_01_0616.html and
    https://support.huaweicloud.com/usermanual-dli/dli_01_0681.html.
    """

    version: str
    takes_groups: bool
    """Package groups and names of packages in DLI; an engine without takes `obs://` paths only."""

    takes_modules: bool
    """Data sources as modules; later engines take settings in `conf` instead."""

    needs_agency: bool
    """An agency to read OBS: without one the job is not scheduled, or cannot load its files."""

    lifecycles: Mapping[str, Lifecycle] = {}

    @property
    def release(self) -> tuple[int, int]:
        """Major and minor version."""
        return _release(self.version)

    def support_warning(self, cloud: str | None, today: date) -> str | None:
        """Returns a sentence if the cloud no longer supports the engine, `None` otherwise."""
        lifecycle = self.lifecycles.get(cloud or "")
        if lifecycle is None or not lifecycle.is_past_support(today):
            return None
        ended = f" on {lifecycle.end_of_support}" if lifecycle.end_of_support else ""
        return (
            f"Support for Spark {self.version} has ended{ended} on this cloud. Move the job to a "
            f"supported version: {lifecycle.source}"
        )


_HUAWEI = "https://support.huaweicloud.com/intl/en-us/bulletin-dli/dli_bulletin_0004.html"
# It has a status for each version, and no dates.
_OTC = (
    "https://docs.otc.t-systems.com/data-lake-insight/umn/service_overview/"
    "notes_and_constraints.html"
)

ENGINES = tuple(
    Engine(
        version,
        takes_groups=takes_groups,
        takes_modules=takes_modules,
        needs_agency=needs_agency,
        lifecycles={
            "huawei": Lifecycle(*huawei, _HUAWEI, as_of=date(2025, 8, 5)),
            "otc": Lifecycle(otc, None, None, _OTC, as_of=date(2026, 3, 9)),
        },
    )
    # On Huawei Cloud: status, end of sale, end of support. On OTC: status.
    for version, takes_groups, takes_modules, needs_agency, huawei, otc in (
        ("2.3.2", True, True, False, ("EOS", date(2022, 6, 30), date(2023, 12, 31)), "EOS"),
        ("2.4.5", True, True, False, ("EOS", date(2023, 12, 31), date(2024, 12, 31)), "EOM"),
        ("3.1.1", True, False, False, ("EOS", date(2023, 12, 31), date(2024, 12, 31)), "EOM"),
        ("3.3.1", False, False, True, ("released", date(2026, 6, 30), date(2027, 6, 30)), "listed"),
    )
)
"""The documented engines, from the oldest to the newest."""


def find_engine(version: str) -> Engine:
    """Returns the engine of a version.

    An undocumented version is like the newest documented engine that is not newer than it, but
    nothing is known about its support.
    """
    for engine in ENGINES:
        if engine.version == version:
            return engine
    release = _release(version)
    older = [engine for engine in ENGINES if engine.release <= release] or ENGINES[:1]
    return older[-1]._replace(version=version, lifecycles={})


def _release(version: str) -> tuple[int, int]:
    found = re.match(r"(\d+)\.(\d+)(\.|$)", str(version))
    if not found or not isinstance(version, str):
        raise InputError("spark_version", version, "give it as 3.1.1 or 3.3.1")
    return int(found[1]), int(found[2])
