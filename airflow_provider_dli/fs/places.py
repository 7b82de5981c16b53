# SPDX-License-Identifier: Apache-2.0
"""Where on this machine objects go that are copied here by their names."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from airflow_provider_dli.api.protocol.errors import InputError

_WHAT_TO_DO = "name a place for it alone, get_file(path, file), and get the others by their names"


def check_places(names: Sequence[str], places: Sequence[str], folder: str) -> None:
    """Raise `InputError` for a name whose place is not its own, or not in the folder.

    Keys may have parts that a disk takes for steps, such as `..`, or has no use for: `a//b` and
    `a/./b` both lie at `a/b` there.

    :param names: what is copied
    :param places: the file or folder for each
    :param folder: what the caller named
    """
    folder = folder.rstrip("/")
    top = Path(os.path.abspath(folder or "/"))  # noqa: PTH100 - that of pathlib keeps the steps
    parents = {name[:at] for name in names for at, letter in enumerate(name) if letter == "/"}
    taken: dict[str, str] = {}
    for name, place in zip(names, places, strict=True):
        there = os.path.abspath(place)  # noqa: PTH100
        if ".." in place.removeprefix(folder).split("/") or not Path(there).is_relative_to(top):
            rule = f"it would not go below {folder} by its own name: {_WHAT_TO_DO}"
            raise InputError("path", f"obs://{name}", rule)
        other = taken.setdefault(there, name)
        if other != name and not {name, other} & parents:
            rule = f"it would be one file with obs://{other}, {there}: {_WHAT_TO_DO}"
            raise InputError("path", f"obs://{name}", rule)
