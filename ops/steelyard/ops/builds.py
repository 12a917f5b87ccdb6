"""Another build of these very sources, one that knows one version more, to run beside this one."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import steelyard.core
from steelyard.core import versions
from steelyard.ops.cluster import LocalGroup
from steelyard.ops.errors import GroupError

_FOLDER: Final = "newer-build"


class NewerBuild(NamedTuple):
    """Where it is, and the newest version that it knows."""

    folder: Path
    version: int

    def prefix(self) -> list[str]:
        """Return what a command has to be started through to run this build."""
        inherited = os.environ.get("PYTHONPATH", "")
        roots = [str(self.folder), *([inherited] if inherited else [])]
        return ["env", f"PYTHONPATH={os.pathsep.join(roots)}"]


@contextmanager
def newer_build(group: LocalGroup) -> Iterator[NewerBuild]:
    """Make a build that knows one version more, in the group's folder; nobody runs it yet.

    Whoever judges such a group must know that version too: until the end of the block this process does.

    Raises:
        GroupError: The sources are not where we run from.

    """
    build = NewerBuild(group.directory / _FOLDER, versions.KNOWN_MAX + 1)
    make_build(build)
    versions.KNOWN_MAX = build.version
    try:
        yield build
    finally:
        versions.KNOWN_MAX = build.version - 1


def make_build(build: NewerBuild) -> None:
    """Copy our sources, with the one number changed that says which versions they know.

    Raises:
        GroupError: They do not say it where they should.

    """
    package = build.folder / "steelyard"
    for root in steelyard.__path__:
        # Compiled parts would go on saying the old number.
        ignored = shutil.ignore_patterns("__pycache__", "*.so")
        shutil.copytree(root, package, ignore=ignored, dirs_exist_ok=True)
    source = package / "core" / "versions.py"
    line = f"KNOWN_MAX: int = {build.version - 1}\n"
    text = source.read_text(encoding="utf-8")
    if text.count(line) != 1:
        raise GroupError(f"{source} does not say which versions it knows")
    source.write_text(text.replace(line, f"KNOWN_MAX: int = {build.version}\n"), encoding="utf-8")
