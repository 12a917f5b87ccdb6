"""Nothing in the core may depend on anything but the log.

Reads the source instead of running it, so that the rule holds for code no test reaches.  When a line must
break a rule, say why next to it: ``# tidy: <reason>``.
"""

import ast
from pathlib import Path

import pytest

CORE = Path(__file__).parents[2] / "core" / "steelyard" / "core"
#: The one file where an integer division rounds.
ROUNDING = "rounding.py"

BANNED_MODULES = {
    "asyncio": "scheduling differs between replicas",
    "concurrent": "the core is single-threaded",
    "datetime": "time comes from the log entry",
    "decimal": "money and risk are integers",
    "fractions": "money and risk are integers",
    "io": "the core does no I/O",
    "locale": "the environment differs between replicas",
    "logging": "the core does no I/O",
    "math": "its functions go through floats",
    "multiprocessing": "the core is single-threaded",
    "os": "the environment differs between replicas",
    "pathlib": "the core does no I/O",
    "pickle": "bytes from outside must never run code",
    "platform": "the environment differs between replicas",
    "random": "randomness comes from the log entry",
    "secrets": "randomness comes from the log entry",
    "socket": "the core does no I/O",
    "subprocess": "the core does no I/O",
    "sys": "the environment differs between replicas",
    "threading": "the core is single-threaded",
    "time": "time comes from the log entry",
    "uuid": "identifiers come from the log entry",
    "weakref": "what the collector has done differs between replicas",
}
BANNED_CALLS = {
    "__import__": "imports are read by this test",
    "compile": "bytes from outside must never run code",
    "complex": "money and risk are integers",
    "eval": "bytes from outside must never run code",
    "exec": "bytes from outside must never run code",
    "float": "money and risk are integers",
    "frozenset": "set order depends on history; use dict or sorted()",
    "hash": "str hashes differ between processes",
    "id": "addresses differ between processes",
    "input": "the core does no I/O",
    "open": "the core does no I/O",
    "print": "the core does no I/O",
    "round": "money and risk are integers",
    "set": "set order depends on history; use dict or sorted()",
}


def complaints(source: str, *, may_floor: bool = False) -> list[str]:
    """Return one ``line: reason`` per rule that ``source`` breaks."""
    excused = {n for n, line in enumerate(source.splitlines(), 1) if "# tidy: " in line}
    found: list[tuple[int, str]] = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                found += [
                    (node.lineno, f"import {name.name}: {BANNED_MODULES[name.name.split('.')[0]]}")
                    for name in names
                    if name.name.split(".")[0] in BANNED_MODULES
                ]
            case ast.ImportFrom(module=str(module)) if module.split(".")[0] in BANNED_MODULES:
                found.append((node.lineno, f"import {module}: {BANNED_MODULES[module.split('.')[0]]}"))
            case ast.Call(func=ast.Name(id=name)) if name in BANNED_CALLS:
                found.append((node.lineno, f"{name}(): {BANNED_CALLS[name]}"))
            case ast.Call(func=ast.Name(id="divmod")) if not may_floor:
                found.append((node.lineno, f"divmod(): rounding lives in {ROUNDING}"))
            case ast.Constant(value=float() | complex()):
                found.append((node.lineno, "float literal: money and risk are integers"))
            case ast.BinOp(op=ast.Div()) | ast.AugAssign(op=ast.Div()):
                found.append((node.lineno, "/: money and risk are integers"))
            case ast.BinOp(op=ast.FloorDiv()) | ast.AugAssign(op=ast.FloorDiv()) if not may_floor:
                found.append(
                    (node.lineno, f"//: rounding lives in {ROUNDING}, behind a name that says its way")
                )
            case ast.Set() | ast.SetComp():
                found.append((node.lineno, "set: set order depends on history; use dict or sorted()"))
            case ast.Global():
                found.append((node.lineno, "global: what changes belongs to the state"))
            case ast.Await() | ast.AsyncFor() | ast.AsyncFunctionDef() | ast.AsyncWith():
                found.append((node.lineno, "async: scheduling differs between replicas"))
            case _:
                pass
    return [f"{line}: {reason}" for line, reason in sorted(found) if line not in excused]


def test_there_is_a_core_to_read() -> None:
    assert len(list(CORE.rglob("*.py"))) > 20


@pytest.mark.parametrize("path", sorted(CORE.rglob("*.py")), ids=lambda p: str(p.relative_to(CORE)))
def test_core_is_deterministic(path: Path) -> None:
    assert complaints(path.read_text(), may_floor=path.name == ROUNDING) == []


def test_the_rules_bite() -> None:
    source = "import time\nx = 1 / 2\ny = {1, 2}\nz = 0.5\nw = 7 // 2\nw //= 2  # tidy: an example\nhash(w)\n"
    assert complaints(source) == [
        "1: import time: time comes from the log entry",
        "2: /: money and risk are integers",
        "3: set: set order depends on history; use dict or sorted()",
        "4: float literal: money and risk are integers",
        "5: //: rounding lives in rounding.py, behind a name that says its way",
        "7: hash(): str hashes differ between processes",
    ]
    assert complaints("w = 7 // 2\n", may_floor=True) == []


def test_an_excuse_must_give_a_reason() -> None:
    bare = [
        f"{path.relative_to(CORE)}:{number}"
        for path in sorted(CORE.rglob("*.py"))
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if "# tidy:" in line and not line.split("# tidy:")[1].strip()
    ]
    assert bare == []
