"""Each rule of version 3 is watched by the twin: a fault planted in the core makes the comparison fire."""

from collections.abc import Callable
from typing import Any

import pytest
from tests.helpers.contract_traffic import ContractTraffic
from tests.helpers.duel import duel
from tests.property.test_planted_faults import Plant, around, instead

from steelyard.core import Exchange, snapshot
from steelyard.core.contracts import adl, equity, funding, ladder, mark, sharing, steps
from steelyard.core.handlers import contracting, contracts, prices, risk, settling, trading
from steelyard.core.handlers import funding as rounds
from steelyard.core.units import RiskLevel

#: Who loses more than he has, for whom the fund pays, who stands on the ladder, then all kinds.
SEEDS = (9, 6, 18, 13, 3, 1, 2, 4, 5, 7, 10, 11)
COMMANDS = 3_000


def one_more(right: Callable[..., int], *args: Any) -> int:  # noqa: ANN401
    """Return one more than is right."""
    return right(*args) + 1


def one_less_unless_nothing(right: Callable[..., int], *args: Any) -> int:  # noqa: ANN401
    """Return one less than is right, but not of nothing."""
    found = right(*args)
    return found - (found > 0)


def at_once(right: Callable[..., RiskLevel], before: RiskLevel, ratio_ppm: int, at: Any) -> RiskLevel:  # noqa: ANN401
    """Leave a level as soon as the ratio is below it."""
    return ladder.level_at(ratio_ppm, at)


def without_samples(right: Callable[[bytes], Exchange], body: bytes) -> Exchange:
    """Restore a snapshot as if it did not hold how far books were from their index."""
    exchange = right(body)
    for instrument in exchange.state.markets.instruments.values():
        if instrument.contract is not None:
            instrument.contract.bases_ticks.clear()
    return exchange


FAULTS: dict[str, Plant] = {
    "maintenance margin is an atom short": around(equity, "lots_maintenance_atoms", one_less_unless_nothing),
    "initial margin is an atom short": around(equity, "scheduled_initial_atoms", one_less_unless_nothing),
    "an order loses nothing against the mark": instead(equity, "order_loss_atoms", lambda *args: 0),
    "an isolated order pledges an atom less": around(
        equity, "isolated_pledge_atoms", one_less_unless_nothing
    ),
    "levels are left at once": around(ladder, "level_after", at_once),
    "a step closes a lot less": around(steps, "step_lots", one_less_unless_nothing),
    "the fund does not mind its peak": around(
        steps, "budget_atoms", lambda right, closing, lots, has, _: right(closing, lots, has, has)
    ),
    "the fund pays for a step without a bound": around(
        steps, "budget_atoms", lambda right, closing, lots, has, peak: right(closing, lots, has, peak) and has
    ),
    "what is paid into the fund repays no debt": instead(contracts, "repay_debt", lambda *args: None),
    "what the fund earns repays no debt": instead(risk, "repay_debt", lambda *args: None),
    "the fund takes an atom more": around(steps, "insured_atoms", one_more),
    "the worst ranked gives first": around(
        adl, "turn", lambda right, candidate: (candidate.score_ppm, *right(candidate)[1:])
    ),
    "a mark is not bound to its index": around(
        mark, "within_band", lambda right, price, index, band, top: right(price, index, 10**6, top)
    ),
    "a premium counts twice": around(funding, "premium_ppb", lambda right, *args: 2 * right(*args)),
    "funding is a nanoatom more": around(funding, "delta_nanoatoms", one_more),
    "nobody pays in the sweep": instead(rounds, "settle", lambda *args: 0),
    "an outlier counts": around(
        prices, "index_ticks", lambda right, quotes, outlier_ppm: right(quotes, 10**6)
    ),
    "reduce-only orders are not trimmed": instead(trading, "trim", lambda *args: None),
    "reduce-only orders have room for one more": around(
        contracting, "room_lots", lambda right, *args: right(*args) and right(*args) + 1
    ),
    "market orders may lose what is not there": around(
        equity, "affordable_ticks", lambda right, *args: right(*args[:-1], 10**9)
    ),
    "a final value is an atom high": around(settling, "value_atoms", one_more),
    "nobody shares a loss": instead(sharing, "share_loss", lambda loss, gains: [0 for _ in gains]),
    "samples are forgotten in a snapshot": around(snapshot, "load", without_samples),
}


def try_seeds() -> None:
    """Run the traffic of a few seeds; a fault is usually seen in the first."""
    for seed in SEEDS:
        duel(seed, COMMANDS, ContractTraffic)


@pytest.mark.parametrize("plant", FAULTS.values(), ids=FAULTS.keys())
def test_a_planted_fault_is_noticed(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    with pytest.raises(AssertionError):
        try_seeds()
