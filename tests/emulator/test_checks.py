# SPDX-License-Identifier: Apache-2.0
"""What DLI refuses, and that nothing is stored then."""

from __future__ import annotations

import pytest

PATH = "https://bucket.obs.region.example.com/lib/a.jar"
UPLOAD = {"paths": [PATH], "kind": "jar"}


def tags(*pairs):
    return {"tags": [{"key": key, "value": value} for key, value in pairs]}


@pytest.mark.parametrize(
    "change",
    [
        {"paths": None},
        {"paths": []},
        {"paths": PATH},
        {"paths": {"0": PATH}},
        {"paths": [PATH, 7]},
        {"paths": ["obs://bucket/lib/a.jar"]},
        {"paths": ["http://bucket.obs.region.example.com/a.jar"]},
        {"paths": ["https: //bucket.obs.region.example.com/a.jar"]},
        {"paths": ["https://bucket.obs.region.example.com/a b.jar"]},
        {"paths": ["https://bucket.obs.region.example.com/a.jar\n"]},
        {"paths": ["https://obs.region.example.com/bucket/a.jar"]},
        {"paths": ["https://user:x@bucket.obs.region.example.com/a.jar"]},
        {"paths": ["https://bucket.obs.region.example.com"]},
        {"paths": ["https://bucket.obs.region.example.com/folder/"]},
        {"paths": ["https://bucket.obs.region.example.com/a.jar?versionId=1"]},
        {"paths": ["https://bucket.obs.region.example.com/a.jar#top"]},
        {"paths": ["https://bucket.obs.region.example.com/.hidden"]},
        {"paths": ["https://bucket.obs.region.example.com/a+b.jar"]},
        {"paths": ["https://bucket.obs.region.example.com/%E5%8C%85.jar"]},
        {"paths": ["https://bucket.obs.region.example.com/" + "x" * 129]},
        {"kind": None},
        {"kind": "pyfile"},
        {"kind": ["jar"]},
        {"group": ""},
        {"group": " tools"},
        {"group": "a/b"},
        {"group": "x" * 65},
        {"group": 7},
        {"is_async": "yes"},
        {"is_async": 1},
        {"is_async": None},
        {"tags": {"key": "a", "value": "b"}},
        {"tags": ["a"]},
        {"tags": [{"key": "a"}]},
        {"tags": [{"value": "b"}]},
        tags(("", "b")),
        tags((" a", "b")),
        tags(("a ", "b")),
        tags(("_sys_a", "b")),
        tags(("a" * 129, "b")),
        tags(("a*", "b")),
        tags(("a", "b/c")),
        tags(("a", "b ")),
        tags(("a", "b" * 256)),
        tags(("a", "b"), ("a", "c")),
        tags(*((f"k{n}", "v") for n in range(21))),
    ],
    ids=str,
)
def test_an_upload_that_makes_no_sense_is_refused_and_stores_nothing(api, emulator, change):
    answer = api("POST", "/resources", {**UPLOAD, **change})

    assert answer.status_code == 400
    assert answer.json()["error_code"] == "DLI.0001"
    assert answer.json()["error_msg"]
    assert (emulator.groups(), emulator.packages()) == ({}, {})


@pytest.mark.parametrize(
    "change",
    [
        {"paths": ["https://my.bucket-1.obs.region.example.com/deep/er/A_b-c!.1.jar"]},
        {"paths": ["https://bucket.obs.region.example.com:443/a%21b.jar"]},
        {"paths": ["https://bucket.obs.region.example.com/" + "x" * 128]},
        {"kind": "modelFile"},
        {"group": "122hong._-"},
        {"group": "x" * 64},
        {"group": None},
        {"is_async": "false"},
        {"tags": None},
        tags(("团队 :=+-@_.1", "v w")),
        tags(*((f"k{n}", "v") for n in range(20))),
    ],
    ids=str,
)
def test_an_upload_at_the_edge_of_the_rules_is_taken(api, change):
    assert api("POST", "/resources", {**UPLOAD, **change}).status_code == 201


@pytest.mark.parametrize("group", [None, "", "a b"])
def test_a_typed_upload_needs_a_group(api, group):
    answer = api("POST", "/resources/jars", {"paths": [PATH], "group": group})

    assert answer.status_code == 400
    assert answer.json()["error_code"] == "DLI.0001"


@pytest.mark.parametrize(
    "body",
    [
        {"group_name": "tools"},
        {"new_owner": 7, "group_name": "tools"},
        {"new_owner": "1abcdef", "group_name": "tools"},
        {"new_owner": "abcd", "group_name": "tools"},
        {"new_owner": "emulator-user-2"},
        {"new_owner": "emulator-user-2", "group_name": "a/b"},
        {"new_owner": "emulator-user-2", "resource_name": ".hidden"},
        {"new_owner": "emulator-user-2", "resource_name": 7},
    ],
    ids=str,
)
def test_a_change_of_owner_that_makes_no_sense_is_refused(api, body):
    answer = api("PUT", "/resources/owner", body)

    assert answer.status_code == 400
    assert answer.json()["error_code"] == "DLI.0001"


@pytest.mark.parametrize("body", ["", "{", "[]", '"text"', "null", b"\xff\xfe"])
def test_a_body_that_is_no_json_object_is_refused(api, body):
    answer = api("POST", "/resources", body)

    assert answer.status_code == 400
    assert answer.json() == {
        "error_code": "DLI.0001",
        "error_msg": "The format of message is error",
    }


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/resources"), ("POST", "/resources/jars"), ("PUT", "/resources/owner")],
)
@pytest.mark.parametrize("content_type", ["text/plain", "application/jsonp", ""])
def test_another_content_type_is_refused(api, method, path, content_type):
    answer = api(method, path, "{}", headers={"Content-Type": content_type})

    assert answer.status_code == 415
    assert answer.json()["error_msg"] == "unsupported media type"


@pytest.mark.parametrize(
    "content_type", ["application/json;charset=UTF-8", "Application/JSON ; charset=utf8"]
)
def test_the_content_type_may_name_its_charset(api, content_type):
    answer = api("PUT", "/resources/owner", "{}", headers={"Content-Type": content_type})

    assert answer.status_code == 400
