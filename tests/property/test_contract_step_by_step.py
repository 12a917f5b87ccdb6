"""Each step of a liquidation lowers the risk ratio or closes the position, and exactly when it does."""

import sys
from collections import Counter
from random import Random
from typing import Final

import pytest
from tests.helpers.builders import ALICE, BOB, CAROL, order
from tests.helpers.contract_scopes import scopes
from tests.helpers.contracts import ContractVenue, contract_market, contract_rules, perpetual

from steelyard.core import snapshot
from steelyard.core.commands import (
    FundInsurance,
    LiquidationTerms,
    MarginTerms,
    MarginTier,
    SetContractModes,
    SetContractRules,
)
from steelyard.core.contracts import equity
from steelyard.core.events import AdlSettled, LiquidationEnded, LiquidationPaid, LiquidationStepped
from steelyard.core.units import AccountId, ContractKind, InstrumentId, MarginMode, Side

#: Ceilings of the margin, a floor of the share of the equity, and one of what an inverse lot is worth.
ROUNDINGS_ATOMS: Final = 3
CASES: Final = 150
START: Final = 10_000
ONE, OTHER = InstrumentId(2), InstrumentId(4)
TIERS: Final = [
    MarginTier(floor_atoms=0, maintenance_ppm=10_000, initial_ppm=15_000),
    MarginTier(floor_atoms=1_000_000, maintenance_ppm=30_000, initial_ppm=35_000),
    MarginTier(floor_atoms=3_000_000, maintenance_ppm=50_000, initial_ppm=55_000),
]


class Case:
    """Somebody with little margin in a thin market, who is liquidated one unit at a time."""

    def __init__(self, founded: ContractVenue, random: Random, counts: Counter[str]) -> None:
        self.venue = ContractVenue()
        self.venue.exchange = snapshot.load(snapshot.dump(founded.exchange))
        self.venue.keys, self.venue.sessions = dict(founded.keys), dict(founded.sessions)
        self.random, self.counts = random, counts
        self.side, self.against = random.choice(((Side.BUY, Side.SELL), (Side.SELL, Side.BUY)))
        self.held = [ONE, OTHER][: random.choice((1, 1, 2))]
        self.orders = 0

    def run(self) -> None:
        """Let a position be taken, then three times the mark turn against it where few would take it."""
        random, venue = self.random, self.venue
        self.rule()
        if random.random() < 0.4:
            isolated = SetContractModes(account=ALICE, instrument=ONE, margin=MarginMode.ISOLATED)
            venue.ask(ALICE, isolated)
        lots, margin_ppm = random.randrange(20, 400), random.randrange(56_000, 90_000)
        worth = lots * START * len(self.held)
        venue.pay_in(ALICE, worth * margin_ppm // 10**6, venue.contract(ONE).settle)
        for instrument in self.held:
            self.place(BOB, instrument, self.against, lots, START)
            self.place(ALICE, instrument, self.side, lots, START)
        moved_ppm = margin_ppm - random.randrange(-10_000, 40_000)
        for _ in range(3):
            mark = self.worse(START, moved_ppm)
            for instrument in self.held:
                for _ in range(random.randrange(4)):
                    price = self.worse(mark, random.randrange(-2_000, 10_000))
                    self.place(CAROL, instrument, self.side, random.choice((1, 5, 20, 80)), price)
                venue.mark(mark, instrument)
                self.drain()
            moved_ppm += random.randrange(12_000)

    def rule(self) -> None:
        """Choose how the engine works here, and what the fund has."""
        random = self.random
        rules = contract_rules(
            margin=MarginTerms(tiers=TIERS, at_entry=random.random() < 0.2),
            liquidation=LiquidationTerms(
                penalty_ppm=random.choice((0, 2_000, 9_000)),
                buffer_ppm=random.choice((0, 100_000)),
                step_ppm=random.choice((0, 200_000)),
                fund_step_ppm=random.choice((0, 20_000, 1_000_000)),
            ),
        )
        for instrument in (ONE, OTHER):
            self.venue.accepted(SetContractRules(instrument=instrument, rules=rules))
        settle = self.venue.contract(ONE).settle
        self.venue.accepted(FundInsurance(asset=settle, amount_atoms=random.choice((1, 5_000, 500_000))))

    def worse(self, price: int, ppm: int) -> int:
        """Return a price that is that much worse for who holds the position."""
        return price - price * ppm // 10**6 if self.side == Side.BUY else price + price * ppm // 10**6

    def place(self, account: AccountId, instrument: InstrumentId, side: Side, lots: int, price: int) -> None:
        """Place a limit order."""
        self.orders += 1
        self.venue.ask(account, order(side, self.orders, lots, price, account=account, instrument=instrument))
        self.drain()

    def drain(self) -> None:
        """Let the engine go on as long as it can, and look at each of its units."""
        while self.venue.exchange.next_due_ns() == self.venue.exchange.time_ns:
            self.venue.tick()
            self.look()

    def look(self) -> None:
        """Hold what a step said against what it left.

        A step that closed nothing changed nothing.  One that closed lots either ended the liquidation, with
        nothing lacking, or got at least the bankruptcy price for them (in an ADL at the mark, their worth).
        With equity the ratio of maintenance margin to it did therefore not rise, and fell if the account
        kept more than that; without equity, where the ratio is the highest there is, the loss did not grow.
        All but for the roundings.
        """
        due = self.venue.due
        closed = sum(event.lots for event in due if isinstance(event, LiquidationPaid | AdlSettled))
        for step in (event for event in due if isinstance(event, LiquidationStepped)):
            for end in (event for event in due if isinstance(event, LiquidationEnded)):
                self.counts["ended"] += 1
                assert closed > 0
                assert end.equity_atoms >= max(end.maintenance_atoms, 0)
                return
            before, need = step.equity_atoms, step.maintenance_atoms
            state = self.venue.exchange.state
            scope = next(s for s in scopes(state) if s.liquidation == step.liquidation)
            after, needs = equity.standing_atoms(scope, state.markets.instruments)
            if not closed:
                self.counts["nothing closed"] += 1
                assert (after, needs) == (before, need)
            elif before <= 0:
                self.counts["without equity"] += 1
                assert after >= before - ROUNDINGS_ATOMS
            else:
                self.counts["with equity"] += 1
                assert (needs - ROUNDINGS_ATOMS) * before <= need * (after + ROUNDINGS_ATOMS)
                (paid,) = (event for event in due if isinstance(event, LiquidationPaid))
                kept = paid.received_atoms - paid.bankruptcy_atoms - paid.insurance_atoms
                if kept * need > ROUNDINGS_ATOMS * (before + need):
                    self.counts["with more than the bankruptcy price"] += 1
                    assert needs * before < need * after


@pytest.fixture
def _one_unit_an_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, module in sorted(sys.modules.items()):
        for bound in ("LIQUIDATION_STEPS_PER_ENTRY_MAX", "WORK_PER_ENTRY_MAX"):
            if name.startswith("steelyard.core") and hasattr(module, bound):
                monkeypatch.setattr(module, bound, 1)


@pytest.mark.usefixtures("_one_unit_an_entry")
@pytest.mark.parametrize("kind", [ContractKind.LINEAR, ContractKind.INVERSE], ids=["linear", "inverse"])
def test_each_step_of_a_liquidation_lowers_the_risk_ratio_or_closes_the_position(kind: ContractKind) -> None:
    # Without decimals a lot of 10**8 dollars is 10**8 / price atoms of the coin.
    lot = 10**8 if kind == ContractKind.INVERSE else 1
    listed = [
        perpetual(kind, instrument=i, symbol=f"M{i}", price_max_ticks=100_000, lot_mantissa=lot)
        for i in (ONE, OTHER)
    ]
    founded = contract_market(*listed, price_ticks=START, wallet_atoms=0, accounts=(ALICE, BOB, CAROL))
    for maker in (BOB, CAROL):
        founded.pay_in(maker, 10**8, founded.contract(ONE).settle)
    counts = Counter[str]()
    for seed in range(CASES):
        Case(founded, Random(seed), counts).run()
    assert len(counts) == 5, counts
    assert min(counts.values()) > 10, counts
