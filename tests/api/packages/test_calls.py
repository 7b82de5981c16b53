# SPDX-License-Identifier: Apache-2.0
"""Each endpoint function gives the documented request, and reads the documented answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

import pytest

from airflow_provider_dli.api.access.endpoints import Cloud
from airflow_provider_dli.api.packages import calls
from airflow_provider_dli.api.packages.models import Package, PackageGroup, PackageState
from airflow_provider_dli.api.protocol.errors import InputError, RefusedInBodyError, WireError
from airflow_provider_dli.api.protocol.wire import Call, Response

Golden = Callable[[str], bytes]

URL = "https://bucket.obs.region.example.com/lib/a.jar"


def parsed(call: Call[Any], body: bytes | object, status: int = 200, **headers: str) -> Any:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return call.parse(Response(status, headers, data))


# upload


def test_an_upload_is_the_documented_request(golden: Golden) -> None:
    documented = json.loads(golden("doc_upload_group_async.request"))

    call = calls.upload(documented["paths"], documented["kind"], group=documented["group"])

    assert (call.method, call.path, call.query) == ("POST", "/resources", ())
    assert json.loads(call.body) == documented | {"is_async": True}


def test_an_upload_without_a_group_is_the_documented_request(golden: Golden) -> None:
    documented = json.loads(golden("doc_upload_ungrouped.request"))

    call = calls.upload(documented["paths"], documented["kind"])

    assert (call.method, call.path, call.query) == ("POST", "/resources", ())
    assert json.loads(call.body) == documented | {"is_async": True}


@pytest.mark.parametrize("is_async", [True, False])
def test_is_async_is_sent_as_a_boolean(is_async: bool) -> None:
    call = calls.upload([URL], "jar", group="tools", is_async=is_async)

    assert json.loads(call.body)["is_async"] is is_async


def test_tags_are_sent_as_keys_and_values() -> None:
    call = calls.upload([URL], "jar", group="tools", tags={"team": "data"})

    assert json.loads(call.body)["tags"] == [{"key": "team", "value": "data"}]


def test_an_obs_path_is_sent_as_an_https_address() -> None:
    call = calls.upload(["obs://bucket/a.jar"], "jar", cloud=Cloud.OTC, region="eu-de")

    assert json.loads(call.body)["paths"] == ["https://bucket.obs.eu-de.otc.t-systems.com/a.jar"]


@pytest.mark.parametrize(
    "call",
    [
        calls.upload([URL], "jar", group="tools"),
        calls.upload_typed([URL], "jar", "tools"),
        calls.delete("a.jar"),
        calls.change_owner("user-1", "tools"),
    ],
    ids=lambda call: f"{call.method} {call.path}",
)
def test_a_call_that_changes_something_is_not_repeatable(call: Call[Any]) -> None:
    assert not call.repeatable


@pytest.mark.parametrize(
    "call",
    [calls.listing(), calls.find("tools"), calls.show("a.jar")],
    ids=lambda call: f"{call.method} {call.path}",
)
def test_a_call_that_only_looks_is_repeatable(call: Call[Any]) -> None:
    assert call.repeatable
    assert call.body == b""


@pytest.mark.parametrize(
    ("field", "make"),
    [
        ("paths", lambda: calls.upload([], "jar")),
        ("paths", lambda: calls.upload(URL, "jar")),
        ("paths", lambda: calls.upload(["obs://bucket/a.jar"], "jar")),
        ("kind", lambda: calls.upload([URL], "pyfile")),
        ("group", lambda: calls.upload([URL], "jar", group="")),
        ("group", lambda: calls.upload([URL], "jar", group=" gatk")),
        ("is_async", lambda: calls.upload([URL], "jar", is_async="true")),
        ("tags", lambda: calls.upload([URL], "jar", tags="a=b")),
        ("tags key", lambda: calls.upload([URL], "jar", tags={"a=b": "c"}, cloud=Cloud.OTC)),
        ("paths", lambda: calls.upload_typed([], "jar", "tools")),
        ("kind", lambda: calls.upload_typed([URL], "modelFile", "tools")),
        ("kind", lambda: calls.upload_typed([URL], "jars", "tools")),
        ("group", lambda: calls.upload_typed([URL], "jar", "a/b")),
        ("group", lambda: calls.upload_typed([URL], "jar", None)),
        ("kind", lambda: calls.listing(kind="pyfile")),
        ("tags", lambda: calls.listing(tags={"a": "b"})),
        ("group", lambda: calls.find("")),
        ("kind", lambda: calls.find("tools", kind="jars")),
        ("name", lambda: calls.show("")),
        ("name", lambda: calls.show("..")),
        ("group", lambda: calls.show("a.jar", "")),
        ("name", lambda: calls.delete(None)),
        ("name", lambda: calls.delete(".")),
        ("group", lambda: calls.delete("a.jar", " ")),
        ("new_owner", lambda: calls.change_owner("1user", "tools")),
        ("group", lambda: calls.change_owner("user-1")),
        ("group", lambda: calls.change_owner("user-1", "")),
        ("name", lambda: calls.change_owner("user-1", "tools", "")),
    ],
)
def test_a_wrong_input_is_refused_before_there_is_a_call(
    field: str, make: Callable[[], object]
) -> None:
    with pytest.raises(InputError) as refusal:
        make()

    assert refusal.value.field == field


@pytest.mark.parametrize("status", [200, 201, 202])
def test_an_upload_gives_the_group_that_the_service_answers(golden: Golden, status: int) -> None:
    call = calls.upload([URL], "jar", group="gatk")

    group = parsed(call, golden("doc_upload_group_async.response"), status)

    assert (group.name, group.state) == ("gatk", PackageState.READY)
    assert [package.name for package in group.packages] == [
        "spark-sdv-app.jar",
        "wordcount",
        "wordcount.py",
    ]


def test_an_upload_without_a_group_gives_names_in_no_known_state(golden: Golden) -> None:
    call = calls.upload([URL], "jar")

    group = parsed(call, golden("doc_upload_ungrouped.response"))

    assert group == PackageGroup(None, packages=(Package("kmeans-2.0.0.jar"),))
    assert group.packages[0].state is PackageState.UNKNOWN


def test_null_names_of_an_upload_without_a_group_are_skipped() -> None:
    group = parsed(calls.upload([URL], "jar"), {"resource_names": [None, "", "a.jar"]})

    assert group.packages == (Package("a.jar"),)


def test_an_upload_without_a_group_may_be_answered_with_details() -> None:
    group = parsed(
        calls.upload([URL], "jar"), {"details": [{"resource_name": "a.jar", "status": "READY"}]}
    )

    assert group.packages == (Package("a.jar", raw_state="READY"),)


def test_an_upload_whose_answer_names_no_group_is_that_of_the_requested_one() -> None:
    group = parsed(calls.upload([URL], "jar", group="tools"), {"resources": ["a.jar"]})

    assert group == PackageGroup("tools", packages=(Package("a.jar", "tools"),))


@pytest.mark.parametrize(
    "call",
    [
        calls.upload([URL], "jar", group="tools"),
        calls.upload([URL], "jar"),
        calls.upload_typed([URL], "jar", "tools"),
    ],
    ids=["grouped", "ungrouped", "typed"],
)
@pytest.mark.parametrize("body", [{}, {"status": "READY"}, {"resources": [], "details": None}])
def test_an_upload_that_names_no_package_is_no_success(
    call: Call[Any], body: dict[str, Any]
) -> None:
    with pytest.raises(WireError, match="the body names no package"):
        parsed(call, body)


def test_names_that_are_no_list_are_no_success() -> None:
    with pytest.raises(WireError, match="resource_names is a JSON string, not a list"):
        parsed(calls.upload([URL], "jar"), {"resource_names": "a.jar"})


# upload of one kind


@pytest.mark.parametrize(
    ("kind", "segment"), [("jar", "jars"), ("pyFile", "pyfiles"), ("file", "files")]
)
def test_each_kind_has_its_own_path(kind: str, segment: str) -> None:
    call = calls.upload_typed([URL], kind, "tools")

    assert (call.method, call.path, call.query) == ("POST", f"/resources/{segment}", ())
    assert json.loads(call.body) == {"paths": [URL], "group": "tools"}


def test_an_upload_of_jars_is_the_documented_request(golden: Golden) -> None:
    documented = json.loads(golden("doc_upload_jars.request"))

    call = calls.upload_typed(documented["paths"], "jar", documented["group"])

    assert json.loads(call.body) == documented


def test_an_upload_of_python_files_is_the_documented_request_without_its_slip(
    golden: Golden,
) -> None:
    documented = json.loads(golden("doc_upload_pyfiles.request"))
    group = documented["group"].strip()

    call = calls.upload_typed(documented["paths"], "pyFile", group)

    assert json.loads(call.body) == documented | {"group": group}


def test_the_group_of_the_documented_request_for_python_files_is_refused(golden: Golden) -> None:
    documented = json.loads(golden("doc_upload_pyfiles.request"))

    with pytest.raises(InputError, match="group is ' gatk'"):
        calls.upload_typed(documented["paths"], "pyFile", documented["group"])


def test_an_upload_of_files_is_the_documented_request_without_its_slip(golden: Golden) -> None:
    documented = json.loads(golden("doc_upload_files.request"))
    paths = [path.replace(" ", "") for path in documented["paths"]]

    call = calls.upload_typed(paths, "file", documented["group"])

    assert json.loads(call.body) == documented | {"paths": paths}


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("jar", "doc_upload_jars.response"),
        ("pyFile", "doc_upload_pyfiles.response"),
        ("file", "doc_upload_files.response"),
    ],
)
def test_an_upload_of_one_kind_gives_the_group(golden: Golden, kind: str, name: str) -> None:
    group = parsed(calls.upload_typed([URL], kind, "gatk"), golden(name), 201)

    assert (group.name, group.is_async) == ("gatk", False)
    assert {(package.kind, package.state) for package in group.packages} == {
        (kind, PackageState.READY)
    }


# listing and find


def test_a_listing_asks_for_everything() -> None:
    call = calls.listing()

    assert (call.method, call.path, call.query) == ("GET", "/resources", ())


def test_a_listing_may_be_limited_to_kind_and_tags() -> None:
    call = calls.listing(kind="pyFile", tags="team=data")

    assert call.query == (("kind", "pyFile"), ("tags", "team=data"))


def test_a_listing_gives_all_its_parts(golden: Golden) -> None:
    listed = parsed(calls.listing(), golden("doc_list_resources.response"))

    assert listed.group_names == ("groupTest",)
    assert [package.name for package in listed.packages] == ["luxor-router-1.1.1.jar"]


def test_a_group_is_looked_for_in_the_listing() -> None:
    call = calls.find("tools", kind="jar")

    assert (call.method, call.path, call.query) == ("GET", "/resources", (("kind", "jar"),))


def test_a_group_is_found_with_the_time_of_the_service(golden: Golden) -> None:
    body = golden("doc_list_resources.response")

    group, now = parsed(calls.find("groupTest"), body, date=formatdate(1_800_000_000, usegmt=True))

    assert group is not None
    assert group.name == "groupTest"
    assert now == 1_800_000_000


def test_a_group_that_is_not_listed_is_none(golden: Golden) -> None:
    found = parsed(calls.find("other"), golden("doc_list_resources.response"))

    assert found == (None, None)


def test_ungrouped_packages_are_found_by_their_names(golden: Golden) -> None:
    body = golden("doc_list_resources_owner.response")

    group, _ = parsed(calls.find(None, ["luxor-router-1.1.1.jar", "other.jar"]), body)

    assert group is not None
    assert group.name is None
    assert [(package.name, package.owner) for package in group.packages] == [
        ("luxor-router-1.1.1.jar", "user1")
    ]


def test_ungrouped_packages_that_are_not_listed_are_none(golden: Golden) -> None:
    group, _ = parsed(calls.find(None, ["person.csv"]), golden("doc_list_resources.response"))

    assert group is None


# show and delete


@pytest.mark.parametrize(
    ("method", "make"),
    [("GET", calls.show), ("DELETE", calls.delete)],
    ids=["show", "delete"],
)
def test_a_package_of_a_group_is_addressed_by_both_names(
    method: str, make: Callable[..., Call[Any]]
) -> None:
    call = make("luxor-router-1.1.1.jar", "gatk")

    assert (call.method, call.path) == (method, "/resources/luxor-router-1.1.1.jar")
    assert call.query == (("group", "gatk"),)
    assert call.body == b""


@pytest.mark.parametrize("make", [calls.show, calls.delete])
def test_an_ungrouped_package_is_addressed_without_group(make: Callable[..., Call[Any]]) -> None:
    assert make("a.jar").query == ()


@pytest.mark.parametrize("make", [calls.show, calls.delete])
@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("a!b.jar", "/resources/a%21b.jar"),
        ("a b/c?d#e", "/resources/a%20b%2Fc%3Fd%23e"),
        ("50%+.jar", "/resources/50%25%2B.jar"),
        ("包.jar", "/resources/%E5%8C%85.jar"),
        ("../x", "/resources/..%2Fx"),
    ],
)
def test_a_name_is_percent_encoded_in_the_path(
    make: Callable[..., Call[Any]], name: str, path: str
) -> None:
    assert make(name).path == path


def test_a_group_name_is_left_to_the_query_to_encode() -> None:
    assert calls.show("a.jar", "a group/b").query == (("group", "a group/b"),)


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("doc_show_resource_group_uploading.response", PackageState.UPLOADING),
        ("doc_show_resource_group_owner.response", PackageState.UPLOADING),
        ("doc_show_resource_ungrouped.response", PackageState.READY),
    ],
)
def test_a_shown_package_is_read_as_printed(golden: Golden, name: str, state: PackageState) -> None:
    fields = json.loads(golden(name))

    package = parsed(calls.show(fields["resource_name"], "gatk"), golden(name))

    assert package == Package.from_wire(fields, "gatk")
    assert package.state is state


@pytest.mark.parametrize("body", [{"status": "READY"}, {"resource_name": None, "status": "READY"}])
def test_a_shown_package_without_a_name_has_the_requested_one(body: dict[str, Any]) -> None:
    package = parsed(calls.show("a.jar", "tools"), body)

    assert package == Package("a.jar", "tools", raw_state="READY")


@pytest.mark.parametrize("body", [{}, {"owner": "user1"}, {"resource_name": "", "status": None}])
def test_an_object_that_is_no_package_is_no_success(body: dict[str, Any]) -> None:
    with pytest.raises(WireError, match="neither resource_name nor status"):
        parsed(calls.show("a.jar"), body)


@pytest.mark.parametrize(
    "body", [b"", b" \r\n", b"{}", b'{"is_success": true}', b'{"message": ""}']
)
def test_a_deletion_is_done_with_or_without_a_body(body: bytes) -> None:
    assert parsed(calls.delete("a.jar"), body) is True


@pytest.mark.parametrize("body", [b"<html>busy</html>", b"[]", b"deleted", b'{"is_success":'])
def test_a_deletion_answered_by_something_else_is_no_success(body: bytes) -> None:
    with pytest.raises(WireError, match="the body is"):
        parsed(calls.delete("a.jar"), body)


# change of owner


def test_a_change_of_owner_is_the_documented_request(golden: Golden) -> None:
    documented = json.loads(golden("doc_update_owner.request"))

    call = calls.change_owner(documented["new_owner"], documented["group_name"])

    assert (call.method, call.path, call.query) == ("PUT", "/resources/owner", ())
    assert json.loads(call.body) == documented


@pytest.mark.parametrize(
    ("group", "name", "sent"),
    [
        ("tools", None, {"group_name": "tools"}),
        (None, "a.jar", {"resource_name": "a.jar"}),
        ("tools", "a.jar", {"group_name": "tools", "resource_name": "a.jar"}),
    ],
)
def test_an_owner_is_changed_of_what_is_named(
    group: str | None, name: str | None, sent: dict[str, str]
) -> None:
    call = calls.change_owner("user-1", group, name)

    assert json.loads(call.body) == {"new_owner": "user-1", **sent}


def test_the_documented_text_is_a_success(golden: Golden) -> None:
    call = calls.change_owner("user-1", "tools")

    assert parsed(call, golden("doc_update_owner.response")) is None


@pytest.mark.parametrize("body", [{"is_success": True}, {"is_success": " TRUE"}])
def test_a_change_of_owner_is_done_when_the_body_says_so(body: dict[str, Any]) -> None:
    assert parsed(calls.change_owner("user-1", "tools"), body) is None


@pytest.mark.parametrize("body", [{}, {"is_success": None}, {"is_success": 1}, {"message": "ok"}])
def test_a_change_of_owner_that_does_not_say_so_is_no_success(body: dict[str, Any]) -> None:
    with pytest.raises(WireError, match="is_success is not true"):
        parsed(calls.change_owner("user-1", "tools"), body)


# refusals inside a success

CALLS = {
    "upload": calls.upload([URL], "jar", group="tools"),
    "ungrouped": calls.upload([URL], "jar"),
    "typed": calls.upload_typed([URL], "jar", "tools"),
    "listing": calls.listing(),
    "find": calls.find("tools"),
    "show": calls.show("a.jar"),
    "delete": calls.delete("a.jar"),
    "owner": calls.change_owner("user-1", "tools"),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize(
    "body",
    [
        {"error_code": "DLI.0999", "error_msg": "busy"},
        {"is_success": False, "message": "busy"},
        {"is_success": "false", "message": "busy"},
    ],
)
def test_a_refusal_inside_a_success_is_a_refusal(call: Call[Any], body: dict[str, Any]) -> None:
    with pytest.raises(RefusedInBodyError):
        parsed(call, body)


@pytest.mark.parametrize("call", [CALLS[name] for name in CALLS if name != "delete"])
@pytest.mark.parametrize("body", [b"", b"<html/>", b"[]", b"{", b"7", b"null"])
def test_a_body_that_is_no_object_is_never_a_success(call: Call[Any], body: bytes) -> None:
    with pytest.raises(WireError):
        parsed(call, body)
