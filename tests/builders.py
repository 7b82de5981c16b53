"""What many tests state: answers as DLI writes them, connections as Airflow stores them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def group_entry(
    states: Mapping[str, Any], name: str = "g", status: str = "READY"
) -> dict[str, Any]:
    """Returns a group of a listing, with the state of each package by its name."""
    details = [{"resource_name": package, "status": state} for package, state in states.items()]
    return {"group_name": name, "status": status, "details": details}


def listing_body(*groups: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the answer to `GET /resources`: these groups and nothing else."""
    return {"resources": [], "groups": list(groups), "modules": []}


def connection_json(extra: Mapping[str, Any] | str, **fields: Any) -> str:
    """Returns a connection of type `dli` as the environment holds it; an extra may be text."""
    keys = {"login": "AK", "password": "SK"}
    return json.dumps({"conn_type": "dli", **keys, **fields, "extra": extra})
