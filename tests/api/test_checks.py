# SPDX-License-Identifier: Apache-2.0
"""What is accepted before anything is sent; each refusal names field, value and rule."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_dli.api import checks
from airflow_provider_dli.api.access.endpoints import Cloud
from airflow_provider_dli.api.protocol.errors import InputError

URL = "https://bucket.obs.region.example.com/lib/a.jar"


def refused(field: str, value: object, check: Callable[..., object], *arguments: Any) -> str:
    """Give the text of the refusal, after making sure that it names field and value."""
    with pytest.raises(InputError) as refusal:
        check(*arguments)
    assert refusal.value.field == field
    shown = "missing" if value is None else repr(value)[:300]
    assert str(refusal.value).startswith(f"{field} is {shown}")
    return str(refusal.value)


# paths


@pytest.mark.parametrize(
    "url",
    [
        URL,
        "https://bucket.obs.region.example.com/a.jar",
        "https://bucket.obs.eu-de.otc.t-systems.com/deep/er/a.jar",
        "https://bucket.obs.region.example.com:9000/a.jar",
        "https://my.dotted-bucket.obs.region.example.com/a.jar",
        "https://bucket.obs.region.example.com/folder%20x/a.jar",
        "https://bucket.obs.region.example.com/lib/no_extension",
        "https://bucket.obs.region.example.com/lib/a!b-c_d.1.jar",
        "https://bucket.obs.region.example.com/" + "x" * 128,
    ],
)
def test_an_https_address_of_an_obs_object_is_taken_as_it_is(url: str) -> None:
    assert checks.paths([url]) == (url,)


@pytest.mark.parametrize("several", [list, tuple, iter])
def test_any_iterable_of_paths_keeps_its_order(several: Callable[[Any], Any]) -> None:
    urls = (URL, URL.replace("a.jar", "0.jar"))

    assert checks.paths(several(urls)) == urls


@pytest.mark.parametrize(
    ("cloud", "region", "url"),
    [
        (Cloud.HUAWEI, "cn-north-4", "https://bucket.obs.cn-north-4.myhuaweicloud.com/lib/a.jar"),
        (Cloud.HUAWEI, "eu-west-101", "https://bucket.obs.eu-west-101.myhuaweicloud.eu/lib/a.jar"),
        (Cloud.OTC, "eu-de", "https://bucket.obs.eu-de.otc.t-systems.com/lib/a.jar"),
    ],
)
def test_an_obs_path_becomes_the_https_address_of_its_cloud(
    cloud: Cloud, region: str, url: str
) -> None:
    assert checks.paths(["obs://bucket/lib/a.jar"], cloud, region) == (url,)


def test_an_obs_path_is_percent_encoded_in_its_folder() -> None:
    (url,) = checks.paths(["obs://bucket/50%+ä/a.jar"], Cloud.OTC, "eu-de")

    assert url == "https://bucket.obs.eu-de.otc.t-systems.com/50%25%2B%C3%A4/a.jar"


@pytest.mark.parametrize(
    ("folder", "encoded"),
    [
        ("with blank", "with%20blank"),
        ("v\u202f1", "v%E2%80%AF1"),
        ("\u00a0", "%C2%A0"),
        ("a\tb", "a%09b"),
        ("q?x=1", "q%3Fx%3D1"),
        ("h#f", "h%23f"),
        ("a//b", "a//b"),
        ("", ""),
        ("..", ".."),
    ],
)
def test_an_obs_path_may_lead_through_folders_of_any_name(folder: str, encoded: str) -> None:
    path = f"obs://bucket/{folder}/a.jar"

    (url,) = checks.paths([path], Cloud.OTC, "eu-de")

    assert url == f"https://bucket.obs.eu-de.otc.t-systems.com/{encoded}/a.jar"
    assert checks.obs_location(path) == ("bucket", f"{folder}/a.jar")
    assert checks.obs_location(url) == ("bucket", f"{folder}/a.jar")


@pytest.mark.parametrize("beginning", ["obs://bucket/", "https://bucket.obs.region.example.com/"])
def test_an_object_whose_key_is_too_long_is_refused_with_its_length(beginning: str) -> None:
    fits, longer = f"{'f' * 1018}/a.jar", f"{'f' * 1019}/a.jar"

    assert checks.obs_location(beginning + fits) == ("bucket", fits)
    text = refused("paths", beginning + longer, checks.obs_location, beginning + longer)

    assert "it has 1025 bytes in UTF-8" in text


def test_an_obs_path_keeps_the_package_name_it_was_checked_for() -> None:
    (url,) = checks.paths(["obs://bucket/lib/a!b.jar"], Cloud.OTC, "eu-de")

    assert checks.package_name(url) == "a!b.jar"


@pytest.mark.parametrize(
    ("cloud", "region", "missing"),
    [(None, "eu-de", "cloud"), (None, None, "cloud"), (Cloud.OTC, None, "region")],
)
def test_an_obs_path_without_cloud_or_region_is_refused_with_a_way_out(
    cloud: Cloud | None, region: str | None, missing: str
) -> None:
    path = "obs://bucket/lib/a.jar"

    text = refused("paths", path, checks.paths, [path], cloud, region)

    assert f"needs the connection's {missing}" in text
    assert "https://bucket.obs.region.host/key" in text


@pytest.mark.parametrize(
    "value",
    [None, 7, URL, URL.encode(), {"0": URL}, [], (), {}],
    ids=lambda value: repr(value)[:12],
)
def test_paths_must_be_a_list_with_something_in_it(value: object) -> None:
    text = refused("paths", value, checks.paths, value)

    assert "OBS object" in text


@pytest.mark.parametrize(
    "path",
    [
        7,
        "",
        "a.jar",
        "http://bucket.obs.region.example.com/a.jar",
        "https://obs.region.example.com/bucket/a.jar",
        "https://example.com/a.jar",
        "https://user:x@bucket.obs.region.example.com/a.jar",
        "https://bucket.obs.region.example.com",
        "https://bucket.obs.region.example.com/",
        "https://bucket.obs.region.example.com/folder/",
        "https://bucket.obs.region.example.com/a.jar?versionId=1",
        "https://bucket.obs.region.example.com/a.jar#top",
        "s3://bucket/a.jar",
        "obs://bucket",
        "obs://bucket/",
        "obs://bucket/folder/",
        "obs://bucket/a.jar?versionId=1",
        "obs://bucket/a.jar#top",
        "obs://Bucket/a.jar",
    ],
)
def test_what_is_no_obs_object_is_refused_by_name(path: object) -> None:
    text = refused("paths", path, checks.paths, [URL, path], Cloud.OTC, "eu-de")

    assert "give an OBS object" in text


def test_none_among_the_paths_is_refused() -> None:
    refused("paths", None, checks.paths, [URL, None])


@pytest.mark.parametrize(
    "path",
    [
        "https://bucket.obs.region.example.com/a b.jar",
        "https://bucket.obs.region.example.com/a.jar\n",
        " https://bucket.obs.region.example.com/a.jar",
        "obs://bucket/folder/a b.jar",
        "obs://bucket/folder/a.jar\n",
        " obs://bucket/folder/a.jar",
    ],
)
def test_a_blank_inside_a_path_is_refused_as_such(path: str) -> None:
    text = refused("paths", path, checks.paths, [path], Cloud.OTC, "eu-de")

    assert "there is a blank inside" in text


def test_the_blank_of_the_documented_request_is_refused(golden: Callable[[str], bytes]) -> None:
    documented = json.loads(golden("doc_upload_files.request"))["paths"]

    text = refused("paths", "https: //test.obs.xxx.com/test_dli.jar", checks.paths, documented)

    assert "there is a blank inside" in text


@pytest.mark.parametrize("name", [".hidden", "a+b.jar", "%E5%8C%85.jar", "包.jar", "x" * 129])
def test_a_path_whose_file_may_not_name_a_package_is_refused(name: str) -> None:
    text = refused(
        "paths: the package name",
        name,
        checks.paths,
        [f"https://bucket.obs.region.example.com/{name}"],
    )

    assert "use 1 to 128" in text


@pytest.mark.parametrize("other", [URL, "https://other.obs.region.example.com/b/a.jar"])
def test_two_paths_of_one_file_name_are_refused_with_both(other: str) -> None:
    text = refused("paths", [URL, other], checks.paths, [URL, other])

    assert "both would be 'a.jar'" in text


@pytest.mark.parametrize("name", ["a.jar", "a!b.jar"])
def test_two_paths_of_one_file_name_are_refused_in_both_forms(name: str) -> None:
    url = f"https://bucket.obs.eu-de.otc.t-systems.com/x/{name}"

    with pytest.raises(InputError, match="both would be"):
        checks.paths([url, f"obs://bucket/y/{name}"], Cloud.OTC, "eu-de")


# kind, names, booleans, seconds


@pytest.mark.parametrize("kind", ["jar", "pyFile", "file", "modelFile"])
def test_the_documented_kinds_are_taken(kind: str) -> None:
    assert checks.kind(kind) == kind


@pytest.mark.parametrize("kind", ["pyfile", "PYFILE", "jars", "", " jar", None, 7, ["jar"]])
def test_any_other_kind_is_refused_with_the_list(kind: object) -> None:
    text = refused("kind", kind, checks.kind, kind)

    assert "jar, pyFile, file, modelFile" in text


@pytest.mark.parametrize("group", ["g", "122hong._-", "x" * 64, ".leading"])
def test_a_legal_group_name_is_taken(group: str) -> None:
    assert checks.group(group) == group


@pytest.mark.parametrize("group", ["", "x" * 65, " gatk", "a b", "a/b", "a\n", "ä", "a!b", None, 7])
def test_an_illegal_group_name_is_refused(group: object) -> None:
    text = refused("group", group, checks.group, group)

    assert "use 1 to 64 letters" in text


@pytest.mark.parametrize("name", ["a", "a.jar", "a!b_c-d.1", "x" * 128, "-a", "1.jar"])
def test_a_legal_package_name_is_taken(name: str) -> None:
    assert checks.package("name", name) == name


@pytest.mark.parametrize("name", ["", "x" * 129, ".a", "a b", "a/b", "a\n", "ä.jar", None, 7])
def test_an_illegal_package_name_is_refused(name: object) -> None:
    text = refused("name", name, checks.package, "name", name)

    assert "not beginning with a dot" in text


@pytest.mark.parametrize("name", ["a", "old name/with+anything%", "x" * 500, "..."])
def test_a_stored_name_may_break_the_rules_for_new_ones(name: str) -> None:
    assert checks.stored_name("name", name) == name


@pytest.mark.parametrize("name", ["", " ", ".", "..", None, 7])
def test_a_stored_name_that_names_nothing_is_refused(name: object) -> None:
    text = refused("name", name, checks.stored_name, "name", name)

    assert "as DLI lists it" in text


@pytest.mark.parametrize("owner", ["abcde", "x" * 32, "_user", "-user", "user-1_a"])
def test_a_legal_owner_is_taken(owner: str) -> None:
    assert checks.owner(owner) == owner


@pytest.mark.parametrize(
    "owner", ["abcd", "x" * 33, "1user", "us er", "user.name", "", None, 70000]
)
def test_an_illegal_owner_is_refused(owner: object) -> None:
    text = refused("new_owner", owner, checks.owner, owner)

    assert "use 5 to 32 letters" in text


@pytest.mark.parametrize("value", [True, False])
def test_a_boolean_is_taken(value: bool) -> None:
    assert checks.boolean("is_async", value) is value


@pytest.mark.parametrize("value", ["true", "false", 1, 0, None])
def test_what_only_looks_like_a_boolean_is_refused(value: object) -> None:
    text = refused("is_async", value, checks.boolean, "is_async", value)

    assert "use True or False" in text


@pytest.mark.parametrize("value", [1, 0.5, 86400, 9_999_999_999])
def test_positive_seconds_are_taken(value: float) -> None:
    assert checks.seconds("timeout", value) == float(value)


@pytest.mark.parametrize(
    "value",
    [
        *(0, -1, -0.5, math.nan, math.inf, -math.inf, "5", True, False, None, 1e10),
        pytest.param(10**400, id="more than a float can hold"),
    ],
)
def test_what_is_no_positive_number_of_seconds_is_refused(value: object) -> None:
    text = refused("timeout", value, checks.seconds, "timeout", value)

    assert "give a positive number of seconds" in text


# tags


def many(number: int) -> dict[str, str]:
    return {f"key{place}": "value" for place in range(number)}


def test_tags_are_given_in_the_form_of_the_service() -> None:
    assert checks.tags({"a": "1", "b": ""}) == [
        {"key": "a", "value": "1"},
        {"key": "b", "value": ""},
    ]


def test_tags_in_the_form_of_the_service_stay_as_they_are() -> None:
    tags = [{"key": "a", "value": "1"}, {"value": "2", "key": "b"}]

    assert checks.tags(tags) == tags


@pytest.mark.parametrize("cloud", [None, *Cloud])
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("k" * 128, "v" * 255),
        ("team:data.eng+x@y_z-1", "a:b.c+d@e_f-1"),
        ("two words", "two words"),
        ("团队", "données"),
        ("_sy", "_sys_may_be_a_value"),
    ],
)
def test_a_legal_tag_is_taken_on_every_cloud(cloud: Cloud | None, key: str, value: str) -> None:
    assert checks.tags({key: value}, cloud) == [{"key": key, "value": value}]


@pytest.mark.parametrize("cloud", [Cloud.HUAWEI, None])
def test_an_equals_sign_is_taken_unless_the_cloud_is_otc(cloud: Cloud | None) -> None:
    assert checks.tags({"a=b": "c=d"}, cloud) == [{"key": "a=b", "value": "c=d"}]


@pytest.mark.parametrize(("part", "tags"), [("key", {"a=b": "c"}), ("value", {"c": "a=b"})])
def test_an_equals_sign_is_refused_on_otc(part: str, tags: dict[str, str]) -> None:
    text = refused(f"tags {part}", "a=b", checks.tags, tags, Cloud.OTC)

    assert "'=' is not allowed" in text


@pytest.mark.parametrize("cloud", [Cloud.OTC, None])
def test_blanks_around_a_value_are_taken_unless_the_cloud_is_huawei(cloud: Cloud | None) -> None:
    assert checks.tags({"a": " b "}, cloud) == [{"key": "a", "value": " b "}]


@pytest.mark.parametrize("value", [" b", "b ", " "])
def test_blanks_around_a_value_are_refused_on_huawei(value: str) -> None:
    text = refused("tags value", value, checks.tags, {"a": value}, Cloud.HUAWEI)

    assert "may not begin or end with a blank" in text


@pytest.mark.parametrize("cloud", [None, *Cloud])
@pytest.mark.parametrize("key", [" a", "a ", " "])
def test_blanks_around_a_key_are_refused_everywhere(cloud: Cloud | None, key: str) -> None:
    text = refused("tags key", key, checks.tags, {key: "b"}, cloud)

    assert "may not begin or end with a blank" in text


@pytest.mark.parametrize("key", ["", "_sys_", "_sys_a"])
def test_an_empty_or_reserved_key_is_refused(key: str) -> None:
    text = refused("tags key", key, checks.tags, {key: "b"})

    assert "may not be empty or begin with _sys_" in text


@pytest.mark.parametrize("key", ["k" * 129, None, 7, True])
def test_a_key_that_is_no_text_of_128_characters_is_refused(key: object) -> None:
    text = refused("tags key", key, checks.tags, [{"key": key, "value": "b"}])

    assert "at most 128 characters" in text


@pytest.mark.parametrize("value", ["v" * 256, None, 7, True])
def test_a_value_that_is_no_text_of_255_characters_is_refused(value: object) -> None:
    text = refused("tags value", value, checks.tags, {"a": value})

    assert "at most 255 characters" in text


@pytest.mark.parametrize("text", ["a*", "a/b", "a\tb", "a\nb", "a,b", "a😀"])
def test_any_other_character_is_refused_in_key_and_value(text: str) -> None:
    for_key = refused("tags key", text, checks.tags, {text: "b"})
    for_value = refused("tags value", text, checks.tags, {"a": text})

    assert "is not allowed, only letters, digits and" in for_key
    assert "is not allowed, only letters, digits and" in for_value


@pytest.mark.parametrize(("cloud", "most"), [(Cloud.HUAWEI, 10), (Cloud.OTC, 20), (None, 20)])
def test_as_many_tags_as_the_cloud_takes_are_taken(cloud: Cloud | None, most: int) -> None:
    assert len(checks.tags(many(most), cloud)) == most


@pytest.mark.parametrize(("cloud", "most"), [(Cloud.HUAWEI, 10), (Cloud.OTC, 20), (None, 20)])
def test_one_tag_more_than_the_cloud_takes_is_refused(cloud: Cloud | None, most: int) -> None:
    tags = many(most + 1)

    text = refused("tags", tags, checks.tags, tags, cloud)

    assert f"{most + 1} tags; at most {most} are allowed" in text


def test_a_key_that_stands_twice_is_refused() -> None:
    tags = [{"key": "a", "value": "1"}, {"key": "a", "value": "2"}]

    text = refused("tags key", "a", checks.tags, tags)

    assert "it is there twice" in text


@pytest.mark.parametrize("value", [None, 7, "a=b", b"a", {"a"}])
def test_tags_in_any_other_form_are_refused_with_both_forms(value: object) -> None:
    text = refused("tags", value, checks.tags, value)

    assert '{"key": "value"} or [{"key": …, "value": …}]' in text


@pytest.mark.parametrize(
    "entry", ["a", None, ("a", "b"), {"key": "a"}, {"key": "a", "value": "b", "more": "c"}, {}]
)
def test_an_entry_that_is_not_key_and_value_is_refused(entry: object) -> None:
    text = refused("tags", entry, checks.tags, [entry])

    assert "each entry needs key and value" in text


@pytest.mark.parametrize("text", ["हिन्दी", "ภาษาไทย", "Größe", "包"])
def test_a_tag_takes_letters_of_any_language(text: str) -> None:
    assert checks.tags({text: text}) == [{"key": text, "value": text}]


@pytest.mark.parametrize("name", ["a\ud800", "a\nb", "a\x00"])
def test_a_name_that_cannot_be_sent_is_refused(name: str) -> None:
    assert "name" in refused("name", name, checks.stored_name, "name", name)
    refused("paths", f"obs://bucket/{name}/a.jar", checks.paths, [f"obs://bucket/{name}/a.jar"])
