# SPDX-License-Identifier: Apache-2.0
"""What the operators that wait for packages have in common: in the worker or in the triggerer."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_dli.operators.base import DliHookMixin
from airflow_provider_dli.operators.deferral import TimeLimits, limits_of
from airflow_provider_dli.triggers.events import wait_fields

if TYPE_CHECKING:
    from airflow_provider_dli.api.packages.models import PackageGroup


class PackageWaitOperator(DliHookMixin, BaseOperator):
    """An operator that waits until packages are READY, after it had them uploaded.

    :meta private:
    """

    def __init__(
        self,
        *,
        wait_for_completion: bool,
        poll_interval: float,
        timeout: float,
        max_unknown_time: float,
        deferrable: bool,
        dli_conn_id: str,
        region: str | None,
        project_id: str | None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.wait_for_completion = wait_for_completion
        self.poll_interval = poll_interval
        self.timeout = timeout
        self.max_unknown_time = max_unknown_time
        self.deferrable = deferrable
        self.dli_conn_id = dli_conn_id
        self.region = region
        self.project_id = project_id

    def _time_limits(self, started: float | None = None) -> TimeLimits:
        """Check the arguments of the wait, and let its time begin.

        `started` is the Unix time at which the task began, where that was earlier.
        """
        from airflow_provider_dli.api import checks

        checks.seconds("timeout", self.timeout)  # packages are never waited for without end
        return limits_of(self, started)

    def _waited(
        self,
        group: str | None,
        answered: PackageGroup | None,
        names: Collection[str],
        limits: TimeLimits,
    ) -> PackageGroup | None:
        """Give the group as it is when there is nothing more to wait for.

        `answered` is what DLI said of it last. Raises where a package is FAILED, or to wait in the
        triggerer.
        """
        from airflow_provider_dli.api.packages.readiness import ABSENT, Verdict, judge
        from airflow_provider_dli.api.packages.wait import failed

        answer = judge(answered, names)
        left_out = not self.wait_for_completion and ABSENT in answer.states.values()
        if answer.verdict is Verdict.FAILED or left_out:
            raise failed(group, answer)
        if answer.verdict is Verdict.READY:
            self.log.info("READY at once: %s", ", ".join(names))
        elif self.wait_for_completion and self.deferrable:
            self._defer(group, names, limits)
        elif self.wait_for_completion:
            return self.hook.wait_until_ready(
                group,
                tuple(names),
                poll_interval=self.poll_interval,
                timeout=self.timeout,
                max_unknown_time=self.max_unknown_time,
            )
        return answered

    def _defer(self, group: str | None, names: Collection[str], limits: TimeLimits) -> None:
        from airflow_provider_dli.triggers.packages import PackageGroupTrigger

        self.defer(
            trigger=PackageGroupTrigger(
                group=group,
                packages=list(names),
                accepted=True,
                looked=True,
                **wait_fields(self, limits, self.poll_interval),
            ),
            method_name="execute_complete",
            timeout=limits.backstop,
        )
