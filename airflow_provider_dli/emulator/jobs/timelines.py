# SPDX-License-Identifier: Apache-2.0
"""The states and the driver log of a Spark batch job over time, if nothing runs it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, TypeAlias

from airflow_provider_dli.emulator.settings import seconds
from airflow_provider_dli.emulator.timelines import Timeline, checked

STARTING = "starting"
RUNNING = "running"
RECOVERING = "recovering"
SUCCESS = "success"
DEAD = "dead"

# A job ends if it gets no resources for this time:
# https://github.com/opentelekomcloud-docs/data-lake-insight, api-ref/source/spark_job-related_apis/
# creating_a_batch_processing_job.rst
START_LIMIT_SECONDS = 3 * 60 * 60.0

# Seconds after the submission, and the line written then.
Lines: TypeAlias = Sequence[tuple[float, str]]


@dataclass(frozen=True, slots=True)
class Script:
    """The timeline and log of a job, in seconds after its submission.

    A state of None means that the job no longer exists. Lines written after a step to `recovering`
    are part of the next driver log.
    """

    steps: Timeline
    lines: Lines = ()

    def played(self, retries: int) -> Script:
        """Returns the part that applies to a job with this number of retries.

        Whether `dead` is visible before `recovering` is undocumented; here the script decides.
        """
        steps = [self.steps[0]]
        for after, state in self.steps[1:]:
            if is_word(steps[-1][1], DEAD) and state is not None:
                if not retries:
                    return Script(steps, [line for line in self.lines if line[0] < after])
                retries -= 1
            steps.append((after, state))
        last, state = steps[-1]
        if is_word(state, STARTING):
            steps.append((last + START_LIMIT_SECONDS, DEAD))
        return Script(steps, self.lines)


class BatchTimelines:
    """Selects the script of a job: by a pattern of its name, else the default."""

    def __init__(self, batch_seconds: float) -> None:
        self.batch_seconds = batch_seconds
        self._by_pattern: dict[str, Script] = {}

    def set(self, pattern: str, timeline: object, log: object = ()) -> None:
        """Sets the timeline and log for later jobs with a matching name."""
        if not isinstance(pattern, str) or not pattern:
            raise ValueError(f"pattern must be a text such as 'nightly-*', not {pattern!r}")
        script = Script(checked(timeline), _checked_lines(log))
        # A new dict, since a request may read the old one. A pattern that is set again is last.
        others = {name: old for name, old in self._by_pattern.items() if name != pattern}
        self._by_pattern = {**others, pattern: script}

    def clear(self) -> None:
        """Removes all patterns."""
        self._by_pattern = {}

    def scripted(self, name: str) -> Script | None:
        """Returns the script for a name; of several matching patterns the last one set counts."""
        matching = (
            script
            for pattern, script in reversed(self._by_pattern.items())
            if fnmatchcase(name, pattern)
        )
        return next(matching, None)

    def default(self) -> Script:
        """Returns the script of a successful job, which is starting for a third of its time."""
        begin, end = self.batch_seconds / 3, self.batch_seconds
        return Script(
            [(0.0, STARTING), (begin, RUNNING), (end, SUCCESS)],
            [(begin, "The emulator runs nothing: this job follows a timeline."), (end, "Done.")],
        )

    def stillborn(self, why: str) -> Script:
        """Returns the script of a job that does not start."""
        end = self.batch_seconds / 3
        return Script([(0.0, STARTING), (end, DEAD)], [(end, f"The job cannot start: {why}")])

    def as_json(self) -> dict[str, Any]:
        """Returns every pattern with its timeline and log."""
        return {
            pattern: {
                "timeline": [list(step) for step in script.steps],
                "log": [list(line) for line in script.lines],
            }
            for pattern, script in self._by_pattern.items()
        }


def is_word(state: str | None, *words: str) -> bool:
    """Whether a state is one of these, in any case."""
    return state is not None and state.strip().lower() in words


def _checked_lines(log: object) -> Lines:
    if not isinstance(log, list | tuple):
        raise ValueError(f'log must be a list such as [[2, "a line"]], not {log!r}')
    for line in log:
        if not isinstance(line, list | tuple) or len(line) != 2 or not isinstance(line[1], str):
            raise ValueError(f"log must consist of pairs of seconds and a line, not {line!r}")
    return sorted(((seconds("log", after), text) for after, text in log), key=lambda line: line[0])
