"""Rules about the source of the replica: who may touch the engine, time, chance and sockets."""

import ast
import re
from pathlib import Path

import pytest

from steelyard.replication import pinned

ROOT = Path(__file__).parents[2]
REPLICATION = ROOT / "replication" / "steelyard" / "replication"
PURE = [
    "acks", "consensus", "elections", "engine", "fetching", "frames", "guards", "handshake", "joining",
    "journal", "log_memory", "log_record", "log_store", "outbox", "poller", "reads", "remote_reads",
    "snapshot_pieces", "transport", "votes", "window", "wire",
]  # fmt: skip
"""Modules that a simulation runs as they are; adapters (clock, disk, links) do the real thing."""
BANNED = {"time", "random", "socket", "uuid", "threading", "secrets", "asyncio"}


def sources() -> list[Path]:
    return sorted(p for layer in ("core", "replication", "rpc", "ops") for p in (ROOT / layer).rglob("*.py"))


def test_every_private_name_that_is_used_is_pinned_and_the_other_way_round() -> None:
    used: set[str] = set()
    for path in sources():
        if path.name != "pinned.py":
            used |= set(re.findall(r"_SyncObj__\w+", path.read_text()))
    assert used == set(pinned.PRIVATE_NAMES)


def test_only_the_engine_imports_the_library() -> None:
    importing = [
        path.name
        for path in sources()
        if re.search(r"^\s*(import|from) pysyncobj", path.read_text(), re.MULTILINE)
    ]
    assert importing == []  # the engine gets it from ``pinned.load``
    assert [p.name for p in sources() if "pinned.load()" in p.read_text()] == ["engine.py"]


@pytest.mark.parametrize("name", PURE)
def test_a_module_that_simulation_runs_knows_no_clock_chance_or_socket(name: str) -> None:
    tree = ast.parse((REPLICATION / f"{name}.py").read_text())
    found = []
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                found += [n.name for n in names if n.name.split(".")[0] in BANNED]
            case ast.ImportFrom(module=str(module)) if module.split(".")[0] in BANNED:
                found += [module for n in node.names if n.name != "SystemRandom"]
            case ast.Call(func=ast.Name(id="open")):
                found.append("open()")
            case ast.Attribute(value=ast.Name(id="os"), attr="urandom"):
                found.append("os.urandom")
            case _:
                pass
    assert found == []


def test_production_builds_the_full_set_of_guards() -> None:
    built = [
        (path.name, line.strip())
        for path in sources()
        for line in path.read_text().splitlines()
        if re.search(r"\bGuards\([^)]", line)
    ]
    assert built == []


def test_replication_never_unpickles() -> None:
    for path in sources():
        if path.name != "pinned.py":
            assert not re.search(
                r"^\s*(import|from) (pickle|marshal|shelve)", path.read_text(), re.MULTILINE
            ), path
