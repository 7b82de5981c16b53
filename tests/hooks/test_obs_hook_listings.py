# SPDX-License-Identifier: Apache-2.0
"""A listing tells what lies in the bucket that was asked, all of it once, or it is an error."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from urllib.parse import quote, quote_plus
from xml.sax.saxutils import escape

import pytest
from hooks.obs_servers import Front, query
from scenarios.servers import Answer, Asked

from airflow_provider_dli.api.protocol.errors import DliError, UnusableAnswerError
from airflow_provider_dli.hooks.obs import ObsHook

TIME = "<LastModified>2026-11-21T00:00:00.000Z</LastModified>"
XML = {"Content-Type": "application/xml"}
ENOUGH = 60
"""Requests after which a listing that does not end has shown it, with its repetitions."""


def entry(key: str, size: object = 1) -> str:
    return f'<Contents><Key>{key}</Key>{TIME}<ETag>"e"</ETag><Size>{size}</Size></Contents>'


def folder(prefix: str) -> str:
    return f"<CommonPrefixes><Prefix>{prefix}</Prefix></CommonPrefixes>"


def page(
    *entries: str,
    bucket: str = "bucket-1",
    prefix: str = "",
    following: str | None = None,
    is_truncated: bool | None = None,
    attributes: str = "",
    more: str = "",
) -> Answer:
    """Give a page of a listing; `following` is its NextMarker."""
    is_truncated = following is not None if is_truncated is None else is_truncated
    parts = [
        f"<ListBucketResult{attributes}><Name>{bucket}</Name><Prefix>{prefix}</Prefix><Marker/>",
        f"<MaxKeys>1000</MaxKeys><IsTruncated>{str(is_truncated).lower()}</IsTruncated>{more}",
        "" if following is None else f"<NextMarker>{following}</NextMarker>",
        *entries,
        "</ListBucketResult>",
    ]
    return 200, XML, "".join(parts).encode()


def marker(asked: Asked) -> str:
    return query(asked).get("marker", [""])[0]


def keys(hook: ObsHook, prefix: str = "") -> list[str]:
    return [one.key for one in hook.list_objects("bucket-1", prefix)]


def folders(hook: ObsHook, prefix: str = "") -> tuple[list[str], list[str]]:
    objects, found = hook.list_folder("bucket-1", prefix)
    return [one.key for one in objects], found


WAYS: dict[str, Callable[[ObsHook], object]] = {"all": keys, "folder": folders}


def every(answer: Answer) -> Callable[[Asked], Answer]:
    return lambda _: answer


# from page to page


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("circle", [["b"], ["b", "a"], ["b", "c", "a"]], ids=len)
def test_a_listing_that_goes_in_a_circle_is_an_error(
    watched: ObsHook, front: Front, way: str, circle: Sequence[str]
) -> None:
    def rule(asked: Asked) -> Answer:
        told = marker(asked)
        at = circle.index(told) + 1 if told in circle else 0
        following = circle[at % len(circle)]
        return page(entry(f"k{following}"), following=following, is_truncated=on())

    def on() -> bool:
        return len(front.asked) < ENOUGH

    front.rule = rule

    with pytest.raises(UnusableAnswerError, match=r"^GET bucket-1 "):
        WAYS[way](watched)

    assert len(front.asked) < ENOUGH


@pytest.mark.parametrize("way", WAYS)
def test_a_listing_without_markers_that_goes_in_a_circle_is_an_error(
    watched: ObsHook, front: Front, way: str
) -> None:
    """The last key of a page is then the marker of the next."""
    following = {"": "b", "b": "a", "a": "b"}

    def rule(asked: Asked) -> Answer:
        is_truncated = len(front.asked) < ENOUGH
        return page(entry(following[marker(asked)]), is_truncated=is_truncated)

    front.rule = rule

    with pytest.raises(UnusableAnswerError, match=r"^GET bucket-1 "):
        WAYS[way](watched)

    assert len(front.asked) < ENOUGH


@pytest.mark.parametrize("way", WAYS)
def test_a_page_that_ignores_the_marker_is_no_next_one(
    watched: ObsHook, front: Front, way: str
) -> None:
    """Some stores forget about markers, and give the first page again and again."""
    front.rule = lambda _: page(
        entry("a"), entry("b"), following="b", is_truncated=len(front.asked) < ENOUGH
    )

    with pytest.raises(UnusableAnswerError):
        WAYS[way](watched)

    assert len(front.asked) < ENOUGH


def test_a_listing_of_folders_without_markers_goes_on_behind_the_last_name(
    watched: ObsHook, front: Front
) -> None:
    pages = {
        "": page(entry("a"), folder("b/"), is_truncated=True),
        "b/": page(entry("c"), folder("a0/"), is_truncated=True),
        "c": page(entry("d")),
    }
    front.rule = lambda asked: pages[marker(asked)]

    assert folders(watched) == (["a", "c", "d"], ["b/", "a0/"])


def test_a_page_may_be_empty_and_tell_where_it_goes_on(watched: ObsHook, front: Front) -> None:
    pages = {"": page(following="b"), "b": page(entry("c"))}
    front.rule = lambda asked: pages[marker(asked)]

    assert keys(watched) == ["c"]


def test_a_folder_that_comes_on_several_pages_is_one(watched: ObsHook, front: Front) -> None:
    pages = {
        "": page(entry("a"), folder("b/"), following="b/1"),
        "b/1": page(folder("b/"), folder("c/"), following="c/1"),
        "c/1": page(folder("c/"), folder("d/"), folder("d/"), entry("e")),
    }
    front.rule = lambda asked: pages[marker(asked)]

    assert folders(watched) == (["a", "e"], ["b/", "c/", "d/"])


# of what was asked


INCOMPLETE = {
    "nothing": "<ListBucketResult/>",
    "no end told": "<ListBucketResult><Name>bucket-1</Name></ListBucketResult>",
    "no name": "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>",
    "an end that is none": (
        "<ListBucketResult><Name>bucket-1</Name><IsTruncated>maybe</IsTruncated></ListBucketResult>"
    ),
    "no end told, with a key": (
        f"<ListBucketResult><Name>bucket-1</Name>{entry('a')}</ListBucketResult>"
    ),
    "something inside of another": (
        "<Result><ListBucketResult><Name>bucket-1</Name><IsTruncated>false</IsTruncated>"
        "</ListBucketResult></Result>"
    ),
    "the names of all buckets": (
        "<ListAllMyBucketsResult><Buckets><Bucket><Name>bucket-1</Name></Bucket></Buckets>"
        "</ListAllMyBucketsResult>"
    ),
    "versions": (
        "<ListVersionsResult><Name>bucket-1</Name><IsTruncated>false</IsTruncated>"
        "</ListVersionsResult>"
    ),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("body", INCOMPLETE)
def test_a_listing_that_lacks_its_parts_is_no_empty_bucket(
    watched: ObsHook, front: Front, way: str, body: str
) -> None:
    front.rule = every((200, XML, INCOMPLETE[body].encode()))

    with pytest.raises(UnusableAnswerError, match=r"^GET bucket-1 .*Check that the endpoint"):
        WAYS[way](watched)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("entries", [[], [entry("a")]], ids=["empty", "with a key"])
def test_the_listing_of_another_bucket_is_none_of_this(
    watched: ObsHook, front: Front, way: str, entries: Sequence[str]
) -> None:
    front.rule = every(page(*entries, bucket="bucket-2"))

    with pytest.raises(UnusableAnswerError, match="bucket-2"):
        WAYS[way](watched)


def test_keys_that_were_not_asked_for_are_none_of_the_listing(
    watched: ObsHook, front: Front
) -> None:
    """Whoever deletes what a listing gives would delete them."""
    front.rule = every(page(entry("jars/a"), entry("other/b"), prefix="jars/"))

    with pytest.raises(UnusableAnswerError, match="other/b"):
        keys(watched, "jars/")


def test_folders_that_were_not_asked_for_are_none_of_the_listing(
    watched: ObsHook, front: Front
) -> None:
    front.rule = every(page(folder("other/"), prefix="jars/"))

    with pytest.raises(UnusableAnswerError, match="other/"):
        folders(watched, "jars/")


def test_an_empty_bucket_is_empty(watched: ObsHook, front: Front) -> None:
    front.rule = every(page())

    assert keys(watched) == []
    assert folders(watched) == ([], [])


# its objects

NO_OBJECT = {
    "a size below zero": entry("k", -1),
    "a size that is no number": entry("k", "many"),
    "a size with a point": entry("k", "1.5"),
    "an empty size": entry("k", ""),
    "no size": f"<Contents><Key>k</Key>{TIME}</Contents>",
    "no key": f"<Contents>{TIME}<Size>1</Size></Contents>",
    "an empty key": entry(""),
    "no time": "<Contents><Key>k</Key><Size>1</Size></Contents>",
    "a time that is none": entry("k").replace("2026-11-21T00:00:00.000Z", "yesterday"),
    "two keys": entry("k</Key><Key>l"),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("what", NO_OBJECT)
def test_an_entry_that_describes_no_object_makes_the_listing_unusable(
    watched: ObsHook, front: Front, way: str, what: str
) -> None:
    front.rule = every(page(entry("a"), NO_OBJECT[what]))

    with pytest.raises(UnusableAnswerError, match=r"^GET bucket-1 "):
        WAYS[way](watched)


def test_large_sizes_are_what_they_are(watched: ObsHook, front: Front) -> None:
    front.rule = every(page(entry("k", 48 * 2**40)))

    assert [one.size for one in watched.list_objects("bucket-1")] == [48 * 2**40]


# as XML

WHOLE = page(entry("k1"), entry("k2"))[2].decode()
UNREADABLE = {
    "cut": WHOLE[: len(WHOLE) // 2],
    "cut before its end": WHOLE[: -len("</ListBucketResult>")],
    "more behind its end": f"{WHOLE}<more/>",
    "text behind its end": f"{WHOLE}words",
    "the page of a proxy": "<html><body>Please sign in <ListBucketResult/></body></html>",
    "JSON": '{"Name": "bucket-1", "IsTruncated": false}',
    "nothing": "",
    "blanks": " \n ",
    "tags that cross": WHOLE.replace("</Size></Contents>", "</Contents></Size>", 1),
    "a sign that XML has not": WHOLE.replace("k1", "k\x01"),
    "a reference that XML has not": WHOLE.replace("k1", "k&#1;"),
    "an entity that nobody declared": WHOLE.replace("k1", "k&nbsp;"),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("body", UNREADABLE)
def test_a_listing_that_cannot_be_read_is_an_error(
    watched: ObsHook, front: Front, way: str, body: str
) -> None:
    front.rule = every((200, XML, UNREADABLE[body].encode()))

    with pytest.raises(UnusableAnswerError, match=r"^GET bucket-1 .*Check that the endpoint"):
        WAYS[way](watched)


def test_bytes_that_are_no_utf_8_are_an_error(watched: ObsHook, front: Front) -> None:
    front.rule = every((200, XML, WHOLE.encode().replace(b"k1", b"k\xff")))

    with pytest.raises(UnusableAnswerError, match=r"^GET bucket-1 "):
        keys(watched)


def bomb() -> str:
    """Give entities of ten times the one before, up to 10 GB."""
    lines = ['<!ENTITY e0 "0123456789">']
    lines += [f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10)]
    return f"<!DOCTYPE ListBucketResult [{''.join(lines)}]>" + WHOLE.replace("k1", "&e9;")


DECLARING = {
    "a bomb": bomb(),
    "one entity": f'<!DOCTYPE l [<!ENTITY e "k">]>{WHOLE.replace("k1", "&e;")}',
    "one that nobody uses": f'<!DOCTYPE l [<!ENTITY e "k">]>{WHOLE}',
    "a file": f'<!DOCTYPE l [<!ENTITY e SYSTEM "file:///etc/hostname">]>{WHOLE}',
    "no entity": f"<!DOCTYPE ListBucketResult>{WHOLE}",
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("what", DECLARING)
def test_a_listing_that_declares_a_type_is_refused(
    watched: ObsHook, front: Front, way: str, what: str
) -> None:
    front.rule = every((200, XML, DECLARING[what].encode()))

    with pytest.raises(UnusableAnswerError, match=r"^GET bucket-1 ") as caught:
        WAYS[way](watched)

    assert len(str(caught.value)) < 1000


def test_nothing_that_a_listing_names_is_fetched(watched: ObsHook, front: Front) -> None:
    place = f"{front.origin}/canary"
    body = f'<!DOCTYPE l SYSTEM "{place}.dtd" [<!ENTITY e SYSTEM "{place}">]>'
    front.rule = every((200, XML, (body + WHOLE.replace("k1", "&e;")).encode()))

    with pytest.raises(DliError):
        keys(watched)

    assert [asked for asked in front.asked if "canary" in asked.path] == []


SPACES = {
    "none": "",
    "Amazon": ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"',
    "OBS": ' xmlns="http://obs.myhwclouds.com/doc/2015-06-30/"',
}


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("way", WAYS)
def test_a_listing_is_read_with_any_namespace_and_with_blanks(
    watched: ObsHook, front: Front, space: str, way: str
) -> None:
    told = page(entry("a"), attributes=SPACES[space])[2].decode()
    spread = told.replace("><", ">\n  <")
    head = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n<!-- words -->\n'
    front.rule = every((200, XML, f"\ufeff{head}{spread}\n".encode()))

    assert WAYS[way](watched) in (["a"], (["a"], []))


# keys

ODD_KEYS = [
    "a b",
    "a+b",
    "a%2Bb",
    "a%20b",
    "100%",
    "a&b",
    "a&amp;b",
    "a<b>c",
    "a\"b'c",
    "a?b=c",
    "a#b",
    "a;b=c,d",
    "ü/漢字",
    "e\u0301",
    "👍",
    "~a!$()*[]{}|\\^`",
    " leading and trailing ",
    "a:b@c",
    "]]>",
]


def test_keys_of_all_signs_come_through_as_they_are(obs: ObsHook, bucket: str) -> None:
    for key in ODD_KEYS:
        obs.write_object(bucket, key, b"x")
        obs.write_object(bucket, f"in/{key}", b"x")

    assert sorted(one.key for one in obs.list_objects(bucket, "in/")) == sorted(
        f"in/{key}" for key in ODD_KEYS
    )
    objects, found = obs.list_folder(bucket, "")
    assert sorted(one.key for one in objects) == sorted(k for k in ODD_KEYS if "/" not in k)
    assert sorted(found) == ["in/", "ü/"]


@pytest.mark.parametrize("key", ODD_KEYS)
def test_a_prefix_of_any_sign_finds_what_begins_with_it(
    obs: ObsHook, bucket: str, key: str
) -> None:
    obs.write_object(bucket, f"{key}/in", b"x")
    obs.write_object(bucket, "other", b"x")

    assert [one.key for one in obs.list_objects(bucket, f"{key}/")] == [f"{key}/in"]
    objects, found = obs.list_folder(bucket, f"{key}/")
    assert ([one.key for one in objects], found) == ([f"{key}/in"], [])


TOLD: dict[str, Callable[[str], str]] = {
    "escaped": escape,
    "by numbers": lambda key: "".join(f"&#{ord(sign)};" for sign in key),
    "by hexadecimal numbers": lambda key: "".join(f"&#x{ord(sign):X};" for sign in key),
    "as character data": lambda key: (
        f"<![CDATA[{key}]]>" if "]]>" not in key else key.replace(">", "&gt;")
    ),
}


@pytest.mark.parametrize("form", TOLD)
def test_keys_are_read_in_any_form_that_xml_has(watched: ObsHook, front: Front, form: str) -> None:
    """A store that does not encode keys for URLs says nothing of an encoding: they are as told."""
    told = TOLD[form]
    front.rule = every(
        page(*(entry(told(key)) for key in ODD_KEYS), *(folder(told(f"{k}/")) for k in ODD_KEYS))
    )

    assert keys(watched) == ODD_KEYS
    assert folders(watched) == (ODD_KEYS, [f"{key}/" for key in ODD_KEYS])


@pytest.mark.parametrize("form", [quote, quote_plus], ids=["%20", "+"])
def test_keys_are_decoded_where_the_store_says_that_it_encoded_them(
    watched: ObsHook, front: Front, form: Callable[[str], str]
) -> None:
    """Both forms of a blank are in use; a plus sign that is one is always encoded."""
    front.rule = every(
        page(
            *(entry(form(key)) for key in ODD_KEYS),
            *(folder(form(f"{key}/")) for key in ODD_KEYS),
            more="<EncodingType>url</EncodingType>",
        )
    )

    assert keys(watched) == ODD_KEYS
    assert folders(watched) == (ODD_KEYS, [f"{key}/" for key in ODD_KEYS])


@pytest.mark.parametrize("encoded", [False, True], ids=["plain", "encoded"])
@pytest.mark.parametrize("key", ["a b+c", "a&b", "a%41", "ü", "a\u2028b"])
def test_a_marker_of_any_sign_goes_back_as_it_came(
    watched: ObsHook, front: Front, key: str, encoded: bool
) -> None:
    told = quote(key) if encoded else escape(key)
    more = "<EncodingType>url</EncodingType>" if encoded else ""
    pages = {"": page(entry("a"), following=told, more=more), key: page(entry("b"), more=more)}
    front.rule = lambda asked: pages[marker(asked)]

    assert keys(watched) == ["a", "b"]
