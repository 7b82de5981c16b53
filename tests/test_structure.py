"""Holds the structure of the package: who imports what, and the rules of the house, as data."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "airflow_provider_dli"
NAME = "airflow_provider_dli"

# What a folder or module may import besides itself, from the bottom of the house to its top: each
# knows only what stands above it in this table. `airflow` is Airflow; the standard library is free.
MAY_IMPORT: dict[str, set[str]] = {
    "__init__": set(),
    "api": {"msgspec"},
    "api.protocol": {"msgspec"},
    "api.access": {"api.protocol", "msgspec"},
    # The client signs what it sends, so it knows identities; the rest of the protocol does not.
    "api.protocol.pace": {"api.access", "api.protocol"},
    "api.protocol.service": {"api.access", "api.protocol"},
    "api.protocol.client": {"api.access", "api.protocol"},
    "api.errors": {"api.protocol.errors"},
    "api.checks": {"api.access", "api.protocol"},
    "api.fields": {"api.access", "api.checks", "api.protocol"},
    "api.packages": {"api.access", "api.checks", "api.protocol", "msgspec"},
    "api.jobs": {
        "api.access",
        "api.checks",
        "api.fields",
        "api.packages",
        "api.protocol",
        "msgspec",
    },
    "api.obs": {"api.access", "api.checks", "api.protocol"},
    "api.objects": {"api.obs.models"},
    "api.doctor": {"api.access", "api.packages", "api.protocol"},
    "exceptions": {"api.protocol.errors"},
    "transport": {"api.protocol", "requests", "urllib3", "aiohttp", "certifi", "yarl"},
    "transfer": {"api", "rich", "cryptography"},
    "connection_form": {"wtforms", "flask_appbuilder"},
    "get_provider_info": {"connection_form"},
    "connection": {"api", "connection_form", "airflow"},
    "triggerer": {"api", "transport", "connection", "airflow"},
    "hooks": {"api", "transport", "transfer", "connection", "connection_form", "airflow"},
    "staging": {"api", "hooks", "transfer.files", "msgspec", "packaging"},
    "fs": {"hooks", "transfer.open_upload", "api", "fsspec", "upath"},
    "links": {"airflow"},
    "triggers": {
        *("api", "connection", "transport.clock", "triggerer", "hooks"),
        *("airflow", "asgiref"),
    },
    "operators": {"hooks", "triggers", "staging", "links", "api", "airflow"},
    "sensors": {"hooks", "triggers", "operators", "api", "airflow"},
    "commands": {"hooks", "staging", "api", "airflow", "rich", "sqlalchemy"},
    "__main__": {"commands"},
    # Shares nothing with the client, or it would agree with the client's mistakes.
    "emulator": {"starlette", "uvicorn"},
}

LONGEST_FILE = 460
# A limit, not a goal: Airflow parses DAGs often, so an operator imports its client when it runs.
MOST_FUNCTION_IMPORTS = 80

# Where a rule may be broken, and why.
ALLOWED: dict[str, dict[str, str]] = {
    "__dict__": {"api.protocol.errors": "an error is pickled and restored with all its fields"},
    "one subclass": {
        "fs.listing": "fsspec wants one class; to list and to change are two thoughts of 400 lines",
    },
    "long files": {},
}


def modules(*rooms: str) -> Iterator[Path]:
    for path in sorted(PACKAGE.rglob("*.py")):
        if not rooms or path.relative_to(PACKAGE).with_suffix("").parts[0] in rooms:
            yield path


def dotted(path: Path) -> str:
    """The name of a module, without that of the package."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


def room_of(name: str) -> str:
    """The entry of the table that a module belongs to: the longest that it begins with."""
    return max((room for room in MAY_IMPORT if is_in(name, room)), key=len)


def is_in(name: str, room: str) -> bool:
    return name == room or name.startswith(f"{room}.")


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def without_type_checking(path: Path) -> Iterator[ast.AST]:
    """Every node of a module but those that only a type checker sees."""
    waiting: list[ast.AST] = [tree(path)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting += node.orelse
            continue
        yield node
        waiting += ast.iter_child_nodes(node)


def imported(nodes: Iterator[ast.AST]) -> Iterator[str]:
    """Every name that is imported, ours without the name of the package."""
    for node in nodes:
        if isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            if name.split(".")[0] not in sys.stdlib_module_names:
                yield name.removeprefix(f"{NAME}.")


def is_ours(node: ast.AST) -> bool:
    return isinstance(node, ast.ImportFrom) and is_in(node.module or "", NAME)


def broken(rule: str, found: set[str]) -> set[str]:
    """Where a rule is broken without leave; `found` begin with the name of the module."""
    excused = ALLOWED.get(rule, {})
    return {where for where in found if not any(is_in(where.split()[0], one) for one in excused)}


@pytest.mark.parametrize("path", list(modules()), ids=dotted)
def test_a_room_imports_only_what_it_may(path: Path) -> None:
    room = room_of(dotted(path))
    allowed = MAY_IMPORT[room] | {room}
    names = imported(ast.walk(tree(path)))

    foreign = {name for name in names if not any(is_in(name, one) for one in allowed)}

    assert broken("imports", {f"{dotted(path)} {name}" for name in foreign}) == set()


def test_a_room_may_import_only_from_those_above_it_in_the_table() -> None:
    rooms = list(MAY_IMPORT)

    upwards = [
        (room, name)
        for place, room in enumerate(rooms)
        for name in MAY_IMPORT[room]
        if any(is_in(name, other) for other in rooms) and rooms.index(room_of(name)) >= place
    ]

    assert upwards == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    paths = {dotted(path): path for path in modules()}
    wanted = {
        module: {name if name in paths else name.rpartition(".")[0] for name in imported(nodes)}
        for module, nodes in (
            (module, without_type_checking(path)) for module, path in paths.items()
        )
    }

    free = set(paths)
    while leaves := {module for module in free if not wanted[module] & free - {module}}:
        free -= leaves

    assert free == set()


def test_only_the_transport_sleeps() -> None:
    sleeping = [
        dotted(path)
        for path in modules(*(room for room in MAY_IMPORT if room not in {"emulator", "commands"}))
        if re.search(r"\btime\.sleep\b|\basyncio\.sleep\((?!0\))", path.read_text())
    ]

    assert all(is_in(module, "transport") for module in sleeping)


def test_no_module_uses_a_private_name_of_another() -> None:
    private = set()
    for path in modules():
        ours = [alias for node in ast.walk(tree(path)) if is_ours(node) for alias in node.names]
        names = {alias.asname or alias.name for alias in ours if alias.name[0].islower()}
        private |= {f"{dotted(path)} {alias.name}" for alias in ours if is_private(alias.name)}
        private |= {
            f"{dotted(path)} {node.value.id}.{node.attr}"
            for node in ast.walk(tree(path))
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
            if node.value.id in names and is_private(node.attr)
        }

    assert broken("private names", private) == set()


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def test_docstrings_begin_as_those_of_the_field_do() -> None:
    # A verb in the third person ("Returns …") or a noun ("The …", "Whether …").
    riddle = re.compile(r"(Give|Say|Let|Tell)s?\b|(Return|Raise|Read|Take|Make|Find|Send)\b")
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)

    found = {
        f"{dotted(path)} {getattr(node, 'name', '')}"
        for path in modules()
        for node in ast.walk(tree(path))
        if isinstance(node, kinds) and riddle.match(ast.get_docstring(node) or "")
    }

    assert broken("docstrings", found) == set()


def test_no_text_is_a_riddle() -> None:
    """Docstrings, comments and messages are in the words of the field."""
    riddle = re.compile(
        r"\b(whoever|comes? about|for who|(is|was) told of|of before|as such)\b",
        re.I,
    )

    found = {
        f"{dotted(path)} {one[0]}"
        for path in modules()
        for one in riddle.finditer(path.read_text())
    }

    assert broken("riddles", found) == set()


def test_no_class_is_only_the_base_of_one_other() -> None:
    subclasses: dict[str, set[str]] = defaultdict(set)
    homes: dict[str, str] = {}
    used: set[str] = set()
    for path in modules():
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ClassDef):
                homes[node.name] = dotted(path)
                for base in node.bases:
                    subclasses[name_of(base)].add(node.name)
        used |= set(used_names(tree(path)))

    lonely = {
        f"{home} {name}"
        for name, home in homes.items()
        if len(subclasses[name]) == 1 and name not in used
    }

    assert broken("one subclass", lonely) == set()


def name_of(base: ast.expr) -> str:
    """The name of a base class, with or without its module and its arguments."""
    if isinstance(base, ast.Subscript):
        return name_of(base.value)
    return base.attr if isinstance(base, ast.Attribute) else getattr(base, "id", "")


def used_names(node: ast.AST) -> Iterator[str]:
    """Names that code uses itself: not as a base, and not only as a type."""
    types = {"bases", "annotation", "returns"}
    for field, value in ast.iter_fields(node):
        if field in types:
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.Name):
                yield child.id
            elif isinstance(child, ast.AST):
                if isinstance(child, ast.Attribute):
                    yield child.attr
                yield from used_names(child)


def test_nothing_is_left_to_a_single_subclass() -> None:
    """Unlike the refusal of an operation, which says why, a bare one is an abstract method."""
    bare = re.compile(r"raise NotImplementedError(\(\))?$", re.MULTILINE)

    abstract = {dotted(path) for path in modules() if bare.search(path.read_text())}

    assert broken("NotImplementedError", abstract) == set()


def test_no_object_is_operated_on_from_below() -> None:
    found = {dotted(path) for path in modules() if "__dict__" in path.read_text()}

    assert broken("__dict__", found) == set()


def test_no_file_is_longer_than_a_thought() -> None:
    long = {dotted(p) for p in modules() if len(p.read_text().splitlines()) > LONGEST_FILE}

    assert broken("long files", long) == set()


def test_few_functions_import_our_own_modules() -> None:
    """An import within a function keeps the parsing of DAGs light; elsewhere it hides a circle."""
    late = {
        (dotted(path), inner.lineno)
        for path in modules()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for inner in ast.walk(node)
        if isinstance(inner, ast.ImportFrom) and is_ours(inner)
    }

    assert len(late) <= MOST_FUNCTION_IMPORTS


def test_parsing_a_dag_loads_no_client() -> None:
    code = f"""
import json, sys
from airflow.providers.common.compat.sdk import DAG, BaseOperator, BaseOperatorLink
from airflow.providers.common.compat.sdk import BaseSensorOperator
before = set(sys.modules)
import {NAME}.operators.packages, {NAME}.operators.staging, {NAME}.operators.spark
import {NAME}.sensors.packages, {NAME}.sensors.spark, {NAME}.links.spark
print("new:", json.dumps(sorted(set(sys.modules) - before)))
"""
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    new = json.loads(answer.stdout.split("new:")[1])

    assert {name.split(".")[0] for name in new} == {NAME}
    assert len(set(new) - {NAME}) <= 30  # older Airflows have not imported the package before


def test_no_test_patches_our_own_code() -> None:
    pattern = re.compile(r"patch(\.object)?\(\s*['\"]?" + NAME + r"|monkeypatch\.setattr\(")

    assert [
        path.name for path in (ROOT / "tests").rglob("*.py") if pattern.search(path.read_text())
    ] == []
