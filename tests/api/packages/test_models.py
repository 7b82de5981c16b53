# SPDX-License-Identifier: Apache-2.0
"""Packages, groups and listings say what the JSON says, however loosely it is typed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_dli.api.packages.models import (
    Package,
    PackageGroup,
    PackageListing,
    PackageState,
    state_of,
)
from airflow_provider_dli.api.protocol.errors import RefusedInBodyError, WireError

Golden = Callable[[str], bytes]

GROUP_ANSWERS = [
    "doc_upload_group_async.response",
    "doc_upload_jars.response",
    "doc_upload_pyfiles.response",
    "doc_upload_files.response",
]
PACKAGE_ANSWERS = [
    "doc_show_resource_group_uploading.response",
    "doc_show_resource_group_owner.response",
    "doc_show_resource_ungrouped.response",
]
LISTINGS = ["doc_list_resources.response", "doc_list_resources_owner.response"]


def package_said(fields: Mapping[str, Any], group: str | None) -> Package:
    """Give the package of which every field is known, each under its documented name."""
    return Package(
        name=fields["resource_name"],
        group=group,
        kind=fields["resource_type"],
        raw_state=fields["status"],
        create_time=fields["create_time"],
        update_time=fields["update_time"],
        underlying_name=fields["underlying_name"],
        owner=fields.get("owner"),
    )


def group_said(fields: Mapping[str, Any]) -> PackageGroup:
    name = fields["group_name"]
    return PackageGroup(
        name=name,
        raw_state=fields["status"],
        packages=tuple(package_said(entry, name) for entry in fields["details"]),
        create_time=fields["create_time"],
        update_time=fields["update_time"],
        is_async=fields.get("is_async"),
        owner=fields.get("owner"),
    )


def listing(**fields: Any) -> PackageListing:
    return PackageListing(json.dumps(fields).encode())


def tools(**fields: Any) -> PackageGroup:
    return PackageGroup.from_wire({"group_name": "tools", **fields})


# what the documentation prints


@pytest.mark.parametrize("name", GROUP_ANSWERS)
def test_a_documented_upload_answer_is_read_as_printed(golden: Golden, name: str) -> None:
    fields = json.loads(golden(name))

    group = PackageGroup.from_wire(fields)

    assert group == group_said(fields)
    assert [package.name for package in group.packages] == fields["resources"]


@pytest.mark.parametrize("name", PACKAGE_ANSWERS)
def test_a_documented_package_is_read_as_printed(golden: Golden, name: str) -> None:
    fields = json.loads(golden(name))

    assert Package.from_wire(fields, "gatk") == package_said(fields, "gatk")


@pytest.mark.parametrize("name", LISTINGS)
def test_a_documented_listing_is_read_as_printed(golden: Golden, name: str) -> None:
    fields = json.loads(golden(name))

    listed = PackageListing(golden(name))

    assert listed.packages == tuple(package_said(entry, None) for entry in fields["resources"])
    assert list(listed.groups) == [group_said(entry) for entry in fields["groups"]]
    assert listed.group_names == tuple(entry["group_name"] for entry in fields["groups"])
    assert listed.total is None
    assert listed.extra == {}


def test_the_printed_times_of_zero_stay_zero(golden: Golden) -> None:
    group = PackageGroup.from_wire(json.loads(golden("doc_upload_group_async.response")))

    assert {package.create_time for package in group.packages} == {0}
    assert group.create_time == 1551334579654


def test_the_printed_small_letters_are_a_state(golden: Golden) -> None:
    package = Package.from_wire(json.loads(golden("doc_show_resource_group_uploading.response")))

    assert package.raw_state == "uploading"
    assert package.state is PackageState.UPLOADING


def test_the_printed_module_names_its_packages(golden: Golden) -> None:
    (module,) = PackageListing(golden("doc_list_resources.response")).modules

    assert (module.name, module.module_name, module.state) == (None, "gatk", PackageState.READY)
    assert [package.name for package in module.packages] == [
        "gatk.jar",
        "tika-core-1.18.jar",
        "s3fs-2.2.2.jar",
    ]


# states


@pytest.mark.parametrize(
    ("raw", "state"),
    [
        ("READY", PackageState.READY),
        ("ready", PackageState.READY),
        (" Ready\n", PackageState.READY),
        ("uploading", PackageState.UPLOADING),
        ("Failed", PackageState.FAILED),
        ("UNKNOWN", PackageState.UNKNOWN),
        ("PAUSED", PackageState.UNKNOWN),
        ("", PackageState.UNKNOWN),
    ],
)
def test_a_state_is_read_in_any_case(raw: str, state: PackageState) -> None:
    assert state_of(raw) is state


def test_an_unknown_state_is_kept_as_it_was_sent() -> None:
    package = Package.from_wire({"resource_name": "a", "status": " Paused "})

    assert (package.raw_state, package.state) == (" Paused ", PackageState.UNKNOWN)


def test_an_unknown_state_of_a_group_is_kept_as_it_was_sent() -> None:
    group = tools(status="Paused")

    assert (group.raw_state, group.state) == ("Paused", PackageState.UNKNOWN)


# loose types


@pytest.mark.parametrize(
    ("sent", "read"), [("true", True), ("false", False), ("True", True), (True, True)]
)
def test_is_async_may_be_text(sent: object, read: bool) -> None:
    assert tools(is_async=sent).is_async is read
    assert Package.from_wire({"resource_name": "a", "is_async": sent}).is_async is read


@pytest.mark.parametrize(("sent", "read"), [(0, 0), ("1551334579654", 1551334579654), (17, 17)])
def test_times_may_be_text(sent: object, read: int) -> None:
    group = tools(create_time=sent, details=[{"resource_name": "a", "update_time": sent}])

    assert group.create_time == read
    assert group.packages[0].update_time == read


PACKAGE_FIELDS = (
    "resource_name",
    "resource_type",
    "status",
    "create_time",
    "update_time",
    "underlying_name",
    "owner",
    "is_async",
)


def test_a_package_of_nulls_is_a_package_that_says_nothing() -> None:
    assert Package.from_wire(dict.fromkeys(PACKAGE_FIELDS)) == Package("")


def test_a_group_of_nulls_is_a_group_that_says_nothing() -> None:
    fields = (
        *("group_name", "status", "resources", "details", "create_time", "update_time"),
        *("is_async", "owner", "description", "module_name", "module_type"),
    )

    assert PackageGroup.from_wire(dict.fromkeys(fields)) == PackageGroup(None)


def test_a_group_without_a_name_has_the_requested_one() -> None:
    group = PackageGroup.from_wire({"details": [{"resource_name": "a"}]}, "tools")

    assert group.name == "tools"
    assert group.packages == (Package("a", "tools"),)


def test_null_details_are_skipped() -> None:
    assert tools(details=[None, {"resource_name": "a"}]).packages == (Package("a", "tools"),)


def test_the_fields_of_a_module_are_read() -> None:
    group = tools(description="d", module_name="m", module_type="jar", owner="user1")

    read = (group.description, group.module_name, group.module_type, group.owner)

    assert read == ("d", "m", "jar", "user1")


def test_a_package_that_is_only_named_is_there_in_no_known_state() -> None:
    group = tools(
        status="READY",
        resources=["a", "b", None, 7],
        details=[{"resource_name": "a", "status": "READY"}],
    )

    assert group.packages == (
        Package("a", "tools", raw_state="READY"),
        Package("b", "tools"),
        Package("7", "tools"),
    )
    assert group.packages[1].state is PackageState.UNKNOWN


@pytest.mark.parametrize("field", ["details", "resources"])
def test_a_member_list_that_is_no_list_is_an_error(field: str) -> None:
    with pytest.raises(WireError, match=f"{field} is a JSON object, not a list"):
        tools(**{field: {}})


def test_a_package_is_found_by_its_name() -> None:
    group = tools(details=[{"resource_name": "a"}, {"resource_name": "b"}])

    assert group.package("b") == Package("b", "tools")
    assert group.package("c") is None


# what nobody knows


def test_unknown_fields_of_a_package_are_kept() -> None:
    package = Package.from_wire({"resource_name": "a", "size": 7, "more": {"x": None}})

    assert package.extra == {"size": 7, "more": {"x": None}}


def test_unknown_fields_of_a_group_are_kept() -> None:
    assert tools(project="p", labels=["x"]).extra == {"project": "p", "labels": ["x"]}


def test_unknown_fields_of_a_listing_are_kept() -> None:
    assert listing(groups=[], marker="m", total=1).extra == {"marker": "m"}


def test_values_of_a_wrong_type_stay_among_the_unknown() -> None:
    fields = {"create_time": "yesterday", "owner": {"id": 1}, "is_async": 1, "status": ["READY"]}

    assert tools(**fields).extra == fields
    assert Package.from_wire(fields).extra == fields


# the listing


@pytest.mark.parametrize(
    "body",
    [
        b'{"groups": [{"group_name": "tools", "status": "READY"}]}',
        b'{"groups":[\n  {\n    "group_name" :\t"tools", "status": "READY"}]}',
        b'{"groups": [{"status": "READY", "group_name": "tools"}]}',
        b'{"groups": [{"group_name": "t\\u006fols", "status": "READY"}]}',
        b'{"groups": [{"x": {"group_name": "y"}, "status": "READY", "group_name": "tools"}]}',
        b'{"groups": [null, {"group_name": "tools", "status": "READY"}, null]}',
    ],
)
def test_a_group_is_found_wherever_its_name_stands(body: bytes) -> None:
    listed = PackageListing(body)

    group = listed.group("tools")

    assert group is not None
    assert (group.name, group.state) == ("tools", PackageState.READY)
    assert listed.group_names == ("tools",)


@pytest.mark.parametrize(
    "name", ['quo"te', "back\\slash", "tab\there", "包 group", "emoji 😀", "nul\0"]
)
def test_a_group_with_an_unusual_name_is_found(name: str) -> None:
    found = listing(groups=[{"group_name": name}]).group(name)

    assert found is not None
    assert found.name == name


def test_a_group_whose_name_is_a_number_is_found_as_text() -> None:
    assert listing(groups=[{"group_name": 7}]).group("7") == PackageGroup("7")


def test_a_group_that_is_not_listed_is_none() -> None:
    assert listing(groups=[{"group_name": "tools"}]).group("tool") is None


@pytest.mark.parametrize("groups", [[None], [{"status": "READY"}], [{"group_name": None}]])
def test_an_entry_that_names_no_group_is_no_group(groups: list[Any]) -> None:
    assert listing(groups=groups).group_names == ()


@pytest.mark.parametrize("missing", ["groups", "resources", "modules"])
@pytest.mark.parametrize("change", ["null", "missing"])
def test_each_part_of_a_listing_may_be_null_or_missing(missing: str, change: str) -> None:
    fields: dict[str, Any] = {"groups": [], "resources": [], "modules": []}
    if change == "null":
        fields[missing] = None
    else:
        del fields[missing]

    listed = listing(**fields)

    assert (listed.group_names, listed.packages, listed.modules) == ((), (), ())


@pytest.mark.parametrize(
    ("sent", "total"), [(12, 12), ("12", 12), (0, 0), (None, None), ("many", None), ([], None)]
)
def test_total_may_be_text(sent: object, total: int | None) -> None:
    assert listing(groups=[], total=sent).total == total


def test_total_may_be_missing() -> None:
    assert listing(groups=[]).total is None


def test_null_entries_of_resources_and_modules_are_skipped() -> None:
    listed = listing(resources=[None, {"resource_name": "a"}], modules=[None, {"module_name": "m"}])

    assert listed.packages == (Package("a"),)
    assert listed.modules == (PackageGroup(None, module_name="m"),)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "the body is empty"),
        (b"<html>busy</html>", "the body is HTML"),
        (b'{"groups": [{"group_name"', "the body is no JSON, or cut off"),
        (b'{"groups": []} trailing', "the body is no JSON, or cut off"),
        (b"[]", "the body is a JSON list, not an object"),
        (b"7", "the body is a JSON number, not an object"),
        (b"null", "the body is a JSON null, not an object"),
        (b"{}", "the body has none of groups, resources and modules"),
        (b'{"total": 0}', "the body has none of groups, resources and modules"),
        (b'{"groups": {}}', "the body is not a listing"),
        (b'{"groups": 7}', "the body is not a listing"),
        (b'{"groups": "none"}', "the body is not a listing"),
        pytest.param(
            b'{"groups": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
            "the body is no JSON, or cut off",
            id="nested too deep",
        ),
        pytest.param(
            b'{"groups": [], "total": "\xff"}', "the body is no JSON", id="total no UTF-8"
        ),
    ],
)
def test_a_body_that_is_no_listing_is_never_an_empty_one(body: bytes, text: str) -> None:
    with pytest.raises(WireError) as error:
        PackageListing(body)

    assert str(error.value).startswith(text)


@pytest.mark.parametrize(
    "body",
    [
        b'{"error_code": "DLI.0999", "error_msg": "busy"}',
        b'{"error_code": "DLI.0999", "error_msg": "busy", "groups": null}',
        b'{"is_success": false, "message": "busy"}',
        b'{"is_success": "false", "groups": []}',
        b'{"error_code": "DLI.0999", "groups": {}}',
    ],
)
def test_a_refusal_is_never_an_empty_listing(body: bytes) -> None:
    with pytest.raises(RefusedInBodyError):
        PackageListing(body)


@pytest.mark.parametrize(
    ("field", "read"),
    [
        ("resources", lambda listed: listed.packages),
        ("modules", lambda listed: listed.modules),
    ],
)
@pytest.mark.parametrize("value", [{}, "none", 7, ["name"]])
def test_a_part_that_is_no_list_of_objects_is_an_error(
    field: str, read: Callable[[PackageListing], object], value: object
) -> None:
    listed = listing(**{field: value})

    with pytest.raises(WireError, match=field):
        read(listed)


@pytest.mark.parametrize(
    "body",
    [
        b'{"groups": [{"group_name": "\xff"}]}',
        b'{"groups": [{"status": "READY", "group_name": "\xff"}]}',
        b'{"groups": [{"group_name": "tools", "status": "\xff"}]}',
    ],
)
def test_a_group_that_is_no_utf_8_is_an_error(body: bytes) -> None:
    with pytest.raises(WireError, match=r"no JSON|not JSON"):
        list(PackageListing(body).groups)


@pytest.mark.parametrize("entry", [b'"tools"', b"7", b"[]"])
def test_an_entry_that_is_no_group_is_an_error(entry: bytes) -> None:
    with pytest.raises(WireError, match="an entry of groups is not a group"):
        list(PackageListing(b'{"groups": [' + entry + b"]}").groups)


# plain JSON for XCom


@pytest.mark.parametrize("name", GROUP_ANSWERS)
def test_a_group_as_plain_json_keeps_every_fact(golden: Golden, name: str) -> None:
    group = PackageGroup.from_wire(json.loads(golden(name)))

    plain = json.loads(json.dumps(group.as_dict()))

    assert plain.pop("state") == group.state.value
    members = plain.pop("packages")
    assert [member.pop("state") for member in members] == [p.state.value for p in group.packages]
    assert PackageGroup(**plain, packages=tuple(Package(**member) for member in members)) == group


@pytest.mark.parametrize("name", PACKAGE_ANSWERS)
def test_a_package_as_plain_json_keeps_every_fact(golden: Golden, name: str) -> None:
    package = Package.from_wire({**json.loads(golden(name)), "size": 7}, "gatk")

    plain = json.loads(json.dumps(package.as_dict()))

    assert plain.pop("state") == package.state.value
    assert Package(**plain) == package


@pytest.mark.parametrize("name", LISTINGS)
def test_a_listing_as_plain_json_has_all_its_parts(golden: Golden, name: str) -> None:
    listed = PackageListing(golden(name))

    plain = json.loads(json.dumps(listed.as_dict()))

    assert plain == {
        "packages": [package.as_dict() for package in listed.packages],
        "groups": [group.as_dict() for group in listed.groups],
        "modules": [module.as_dict() for module in listed.modules],
        "total": None,
        "extra": {},
    }


# any listing

names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
states = st.sampled_from(["READY", "uploading", " Failed ", "Paused", ""])
times = st.integers(0, 2**53)
unknown = st.dictionaries(
    names.map("x_{}".format),
    st.none() | st.booleans() | times | names | st.lists(names, max_size=2),
    max_size=2,
)


@st.composite
def shuffled(draw: st.DrawFn, fields: st.SearchStrategy[dict[str, Any]]) -> dict[str, Any]:
    items = {**draw(fields), **draw(unknown)}
    return dict(draw(st.permutations(list(items.items()))))


members = shuffled(st.fixed_dictionaries({"resource_name": names, "status": states}))
groups = shuffled(
    st.fixed_dictionaries(
        {
            "group_name": names,
            "status": states,
            "details": st.lists(members, max_size=3, unique_by=lambda m: m["resource_name"]),
            "create_time": times,
        }
    )
)
listings = shuffled(
    st.fixed_dictionaries(
        {"groups": st.lists(groups, max_size=4, unique_by=lambda g: g["group_name"])}
    )
)
blanks = st.sampled_from(["", " ", "\n\t "])


def unknown_of(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if key.startswith("x_")}


@settings(database=None, deadline=None)
@given(listings, st.booleans(), st.sampled_from([None, 0, 3]), blanks, blanks)
def test_any_group_of_any_listing_is_what_json_says(
    fields: dict[str, Any], ascii_only: bool, indent: int | None, before: str, after: str
) -> None:
    separators = (f"{before},{after}", f"{before}:{after}")
    body = json.dumps(fields, ensure_ascii=ascii_only, indent=indent, separators=separators)

    listed = PackageListing(body.encode())

    assert listed.group_names == tuple(said["group_name"] for said in fields["groups"])
    assert listed.extra == unknown_of(fields)
    for said in fields["groups"]:
        group = listed.group(said["group_name"])
        assert group is not None
        assert (group.name, group.raw_state) == (said["group_name"], said["status"])
        assert (group.create_time, group.extra) == (said["create_time"], unknown_of(said))
        assert group.packages == tuple(
            Package(
                member["resource_name"],
                said["group_name"],
                raw_state=member["status"],
                extra=unknown_of(member),
            )
            for member in said["details"]
        )


def test_a_listing_may_begin_with_a_byte_order_mark() -> None:
    listed = PackageListing(b'\xef\xbb\xbf{"groups": [{"group_name": "g"}], "resources": []}')

    assert listed.group_names == ("g",)
    assert listed.extra == {}


ODD_NAMES = ["a", "ab", "b", "a.b", "a+(b)[c]", 'a"b', "a\\b", "ä", "a b", "a%b", "\\d", "^a$"]


@pytest.mark.parametrize("name", [*ODD_NAMES, "absent", "a.", "aXb"])
@pytest.mark.parametrize("is_indexed", [False, True], ids=["one lookup", "many lookups"])
@pytest.mark.parametrize("ascii_only", [False, True])
@pytest.mark.parametrize("separators", [(",", ":"), (" , ", " : ")])
def test_a_group_is_found_by_its_whole_name_however_it_is_spelled(
    name: str, is_indexed: bool, ascii_only: bool, separators: tuple[str, str]
) -> None:
    groups = [{"group_name": odd, "owner": f"of {odd}"} for odd in ODD_NAMES]
    body = json.dumps({"groups": groups}, ensure_ascii=ascii_only, separators=separators)
    listing = PackageListing(body.encode())
    if is_indexed:
        listing.fingerprint("another")

    found = listing.group(name)

    assert (found and found.owner) == (f"of {name}" if name in ODD_NAMES else None)


@pytest.mark.parametrize("is_indexed", [False, True], ids=["one lookup", "many lookups"])
def test_of_two_groups_of_one_name_the_last_is_found(is_indexed: bool) -> None:
    first, last = b'{"group_name": "g", "owner": "x"}', b'{"owner": "y", "group_name": "g"}'
    listing = PackageListing(b'{"groups": [%b, null, %b]}' % (first, last))
    if is_indexed:
        listing.fingerprint("g")

    found = listing.group("g")

    assert found is not None
    assert found.owner == "y"
