# SPDX-License-Identifier: Apache-2.0
"""What is done with packages in more than one call: upload, find, delete, wait."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial
from typing import TYPE_CHECKING

from airflow_provider_dli.api.packages import calls
from airflow_provider_dli.api.protocol.errors import DliError, NotFoundError

if TYPE_CHECKING:
    from airflow_provider_dli.api.packages.models import PackageGroup
    from airflow_provider_dli.api.packages.wait import GroupWait
    from airflow_provider_dli.api.protocol.client import Client
    from airflow_provider_dli.api.protocol.wire import Call, Flow


def upload(
    client: Client, call: Call[PackageGroup], group: str | None, names: Sequence[str]
) -> Flow[PackageGroup]:
    """Uploads `names` into `group`; after a lost answer, the listing decides about a repeat."""
    return (yield from client.perform(call, partial(_find_uploaded, client, group, names)))


def find(
    client: Client, group: str | None, names: Collection[str] = (), kind: str | None = None
) -> Flow[PackageGroup | None]:
    """Returns a group of the listing; for `None`, the ungrouped packages of these names."""
    found, _ = yield from client.perform(calls.find(group, names, kind))
    return found


def delete(client: Client, name: str, group: str | None = None) -> Flow[bool]:
    """Deletes one package; raises `NotFoundError` when there is none."""
    call = calls.delete(name, group)
    return (yield from client.perform(call, partial(_find_deleted, client, name, group)))


def delete_group(
    client: Client, group: str, names: Collection[str] | None = None
) -> Flow[tuple[str, ...]]:
    """Deletes the packages of a group one by one, since DLI has no call for the whole.

    Returns the names that were deleted; absent packages count as done. It stops at the first
    failure, and a note on the error names what is left.
    """
    if names is None:
        found = yield from find(client, group)
        names = [package.name for package in found.packages] if found else []
    left, deleted = list(names), []
    while left:
        try:
            yield from delete(client, left[0], group)
            deleted.append(left[0])
        except NotFoundError:
            pass
        except DliError as error:
            done = ", ".join(deleted) or "nothing"
            error.add_note(f"Not deleted from group {group}: {', '.join(left)}. Deleted: {done}.")
            raise
        del left[0]
    return tuple(deleted)


def until_ready(client: Client, wait: GroupWait) -> Flow[PackageGroup]:
    """Looks at the listing until the wait is over; returns the group."""
    return (yield from client.wait_for(wait, calls.find_group(wait.group, wait.names or ())))


def _find_uploaded(
    client: Client, group: str | None, names: Sequence[str], sent: float
) -> Flow[PackageGroup | None]:
    """Returns the group if all packages are newer than the upload whose answer was lost."""
    looked = client.now()
    found, server_now = yield from client.perform(calls.find(group, names))
    if found is None or server_now is None:
        return None
    # By the server's clock, where its Date header shows that it differs. That header counts whole
    # seconds, so a second is added: an upload that arrived and is sent again overwrites itself, but
    # one that did not and is taken for arrived would leave older bytes.
    skew = server_now - looked
    since = 1000 * (sent + (skew + 1 if abs(skew) > 1 else 0))
    newer = {p.name for p in found.packages if p.update_time and p.update_time >= since}
    return found if newer.issuperset(names) else None


def _find_deleted(client: Client, name: str, group: str | None, sent: float) -> Flow[bool | None]:
    """Returns `True` if the package is gone, after the answer to its deletion was lost."""
    try:
        yield from client.perform(calls.show(name, group))
    except NotFoundError:
        return True
    return None
