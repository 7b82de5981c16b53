# SPDX-License-Identifier: Apache-2.0
"""The checks of requests by DLI.

Lengths and characters of names:
https://support.huaweicloud.com/intl/en-us/api-dli/dli_02_0253.html. Those of tags:
https://support.huaweicloud.com/intl/en-us/api-dli/dli_02_0130.html. The texts of the refusals are
not documented.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from airflow_provider_dli.emulator.messages import Call, JsonObject, RefusedError

KINDS = ("jar", "pyFile", "file", "modelFile")
MAX_TAGS = 20

_GROUP = re.compile(r"[0-9A-Za-z._-]{1,64}")
_PACKAGE = re.compile(r"(?!\.)[0-9A-Za-z_!.-]{1,128}")
_OWNER = re.compile(r"[A-Za-z_-][0-9A-Za-z_-]{4,31}")
# Letters and digits of any language.
_TAG_TEXT = re.compile(r"(?! )[\w .:=+@-]+(?<! )")
_BUCKET_HOST = re.compile(r"(?P<bucket>[a-z0-9][a-z0-9.-]*?)\.obs\.[a-z0-9.-]+(:\d+)?", re.I)


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object in OBS, and the name of the package created from it."""

    bucket: str
    key: str
    name: str


@dataclass(frozen=True, slots=True)
class Upload:
    """A checked upload."""

    objects: tuple[StoredObject, ...]
    kind: str
    group: str | None
    is_async: bool = False
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """The names of its packages. The handling of duplicate names is undocumented."""
        return list(dict.fromkeys(item.name for item in self.objects))


@dataclass(frozen=True, slots=True)
class OwnerChange:
    """A checked change of an owner."""

    new_owner: str
    group: str | None
    name: str | None


def json_body(call: Call) -> JsonObject:
    """Reads the JSON body of a POST or PUT."""
    content_type = call.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != "application/json":
        # Status and text are known, the code is a guess.
        raise RefusedError(415, "DLI.0001", "unsupported media type")
    try:
        body = json.loads(call.body)
    except ValueError:
        raise invalid("The format of message is error") from None
    if not isinstance(body, dict):
        raise invalid("The format of message is error")
    return body


def read_upload(body: JsonObject) -> Upload:
    """Reads the body of POST /resources, where `group` is optional."""
    return Upload(
        objects=_objects(body.get("paths")),
        kind=kind(body.get("kind")),
        group=_group(body.get("group")),
        is_async=_flag(body.get("is_async", False)),
        tags=_tags(body.get("tags")),
    )


def read_typed_upload(body: JsonObject, of_kind: str) -> Upload:
    """Reads the body of POST /resources/jars, /pyfiles or /files: `paths` and `group`."""
    group = _group(body.get("group"))
    if group is None:
        raise invalid("group is mandatory")
    return Upload(_objects(body.get("paths")), of_kind, group)


def read_owner_change(body: JsonObject) -> OwnerChange:
    """Reads the body of PUT /resources/owner."""
    new_owner = body.get("new_owner")
    if not isinstance(new_owner, str) or not _OWNER.fullmatch(new_owner):
        raise invalid(f"new_owner is missing or invalid: {new_owner!r}")
    group, name = _group(body.get("group_name")), body.get("resource_name")
    if name is not None and not _is_package_name(name):
        raise invalid(f"resource_name is invalid: {name!r}")
    if group is None and name is None:
        raise invalid("group_name or resource_name is mandatory")
    return OwnerChange(new_owner, group, name)


def kind(value: object) -> str:
    """Checks a kind of package."""
    if not isinstance(value, str) or value not in KINDS:
        raise invalid(f"kind must be one of {', '.join(KINDS)}, not {value!r}")
    return value


def tag_filter(text: str) -> dict[str, str | None]:
    """Reads the query `tags` of GET /resources.

    Its format is undocumented. Guessed here: `key=value` or `key` alone, several with commas.
    """
    wanted: dict[str, str | None] = {}
    for part in text.split(","):
        key, has_value, value = part.partition("=")
        if not key:
            raise invalid(f"tags is invalid: {text!r}")
        wanted[key] = value if has_value else None
    return wanted


def invalid(message: str) -> RefusedError:
    """Returns the error for an invalid parameter."""
    return RefusedError(400, "DLI.0001", message)


def _objects(paths: object) -> tuple[StoredObject, ...]:
    if not isinstance(paths, list) or not paths:
        raise invalid("paths is mandatory and must be a list of OBS object URLs")
    return tuple(_object(path) for path in paths)


def _object(path: object) -> StoredObject:
    if not isinstance(path, str) or not path.startswith("https://") or re.search(r"\s", path):
        raise invalid(f"paths holds no OBS object URL: {path!r}")
    url = urlsplit(path)
    host = _BUCKET_HOST.fullmatch(url.netloc)
    key = unquote(url.path[1:])
    if host is None or url.query or url.fragment:
        raise invalid(f"paths holds no OBS object URL: {path!r}")
    name = key.rpartition("/")[2]
    if not _is_package_name(name):
        raise invalid(f"paths leads to an invalid package name: {path!r}")
    return StoredObject(host["bucket"], key, name)


def _is_package_name(name: object) -> bool:
    return isinstance(name, str) and _PACKAGE.fullmatch(name) is not None


def _group(name: object) -> str | None:
    if name is None:
        return None
    if not isinstance(name, str) or not _GROUP.fullmatch(name):
        raise invalid(f"group name is invalid: {name!r}")
    return name


def _flag(value: object) -> bool:
    # The documentation's own example sends the text "true".
    if value is True or value == "true":
        return True
    if value is False or value == "false":
        return False
    raise invalid(f"is_async must be a Boolean, not {value!r}")


def _tags(tags: object) -> dict[str, str]:
    if tags is None:
        return {}
    if not isinstance(tags, list) or len(tags) > MAX_TAGS:
        raise invalid(f"tags must be a list of at most {MAX_TAGS} keys and values")
    checked: dict[str, str] = {}
    for tag in tags:
        key, value = _tag(tag)
        if key in checked:
            raise invalid(f"tags holds the key {key!r} twice")
        checked[key] = value
    return checked


def _tag(tag: object) -> tuple[str, str]:
    if not isinstance(tag, dict):
        raise invalid(f"tags holds no key and value: {tag!r}")
    key = _tag_text("key", tag.get("key"), 128)
    if key.startswith("_sys_"):
        raise invalid(f"tags holds a key that is reserved for the system: {key!r}")
    return key, _tag_text("value", tag.get("value"), 255)


def _tag_text(what: str, text: object, longest: int) -> str:
    if not isinstance(text, str) or len(text) > longest or not _TAG_TEXT.fullmatch(text):
        raise invalid(f"tags holds an invalid {what}: {text!r}")
    return text
