# SPDX-License-Identifier: Apache-2.0
"""What a test can see and do of batch jobs: a part of the emulator."""

from __future__ import annotations

from collections.abc import Sequence

from airflow_provider_dli.emulator.jobs.runs import Runner
from airflow_provider_dli.emulator.jobs.service import BatchService
from airflow_provider_dli.emulator.jobs.timelines import BatchTimelines, Lines
from airflow_provider_dli.emulator.messages import JsonObject
from airflow_provider_dli.emulator.settings import Settings, seconds, seconds_or_never
from airflow_provider_dli.emulator.timelines import Timeline


class BatchControls:
    """Batch jobs as a test holds them."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._batch_timelines = BatchTimelines(settings.batch_seconds)
        self._batch_service = BatchService(settings, self._batch_timelines)

    @property
    def runner(self) -> Runner | None:
        """What really runs the jobs for which no timeline is set; None = they play the default."""
        return self._batch_service.runner

    @runner.setter
    def runner(self, value: Runner | None) -> None:
        self._batch_service.runner = value

    @property
    def batch_seconds(self) -> float:
        """How long a job takes, where no timeline says otherwise; a third of it starts."""
        return self._batch_timelines.batch_seconds

    @batch_seconds.setter
    def batch_seconds(self, value: float) -> None:
        self._batch_timelines.batch_seconds = seconds("batch_seconds", value)

    @property
    def batch_retention(self) -> float | None:
        """For how many seconds a job is known after its success; None = for ever."""
        return self._batch_service.retention

    @batch_retention.setter
    def batch_retention(self, value: float | None) -> None:
        self._batch_service.retention = seconds_or_never("batch_retention", value)

    @property
    def submissions(self) -> dict[str, int]:
        """How many jobs really came of submissions, by name, also those that are gone by now."""
        return self._batch_service.submissions()

    def batches(self, project_id: str | None = None) -> dict[str, JsonObject]:
        """The batch jobs of a project by id, oldest first, each as the service shows it."""
        return self._batch_service.all(project_id or self.settings.project_ids[0])

    def set_batch_timeline(self, pattern: str, timeline: Timeline, log: Lines = ()) -> None:
        """Give later jobs whose name matches their own timeline and driver log.

        The timeline is a list such as `[(0, "starting"), (2, "running"), (5, "dead")]`; the state
        None lets the job disappear. After `dead` it goes on only for a job with `auto_recovery`, at
        most `max_retry_times` times. A job that stays `starting` is dead after three hours.

        The log is a list such as `[(2, "a line"), (4, "another")]`. A line that is written after a
        step to `recovering` belongs to the next driver log.
        """
        self._batch_timelines.set(pattern, timeline, log)

    def clear_batch_timelines(self) -> None:
        """Forget all timelines of batch jobs but the default."""
        self._batch_timelines.clear()

    def add_batch(
        self,
        request: JsonObject | str | None,
        state: str = "running",
        *,
        listed: bool = True,
        project_id: str | None = None,
    ) -> str:
        """Have a Spark batch job in this state, without a submission; gives its id.

        `request` is the body that it was submitted with. Text is printed as it is, also where it is
        no JSON; None is not printed. With `listed=False` only the job itself shows it, not the
        listing.
        """
        project_id = project_id or self.settings.project_ids[0]
        return self._batch_service.put(project_id, request, state, listed=listed)

    def set_batch_state(self, batch_id: str, state: str) -> None:
        """Give a job another state, from now on; its timeline ends."""
        self._batch_service.set_state(batch_id, state)

    def write_batch_log(self, batch_id: str, lines: Sequence[str]) -> None:
        """Append lines to a job's driver log: that of its present run."""
        self._batch_service.write(batch_id, lines)

    def close(self) -> None:
        """End what really runs. Nothing more can be asked of the emulator."""
        if self.runner is not None:
            self.runner.close()

    def _reset_batches(self) -> None:
        self._batch_service.clear()
        self.clear_batch_timelines()
        self.batch_seconds = self.settings.batch_seconds
        self.batch_retention = self.settings.batch_retention
