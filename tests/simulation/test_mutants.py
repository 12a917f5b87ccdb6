"""A guard taken away is noticed; the quick ones here, all of them by ``steelyard sim --mutants``."""

import pytest

from steelyard.simulation.mutants import MUTANTS, Mutant, hunt

QUICK = {
    "ack before the flush": {"C4"},
    "vote sent before it is kept": {"C4"},
    "commit without sync": {"C10"},
    "vote not kept over a restart": {"C10"},
    "term not kept over a restart": {"C10"},
    "send again what is in flight": {"C12"},
    "no alignment at boot": {"C12"},
    "sessions left out of snapshots": {"C2"},
    "a restore adds one": {"C2", "C13"},
    "a retry gets another reply": {"C9"},
    "reads without a barrier": {"C7"},
}


@pytest.mark.parametrize("mutant", [m for m in MUTANTS if m.name in QUICK], ids=lambda m: m.name)
def test_a_quick_mutant_is_seen_by_the_checker_that_is_there_for_it(mutant: Mutant) -> None:
    finding = hunt(mutant, first=0, seeds_max=8)
    assert finding.found_by in QUICK[mutant.name], finding


def test_there_are_enough_mutants_and_each_is_named_once() -> None:
    names = [mutant.name for mutant in MUTANTS]
    assert len(names) == len(set(names)) >= 15
    assert QUICK.keys() <= set(names)
