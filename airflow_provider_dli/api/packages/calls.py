# SPDX-License-Identifier: Apache-2.0
"""The package endpoints of DLI, one function each, which checks its input and returns a `Call`.

Reference: https://support.huaweicloud.com/intl/en-us/api-dli/dli_02_0166.html
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import PurePosixPath
from typing import Any, TypeVar

import msgspec

from airflow_provider_dli.api import checks
from airflow_provider_dli.api.access.endpoints import Cloud
from airflow_provider_dli.api.packages.models import Package, PackageGroup, PackageListing
from airflow_provider_dli.api.protocol import lenient
from airflow_provider_dli.api.protocol.answers import server_time
from airflow_provider_dli.api.protocol.errors import InputError, WireError
from airflow_provider_dli.api.protocol.wire import Call, Response, encode

T = TypeVar("T")
Tags = Mapping[str, str] | Sequence[Mapping[str, str]]
IfExists = checks.IfExists

TYPED_PATHS = {"jar": "jars", "pyFile": "pyfiles", "file": "files"}
"""The kinds that have an upload endpoint of their own, and its last path segment."""

_SUFFIXES = {".jar": "jar", ".py": "pyFile", ".zip": "pyFile", ".egg": "pyFile", ".whl": "pyFile"}


def kind_of(name: str) -> str:
    """Returns the kind of a package by its suffix; never `modelFile`."""
    return _SUFFIXES.get(PurePosixPath(name).suffix, "file")


def upload(
    paths: Sequence[str],
    kind: str,
    *,
    group: str | None = None,
    is_async: bool = True,
    tags: Tags | None = None,
    cloud: Cloud | None = None,
    region: str | None = None,
) -> Call[PackageGroup]:
    """Uploads OBS objects as packages, into a group or without one.

    POST /v2.0/{project_id}/resources,
    https://support.huaweicloud.com/intl/en-us/api-dli/dli_02_0130.html. Without a group the answer
    has only names: the result's `name` is `None` and its states are unknown.
    """
    body: dict[str, Any] = {
        "paths": checks.paths(paths, cloud, region),
        "kind": checks.kind(kind),
        "is_async": checks.boolean("is_async", is_async),
    }
    if group is not None:
        body["group"] = checks.group(group)
    if (tags := checks.given("tags", tags)) is not None:
        body["tags"] = checks.tags(tags, cloud)
    return Call("POST", "/resources", partial(_read_upload, group), body=msgspec.json.encode(body))


def upload_typed(
    paths: Sequence[str],
    kind: str,
    group: str,
    *,
    cloud: Cloud | None = None,
    region: str | None = None,
) -> Call[PackageGroup]:
    """Uploads OBS objects of one kind into a group; the service always does so synchronously.

    POST /v2.0/{project_id}/resources/jars, …/pyfiles or …/files,
    https://support.huaweicloud.com/intl/en-us/api-dli/dli_02_0169.html (0170, 0171).
    """
    if kind not in TYPED_PATHS:
        raise InputError("kind", kind, f"use one of {', '.join(TYPED_PATHS)}")
    body = {"paths": checks.paths(paths, cloud, region), "group": checks.group(group)}
    return Call(
        "POST",
        f"/resources/{TYPED_PATHS[kind]}",
        partial(_read_upload, group),
        body=msgspec.json.encode(body),
    )


def listing(kind: str | None = None, tags: str | None = None) -> Call[PackageListing]:
    """Lists groups, ungrouped packages and modules; there is no paging.

    GET /v2.0/{project_id}/resources,
    https://support.huaweicloud.com/intl/en-us/api-dli/dli_02_0168.html. The format of `tags` is
    not documented; the text is sent as it is.
    """
    return _list_call(lambda response: PackageListing(response.body), kind, tags)


def find(
    group: str | None, names: Collection[str] = (), kind: str | None = None
) -> Call[tuple[PackageGroup | None, float | None]]:
    """Finds one group in the listing, and the Unix time on the server's clock.

    DLI has no call for one group. It is `None` if it is not listed, which may also mean that the
    caller may not see it. For `group=None` it has the ungrouped packages of these `names`.
    """
    if group is not None:
        checks.stored_name("group", group)
    return _list_call(partial(_find_group, group, names), kind)


def find_group(
    group: str | None, names: Collection[str] = (), kind: str | None = None
) -> Call[PackageGroup | None]:
    """Finds one group in the listing for a wait: an `AbsentGroup` if it is not listed."""
    if group is None:
        return _list_call(lambda response: _find_group(None, names, response)[0], kind)
    checks.stored_name("group", group)
    return _list_call(lambda response: PackageListing(response.body).find(group), kind)


def show(name: str, group: str | None = None) -> Call[Package]:
    """Shows one package: of a group, or the ungrouped one of that name.

    GET /v2.0/{project_id}/resources/{resource_name}?group=,
    https://support.huaweicloud.com/intl/en-us/api-dli/dli_02_0172.html
    """
    path, query = _package_path(name, group)
    return Call("GET", path, partial(_read_package, name, group), query=query, repeatable=True)


def delete(name: str, group: str | None = None) -> Call[bool]:
    """Deletes one package: of a group, or the ungrouped one of that name.

    DELETE /v2.0/{project_id}/resources/{resource_name}?group=,
    https://support.huaweicloud.com/intl/en-us/api-dli/dli_02_0173.html. Not repeatable: after a
    lost answer, a repeat would be refused because the package does not exist.
    """
    path, query = _package_path(name, group)
    return Call("DELETE", path, _check_deleted, query=query)


def change_owner(new_owner: str, group: str | None = None, name: str | None = None) -> Call[None]:
    """Makes another IAM user the owner of a group, of its package, or of an ungrouped package.

    PUT /v2.0/{project_id}/resources/owner,
    https://support.huaweicloud.com/intl/en-us/api-dli/dli_02_0253.html. Not repeatable: afterwards
    the caller may lack the permission.
    """
    body = {"new_owner": checks.owner(new_owner)}
    if group is None and name is None:
        raise InputError("group", None, "name a group, a package, or both")
    if group is not None:
        body["group_name"] = checks.stored_name("group", group)
    if name is not None:
        body["resource_name"] = checks.stored_name("name", name)
    return Call("PUT", "/resources/owner", _check_changed, body=msgspec.json.encode(body))


def _list_call(
    parse: Callable[[Response], T], kind: str | None, tags: str | None = None
) -> Call[T]:
    query = []
    if (kind := checks.optional_kind(kind)) is not None:
        query.append(("kind", kind))
    if tags is not None:
        if not isinstance(tags, str):
            raise InputError("tags", tags, "the filter of a listing is text, sent as it is")
        query.append(("tags", tags))
    return Call("GET", "/resources", parse, query=tuple(query), repeatable=True)


def _package_path(name: str, group: str | None) -> tuple[str, tuple[tuple[str, str], ...]]:
    path = f"/resources/{encode(checks.stored_name('name', name))}"
    return path, () if group is None else (("group", checks.stored_name("group", group)),)


def _read_upload(group: str | None, response: Response) -> PackageGroup:
    fields = lenient.answer_object(response.body)
    uploaded = PackageGroup.from_wire(fields, group)
    if group is None and not uploaded.packages:
        names = map(lenient.text, lenient.entries("resource_names", fields.get("resource_names")))
        uploaded = PackageGroup(name=None, packages=tuple(Package(n) for n in names if n))
    if not uploaded.packages:
        raise WireError("the body names no package")
    return uploaded


def _read_package(name: str, group: str | None, response: Response) -> Package:
    fields = lenient.answer_object(response.body)
    if not fields.get("resource_name") and not fields.get("status"):
        raise WireError("the body is not a package: it has neither resource_name nor status")
    return Package.from_wire(
        {**fields, "resource_name": fields.get("resource_name") or name}, group
    )


def _check_deleted(response: Response) -> bool:
    # A success has no body: https://support.huaweicloud.com/intl/en-us/api-dli/dli_02_0173.html
    if response.body.strip():
        lenient.answer_object(response.body)
    return True


def _find_group(
    group: str | None, names: Collection[str], response: Response
) -> tuple[PackageGroup | None, float | None]:
    listed = PackageListing(response.body)
    if group is not None:
        return listed.group(group), server_time(response)
    ungrouped = tuple(package for package in listed.packages if package.name in names)
    return PackageGroup(None, packages=ungrouped) if ungrouped else None, server_time(response)


def _check_changed(response: Response) -> None:
    if lenient.boolean(lenient.answer_object(response.body).get("is_success")) is not True:
        raise WireError("is_success is not true")
