# SPDX-License-Identifier: Apache-2.0
"""What the sensors share: a first look in the worker, and the rest of the wait in the triggerer."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import AirflowSensorTimeout, BaseSensorOperator

from airflow_provider_dli.hooks.deferral import TimeLimits
from airflow_provider_dli.hooks.mixin import DliHookMixin

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context, PokeReturnValue
    from airflow.triggers.base import BaseTrigger


class WaitSensor(DliHookMixin, BaseSensorOperator):
    """A sensor that waits in the worker, or in the triggerer when it is ``deferrable``."""

    switches: ClassVar[tuple[str, ...]] = ("deferrable",)
    """The fields that are true or false."""
    deferrable: bool
    max_unknown_time: float

    def execute(self, context: Context) -> Any:
        """Wait in the worker, or look once and go on waiting in the triggerer."""
        from airflow_provider_dli.api import checks

        for field in self.switches:
            checks.boolean(field, getattr(self, field))
        if not self.deferrable:
            return super().execute(context)
        for field in ("poke_interval", "timeout", "max_unknown_time"):
            checks.seconds(field, getattr(self, field))
        limits = TimeLimits(self, self.timeout)
        try:
            looked = self.poke(context)
        except self._passing() as error:
            self.log.warning("Left to the triggerer, since the first look failed: %s", error)
        else:
            if looked:
                return looked.xcom_value
        self.defer(
            trigger=self._trigger(limits),
            method_name="execute_complete",
            timeout=limits.backstop,
        )
        return None  # `defer` raises

    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Go on after the wait: give what XCom keeps, or raise as the worker would have."""
        from airflow_provider_dli.api.errors import PackageGroupTimeoutError, SparkBatchTimeoutError

        try:
            return self._complete(event)
        except (PackageGroupTimeoutError, SparkBatchTimeoutError) as error:
            # What a sensor's own timeout raises, so that soft_fail skips the task.
            raise AirflowSensorTimeout(str(error)) from error

    @abstractmethod
    def poke(self, context: Context) -> PokeReturnValue:
        """Look once."""

    def _passing(self) -> tuple[type[Exception], ...]:
        """Give the errors of the first look that the triggerer may see pass."""
        from airflow_provider_dli.api.retry import TRANSIENT

        return TRANSIENT

    @abstractmethod
    def _trigger(self, limits: TimeLimits) -> BaseTrigger:
        """Give the trigger that waits for the same."""

    @abstractmethod
    def _complete(self, event: dict[str, Any]) -> dict[str, Any]:
        """Give what XCom keeps of the trigger's event, or raise what it says went wrong."""
