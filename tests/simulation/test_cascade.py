"""Leaders die while the engine liquidates: each liquidation happens once, and as if nobody had died."""

import sys
from collections import Counter
from itertools import pairwise

import pytest
from tests.helpers.cascade_group import Fall, fall
from tests.helpers.sight import totals

from steelyard.core import snapshot
from steelyard.core.events import (
    AdlSettled,
    LiquidationEnded,
    LiquidationPaid,
    LiquidationStarted,
    LiquidationStepped,
)
from steelyard.core.units import LiquidationEnd

DEATHS = 20
SEED = 1


@pytest.fixture(scope="module")
def falls() -> tuple[Fall, Fall]:
    """Return the same fall twice: with leaders that live, and with leaders that die."""
    with pytest.MonkeyPatch.context() as small:
        # A cascade of hundreds of units takes many entries.
        for name, module in sorted(sys.modules.items()):
            if name.startswith("steelyard.core") and hasattr(module, "LIQUIDATION_STEPS_PER_ENTRY_MAX"):
                small.setattr(module, "LIQUIDATION_STEPS_PER_ENTRY_MAX", 3)
        return fall(SEED, deaths=0), fall(SEED, deaths=DEATHS)


def test_twenty_leaders_die_between_the_first_liquidation_and_the_last(falls: tuple[Fall, Fall]) -> None:
    _, stormy = falls
    began = min(index for index, event in stormy.said if isinstance(event, LiquidationStarted))
    ended = max(index for index, event in stormy.said if isinstance(event, LiquidationEnded))
    assert len(stormy.deaths) == DEATHS
    assert all(began <= index < ended for index in stormy.deaths)
    assert all(before < after for before, after in pairwise(stormy.deaths))
    assert stormy.cluster.faults["power loss in a cascade"] > 0
    assert len(stormy.cluster.checkers.leaders) > DEATHS
    counts = Counter(type(event) for _, event in stormy.said)
    assert counts[LiquidationStarted] + counts[LiquidationStepped] > 200
    assert counts[LiquidationPaid] > 20
    assert len({index for index, event in stormy.said if isinstance(event, LiquidationStepped)}) > 40
    ends = {event.how for _, event in stormy.said if isinstance(event, LiquidationEnded)}
    assert ends >= {LiquidationEnd.ADL, LiquidationEnd.FUND, LiquidationEnd.CLOSED, LiquidationEnd.CURED}
    assert any(len(event.givers) > 1 for _, event in stormy.said if isinstance(event, AdlSettled))


def test_no_claim_about_a_group_is_violated_by_them(falls: tuple[Fall, Fall]) -> None:
    for each in falls:
        assert each.cluster.checkers.violations == []


def test_all_members_are_the_same_to_the_byte_and_no_atom_is_lost(falls: tuple[Fall, Fall]) -> None:
    for each in falls:
        replicas = [node.replica for node in each.cluster.nodes.values()]
        exchanges = [replica.exchange for replica in replicas if replica is not None]
        assert len(exchanges) == 3
        assert {exchange.digest for exchange in exchanges} == {each.exchange.digest}
        kept = snapshot.dump(each.exchange)
        for exchange in exchanges:
            exchange.check_invariants()
            assert snapshot.dump(exchange) == kept
        assert [asset.sum_atoms for asset in totals(each.exchange)] == [0, 0]


def test_each_liquidation_starts_once_and_ends_once(falls: tuple[Fall, Fall]) -> None:
    for each in falls:
        started = Counter(
            event.liquidation for _, event in each.said if isinstance(event, LiquidationStarted)
        )
        ended = Counter(event.liquidation for _, event in each.said if isinstance(event, LiquidationEnded))
        assert started == ended
        assert set(started.values()) == {1}
        assert sorted(started) == list(range(1, len(started) + 1))


def test_what_happens_is_what_happens_when_nobody_dies(falls: tuple[Fall, Fall]) -> None:
    calm, stormy = falls
    assert stormy.told() == calm.told()
