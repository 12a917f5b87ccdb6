"""Row R9: who is auto-deleveraged first is whom ranking everybody anew puts first, at every moment."""

from collections.abc import Callable, Iterable, Mapping
from itertools import cycle, islice
from random import Random
from typing import Final

import pytest
from tests.helpers.contract_parts import SETTLE, Market, contract_of, position_of, terms
from tests.helpers.contract_storm import Storm

from steelyard.core.contracts import adl, equity
from steelyard.core.contracts.equity import Marks
from steelyard.core.contracts.fill import fill, settle
from steelyard.core.contracts.ranking import Ranking, Rankings
from steelyard.core.contracts.scales import mark_notional_atoms, value_atoms
from steelyard.core.events import AdlSettled
from steelyard.core.matching import Margin, Position, Scope
from steelyard.core.units import AccountId, ContractKind, InstrumentId, Leg, LiquidationId

LINEAR, INVERSE = ContractKind.LINEAR, ContractKind.INVERSE
#: How many are looked at: fewer than there are, so that others are left without a score, or everybody.
DEPTHS: Final = (1, 3, 40, None)


def anew(instrument: InstrumentId, marks: Marks, *, is_long: bool) -> list[adl.Candidate]:
    """Return everybody on one side of a contract, scored one by one and sorted."""
    market = marks[instrument]
    contract, mark_ticks = market.contract, market.mark_ticks
    assert contract is not None
    found: list[adl.Candidate] = []
    for position in contract.positions.values():
        if (position.qty_lots > 0) == is_long and not position.scope.liquidation:
            gain = equity.gain_atoms(contract, position, mark_ticks)
            have = equity.equity_atoms(position.scope, marks)
            notional = mark_notional_atoms(contract, abs(position.qty_lots), mark_ticks)
            score = adl.score_ppm(gain, position.cash_flow_atoms, notional, have)
            found.append(adl.Candidate(position.account, position.leg, position.qty_lots, gain, have, score))
    return sorted(found, key=adl.turn)


class Watched(Rankings):
    """Rankings of which every answer is compared; they are forgotten less often than they might be."""

    __slots__ = ("asked", "depths", "forgotten", "gave")

    def __init__(self) -> None:
        super().__init__()
        self.depths = cycle(DEPTHS)
        self.asked = self.gave = self.forgotten = 0

    def forget(self) -> None:
        """Go on with what there is, most times."""
        self.forgotten += 1
        if self.forgotten % 10 == 0:
            super().forget()

    def ranking(
        self, instrument: InstrumentId, marks: Marks, touched: Iterable[Scope], *, is_long: bool
    ) -> Ranking:
        """Return the ranking, after a look at its head, or at all of it."""
        ranking = super().ranking(instrument, marks, touched, is_long=is_long)
        expected = anew(instrument, marks, is_long=is_long)
        assert ranking.ranked == len(expected)
        assert ranking.gaining == sum(candidate.gain_atoms > 0 for candidate in expected)
        depth = next(self.depths)
        assert list(islice(ranking, depth)) == expected[:depth]
        self.asked += 1
        self.gave += bool(expected)
        return ranking


# --- the exchange's own traffic ----------------------------------------------------------------------------


def storm(seed: int, commands: int) -> Storm:
    """Return a storm in which rankings are asked for all the time, and which goes on from snapshots."""
    blown = Storm(seed)
    for number in range(commands):
        state = blown.venue.exchange.state
        if number % 90 == 0:
            if number:
                blown = blown.restored(seed + number)
                state = blown.venue.exchange.state
            state.rankings = Watched()
        blown.blow(1)
        marks = state.markets.instruments
        for id_, instrument in marks.items():
            if instrument.contract is not None and instrument.contract.positions:
                for is_long in (False, True):
                    state.rankings.ranking(id_, marks, state.touched, is_long=is_long)
    return blown


@pytest.mark.parametrize("seed", range(4))
def test_whatever_happens_the_ranking_is_as_if_made_anew(seed: int) -> None:
    blown = storm(seed, 360)
    rankings = blown.venue.exchange.state.rankings
    assert isinstance(rankings, Watched)
    assert rankings.gave > 50


def test_auto_deleveragings_are_among_what_happens() -> None:
    assert sum(isinstance(event, AdlSettled) for event in storm(0, 360).events) >= 1


def storms() -> None:
    """Let a few storms blow."""
    for seed in range(4):
        storm(seed, 360)


_touch = Rankings.touch
FAULTS: Final[dict[str, Callable[[Rankings, Scope], None]]] = {
    "nobody is scored again": lambda self, scope: None,
    "whom the engine takes stays": lambda self, scope: None if scope.liquidation else _touch(self, scope),
    "buckets are overlooked": lambda self, scope: (
        None if isinstance(scope, Position) else _touch(self, scope)
    ),
    "wallets are overlooked": lambda self, scope: None if isinstance(scope, Margin) else _touch(self, scope),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_forgetting_to_score_anew_is_noticed(
    fault: Callable[[Rankings, Scope], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Rankings, "touch", fault)
    with pytest.raises((AssertionError, KeyError)):
        storms()


# --- many positions, large numbers, hard cases --------------------------------------------------------------


class Crowd:
    """Hundreds of accounts in two contracts of a kind, with numbers as large as they may be."""

    def __init__(self, kind: ContractKind, random: Random, accounts: int = 300) -> None:
        self.random = random
        self.scale = random.choice([1, 7, 10**6]) if kind == LINEAR else random.choice([10**6, 10**11])
        self.lots_max = random.choice([3, 1_000, 10**6])
        self.markets: dict[InstrumentId, Market] = {
            InstrumentId(id_): Market(contract_of(kind, self.scale, terms((0, 10_000, 20_000))), 50_000)
            for id_ in (11, 12)
        }
        self.marks: Mapping[InstrumentId, Market] = self.markets
        self.rankings = Watched()
        self.margins = [Margin(AccountId(1000 + number), SETTLE) for number in range(accounts)]
        for margin in self.margins:
            for id_ in self.markets:
                if random.random() < 0.8:
                    for leg in random.choice([(Leg.NET,), (Leg.NET,), (Leg.LONG, Leg.SHORT)]):
                        isolated = random.random() < 0.3
                        self.trade(position_of(margin, leg, id_, isolated=isolated))
            self.pay(margin)

    def trade(self, position: Position) -> None:
        """Open, enlarge, reduce or turn a position, at any price, or at the mark, or nearly."""
        random, market = self.random, self.markets[position.instrument]
        contract = market.contract
        assert contract is not None
        lots = random.randrange(1, self.lots_max + 1)
        if position.leg == Leg.SHORT or (position.leg == Leg.NET and random.random() < 0.5):
            lots = -lots
        if position.leg != Leg.NET and random.random() < 0.3:
            lots = -position.qty_lots or lots
        settle(contract, position)
        price = market.mark_ticks if random.random() < 0.4 else random.randrange(20_000, 90_000)
        flow = -value_atoms(contract, lots, price) + random.choice([-1, 0, 0, 1, 10])
        fill(contract, position, lots, flow, 0, 0)
        self.pay(position.scope)
        self.rankings.touch(position.margin)

    def pay(self, scope: Scope) -> None:
        """Let a scope have about what is lost, or about nothing, or a share of its notional."""
        random = self.random
        have = equity.equity_atoms(scope, self.marks)
        needed = random.choice([0, 1, 2, 3, -1, -2, random.randrange(1, 10**4), abs(have) + 1])
        more = needed - have if random.random() < 0.5 else abs(have) // 7
        if isinstance(scope, Position):
            scope.bucket_atoms += more
        else:
            assert isinstance(scope, Margin)
            scope.wallet_atoms += more
        self.rankings.touch(scope)

    def step(self) -> None:
        """Let anything happen that may happen between two auto-deleveragings."""
        random = self.random
        margin = random.choice(self.margins)
        positions = list(margin.positions.values()) or [position_of(margin, instrument=InstrumentId(11))]
        position = random.choice(positions)
        match random.randrange(10):
            case 0 | 1 | 2 | 3:
                self.trade(position)
            case 4 | 5:
                self.pay(position.scope)
            case 6 | 7:
                scope = position.scope
                scope.liquidation = LiquidationId(0 if scope.liquidation else 1)
                self.rankings.touch(scope)
            case 8:
                market = random.choice(list(self.markets.values()))
                market.mark_ticks += random.choice([-1, 1, 500, -500])
            case _:
                contract = random.choice(list(self.markets.values())).contract
                assert contract is not None
                contract.cumulative_nanoatoms += random.choice([1, -(10**9), 2**58, -(2**58)])

    def look(self, id_: InstrumentId, *, is_long: bool) -> None:
        """Ask for one side, of which ``Watched`` thinks its own."""
        self.rankings.ranking(id_, self.marks, (), is_long=is_long)


def rush(kind: ContractKind, seed: int) -> None:
    """Let a crowd be looked at a hundred times."""
    random = Random(f"{kind} {seed}")
    crowd = Crowd(kind, random)
    for _ in range(100):
        for _ in range(random.choice([0, 1, 4])):
            crowd.step()
        crowd.look(InstrumentId(11), is_long=random.random() < 0.5)


def rushes() -> None:
    """Let a few crowds be looked at."""
    for seed in range(5):
        rush(LINEAR, seed)
        rush(INVERSE, seed)


@pytest.mark.parametrize("kind", [LINEAR, INVERSE], ids=["linear", "inverse"])
@pytest.mark.parametrize("seed", range(5))
def test_bounds_are_bounds_whatever_the_numbers(kind: ContractKind, seed: int) -> None:
    rush(kind, seed)


def test_a_bound_that_is_a_little_low_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    right = Ranking.__init__
    monkeypatch.setattr(
        Ranking,
        "__init__",
        lambda self, table, marks, rows, uppers, gains: right(
            self, table, marks, rows, uppers - abs(uppers) / 20, gains
        ),
    )
    with pytest.raises(AssertionError):
        rushes()


def test_few_are_scored_of_whom_nobody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    scored = 0
    right = adl.score_ppm

    def counted(*args: int) -> int:
        nonlocal scored
        scored += 1
        return right(*args)

    monkeypatch.setattr(adl, "score_ppm", counted)
    crowd = Crowd(LINEAR, Random(1), accounts=1_000)
    for margin in crowd.margins:
        # Where equity may be nothing, nothing is known of the score.
        for position in margin.positions.values():
            margin.wallet_atoms += 2 * abs(position.cash_flow_atoms)
            position.bucket_atoms += 2 * abs(position.cash_flow_atoms)
    rankings = Rankings()
    for id_ in (11, 12):
        ranking = rankings.ranking(InstrumentId(id_), crowd.marks, (), is_long=False)
        assert ranking.ranked > 250
        assert len(list(islice(ranking, 5))) == 5
    assert scored <= 2 * 64
