# SPDX-License-Identifier: Apache-2.0
"""Threads that share a job end together, however it ends."""

from __future__ import annotations

import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from functools import partial

import pytest

from airflow_provider_dli.transfer.workers import Workers


def nothing() -> None:
    pass


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "obs"]


def test_no_more_tasks_than_threads_are_held() -> None:
    """A task has its data in memory, so none waits in a queue."""
    going, most, lock = 0, 0, threading.Lock()

    def task() -> None:
        nonlocal going, most
        with lock:
            going += 1
            most = max(most, going)
        threading.Event().wait(0.001)
        with lock:
            going -= 1

    with Workers(3, nothing) as workers:
        for _ in range(30):
            workers.submit(task)
        workers.join()

    assert (going, most) == (0, 3)
    assert threads() == []


def run(number: int, stop: Callable[[], None], *tasks: Callable[[], None]) -> None:
    with Workers(number, stop) as workers:
        for task in tasks:
            workers.submit(task)
        workers.join()


def test_the_first_failure_is_raised_and_what_follows_is_not_begun() -> None:
    begun: list[str] = []

    def fail(name: str) -> None:
        begun.append(name)
        raise ValueError(name)

    with pytest.raises(ValueError, match="first"):
        run(1, nothing, *(partial(fail, name) for name in ("first", "second", "third")))

    assert begun == ["first"]
    assert threads() == []


def test_a_failure_ends_at_once_what_others_wait_for() -> None:
    over = threading.Event()
    stops: list[str] = []

    def stop() -> None:
        stops.append("once")
        over.set()

    def wait() -> None:
        over.wait(10)
        raise TimeoutError

    def fail() -> None:
        raise ValueError("reason")

    with pytest.raises(ValueError, match="reason"):
        run(2, stop, wait, fail)

    assert stops == ["once"]


def test_a_failure_of_the_block_itself_ends_the_tasks() -> None:
    over = threading.Event()

    def interrupted() -> None:
        with Workers(2, over.set) as workers:
            workers.submit(lambda: over.wait(10) and None)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()

    assert over.is_set()
    assert threads() == []


def test_no_failure_is_kept_with_all_that_its_frames_hold() -> None:
    class Data:
        pass

    data = Data()
    kept = weakref.ref(data)

    def fail(_: Data) -> None:
        raise ValueError("reason")

    task = partial(fail, data)
    del data
    with pytest.raises(ValueError, match="reason"):
        run(1, nothing, task)
    del task

    assert kept() is None


INTERRUPTED = """
import signal, threading
from airflow_provider_dli.transfer.workers import Workers

def ring(*_):
    global is_first
    was_first, is_first = is_first, False
    raise KeyboardInterrupt if was_first else TimeoutError("it hangs")

def interrupt_after(seconds):
    global is_first
    is_first = True
    over = threading.Event()
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds, 30)
        with Workers(8, over.set) as workers:
            for _ in range(20):
                workers.submit(lambda: over.wait(60) and None)
            workers.join()
    except KeyboardInterrupt:
        pass
    return threading.active_count()

signal.signal(signal.SIGALRM, ring)
# Threads are begun in the first tenths of a millisecond; then they wait.
print({interrupt_after(moment / 200_000) for moment in range(1, 200)})
"""


def test_an_interrupt_may_come_at_any_moment() -> None:
    """In a process of its own: here it could hit pytest or coverage, which hold locks as well."""
    child = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True)

    assert (child.stdout, child.stderr) == ("{1}\n", "")
