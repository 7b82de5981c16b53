"""Breaks the code on purpose, one line at a time, and shows whether the tests notice.

Not part of the test run. From the root of the repository:

    python tests/mutants.py                    # all mutants, some minutes
    python tests/mutants.py retry budget       # those whose name or file holds one of these words
    python tests/mutants.py --jobs 2           # two at a time
    python tests/mutants.py --check            # only whether each text is found exactly once

Each mutant replaces one text of one file in a copy of the tree and runs a few tests there. A mutant
is *killed* when they fail. One that *survived* shows a promise that no test keeps. One that is
*stale* names a text that the file does not hold exactly once: adjust it, do not drop it. The exit
status is 0 when every mutant was killed.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

ROOT = Path(__file__).parent.parent
PACKAGE = "airflow_provider_dli"
COPIED = (PACKAGE, "tests", "example_dags", "pyproject.toml", "README.md", "docs")
LIMIT = 300
"""Seconds after which tests that run on are stopped: a mutant that hangs them is killed."""
TEST_LIMIT = 60
"""The same for a single test."""
MEMORY = 6_000_000_000
"""Bytes of address space for the tests of a mutant: one that reads an endless answer is killed."""


@dataclass(frozen=True)
class Mutant:
    """One change. `tests` are the paths below tests/ that have to notice it."""

    promise: str
    file: str
    old: str
    new: str
    tests: str


MUTANTS = (
    # Retry, pace and client
    Mutant(
        "the retry budget of the process is consulted",
        "api/protocol/client.py",
        "if pause is not None and self.pace.may_repeat():",
        "if pause is not None:",
        "api/protocol/test_client.py",
    ),
    Mutant(
        "a retry waits before it sends",
        "api/protocol/client.py",
        "yield from _rest(pause, failure)",
        "yield from _rest(0.0, failure)",
        "api/protocol/test_client.py",
    ),
    Mutant(
        "a call that may not be repeated is sent once",
        "api/protocol/client.py",
        "is_repeatable=call.repeatable or find_result is not None",
        "is_repeatable=True",
        "api/protocol/test_client.py api/jobs/test_submission.py",
    ),
    Mutant(
        "the time spent counts towards the retry deadline",
        "api/protocol/client.py",
        "elapsed=self.now() - started",
        "elapsed=0.0",
        "api/protocol/test_client.py",
    ),
    Mutant(
        "the last look of a wait takes no turn",
        "api/protocol/client.py",
        "if before is not None and self.now() >= before:",
        "if False:",
        "api/protocol/test_client.py",
    ),
    Mutant(
        "a look waits for its turn until the deadline at most",
        "api/protocol/client.py",
        "pause = min(pause, max(before - now, 0.0))",
        "pass",
        "api/protocol/test_client.py",
    ),
    Mutant(
        "a throttled call slows the account down",
        "api/protocol/client.py",
        "self.pace.throttled(self.now(), error.retry_after, gap)",
        "pass",
        "api/protocol/test_client.py scenarios/test_06_throttled.py",
    ),
    Mutant(
        "an upload that arrived is recognised by the server's clock",
        "api/packages/flows.py",
        "skew + 1 if abs(skew) > 1 else 0",
        "0",
        "api/packages/test_flows.py",
    ),
    Mutant(
        "a pause that passes the deadline gives up at once",
        "api/protocol/retry.py",
        "elapsed + seconds > self.deadline",
        "elapsed > self.deadline",
        "api/protocol",
    ),
    Mutant(
        "Retry-After is kept",
        "api/protocol/retry.py",
        "return error.retry_after + self.jitter()",
        "return self.jitter()",
        "api/protocol",
    ),
    Mutant(
        "pauses grow to a limit",
        "api/protocol/backoff.py",
        "min(self.first * self.growth ** min(number - 1, 60), self.longest)",
        "self.first * self.growth ** min(number - 1, 60)",
        "api/protocol",
    ),
    Mutant(
        "a refusal of the time before does not double the gap",
        "api/protocol/pace.py",
        "if gap >= self._gap:",
        "if True:",
        "api/protocol/test_pace.py",
    ),
    Mutant(
        "a success refills half a retry",
        "api/protocol/pace.py",
        "self._budget + 0.5",
        "self._budget + 5",
        "api/protocol/test_pace.py",
    ),
    # Waits
    Mutant(
        "early looks of many waits are spread",
        "api/protocol/wait.py",
        "EARLY_LOOKS.spread_out(self._pause, self.jitter())",
        "self._pause",
        "api/protocol api/packages/test_wait.py",
    ),
    Mutant(
        "no look comes after the deadline",
        "api/protocol/wait.py",
        "return look if self.deadline is None else max(min(look, self.deadline), now)",
        "return look",
        "api/protocol api/packages/test_wait.py",
    ),
    Mutant(
        "a good look ends the time of trouble",
        "api/protocol/wait.py",
        "self._failing_since, self.last_error, self.looked = None, error, True",
        "self.last_error, self.looked = error, True",
        "api/protocol api/packages/test_wait.py api/jobs/test_wait.py",
    ),
    Mutant(
        "an error of the network ends a wait that never looked",
        "api/protocol/wait.py",
        '(self.looked and error.fault == "network")',
        'error.fault == "network"',
        "api/protocol api/packages/test_wait.py",
    ),
    # Answers and errors
    Mutant(
        "Retry-After is bounded",
        "api/protocol/answers.py",
        "min(max(seconds, 0.0), LONGEST_RETRY_AFTER)",
        "max(seconds, 0.0)",
        "api/protocol scenarios/test_06_retry_after.py",
    ),
    Mutant(
        "an internal error that comes as 400 is a fault of the service",
        "api/protocol/answers.py",
        '"DLI.0999": ServiceError',
        '"DLI.0999": BadRequestError',
        "api/protocol/test_answers.py",
    ),
    Mutant(
        "the longest secret is masked first",
        "api/protocol/answers.py",
        "key=len, reverse=True",
        "key=len",
        "api/protocol/test_answers.py",
    ),
    Mutant(
        "a temporary status is a fault of the service",
        "api/protocol/answers.py",
        "status >= 500 or status in TEMPORARY_STATUSES",
        "status >= 500",
        "api/protocol/test_answers.py scenarios/test_05_statuses_of_the_moment.py",
    ),
    Mutant(
        "an error that several waits share names each one's connection",
        "api/protocol/errors.py",
        "str(self).replace(self.caller, caller)",
        "str(self)",
        "api/protocol/test_errors.py triggerer/test_poll.py",
    ),
    # Credentials
    Mutant(
        "a 403 with a code is not repeated",
        "api/access/identity.py",
        'call.method == "HEAD" and not error.code',
        'call.method == "HEAD"',
        "api/access api/protocol/test_client.py",
    ),
    Mutant(
        "a refused credential is renewed once",
        "api/access/identity.py",
        "may_renew = False",
        "pass",
        "api/access",
    ),
    Mutant(
        "only the credential that was refused is dropped",
        "api/access/identity.py",
        "if self._lease is refused:",
        "if True:",
        "api/access",
    ),
    Mutant(
        "a fetch of a process that forked does not count",
        "api/access/identity.py",
        "self._fetch is None or self._fetch.pid != mine.pid",
        "self._fetch is None",
        "api/access api/protocol/test_locks.py",
    ),
    Mutant(
        "after a failed fetch the next one waits",
        "api/access/identity.py",
        "self._renew_at = self._at(now) + PAUSE",
        "pass",
        "api/access",
    ),
    Mutant(
        "the signed path ends in a slash",
        "api/access/auth.py",
        'segments if segments.endswith("/") else f"{segments}/"',
        "segments",
        "api/access/test_auth.py",
    ),
    Mutant(
        "signed header values are stripped",
        "api/access/auth.py",
        "value.strip()) for name",
        "value) for name",
        "api/access/test_auth.py",
    ),
    # Packages
    Mutant(
        "a FAILED group does not fail packages while another package explains it",
        "api/packages/readiness.py",
        "and not failed.difference(states)",
        "and True",
        "api/packages/test_readiness.py",
    ),
    Mutant(
        "an empty group is not ready",
        "api/packages/readiness.py",
        "ready = states and all(",
        "ready = all(",
        "api/packages",
    ),
    Mutant(
        "a package that is gone after it was seen fails the wait",
        "api/packages/wait.py",
        "        if gone:",
        "        if False:",
        "api/packages/test_wait.py",
    ),
    Mutant(
        "a package that DLI took may not stay absent",
        "api/packages/wait.py",
        "self.accepted if state == ABSENT",
        "False if state == ABSENT",
        "api/packages/test_wait.py",
    ),
    Mutant(
        "a group that changed has another fingerprint",
        "api/packages/models.py",
        "None if raw is UNSET else hash(bytes(raw))",
        "None if raw is UNSET else 0",
        "api/packages triggerer/test_poll.py",
    ),
    # Jobs
    Mutant(
        "a job from before the submission is not taken for the new one",
        "api/jobs/submission.py",
        "if batch.id not in existing",
        "if True",
        "api/jobs/test_submission.py",
    ),
    Mutant(
        "a job of a longer name is another one",
        "api/jobs/submission.py",
        "if (batch.name or name) == name",
        "if True",
        "api/jobs/test_submission.py",
    ),
    Mutant(
        "two active jobs of one name are refused",
        "api/jobs/submission.py",
        "if len(active) > 1:",
        "if len(active) > 2:",
        "api/jobs/test_submission.py",
    ),
    Mutant(
        "a success from before the first try does not count",
        "api/jobs/submission.py",
        "with_success=not request.is_first",
        "with_success=True",
        "api/jobs/test_submission.py",
    ),
    Mutant(
        "a page of a proxy in answer to a submission has the job looked up",
        "api/jobs/submission.py",
        "error.may_be_done or isinstance(error, EndpointError)",
        "error.may_be_done",
        "api/jobs/test_submission.py",
    ),
    Mutant(
        "a refused cancel of an active job is an error",
        "api/jobs/cancelling.py",
        "return batch if batch.is_terminal or refusal is None else refusal",
        "return batch",
        "api/jobs/test_cancelling.py",
    ),
    Mutant(
        "a cancel that took all the time is followed by one look",
        "api/jobs/cancelling.py",
        "max(deadline.at, client.now() + LAST_LOOK)",
        "deadline.at",
        "api/jobs/test_cancelling.py",
    ),
    Mutant(
        "the listing of jobs is read only where it is cheaper",
        "api/jobs/snapshot.py",
        "pages_left * FEW < missing",
        "pages_left < missing",
        "api/jobs/test_snapshot.py",
    ),
    Mutant(
        "few jobs are looked at one by one",
        "api/jobs/snapshot.py",
        "count > max(FEW, self._listing_useless_for)",
        "count > self._listing_useless_for",
        "api/jobs/test_snapshot.py",
    ),
    Mutant(
        "a listing that showed too few jobs is not read again at once",
        "api/jobs/snapshot.py",
        "len(wanted) - len(missing) <= pages * FEW",
        "len(wanted) - len(missing) < pages * FEW",
        "api/jobs/test_snapshot.py",
    ),
    Mutant(
        "single looks go round",
        "api/jobs/snapshot.py",
        "first = bisect_right(queue, self._last_single)",
        "first = 0",
        "api/jobs/test_snapshot.py",
    ),
    Mutant(
        "a snapshot sends no more requests than it is asked for jobs",
        "api/jobs/snapshot.py",
        "min(MOST_SINGLE_LOOKS, len(wanted) - pages)",
        "MOST_SINGLE_LOOKS",
        "api/jobs/test_snapshot.py",
    ),
    Mutant(
        "a dead job that may recover is looked at again",
        "api/jobs/wait.py",
        "is_late = now - self._dead_since >= self.poll_interval / 2",
        "is_late = True",
        "api/jobs/test_wait.py",
    ),
    # Staging
    Mutant(
        "after a long send the group is looked at again",
        "staging/stager.py",
        "self._dli.now() - checked_at > LONG_SENDING",
        "False",
        "operators/test_staging_records.py",
    ),
    Mutant(
        "a record that still holds is not written again within ten minutes",
        "staging/stager.py",
        "before = self._dli.now() - FRESH",
        "before = self._dli.now()",
        "operators/test_staging_records.py",
    ),
    Mutant(
        "a record that still holds is written again after ten minutes",
        "staging/stager.py",
        "before = self._dli.now() - FRESH",
        "before = 0.0",
        "operators/test_staging_records.py",
    ),
    Mutant(
        "a task's record is not written again within ten minutes",
        "staging/stager.py",
        "now - modified > FRESH",
        "now - modified > 0",
        "operators/test_staging_records.py",
    ),
    Mutant(
        "only an old record is written again",
        "staging/records/upload_flow.py",
        "if held.modified < before:",
        "if True:",
        "staging/records/test_upload_flow.py",
    ),
    Mutant(
        "only an old record that claims everything is written again",
        "staging/records/upload_flow.py",
        "if modified is not None and modified < before:",
        "if modified is not None:",
        "operators/test_staging_records.py",
    ),
    Mutant(
        "an upload is announced before it is sent",
        "staging/records/upload_flow.py",
        "    yield WriteObject(key, begun.encoded())\n    try:",
        "    try:",
        "staging/records operators/test_staging_records.py",
    ),
    Mutant(
        "an upload that may have arrived stays announced",
        "staging/records/upload_flow.py",
        "if not error.may_be_done:",
        "if True:",
        "staging/records operators/test_staging_records.py",
    ),
    Mutant(
        "the copy from before is not taken for the new one",
        "staging/records/upload_flow.py",
        "if NAMELESS in (copy, before) or copy == before:",
        "if NAMELESS in (copy, before):",
        "staging/records",
    ),
    Mutant(
        "nothing is deleted while it is unknown what jobs use",
        "staging/cleaning/deletion.py",
        "if used.unknown:",
        "if False:",
        "staging/cleaning",
    ),
    Mutant(
        "an object stays while something names it",
        "staging/cleaning/deletion.py",
        "if key in named:",
        "if False:",
        "staging/cleaning",
    ),
    Mutant(
        "what an active job uses stays",
        "staging/cleaning/deletion.py",
        "elif (user := used.user_of(key)) is not None:",
        "elif (user := None) is not None:",
        "staging/cleaning",
    ),
    # Operators and sensors
    Mutant(
        "the execution timeout of a staging task counts from its beginning",
        "operators/staging.py",
        "limits = self.time_limits(started)",
        "limits = self.time_limits(self.hook.now())",
        "operators/test_staging_operator.py",
    ),
    Mutant(
        "a timeout cancels the job although tries are left",
        "operators/job_guard.py",
        "if not (is_timeout or is_final) and self._is_tried_again(error):",
        "if not is_final and self._is_tried_again(error):",
        "operators/test_job_guard.py scenarios/test_04_time_is_up_for_jobs.py",
    ),
    Mutant(
        "a job that is submitted while the task is killed is cancelled",
        "operators/job_guard.py",
        '`on_kill`.\n            trouble = self._give_up("cancel", self._task.hook)',
        '`on_kill`.\n            trouble = ""',
        "operators/test_job_guard.py",
    ),
    Mutant(
        "the id of a job from before a clear is not that of the task's job",
        "operators/job_guard.py",
        'or kept.get("name") != self._owner.name:',
        "or False:",
        "operators/test_job_memory.py",
    ),
    Mutant(
        "a kill asks nothing about a job that has ended",
        "operators/job_guard.py",
        'if self._is_settled or policy == "leave":',
        'if policy == "leave":',
        "operators/test_job_guard.py",
    ),
    Mutant(
        "a failed task with tries left leaves its job to the next try",
        "operators/job_guard.py",
        "if not (is_timeout or is_final) and self._is_tried_again(error):",
        "if False:",
        "operators/test_job_guard.py",
    ),
    Mutant(
        "a wrong argument ends the job although tries are left",
        "operators/job_guard.py",
        "self._decide(error, hook, is_final=True)",
        "self._decide(error, hook)",
        "operators/test_job_guard.py",
    ),
    Mutant(
        "a killed task submits nothing more",
        "operators/spark.py",
        "        guard.check_alive()\n        submission = hook.submit_batch(",
        "        submission = hook.submit_batch(",
        "operators/test_job_guard.py operators/test_spark_operator.py",
    ),
    Mutant(
        "a lost job fails the sensor, and is tried again",
        "triggers/outcomes.py",
        "Outcome.LOST: (End.FAIL,",
        "Outcome.LOST: (End.FAIL_FOR_GOOD,",
        "sensors triggers/test_outcomes.py",
    ),
    # The shared poll
    Mutant(
        "looks of the shared poll are spread",
        "triggerer/poll.py",
        "self._stretch = 0.9 + 0.2 * self.jitter()",
        "self._stretch = 1.0",
        "triggerer/test_poll_schedule.py",
    ),
    Mutant(
        "a look that is due soon is taken with the others",
        "triggerer/poll.py",
        "self._early[0][0] <= now + LEAST_GAP",
        "self._early[0][0] <= now",
        "triggerer/test_poll_schedule.py",
    ),
    Mutant(
        "an answer from before a wait began does not count",
        "triggerer/poll.py",
        "if subscription.joined < self._round:",
        "if True:",
        "triggerer/test_poll.py triggerer/test_poll_schedule.py",
    ),
    Mutant(
        "a last look does not wait for Retry-After",
        "triggerer/poll.py",
        "if not self._overdue:\n                earliest",
        "if True:\n                earliest",
        "triggerer/test_poll_schedule.py triggerer/test_poll_time.py",
    ),
    Mutant(
        "the early look at a few asks for those that are due",
        "triggerer/poll.py",
        "if not self.piecemeal or self._all_due <= soon:",
        "if True:",
        "triggerer/test_poll_schedule.py triggerer/test_poll_of_jobs.py",
    ),
    Mutant(
        "what follows an error is news, even the same as before it",
        "triggerer/poll.py",
        "                subscription.fingerprint = _NOTHING\n            await",
        "                pass\n            await",
        "triggerer/test_poll.py triggerer/test_poll_of_jobs.py",
    ),
    Mutant(
        "a poll that nobody uses ends",
        "triggerer/sharing.py",
        "if poll.is_empty]",
        "if False]",
        "triggerer/test_accounts.py triggerer/test_poll.py triggerer/test_poll_of_jobs.py",
    ),
    Mutant(
        "flows that run serially leave room for the looks",
        "triggerer/sharing.py",
        "shared.next_turn = loop.time() + TURN_GAP",
        "shared.next_turn = loop.time()",
        "triggerer triggers/test_spark_trigger_log.py",
    ),
    Mutant(
        "connections of one account share its polls",
        "triggerer/sharing.py",
        'nameless = replace(account, conn_id="")',
        "nameless = account",
        "triggerer/test_accounts.py triggerer/test_poll.py",
    ),
    # Transports
    Mutant(
        "a call has no more time than its limit",
        "transport/progress.py",
        "seconds if self.send.limit is None else min(seconds, self.send.limit)",
        "seconds",
        "transport",
    ),
    Mutant(
        "an answer of unknown length is bounded",
        "transport/body.py",
        "if size > self._most:",
        "if size >= self._most:",
        "transport",
    ),
    Mutant(
        "aiohttp repeats nothing by itself",
        "transport/asynchronous.py",
        "self._session._retry_connection = False",
        "self._session._retry_connection = True",
        "transport",
    ),
    Mutant(
        "no redirect is followed",
        "transport/asynchronous.py",
        "allow_redirects=False",
        "allow_redirects=True",
        "transport",
    ),
    Mutant(
        "a request that went out may have been carried out",
        "transport/failures.py",
        "    if progress.is_sent:",
        "    if False:",
        "transport",
    ),
    Mutant(
        "an upload is done only when all of its bytes are there",
        "transfer/sending.py",
        "found is not None and found.size == self.file.size",
        "found is not None",
        "transfer hooks/test_obs_hook_sending.py",
    ),
)


def found(root: Path, mutant: Mutant) -> bool:
    """Whether the text that a mutant replaces is there exactly once."""
    path = root / PACKAGE / mutant.file
    return path.is_file() and path.read_text().count(mutant.old) == 1


def verdict(root: Path, mutant: Mutant) -> str:
    """Run the tests of a mutant in a copy of the tree, which is as before afterwards."""
    path = root / PACKAGE / mutant.file
    if not found(root, mutant):
        return "stale"
    original = path.read_text()
    path.write_text(original.replace(mutant.old, mutant.new))
    try:
        return "survived" if _pass(root, mutant.tests) else "killed"
    finally:
        path.write_text(original)


def _pass(root: Path, tests: str) -> bool:
    selected = [f"tests/{path}" for path in tests.split()]
    missing = [path for path in selected if not (root / path).exists()]
    if missing:
        raise SystemExit(f"There is no {', '.join(missing)}: adjust the mutants that name it.")
    # Nothing compiled: two versions of a file may have the same size and second.
    environment = {**os.environ, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
    command += ["-o", f"timeout={TEST_LIMIT}", *selected]
    try:
        answer = subprocess.run(
            command, cwd=root, env=environment, capture_output=True, timeout=LIMIT
        )
    except subprocess.TimeoutExpired:
        return False
    if answer.returncode in {2, 4, 5}:  # interrupted, used wrongly, no tests
        raise SystemExit(f"pytest could not run {tests}:\n{answer.stdout.decode()[-2000:]}")
    return answer.returncode == 0


def _copy(parent: Path, number: int) -> Path:
    root = parent / f"tree-{number}"
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, root / name, ignore=ignored)
        else:
            root.mkdir(exist_ok=True)
            shutil.copy(source, root / name)
    return root


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Shows which mutants the tests kill.")
    parser.add_argument("words", nargs="*", help="parts of a promise or of a file's path")
    parser.add_argument("--jobs", type=int, default=1, help="mutants at a time")
    parser.add_argument("--check", action="store_true", help="run no test, only look for the texts")
    return parser.parse_args()


def main() -> int:
    """Try the mutants that were asked for, and print what became of each."""
    options = _options()
    chosen = [
        mutant
        for mutant in MUTANTS
        if not options.words
        or any(word in f"{mutant.promise} {mutant.file}" for word in options.words)
    ]
    if options.check:
        stale = [mutant for mutant in chosen if not found(ROOT, mutant)]
        for mutant in stale:
            print(f"stale     {mutant.file}: {mutant.promise}")
        return len(stale) > 0
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))  # the tests inherit it
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="dli-mutants-") as folder:
        trees: SimpleQueue[Path] = SimpleQueue()
        for number in range(options.jobs):
            trees.put(_copy(Path(folder), number))

        def judged(mutant: Mutant) -> str:
            tree = trees.get()
            try:
                return verdict(tree, mutant)
            finally:
                trees.put(tree)

        with ThreadPoolExecutor(options.jobs) as pool:
            for mutant, became in zip(chosen, pool.map(judged, chosen), strict=True):
                counts[became] += 1
                print(f"{became:<9} {mutant.file}: {mutant.promise}", flush=True)
    print(", ".join(f"{number} {became}" for became, number in counts.items()))
    return counts["killed"] != len(chosen)


if __name__ == "__main__":
    sys.exit(main())
