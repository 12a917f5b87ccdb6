"""Bytes from outside never run code: nothing of ours unpickles, evaluates or compiles."""

import ast
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
ROOTS = ("core", "replication", "rpc", "ops", "loadtests")
SOURCES = sorted(path for root in ROOTS for path in (REPOSITORY / root).rglob("*.py"))

BANNED_MODULES = ("dill", "marshal", "pickle", "shelve")
BANNED_CALLS = ("eval", "exec", "compile", "__import__")


def complaints(source: str) -> list[str]:
    """Return what a source imports or calls that could run bytes."""
    found: list[str] = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=aliases):
                found += [a.name for a in aliases if a.name.split(".")[0] in BANNED_MODULES]
            case ast.ImportFrom(module=str(module), level=0) if module.split(".")[0] in BANNED_MODULES:
                found.append(module)
            case ast.Call(func=ast.Name(id=name)) if name in BANNED_CALLS:
                found.append(f"{name}()")
            case _:
                pass
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_no_bytes_from_outside_can_run_code(path: Path) -> None:
    assert complaints(path.read_text()) == []


def test_the_rules_bite() -> None:
    source = "import pickle\nfrom marshal import loads\neval('1')\nimport json\n"
    assert complaints(source) == ["pickle", "marshal", "eval()"]
