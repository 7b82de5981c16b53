# SPDX-License-Identifier: Apache-2.0
"""Whether Airflow tries a task again that fails with an error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator, Context

    from airflow_provider_dli.api.jobs.names import Owner


def is_tried_again(
    task: BaseOperator, owner: Owner, error: BaseException, context: Context | None
) -> bool:
    """Returns whether a try of the task follows the one that fails with this error.

    On Airflow 3.3 a task may have a `retry_policy` that ends it while tries are left. It is asked
    here as Airflow asks it again afterwards; it can end a task early, but add no try.
    """
    if not owner.may_try_again or isinstance(error, AirflowFailException):
        return False
    policy: Any = getattr(task, "retry_policy", None)
    if policy is None:
        return True
    try:
        decision = policy.evaluate(
            exception=error,
            try_number=owner.try_number,
            max_tries=owner.generation,
            context=context,
        )
        return str(decision.action.value) != "fail"
    except Exception as broken:
        # Airflow goes by the number of tries then.
        task.log.warning("The retry_policy failed (%s).", type(broken).__name__)
        return True
