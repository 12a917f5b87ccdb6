"""Every guard taken away alone: the test that is there for it fails, and for what it claims."""

import inspect
from dataclasses import fields
from pathlib import Path

import pytest
from tests.helpers.cuts import CLOSED, Closed, Cut, line, notices
from tests.helpers.scripted import Scripted
from tests.unit.replication import (  # noqa: F401 - they say what they close
    test_background,
    test_defects_applying,
    test_defects_durability,
    test_defects_elections,
    test_defects_matching,
    test_defects_network,
    test_defects_snapshots,
    test_defects_votes,
    test_recovery,
)

from steelyard.replication.guards import Guards
from steelyard.replication.log_store import LogStore


def test_every_guard_has_its_turn() -> None:
    assert {closed.gone for closed in CLOSED} >= {f"the guard {field.name}" for field in fields(Guards)}


@pytest.mark.parametrize("closed", CLOSED, ids=lambda closed: f"{closed.defect}: {closed.gone}")
def test_without_this_guard_alone_its_test_fails(closed: Closed, tmp_path: Path) -> None:
    wanted = inspect.signature(closed.test).parameters
    fixtures = {"tmp_path": tmp_path} if "tmp_path" in wanted else {}
    noticed, said = notices(closed, **fixtures)
    assert noticed, said


def flushes() -> None:
    Scripted().store.flush()


@pytest.mark.parametrize(
    ("cut", "said"),
    [
        pytest.param(lambda: None, "exit 0", id="the test passes without the guard"),
        pytest.param(line(LogStore.flush, "no such words", "pass"), "renew the cut", id="stale"),
        pytest.param(line(LogStore.flush, "self.dirty", "self.nonsense"), "nonsense", id="senseless"),
    ],
)
def test_what_proves_nothing_is_not_taken_for_a_proof(cut: Cut, said: str) -> None:
    noticed, words = notices(Closed("D0", "nothing", cut, flushes, {}, ""))
    assert not noticed
    assert said in words
