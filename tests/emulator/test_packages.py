# SPDX-License-Identifier: Apache-2.0
"""What is stored, how it is printed, and how it moves on with time."""

from __future__ import annotations

import re

import pytest

UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"


def test_a_synchronous_upload_answers_ready_packages_in_the_documented_shape(api, clock):
    answer = api.upload("a.jar", "b.py", group="tools", kind="jar")

    now = int(clock.now * 1000)
    body = answer.json()
    names = [detail.pop("underlying_name") for detail in body["details"]]
    assert answer.status_code == 201
    assert body == {
        "group_name": "tools",
        "status": "READY",
        "resources": ["a.jar", "b.py"],
        "details": [
            {
                "create_time": now,
                "update_time": now,
                "resource_type": "jar",
                "resource_name": name,
                "status": "READY",
            }
            for name in ("a.jar", "b.py")
        ],
        "create_time": now,
        "update_time": now,
        "is_async": False,
    }
    assert [re.fullmatch(rf"{UUID}_(.*)", name)[2] for name in names] == ["a.jar", "b.py"]


def test_the_packages_of_one_upload_share_one_uuid(api):
    first = api.upload("a.jar", "b.py", group="tools").json()
    second = api.upload("a.jar", group="tools").json()

    ids = [d["underlying_name"].partition("_")[0] for d in first["details"] + second["details"]]
    assert ids[0] == ids[1] != ids[2]


@pytest.mark.parametrize("is_async", [True, "true"])
def test_an_asynchronous_upload_answers_uploading_without_times(api, is_async):
    body = api.upload("a.jar", group="tools", is_async=is_async).json()

    assert body["status"] == "UPLOADING"
    assert body["details"][0]["status"] == "UPLOADING"
    assert body["details"][0]["create_time"] == body["details"][0]["update_time"] == 0
    assert "is_async" not in body
    assert "owner" not in body


@pytest.mark.parametrize(
    ("plural", "kind"), [("jars", "jar"), ("pyfiles", "pyFile"), ("files", "file")]
)
def test_a_typed_upload_is_synchronous_and_of_its_kind(api, plural, kind):
    paths = ["https://bucket.obs.region.example.com/x.zip"]

    answer = api("POST", f"/resources/{plural}", {"paths": paths, "group": "tools"})

    assert answer.status_code == 201
    assert answer.json()["is_async"] is False
    assert answer.json()["details"][0]["resource_type"] == kind
    assert answer.json()["details"][0]["status"] == "READY"


def test_an_upload_without_group_answers_names_only(api):
    answer = api.upload("a.jar", "b.py", is_async=True)

    assert answer.status_code == 201
    assert answer.json() == {"resource_names": ["a.jar", "b.py"]}


def test_a_name_that_comes_twice_is_one_package(api):
    body = api.upload("x/a.jar", "y/a.jar", group="tools").json()

    assert body["resources"] == ["a.jar"]


def test_a_listing_has_packages_groups_and_modules_and_no_total(api, emulator, clock):
    emulator.put_package("lone.jar", "READY", kind="jar")
    emulator.put_group("tools", {"a.py": "READY"}, kind="pyFile")

    answer = api("GET", "/resources")

    body, now = answer.json(), int(clock.now * 1000)
    common = {"create_time": now, "update_time": now, "status": "READY", "owner": "emulator-user"}
    assert answer.status_code == 200
    assert set(body) == {"resources", "groups", "modules"}
    assert body["resources"] == [
        {
            **common,
            "resource_name": "lone.jar",
            "resource_type": "jar",
            "underlying_name": body["resources"][0]["underlying_name"],
        }
    ]
    assert body["groups"] == [
        {
            **common,
            "group_name": "tools",
            "resources": ["a.py"],
            "details": [
                {
                    **common,
                    "resource_name": "a.py",
                    "resource_type": "pyFile",
                    "underlying_name": body["groups"][0]["details"][0]["underlying_name"],
                }
            ],
        }
    ]
    assert [module["module_name"] for module in body["modules"]] == ["gatk"]


def test_an_asynchronous_upload_becomes_ready_after_three_seconds(api, emulator, clock):
    api.upload("a.jar", group="tools", is_async=True)

    clock.advance(2.9)
    before = emulator.groups()["tools"]["status"]
    clock.advance(0.1)

    assert (before, emulator.groups()["tools"]["status"]) == ("UPLOADING", "READY")


def test_an_upload_that_takes_no_time_is_answered_ready(api, emulator):
    emulator.upload_seconds = 0

    assert api.upload("a.jar", group="tools", is_async=True).json()["status"] == "READY"


def test_only_the_single_package_prints_uploading_in_lower_case(api):
    api.upload("a.jar", group="tools", is_async=True)

    shown = api("GET", "/resources/a.jar", params={"group": "tools"}).json()

    assert shown["status"] == "uploading"
    assert api("GET", "/resources").json()["groups"][0]["status"] == "UPLOADING"


def test_a_ready_package_is_shown_in_upper_case_and_with_its_owner(api):
    api.upload("a.jar", kind="jar")

    shown = api("GET", "/resources/a.jar").json()

    assert (shown["status"], shown["owner"]) == ("READY", "emulator-user")
    assert shown["resource_type"] == "jar"


@pytest.mark.parametrize(
    ("states", "status"),
    [
        (["READY", "READY"], "READY"),
        (["READY", "UPLOADING", "FAILED"], "UPLOADING"),
        (["READY", "FAILED"], "FAILED"),
        (["READY", "PAUSED"], "PAUSED"),
    ],
)
def test_the_status_of_a_group_follows_from_its_members(emulator, states, status):
    emulator.put_group("tools", {f"{n}.jar": state for n, state in enumerate(states)})

    assert emulator.groups()["tools"]["status"] == status


def test_a_timeline_lets_one_package_fail(api, emulator, clock):
    emulator.set_timeline("bad-*", [(0, "UPLOADING"), (2, "FAILED")])
    api.upload("a.jar", "bad-b.jar", group="tools", is_async=True)

    clock.advance(3)

    states = {d["resource_name"]: d["status"] for d in emulator.groups()["tools"]["details"]}
    assert states == {"a.jar": "READY", "bad-b.jar": "FAILED"}


def test_a_timeline_may_be_meant_for_one_group(api, emulator):
    emulator.set_timeline("tools/*", [(0, "FAILED")])

    api.upload("a.jar", group="tools")
    api.upload("a.jar", group="other")

    assert emulator.groups()["tools"]["status"] == "FAILED"
    assert emulator.groups()["other"]["status"] == "READY"


def test_of_several_timelines_the_one_set_last_counts(api, emulator):
    emulator.set_timeline("a*", [(0, "FAILED")])
    emulator.set_timeline("*.jar", [(0, "PAUSED")])
    emulator.set_timeline("a*", [(0, "READY")])

    assert api.upload("a.jar", group="tools").json()["status"] == "READY"


def test_a_synchronous_upload_shows_the_end_of_its_timeline_at_once(api, emulator):
    emulator.set_timeline("*", [(0, "UPLOADING"), (60, "FAILED")])

    answer = api.upload("a.jar", group="tools")

    assert answer.status_code == 201
    assert answer.json()["status"] == "FAILED"


def test_a_package_whose_timeline_ends_in_nothing_disappears_with_its_group(api, emulator, clock):
    emulator.set_timeline("*", [(0, "UPLOADING"), (2, None)])
    api.upload("a.jar", group="tools", is_async=True)

    clock.advance(2)

    assert emulator.groups() == {}
    assert api("GET", "/resources/a.jar?group=tools").status_code == 400
    assert api("DELETE", "/resources/a.jar?group=tools").status_code == 404


def test_a_synchronous_upload_leaves_out_a_package_that_disappears(api, emulator):
    emulator.set_timeline("gone.jar", [(0, None)])

    body = api.upload("gone.jar", "a.jar", group="tools").json()

    assert body["resources"] == ["a.jar"]


def test_a_package_that_comes_back_is_a_new_one(api, emulator, clock):
    emulator.set_timeline("*", [(0, "UPLOADING"), (2, None)])
    api.upload("a.jar", group="tools", is_async=True)
    clock.advance(10)

    created = api.upload("a.jar", group="tools", is_async=True).json()["create_time"]

    assert created == int(clock.now * 1000)


def test_a_second_upload_adds_to_the_group_and_replaces_by_name(api, emulator, clock):
    api.upload("a.jar", "b.jar", group="tools")
    first, created = emulator.groups()["tools"], int(clock.now * 1000)
    clock.advance(60)

    answer = api.upload("b.jar", "c.jar", group="tools").json()

    group, moved = emulator.groups()["tools"], int(clock.now * 1000)
    times = {d["resource_name"]: (d["create_time"], d["update_time"]) for d in group["details"]}
    assert answer["resources"] == ["b.jar", "c.jar"]
    assert (group["create_time"], group["update_time"]) == (created, moved)
    assert times == {
        "a.jar": (created, created),
        "b.jar": (created, moved),
        "c.jar": (moved, moved),
    }
    assert first["details"][0] == group["details"][0]
    assert first["details"][1]["underlying_name"] != group["details"][1]["underlying_name"]


def test_a_second_upload_without_group_replaces_the_package(api, emulator, clock):
    api.upload("a.jar", kind="jar")
    clock.advance(60)

    api.upload("a.jar", kind="file")

    package = emulator.packages()["a.jar"]
    assert package["resource_type"] == "file"
    assert package["update_time"] - package["create_time"] == 60_000


def test_the_same_name_may_live_in_groups_and_outside_of_them(api, emulator):
    api.upload("a.jar", group="one")
    api.upload("a.jar", group="two")
    api.upload("a.jar")

    api("DELETE", "/resources/a.jar", params={"group": "one"})

    assert list(emulator.groups()) == ["two"]
    assert list(emulator.packages()) == ["a.jar"]


def test_deleting_answers_an_empty_200(api, emulator):
    emulator.put_package("a.jar")

    answer = api("DELETE", "/resources/a.jar")

    assert (answer.status_code, answer.content) == (200, b"")
    assert emulator.packages() == {}


def test_a_group_stays_until_its_last_package_is_deleted(api, emulator):
    emulator.put_group("tools", {"a.jar": "READY", "b.jar": "READY"})

    api("DELETE", "/resources/a.jar?group=tools")
    left = emulator.groups()["tools"]["resources"]
    api("DELETE", "/resources/b.jar?group=tools")

    assert left == ["b.jar"]
    assert emulator.groups() == {}


@pytest.mark.parametrize("query", ["", "?group=", "?group=tools", "?group=elsewhere"])
def test_showing_an_absent_package_is_a_400(api, emulator, query):
    emulator.put_group("tools", {"b.jar": "READY"})

    answer = api("GET", f"/resources/a.jar{query}")

    assert answer.status_code == 400
    assert answer.json()["error_code"] == "DLI.0002"
    assert "a.jar" in answer.json()["error_msg"]


@pytest.mark.parametrize("query", ["", "?group=tools", "?group=elsewhere"])
def test_deleting_an_absent_package_is_a_404(api, emulator, query):
    emulator.put_group("tools", {"b.jar": "READY"})

    answer = api("DELETE", f"/resources/a.jar{query}")

    assert answer.status_code == 404
    assert answer.json()["error_code"] == "DLI.0023"


@pytest.mark.parametrize(
    ("kind", "lone", "group", "modules"),
    [
        ("jar", ["lone.jar"], ["a.jar"], ["gatk"]),
        ("pyFile", [], ["a.py"], []),
        ("modelFile", [], None, []),
        ("", ["lone.jar"], ["a.jar", "a.py"], ["gatk"]),
    ],
)
def test_a_listing_can_be_narrowed_to_a_kind(api, emulator, kind, lone, group, modules):
    emulator.put_package("lone.jar", kind="jar")
    emulator.put_group("tools", {"a.jar": "READY"}, kind="jar")
    emulator.put_group("tools", {"a.py": "FAILED"}, kind="pyFile")

    body = api("GET", "/resources", params={"kind": kind}).json()

    assert [entry["resource_name"] for entry in body["resources"]] == lone
    assert [entry["resources"] for entry in body["groups"]] == ([] if group is None else [group])
    assert [entry["module_name"] for entry in body["modules"]] == modules


@pytest.mark.parametrize(
    ("tags", "names"),
    [
        ("team", ["a.jar", "b.jar"]),
        ("team=red", ["a.jar"]),
        ("team,level", ["b.jar"]),
        ("team=blue,level=1", ["b.jar"]),
        ("team=green", []),
        ("", ["a.jar", "b.jar", "c.jar"]),
    ],
)
def test_a_listing_can_be_narrowed_to_tags(api, tags, names):
    api.upload("a.jar", tags=[{"key": "team", "value": "red"}])
    api.upload("b.jar", tags=[{"key": "team", "value": "blue"}, {"key": "level", "value": "1"}])
    api.upload("c.jar")

    body = api("GET", "/resources", params={"tags": tags}).json()

    assert [entry["resource_name"] for entry in body["resources"]] == names


def test_an_upload_without_tags_keeps_the_old_ones(api):
    api.upload("a.jar", tags=[{"key": "team", "value": "red"}])
    api.upload("a.jar")

    assert len(api("GET", "/resources?tags=team").json()["resources"]) == 1


@pytest.mark.parametrize("query", ["kind=zip", "tags==x", "tags=a,,b"])
def test_a_filter_that_makes_no_sense_is_refused(api, query):
    answer = api("GET", f"/resources?{query}")

    assert answer.status_code == 400
    assert answer.json()["error_code"] == "DLI.0001"


def owners(emulator):
    tools = emulator.groups()["tools"]
    return (
        tools["owner"],
        tools["details"][0]["owner"],
        emulator.packages()["a.jar"]["owner"],
    )


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ({"group_name": "tools"}, ("emulator-user-2", "emulator-user", "emulator-user")),
        ({"resource_name": "a.jar"}, ("emulator-user", "emulator-user", "emulator-user-2")),
        (
            {"group_name": "tools", "resource_name": "a.jar"},
            ("emulator-user", "emulator-user-2", "emulator-user"),
        ),
    ],
)
def test_the_owner_of_a_group_or_a_package_can_be_changed(api, emulator, target, expected):
    emulator.put_group("tools", {"a.jar": "READY"})
    emulator.put_package("a.jar")

    answer = api("PUT", "/resources/owner", {"new_owner": "emulator-user-2", **target})

    assert answer.status_code == 200
    assert answer.json() == {"is_success": "true", "message": ""}
    assert owners(emulator) == expected


def test_an_owner_survives_the_next_upload(api, emulator):
    emulator.put_group("tools", {"a.jar": "READY"})
    for name in ({}, {"resource_name": "a.jar"}):
        change = {"new_owner": "emulator-user-2", "group_name": "tools", **name}
        api("PUT", "/resources/owner", change)

    api.upload("a.jar", group="tools")

    tools = emulator.groups()["tools"]
    assert (tools["owner"], tools["details"][0]["owner"]) == ("emulator-user-2",) * 2


def test_an_unknown_user_cannot_become_the_owner(api, emulator):
    emulator.put_group("tools", {"a.jar": "READY"})

    answer = api("PUT", "/resources/owner", {"new_owner": "ssssss", "group_name": "tools"})

    assert answer.status_code == 404
    assert answer.json() == {
        "error_code": "DLI.0002",
        "error_msg": "No such user. userName:ssssss.",
    }


@pytest.mark.parametrize(
    "target",
    [
        {"group_name": "absent"},
        {"resource_name": "absent.jar"},
        {"group_name": "tools", "resource_name": "absent.jar"},
    ],
)
def test_what_is_absent_gets_no_owner(api, emulator, target):
    emulator.put_group("tools", {"a.jar": "READY"})

    answer = api("PUT", "/resources/owner", {"new_owner": "emulator-user-2", **target})

    assert answer.status_code == 404
    assert answer.json()["error_code"] == "DLI.0002"


def test_every_project_has_its_own_groups(start):
    api = start(project_ids=["p1", "p2"])
    api.emulator.put_group("tools", {"a.jar": "READY"}, project_id="p2")

    assert api.emulator.groups() == {}
    assert api("GET", "/resources", project_id="p1").json()["groups"] == []
    assert len(api("GET", "/resources", project_id="p2").json()["groups"]) == 1


def test_a_package_may_be_called_like_a_part_of_the_api(api, emulator):
    emulator.put_package("jars")
    emulator.put_package("owner")

    assert api("GET", "/resources/jars").json()["resource_name"] == "jars"
    assert api("DELETE", "/resources/owner").status_code == 200
