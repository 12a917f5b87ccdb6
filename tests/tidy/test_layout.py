"""The five source roots form one namespace, and stay that way."""

import importlib
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
ROOTS = ("protos", "core", "replication", "rpc", "ops")


def test_no_root_closes_the_namespace() -> None:
    stray = [root for root in ROOTS if (REPOSITORY / root / "steelyard" / "__init__.py").exists()]
    assert stray == [], "an __init__.py directly in steelyard/ hides every other root of the namespace"


def test_no_root_is_a_package_itself() -> None:
    assert [root for root in ROOTS if (REPOSITORY / root / "__init__.py").exists()] == []


def test_tests_are_no_package() -> None:
    assert sorted((REPOSITORY / "tests").rglob("__init__.py")) == []


@pytest.mark.parametrize("root", ROOTS)
def test_every_package_says_that_it_is_typed(root: str) -> None:
    packages = [
        path for path in (REPOSITORY / root / "steelyard").iterdir() if (path / "__init__.py").exists()
    ]
    assert packages
    generated = "v1"
    assert [p.name for p in packages if p.name != generated and not (p / "py.typed").exists()] == []


@pytest.mark.parametrize("name", ["v1", "core", "replication", "client", "rpc", "ops"])
def test_every_part_can_be_imported(name: str) -> None:
    assert importlib.import_module(f"steelyard.{name}").__name__ == f"steelyard.{name}"


def test_a_folder_with_modules_is_a_package() -> None:
    bare = [
        folder.relative_to(REPOSITORY)
        for root in ROOTS
        for folder in (REPOSITORY / root / "steelyard").rglob("*")
        if folder.is_dir() and list(folder.glob("*.py")) and not (folder / "__init__.py").exists()
    ]
    assert bare == []
