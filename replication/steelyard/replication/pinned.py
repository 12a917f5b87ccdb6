"""The consensus library as it was examined: version, sources, private names; anything else refuses to start.

Every fault that ``guards``, ``journal`` and ``transport`` close was found in exactly these
sources, and the private names below are not promised by anybody. ``check`` reads the
sources without importing them; ``load`` then imports the library and turns its
pickle functions into traps.
"""

import ast
import hashlib
import importlib
import importlib.metadata
import importlib.util
import io
from pathlib import Path
from types import ModuleType
from typing import Final, NoReturn

from steelyard.replication.errors import EX_INVARIANT, EX_REFUSED, fail_stop

VERSION: Final = "0.3.17"

SOURCES: Final = {
    "__init__.py": "4966a9dd893542b1b0e0fcef3d2ea44f2f40919d66b684992e5511be7503c036",
    "atomic_replace.py": "43a5252a241939b7f457cbbf39480260c91f0d2035a62b170bf1e1d20d0f9c1d",
    "config.py": "fbbc7ff9f18e4d15a7fd563376e42f5bd192956879d4b810b056d5248b955698",
    "dns_resolver.py": "4b88da2b45e20fbb299fb7a21f2595369b6314700b687fb8858891999bce14e0",
    "encryptor.py": "db20725465efdfc6d7a3b5b2112f53bc5426d36c56312ebdf5fbcf05423a7c19",
    "fast_queue.py": "8477fe5fdf36d9766df933310d3d66ee953d1afc195b1e6482b3a1498fc517bd",
    "journal.py": "9cf1eaf6acc704581a4cf7d3de330a404403913107adc91c929778b7e3f35edf",
    "monotonic.py": "d116df70e1f81bcab1fb89191fe2fe18486bc25187401d73fd6101cfe686e0a3",
    "node.py": "e4a3f027cd8291f558334bb9c977e952f6b6989e7e1fa1588d3005ef0b990e2c",
    "pickle.py": "e9327780738065cec5d600484b936c91e7c13875206cb584d5ff7f5d0dc9c474",
    "pipe_notifier.py": "587d964bfa5d62320f3541cbb283ff3e282cb2db95e1b8cfd888dc3d53af82aa",
    "poller.py": "f69ac749fb410670282fd9520c5805ffc684c8a5f762a927127753d9be8551e6",
    "serializer.py": "4d39fde2f15000ad8f507ec229ebd4f6a86371b6f84d4dc1439a9cccd52857ee",
    "syncobj.py": "e8bdf06797085d734df86e24ab4802fe87893dff77268565ec036f7ad4a1cfe4",
    "tcp_connection.py": "7784ed8da031369fe36f805cb186a2e94a3bd6f10fed2dd59c8cc3713fd6331c",
    "tcp_server.py": "bde2f216c1a585029188d0438b44762e2e797dfc53bbce387839daaa46b9a60d",
    "transport.py": "0c9d89f9c4781ec9772df8011d7975a1a4a1a5f541357e12eae85a813e92b50b",
    "utility.py": "1aa0c49d3558c5df6489235b94ae44357b382f9f0792b9d72ae6e5ae0c0039ea",
    "version.py": "0b8426a8b52ecf874193897d26c4214acbd85335145ea9ff17e27a22b1132943",
    "win_inet_pton.py": "75315fdf68bfa4219c2952b21077387be45a02c4f01db45c7355cdc883c8e9cc",
}
"""Digests of every file that an import executes."""

PRIVATE_NAMES: Final = (
    "_SyncObj__doApplyCommand",
    "_SyncObj__tryLogCompaction",
    "_SyncObj__sendAppendEntries",
    "_SyncObj__raftNextIndex",
    "_SyncObj__raftElectionDeadline",
)
"""Every mangled name we touch; a tidy test compares this with our source."""

OVERRIDES: Final = {
    "__doApplyCommand": ["self", "command"],
    "__tryLogCompaction": ["self"],
    "_onTick": ["self", "timeToWait"],
    "_checkCommandsToApply": ["self"],
}
"""Methods that we override, with their parameters."""

MODULE_NAMES: Final = ("createJournal", "createPoller", "monotonicTime", "random")
"""Names of ``pysyncobj.syncobj`` that are replaced before an engine is built."""

_PICKLE_USERS: Final = ("pysyncobj.pickle", "pysyncobj.journal")
_PICKLE_NAMES: Final = ("loads", "load", "dumps", "dump")


def differences(directory: Path, version: str) -> list[str]:
    """Return how an installed library differs from the examined one; empty if it does not."""
    found: list[str] = []
    if version != VERSION:
        found.append(f"version is {version}, not {VERSION}")
    for name, expected in SOURCES.items():
        path = directory / name
        if not path.is_file():
            found.append(f"{name} is missing")
        elif hashlib.sha256(path.read_bytes()).hexdigest() != expected:
            found.append(f"{name} was changed")
    syncobj = directory / "syncobj.py"
    if syncobj.is_file():
        found += _missing_names(syncobj.read_text())
    return found


def check() -> None:
    """Stop with exit code 78 unless the installed library is the examined one."""
    spec = importlib.util.find_spec("pysyncobj")
    if spec is None or spec.origin is None:
        fail_stop(EX_REFUSED, "pysyncobj is not installed")
    found = differences(Path(spec.origin).parent, importlib.metadata.version("pysyncobj"))
    if found:
        fail_stop(EX_REFUSED, f"pysyncobj is not the pinned one: {'; '.join(found)}")


def load() -> ModuleType:
    """Return ``pysyncobj.syncobj``, checked, with its pickle functions turned into traps."""
    check()
    module = importlib.import_module("pysyncobj.syncobj")
    for user in _PICKLE_USERS:
        holder = importlib.import_module(user)
        for name in _PICKLE_NAMES:
            if hasattr(holder, name):
                setattr(holder, name, _trap)
    # What it would send to a member behind the log is never ours to send: snapshots have their own way.
    importlib.import_module("pysyncobj.serializer").open = _open_nothing  # type: ignore[attr-defined]
    return module


def _open_nothing(*_: object) -> io.BytesIO:
    return io.BytesIO()


def _trap(*_: object, **__: object) -> NoReturn:
    fail_stop(EX_INVARIANT, "the consensus library tried to pickle")


def _missing_names(source: str) -> list[str]:
    tree = ast.parse(source)
    syncobj = next((n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == "SyncObj"), None)
    if syncobj is None:
        return ["class SyncObj is missing"]
    methods = {n.name: [a.arg for a in n.args.args] for n in syncobj.body if isinstance(n, ast.FunctionDef)}
    attributes = {n.attr for n in ast.walk(syncobj) if isinstance(n, ast.Attribute)}
    names = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
    found = [
        f"{method} is {methods.get(method)}, not {parameters}"
        for method, parameters in OVERRIDES.items()
        if methods.get(method) != parameters
    ]
    for mangled in PRIVATE_NAMES:
        name = mangled.removeprefix("_SyncObj")
        if name not in methods and name not in attributes:
            found.append(f"{name} is missing")
    found += [f"{name} is missing" for name in MODULE_NAMES if name not in names]
    return found
