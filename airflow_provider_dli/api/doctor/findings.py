# SPDX-License-Identifier: Apache-2.0
"""The report of the doctor: the result of each check, as text and as plain JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from airflow_provider_dli.api.doctor.causes import Cause, Check


class Result(StrEnum):
    """The result of a check."""

    OK = "ok"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """A check with its result and a sentence about it; if it failed, with details and the cause."""

    check: Check
    result: Result
    found: str
    detail: str = ""
    cause: Cause | None = None

    @property
    def remedy(self) -> str:
        """What to do about it; empty unless the check failed."""
        return self.cause.remedy if self.cause else ""

    def as_dict(self) -> dict[str, Any]:
        """Returns plain JSON."""
        return {
            "check": self.check.value,
            "result": self.result.value,
            "cause": self.cause.key if self.cause else None,
            "found": self.found,
            "detail": self.detail or None,
            "remedy": self.remedy or None,
        }


@dataclass(frozen=True, slots=True)
class Report:
    """The findings on one connection, in the order of the checks."""

    conn_id: str
    findings: tuple[Finding, ...]

    @classmethod
    def of(cls, conn_id: str, findings: Mapping[Check, Finding]) -> Report:
        """Returns a report in which the missing checks are skipped."""
        failed = " and ".join(
            check for check, finding in findings.items() if finding.result is Result.FAILED
        )
        return cls(
            conn_id,
            tuple(
                findings.get(check)
                or Finding(check, Result.SKIPPED, f"Not checked, because {failed} failed.")
                for check in Check
            ),
        )

    @property
    def is_well(self) -> bool:
        """Whether all checks passed."""
        return all(finding.result is Result.OK for finding in self.findings)

    @property
    def summary(self) -> str:
        """The first check that failed with its remedy, or all findings if none failed."""
        for finding in self.findings:
            if finding.result is Result.FAILED:
                evidence = f"{finding.found} {finding.detail}".strip()
                return f"The check of {finding.check} failed. {evidence} {finding.remedy}"
        return " ".join(finding.found for finding in self.findings)

    def as_dict(self) -> dict[str, Any]:
        """Returns plain JSON."""
        return {
            "connection": self.conn_id,
            "is_well": self.is_well,
            "checks": [finding.as_dict() for finding in self.findings],
        }


def failure(check: Check, cause: Cause, detail: str) -> Finding:
    """Returns the finding of a failed check."""
    return Finding(check, Result.FAILED, cause.message, detail, cause)


def unreadable(conn_id: str, cause: Cause, detail: str) -> Report:
    """Returns the report on a connection that cannot be read."""
    return Report.of(conn_id, {Check.CONNECTION: failure(Check.CONNECTION, cause, detail)})
