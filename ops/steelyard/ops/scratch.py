"""A group that lives as long as one command, and is removed unless something was wrong."""

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from steelyard.ops.cluster import LocalGroup
from steelyard.ops.errors import GroupError
from steelyard.ops.terminal import Terminal
from steelyard.replication.config import GROUP_FILE, Profile


class Scratch:
    """The group of one command."""

    def __init__(self, group: LocalGroup) -> None:
        self.group = group
        self.kept = False

    def keep_unless(self, ok: bool, terminal: Terminal) -> None:
        """Leave the group's data, and say where, for whoever wants to look at what went wrong.

        Once kept, always kept: whatever happens later in the block, an interruption too.
        """
        if not ok and not self.kept:
            self.kept = True
            terminal.say(f"the group's data is left in {self.group.directory}")


@contextmanager
def scratch_group(
    directory: Path | None = None,
    *,
    profile: Profile = "shared",
    snapshot_entries: int = 20_000,
    map_size_bytes: int = 1 << 30,
    log_keep_entries: int = 2_000_000,
    start: bool = True,
) -> Iterator[Scratch]:
    """Found and start a group of three for the length of a block.

    Args:
        directory: Where; it must not hold a group yet, and is kept.  None: a temporary folder, which takes
            three times ``map_size_bytes``, removed at the end unless the block failed or asked to keep it.
            An interruption is no failure.
        profile: The timeouts.
        snapshot_entries: How often replicas take snapshots.
        map_size_bytes: How large a log may grow.
        log_keep_entries: How many entries behind its newest it keeps for members that were away.
        start: Whether to start it; otherwise whoever asks does, when all is prepared.

    Raises:
        GroupError: It cannot be founded or started.

    """
    if directory is not None and (directory / GROUP_FILE).exists():
        raise GroupError(f"{directory} already holds a group; name an empty folder")
    home = directory if directory is not None else Path(tempfile.mkdtemp(prefix="steelyard-"))
    scratch: Scratch | None = None
    try:
        group = LocalGroup.found(
            home,
            profile=profile,
            snapshot_entries=snapshot_entries,
            map_size_bytes=map_size_bytes,
            log_keep_entries=log_keep_entries,
        )
        group.leashed = True
        scratch = Scratch(group)
        if start:
            group.start_all()
        yield scratch
    except Exception:
        _keep(scratch, home)
        raise
    finally:
        if scratch is not None:
            try:
                scratch.group.stop()
            except Exception:
                _keep(scratch, home)
                raise
        if directory is None and (scratch is None or not scratch.kept):
            shutil.rmtree(home)


def _keep(scratch: Scratch | None, home: Path) -> None:
    """Keep the data of a group that was founded, and say where unless that was said."""
    if scratch is not None and not scratch.kept:
        scratch.kept = True
        sys.stderr.write(f"the group's data is left in {home}\n")
