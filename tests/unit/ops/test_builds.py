"""A newer build is our own sources with one number changed."""

import subprocess
import sys
from pathlib import Path

from steelyard.core import versions
from steelyard.ops.builds import newer_build
from steelyard.ops.cluster import LocalGroup

ASK = "from steelyard.core import versions; print(versions.KNOWN_MAX); print(versions.__file__)"


def test_a_newer_build_knows_one_version_more_and_so_do_we_as_long_as_it_is_about(tmp_path: Path) -> None:
    group = LocalGroup.found(tmp_path / "group", map_size_bytes=1 << 24)
    known = versions.KNOWN_MAX
    with newer_build(group) as build:
        assert build.version == versions.KNOWN_MAX == known + 1
        command = [*build.prefix(), sys.executable, "-c", ASK]
        number, file = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        assert int(number) == known + 1
        assert Path(file).is_relative_to(build.folder)
    assert known == versions.KNOWN_MAX
