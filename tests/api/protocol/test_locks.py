# SPDX-License-Identifier: Apache-2.0
"""A forked process waits for nothing that a thread was about, which it does not have."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

from airflow_provider_dli.api.protocol.locks import ProcessLock
from airflow_provider_dli.emulator import Emulator

FORKED = """
import os, signal, sys, threading

from airflow_provider_dli.api.access.account import Account
from airflow_provider_dli.api.access.identity import identity_of
from airflow_provider_dli.api.access.sources import Password
from airflow_provider_dli.api.packages import calls
from airflow_provider_dli.api.protocol.client import Client
from airflow_provider_dli.api.protocol.locks import ProcessLock
from airflow_provider_dli.api.protocol.pace import pace_of
from airflow_provider_dli.transport.blocking import BlockingTransport

url, project, user, password, account = sys.argv[1:]
source = Password(url, user, password, account, project)
account = Account(url, project, source)
client = Client(account, pace=pace_of(account))
lock = ProcessLock()
busy, for_ever = threading.Event(), threading.Event()


def work():
    with lock:
        fetching = identity_of(source).lease(client.now)
        next(fetching)
        busy.set()
        for_ever.wait()


threading.Thread(target=work, daemon=True).start()
busy.wait()
child = os.fork()
if not child:
    signal.alarm(30)  # ends a child that waits for ever
    with lock:
        BlockingTransport().run(client.once(calls.listing()))
    os._exit(0)
os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) and 1)
"""


def test_a_forked_process_fetches_its_own_credential_and_takes_its_own_locks(
    emulator: Emulator,
) -> None:
    known = emulator.settings
    who = [known.users[0], known.password, known.account]

    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKED, emulator.url, emulator.project_id, *who],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert (ended.returncode, ended.stderr) == (0, "")
    assert [record.status for record in emulator.requests] == [201, 200]


def test_one_thread_at_a_time_has_the_lock() -> None:
    lock, together, inside = ProcessLock(), threading.Barrier(8), []

    def enter(_: int) -> int:
        together.wait(10)
        for _ in range(100):
            with lock:
                inside.append(1)
                most = len(inside)
                inside.pop()
        return most

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(enter, range(8))) == {1}
