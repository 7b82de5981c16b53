# SPDX-License-Identifier: Apache-2.0
"""Checks of what DLI accepts, before anything is sent; an error has field, value and rule.

Names: https://support.huaweicloud.com/intl/en-us/api-dli/dli_02_0253.html, tags:
https://support.huaweicloud.com/intl/en-us/api-dli/dli_02_0130.html. Where Huawei Cloud and OTC
differ, the stricter rule holds only when the connection says which cloud it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar
from unicodedata import category
from urllib.parse import unquote

from airflow_provider_dli.api.protocol.errors import InputError

if TYPE_CHECKING:
    from airflow_provider_dli.api.access.endpoints import Cloud

DEFAULT_CONN_ID = "dli_default"

KINDS = ("jar", "pyFile", "file", "modelFile")
IfExists = Literal["replace", "skip", "fail"]
"""What becomes of an upload to a group that exists."""

T = TypeVar("T")

_NOTHING = ("none", "null")
# A file without a suffix may be called null, and then a listing has this name.
_OF_PACKAGES = ("packages", "name")
# Compiled when they are used: DAG files import this module.
_GROUP = r"[A-Za-z0-9._-]{1,64}"
_PACKAGE = r"(?!\.)[A-Za-z0-9_!.-]{1,128}"
_OWNER = r"(?!\d)[A-Za-z0-9_-]{5,32}"
_BUCKET = r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"
_FOLDER = r"(?!\.{1,2}(?:/|$))[A-Za-z0-9._-]+"
_PREFIX = rf"/?({_FOLDER}(/{_FOLDER})*/?)?"
_OBS_URL = (
    r"https://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]\.obs\.[a-z0-9-]+(\.[a-z0-9-]+)+(:\d+)?/[^?#]*[^/?#]"
)
# Folders may have a question mark in their names, packages may not.
_OBS_PATH = r"(?s)obs://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/(?P<key>(?:.*/)?[^/?#\s]+)"
LONGEST_KEY = 1024
"""Maximum length of an object's key, in bytes of UTF-8.

https://support.huaweicloud.com/intl/en-us/ugobs-obs/obs_41_0017.html
"""

_KEY_RULE = "give 1 to 1024 bytes of text"
_PATH_RULE = "give an OBS object, https://bucket.obs.region.host/key or obs://bucket/key"


def given(field: str, value: T) -> T | None:
    """Returns `value`, or `None` for text of nothing but blanks: a template rendered nothing.

    Raises `InputError` for None and null as text: templates render a missing value so.
    """
    if not isinstance(value, str):
        return value
    text = value.strip()
    if text.lower() in _NOTHING:
        rule = "a template rendered nothing; give a value, or leave it empty for the default"
        raise InputError(field, value, rule)
    return value if text else None


def conn_id(value: object) -> str:
    """Returns the id of the connection, by default `dli_default`."""
    if not isinstance(value, str | None):
        raise InputError("dli_conn_id", value, "give the id of a connection")
    return (given("dli_conn_id", value) or DEFAULT_CONN_ID).strip()


def paths(value: object, cloud: Cloud | None = None, region: str | None = None) -> tuple[str, ...]:
    """Returns the HTTPS addresses of the OBS objects in `value`, in their order.

    Each must be an OBS object with a legal package name. No two may have the same name: which of
    them the service keeps is not documented.
    """
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise InputError("paths", value, "give a list of OBS objects")
    urls = tuple(_obs_object(path, cloud, region) for path in value)
    if not urls:
        raise InputError("paths", value, "give at least one OBS object")
    seen: dict[str, str] = {}
    for url in urls:
        name = package_name(url)
        if name in seen:
            both = [seen[name], url]
            raise InputError("paths", both, f"both would be {name!r}; give each its own file name")
        seen[name] = url
    return urls


def package_name(path: str) -> str:
    """Returns the package name that DLI derives from an object: the last segment of its path."""
    return path.rsplit("/", 1)[-1]


def kind(value: object) -> str:
    """Returns `value` if it is a kind of package."""
    return choice("kind", value, KINDS)


def optional_kind(value: object) -> str | None:
    """Returns `value` if it is a kind of package, `None` if none is given."""
    return None if given("kind", value) is None else kind(value)


def group(value: object) -> str:
    """Returns `value` if it is a legal name of a group."""
    given("group", value)
    return _named(
        "group", value, _GROUP, "use 1 to 64 letters, digits, dots, underscores or hyphens"
    )


def choice(field: str, value: object, choices: Sequence[str]) -> str:
    """Returns `value` if it is one of `choices`."""
    if value not in choices:
        raise InputError(field, value, f"use one of {', '.join(choices)}")
    return str(value)


def bucket(value: object) -> str:
    """Returns `value` if it is a legal name of an OBS bucket.

    Rules: https://support.huaweicloud.com/intl/en-us/api-obs/obs_04_0021.html
    """
    rule = "use 3 to 63 lower-case letters, digits, dots and hyphens, letters or digits at the ends"
    return _named("bucket", value, _BUCKET, rule)


def prefix(value: object) -> str:
    """Returns `value` if it is a legal prefix of keys, with or without slashes around it."""
    rule = "use letters, digits, dots, underscores and hyphens, with slashes between folders"
    return _named("prefix", value, _PREFIX, rule)


def obs_location(path: object, field: str = "paths") -> tuple[str, str]:
    """Returns bucket and key of an OBS object, `https://bucket.obs.region.host/key` or `obs://…`.

    Its name must be legal for a package. Folders may have any name, percent-encoded in `https://`.
    """
    if not isinstance(path, str):
        raise InputError(field, path, _PATH_RULE)
    in_obs = re.fullmatch(_OBS_PATH, path)
    if not in_obs and re.search(r"\s", path):
        raise InputError(field, path, f"there is a blank inside; {_PATH_RULE}")
    if not in_obs and not (path.isprintable() and re.fullmatch(_OBS_URL, path)):
        raise InputError(field, path, _PATH_RULE)
    package(f"{field}: the package name", package_name(path))
    if in_obs:
        bucket, key = in_obs["bucket"], in_obs["key"]
    else:
        host, _, quoted = path.removeprefix("https://").partition("/")
        bucket, key = host.split(".obs.")[0], unquote(quoted)
    if wrong := _wrong_in_key(key):
        raise InputError(field, path, wrong)
    return bucket, key


def object_key(value: object) -> str:
    """Returns `value` if it is a legal key of an existing object.

    https://support.huaweicloud.com/intl/en-us/ugobs-obs/obs_41_0017.html
    """
    wrong = _wrong_in_key(value) if isinstance(value, str) else _KEY_RULE
    if wrong:
        raise InputError("key", value, wrong)
    return str(value)


def new_key(value: object) -> str:
    """Returns `value` if it is a legal key for a new object.

    Stricter than OBS: unprintable text cannot be typed, and many tools resolve . and .. in paths.
    """
    key = object_key(value)
    if not _is_plain(key):
        rule = "give printable text for a new object, with no part that is . or .. between slashes"
        raise InputError("key", key, rule)
    return key


def key_of_copy(key: str, value: object) -> str:
    """Returns `value` if it is a legal key for a copy of the object `key`.

    A name that is not allowed for new objects may be kept when the object is copied.
    """
    return new_key(value) if _is_plain(key) else object_key(value)


def _wrong_in_key(key: str) -> str:
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        return _KEY_RULE
    if not size:
        return _KEY_RULE
    if size > LONGEST_KEY:
        return f"it has {size} bytes in UTF-8, and an object's key at most {LONGEST_KEY} bytes"
    return ""


def _is_plain(key: str) -> bool:
    return key.isprintable() and not {".", ".."} & set(key.split("/"))


def package(field: str, value: object) -> str:
    """Returns `value` if it is a legal name of a package."""
    rule = (
        "use 1 to 128 letters, digits, underscores, exclamation marks, hyphens or dots, "
        "not beginning with a dot"
    )
    return _named(field, value, _PACKAGE, rule)


def stored_name(field: str, value: object) -> str:
    """Returns `value` if it may be the name of something that DLI stores.

    Less strict than the rules for new names: older packages may not follow those.
    """
    if field not in _OF_PACKAGES:
        given(field, value)
    is_text = isinstance(value, str) and value.isprintable() and value.strip()
    if not is_text or value in {".", ".."}:
        raise InputError(field, value, "give the name as DLI lists it")
    return str(value)


def owner(value: object) -> str:
    """Returns `value` if it is a legal name of an IAM user."""
    rule = "use 5 to 32 letters, digits, underscores or hyphens, not beginning with a digit"
    return _named("new_owner", value, _OWNER, rule)


def boolean(field: str, value: object) -> bool:
    """Returns `value` if it is a boolean, not text: "false" would count as true."""
    if not isinstance(value, bool):
        raise InputError(field, value, "use True or False")
    return value


def package_names(value: object) -> tuple[str, ...]:
    """Returns the names of packages, at least one.

    Also takes the output of a mapped task, which is a lazy sequence.
    """
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise InputError("packages", value, "give a list of package names")
    names = tuple(stored_name("packages", name) for name in value)
    if not names:
        raise InputError("packages", value, "give a list of package names, at least one")
    return names


def seconds(field: str, value: object) -> float:
    """Returns `value` if it is a positive, finite number of seconds."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e10:
        return float(value)
    raise InputError(field, value, "give a positive number of seconds")


class _TagRules(NamedTuple):
    characters: str
    at_most: int
    bare_values: bool


# OTC's page does not list "=", and has no rule for blanks around a value. OTC's console allows 20
# tags, Huawei Cloud's 10. If the cloud is not known, what either of them allows is allowed.
_TAG_RULES: Mapping[str | None, _TagRules] = {
    "huawei": _TagRules(r"_.:=+@ -", at_most=10, bare_values=True),
    "otc": _TagRules(r"_.:+@ -", at_most=20, bare_values=False),
    None: _TagRules(r"_.:=+@ -", at_most=20, bare_values=False),
}


def tags(value: object, cloud: Cloud | None = None) -> list[dict[str, str]]:
    """Returns `[{"key": …, "value": …}]` for tags in that form, or as a mapping."""
    if isinstance(value, Mapping):
        pairs = [(key, text) for key, text in value.items()]
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        pairs = [_pair(entry) for entry in value]
    else:
        raise InputError("tags", value, 'give {"key": "value"} or [{"key": …, "value": …}]')
    rules = _TAG_RULES[cloud]
    if len(pairs) > rules.at_most:
        raise InputError("tags", value, f"{len(pairs)} tags; at most {rules.at_most} are allowed")
    keys: set[str] = set()
    for key, text in pairs:
        _tag_text("key", key, 128, rules, bare=True)
        _tag_text("value", text, 255, rules, bare=rules.bare_values)
        if not key or key.startswith("_sys_"):
            raise InputError("tags key", key, "may not be empty or begin with _sys_")
        if key in keys:
            raise InputError("tags key", key, "it is there twice; give one value for each key")
        keys.add(key)
    return [{"key": key, "value": text} for key, text in pairs]


def _pair(entry: object) -> tuple[Any, Any]:
    if not isinstance(entry, Mapping) or set(entry) != {"key", "value"}:
        raise InputError("tags", entry, "each entry needs key and value, and nothing else")
    return entry["key"], entry["value"]


def _tag_text(part: str, text: object, longest: int, rules: _TagRules, *, bare: bool) -> None:
    if not isinstance(text, str) or len(text) > longest:
        raise InputError(f"tags {part}", text, f"give text of at most {longest} characters")
    # Letters, marks and numbers of any language: some scripts write vowels as marks.
    wrong = [c for c in text if category(c)[0] not in "LMN" and c not in rules.characters]
    if wrong:
        allowed = f"letters, digits and {' '.join(rules.characters.replace(' ', ''))} and blanks"
        raise InputError(f"tags {part}", text, f"{wrong[0]!r} is not allowed, only {allowed}")
    if bare and text != text.strip():
        raise InputError(f"tags {part}", text, "may not begin or end with a blank")


def _obs_object(path: object, cloud: Cloud | None, region: str | None) -> str:
    # Imported here, since DAG files import this module and have no use for endpoints.
    from airflow_provider_dli.api.access.endpoints import obs_url

    bucket, key = obs_location(path)
    return obs_url(bucket, key, cloud, region) if str(path).startswith("obs://") else str(path)


def _named(field: str, value: object, pattern: str, rule: str) -> str:
    if not isinstance(value, str) or not re.fullmatch(pattern, value):
        raise InputError(field, value, rule)
    return value
