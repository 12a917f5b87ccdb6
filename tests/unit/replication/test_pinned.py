"""The pinned library: what is installed is what was examined, and nothing else starts."""

import importlib.util
import shutil
from pathlib import Path

import pytest

from steelyard.replication import pinned


def installed() -> Path:
    spec = importlib.util.find_spec("pysyncobj")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copytree(installed(), tmp_path / "pysyncobj")
    return tmp_path / "pysyncobj"


def test_the_installed_library_is_the_examined_one() -> None:
    assert pinned.differences(installed(), pinned.VERSION) == []


def test_another_version_is_refused(copy: Path) -> None:
    assert pinned.differences(copy, "0.3.18") == ["version is 0.3.18, not 0.3.17"]


def test_a_changed_or_missing_source_is_refused(copy: Path) -> None:
    with (copy / "node.py").open("a") as file:
        file.write("# harmless\n")
    (copy / "config.py").unlink()
    assert pinned.differences(copy, pinned.VERSION) == ["config.py is missing", "node.py was changed"]


def test_missing_names_and_other_parameters_are_told(copy: Path) -> None:
    path = copy / "syncobj.py"
    source = path.read_text()
    source = source.replace("__raftNextIndex", "__nextIndexes")
    source = source.replace("def _onTick(self, timeToWait=0.0)", "def _onTick(self, wait=0.0)")
    path.write_text(source)
    assert pinned.differences(copy, pinned.VERSION) == [
        "syncobj.py was changed",
        "_onTick is ['self', 'wait'], not ['self', 'timeToWait']",
        "__raftNextIndex is missing",
    ]
