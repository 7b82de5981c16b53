# SPDX-License-Identifier: Apache-2.0
"""Looks up the project of a region, for connections without a project_id."""

from __future__ import annotations

from collections.abc import Callable

from airflow_provider_dli.api.access import iam
from airflow_provider_dli.api.access.account import Account
from airflow_provider_dli.api.access.identity import Identity
from airflow_provider_dli.api.protocol.errors import DliError, InputError, NotSentError
from airflow_provider_dli.api.protocol.wire import Flow


def find_project(account: Account, identity: Identity, now: Callable[[], float]) -> Flow[str]:
    """Returns the id of the project named like the region, looked up once in a process.

    Raises `InputError` if there is none, or more than one.
    """
    field = f"connection {account.conn_id!r}: project_id"
    if account.iam_origin is None or account.region is None:
        raise InputError(field, None, "looking it up needs a region and the address of IAM")
    key = (account.iam_origin, account.region)
    known = identity.projects.get(key)
    if known is not None:
        return known
    call = iam.projects(account.region)
    request = iam.request(call, account.iam_origin)
    try:
        ids = yield from identity.exchange(call, request, now, account.caller)
    except DliError as error:
        if not error.is_transient:
            raise
        raise NotSentError(f"Could not look up the project of {account.region}: {error}") from error
    if not ids:
        raise InputError(
            field,
            None,
            f"IAM has no project named {account.region} for this credential; check the region, "
            "or set project_id to the one that the console shows under My Credentials",
        )
    if len(ids) > 1:
        several = ", ".join(ids)
        raise InputError(
            field, None, f"IAM has several projects named {account.region}, set one of: {several}"
        )
    identity.projects[key] = ids[0]
    return ids[0]
