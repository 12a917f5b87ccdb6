"""The page of defects is true to the code: every row, every guard that is taken away, every name."""

import importlib
import re
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.helpers.cuts import CLOSED
from tests.unit.replication import test_defects_closed  # noqa: F401 - it knows everything that is closed

REPOSITORY = Path(__file__).parents[3]
ROWS = 44
BY_CONSTRUCTION = {"D15"}
"""Rows that nothing can be taken away from."""


class Row(NamedTuple):
    """A line of the page."""

    defect: str
    wrong: str
    guard: str
    gone: set[str]


def page() -> list[Row]:
    """Return the rows of the page, in its order."""
    rows = []
    for text in (REPOSITORY / "docs" / "defects.md").read_text().splitlines():
        if re.match(r"\| D\d+ \|", text):
            defect, wrong, guard, gone = (cell.strip() for cell in text.strip("|").split("|"))
            rows.append(Row(defect, wrong, guard, {name for name in gone.split(" · ") if name}))
    return rows


def names_of_tests() -> str:
    """Return the names of all tests of the replica."""
    folder = REPOSITORY / "tests" / "unit" / "replication"
    sources = "".join(path.read_text() for path in sorted(folder.glob("test_*.py")))
    return " ".join(re.findall(r"^def (test_\w+)\(", sources, re.MULTILINE))


def test_the_page_has_every_row_once_and_in_order() -> None:
    assert [row.defect for row in page()] == [f"D{number}" for number in range(1, ROWS + 1)]
    assert all(row.wrong and row.guard for row in page())


@pytest.mark.parametrize("row", page(), ids=lambda row: row.defect)
def test_what_a_row_says_is_taken_away_alone_is_and_a_test_misses_it(row: Row) -> None:
    assert row.gone == {closed.gone for closed in CLOSED if closed.defect == row.defect}
    if row.defect in BY_CONSTRUCTION:
        assert "*By construction*" in row.guard
    else:
        assert row.gone


@pytest.mark.parametrize("row", page(), ids=lambda row: row.defect)
def test_a_row_has_tests_that_carry_its_number(row: Row) -> None:
    closing = [closed.test.__name__ for closed in CLOSED if closed.defect == row.defect]
    assert closing or f"_{row.defect.lower()}_" in names_of_tests()


@pytest.mark.parametrize(
    "name", sorted({name for row in page() for name in re.findall(r"`([a-z_]+\.[\w.]+)`", row.guard)})
)
def test_a_name_on_the_page_is_one_of_the_code(name: str) -> None:
    module, *path = name.split(".")
    found: object = importlib.import_module(f"steelyard.replication.{module}")
    for part in path:
        found = getattr(found, part)
