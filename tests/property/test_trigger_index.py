"""Row R5: a new mark finds, through the index, exactly whom a look at everybody finds."""

from random import Random
from typing import Final

import pytest
from msgspec import structs
from tests.helpers.contract_parts import contract_of
from tests.helpers.contract_scopes import overlooked
from tests.helpers.contracts import ContractVenue, contract_market, contract_rules, perpetual

from steelyard.core.commands import LiquidationTerms, MarginTerms, MarginTier
from steelyard.core.contracts import equity, ladder
from steelyard.core.contracts.contract import Contract
from steelyard.core.contracts.fill import fill, settle
from steelyard.core.contracts.scales import flow_atoms, notional_atoms
from steelyard.core.contracts.trigger_index import TriggerIndex
from steelyard.core.events import AnyEvent, LiquidationStarted, RiskLevelChanged
from steelyard.core.handlers import risk
from steelyard.core.instruments import Instrument
from steelyard.core.matching import Margin, Position, Scope
from steelyard.core.state import State
from steelyard.core.units import AccountId, AssetId, ContractKind, InstrumentId, Leg, LiquidationId, RiskLevel

LINEAR, INVERSE = ContractKind.LINEAR, ContractKind.INVERSE
CONTRACTS: Final = (InstrumentId(11), InstrumentId(12), InstrumentId(13))
ACCOUNTS: Final = 40
START_TICKS: Final = 20_000


def tiers(*rows: tuple[int, int]) -> list[MarginTier]:
    """Return tiers of (floor, maintenance rate)."""
    return [
        MarginTier(floor_atoms=floor, maintenance_ppm=rate, initial_ppm=min(2 * rate, 999_999))
        for floor, rate in rows
    ]


SCHEDULES: Final = {
    "one tier": MarginTerms(tiers=tiers((0, 5_000))),
    "tiers": MarginTerms(tiers=tiers((0, 5_000), (2_000_000, 20_000), (9_000_000, 100_000))),
    "steep tiers": MarginTerms(tiers=tiers((0, 10_000), (600_000, 350_000), (1_500_000, 700_000))),
    "slope": MarginTerms(tiers=tiers((0, 5_000)), slope_ppb=40_000),
    "at entry": MarginTerms(tiers=tiers((0, 5_000), (2_000_000, 30_000)), at_entry=True),
}


def market(kind: ContractKind, margin: MarginTerms, terms: LiquidationTerms) -> ContractVenue:
    """Return three contracts of one kind, settled in one asset, all at the same mark."""
    contracts = [
        perpetual(
            kind,
            contract_rules(margin=margin, liquidation=terms),
            instrument=id_,
            symbol=f"C{id_}",
            price_max_ticks=1_000_000,
            lot_mantissa=1 if kind == LINEAR else 100_000_000,
        )
        for id_ in CONTRACTS
    ]
    return contract_market(*contracts, price_ticks=START_TICKS)


class Book:
    """Accounts with positions that are made and changed without orders, and what has been said of them."""

    def __init__(self, venue: ContractVenue, random: Random) -> None:
        self.state: State = venue.exchange.state
        self.random = random
        self.settle: AssetId = venue.contract(CONTRACTS[0]).settle
        self.said: list[AnyEvent] = []
        for number in range(ACCOUNTS):
            margin = self._margin(number)
            margin.wallet_atoms = random.randrange(0, 3_000_000)

    def _margin(self, number: int) -> Margin:
        account = AccountId(5_000 + number)
        if account not in self.state.accounts:
            self.state.accounts[account] = type(self.state.accounts[AccountId(1000)])(account)
        return self.state.accounts[account].margin(self.settle)

    def trade(self) -> None:
        """Let one account open, enlarge, reduce or turn a position, near the mark."""
        random = self.random
        number = random.randrange(ACCOUNTS)
        margin = self._margin(number)
        instrument = self.state.markets.instruments[random.choice(CONTRACTS[: 1 + number % 3])]
        legs = (Leg.LONG, Leg.SHORT) if number % 5 == 0 else (Leg.NET,)
        position = margin.position(instrument.instrument, random.choice(legs))
        position.is_isolated = number % 2 == 1
        if position.scope.liquidation:
            return
        lots = random.randrange(1, 400)
        if position.leg == Leg.SHORT or (position.leg == Leg.NET and random.random() < 0.5):
            lots = -lots
        if legs != (Leg.NET,) and random.random() < 0.3:
            lots = -position.qty_lots
        if lots == 0:
            return
        contract = risk.contract_of(instrument)
        settle(contract, position)
        price = max(1, instrument.mark_ticks + random.randrange(-20, 21))
        flow = flow_atoms(contract, lots, notional_atoms(contract, price, abs(lots)))
        if position.is_isolated:
            position.bucket_atoms += abs(flow) // random.choice([5, 15, 60])
        fill(contract, position, lots, flow, 0, 0)
        self.touch(position)

    def pay(self) -> None:
        """Let money come into a scope, or leave it."""
        margin = self._margin(self.random.randrange(ACCOUNTS))
        if not margin.liquidation:
            margin.wallet_atoms += self.random.randrange(-100_000, 100_000)
            self.state.touched[margin] = None

    def fund(self) -> None:
        """Let longs owe shorts, or the other way round."""
        instrument = self.state.markets.instruments[self.random.choice(CONTRACTS)]
        contract = risk.contract_of(instrument)
        lot_atoms = abs(notional_atoms(contract, instrument.mark_ticks, 1000)) // 1000 + 1
        contract.cumulative_nanoatoms += self.random.randrange(-(10**7), 10**7) * lot_atoms
        risk.judge_marked(self.state, [instrument], self.said)

    def fund_late(self) -> None:
        """Let funding be owed of which nobody is told before another contract has a new mark."""
        first, second = self.random.sample(CONTRACTS, 2)
        instrument, other = (self.state.markets.instruments[id_] for id_ in (first, second))
        contract = risk.contract_of(instrument)
        contract.cumulative_nanoatoms += self.random.choice([-1, 1]) * 10**8 * instrument.mark_ticks
        other.mark_ticks += 1
        risk.judge_marked(self.state, [other], self.said)
        assert overlooked(self.state, second) == []
        risk.judge_marked(self.state, [instrument], self.said)

    def settle_one(self) -> None:
        """Let one position pay its funding."""
        instrument = self.state.markets.instruments[self.random.choice(CONTRACTS)]
        contract = risk.contract_of(instrument)
        for position in contract.positions.values():
            if self.random.random() < 0.2:
                settle(contract, position)
                self.touch(position)

    def touch(self, position: Position) -> None:
        """Have a position judged, and the wallet that it leans on."""
        self.state.touched[position.margin] = None
        self.state.touched[position.scope] = None

    def remark(self) -> None:
        """Move one mark or all, a little or a lot."""
        random = self.random
        width = random.choice([0, 1, 10, 10, 100, 100, 100, 1500])
        moved: list[Instrument] = []
        for id_ in random.choice([CONTRACTS, [random.choice(CONTRACTS)]]):
            instrument = self.state.markets.instruments[id_]
            before = instrument.mark_ticks
            instrument.mark_ticks = min(max(before + random.randrange(-width, width + 1), 2_000), 200_000)
            if instrument.mark_ticks != before:
                moved.append(instrument)
        if moved:
            risk.judge_marked(self.state, moved, self.said)

    def release(self) -> None:
        """Let the engine give a scope back that has its margin again, as it does at the end."""
        for liquidation in list(self.state.liquidations.rows):
            scope = risk.scope_of(self.state, liquidation)
            have, need = equity.standing_atoms(scope, self.state.markets.instruments)
            if have >= need:
                self.state.liquidations.remove(liquidation.liquidation)
                scope.liquidation = LiquidationId(0)
                scope.level = risk.level_of(self.state, scope, equity.ratio_ppm(have, need))
                self.state.touched[scope] = None

    def set_stale(self) -> None:
        """Let the index that all contracts lean on come and go."""
        index = risk.contract_of(self.state.markets.instruments[CONTRACTS[0]]).index
        index.is_stale = not index.is_stale
        if not index.is_stale:
            instruments = [self.state.markets.instruments[id_] for id_ in CONTRACTS]
            risk.judge_marked(self.state, instruments, self.said)


@pytest.mark.parametrize("kind", [LINEAR, INVERSE], ids=["linear", "inverse"])
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("warning_ppm", [600_000, 30_000], ids=["common levels", "an early warning"])
@pytest.mark.parametrize("seed", range(2))
def test_after_every_step_nobody_is_overlooked(
    kind: ContractKind, schedule: str, warning_ppm: int, seed: int
) -> None:
    random = Random(f"{kind} {schedule} {warning_ppm} {seed}")
    terms = LiquidationTerms(
        penalty_ppm=2_000, warning_ppm=warning_ppm, hysteresis_ppm=min(50_000, warning_ppm - 1)
    )
    book = Book(market(kind, SCHEDULES[schedule], terms), random)
    steps = [
        book.trade,
        book.trade,
        book.pay,
        book.fund,
        book.fund_late,
        book.settle_one,
        *([book.remark] * 8),
        book.release,
    ]
    # One of them has an index that comes and goes.
    if seed == 1:
        steps.append(book.set_stale)
    for _ in range(60):
        book.trade()
        risk.judge_touched(book.state, book.said)

    for _ in range(300):
        random.choice(steps)()
        risk.judge_touched(book.state, book.said)
        assert overlooked(book.state) == []

    # It was worth looking: scopes have gone up and down, and been liquidated.
    assert sum(isinstance(event, LiquidationStarted) for event in book.said) >= 3
    assert sum(isinstance(event, RiskLevelChanged) for event in book.said) >= 20


class Priced:
    """What the index sees of an instrument."""

    def __init__(self, contract: Contract, mark_ticks: int) -> None:
        self.contract: Contract = contract
        self.mark_ticks = mark_ticks
        self.price_max_ticks = 1_000_000


def level_now(scope: Scope, markets: dict[InstrumentId, Priced]) -> RiskLevel:
    """Return the level of a scope with lots at the marks as they are; LIQUIDATING if it lacks margin."""
    have, need = equity.standing_atoms(scope, markets)
    if have < need:
        return RiskLevel.LIQUIDATING
    at = ladder.thresholds(market.contract.rules.liquidation for market in markets.values())
    return ladder.level_after(scope.level, equity.ratio_ppm(have, need), at)


def go_to_the_bound(
    index: TriggerIndex, markets: dict[InstrumentId, Priced], id_: InstrumentId, towards_ticks: int
) -> None:
    """Move a mark as far as nobody is nominated by it, up or down."""
    market = markets[id_]
    near_ticks, far_ticks = market.mark_ticks, towards_ticks
    market.mark_ticks = far_ticks
    if index.nominated(markets, markets):
        while abs(far_ticks - near_ticks) > 1:
            market.mark_ticks = (near_ticks + far_ticks) // 2
            if index.nominated(markets, markets):
                far_ticks = market.mark_ticks
            else:
                near_ticks = market.mark_ticks
        market.mark_ticks = near_ticks


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("warning_ppm", [600_000, 30_000], ids=["common levels", "an early warning"])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_within_its_bounds_no_scope_changes_its_level(schedule: str, warning_ppm: int, count: int) -> None:
    random = Random(f"{schedule} {warning_ppm} {count}")
    terms = LiquidationTerms(
        penalty_ppm=2_000, warning_ppm=warning_ppm, hysteresis_ppm=min(50_000, warning_ppm - 1)
    )
    held_still = 0
    for _ in range(150):
        index, markets, margin = TriggerIndex(), {}, Margin(AccountId(1000), AssetId(1))
        for id_ in CONTRACTS[:count]:
            kind = random.choice([LINEAR, INVERSE])
            scale = 1 if kind == LINEAR else 10**8
            contract = contract_of(kind, scale, SCHEDULES[schedule])
            contract.rules = structs.replace(contract.rules, liquidation=terms)
            markets[id_] = Priced(contract, random.randrange(5_000, 80_000))
            position = margin.position(id_, Leg.NET)
            lots = random.choice([-1, 1]) * random.randrange(1, 400)
            price = markets[id_].mark_ticks + random.randrange(-2_000, 2_000)
            fill(
                contract,
                position,
                lots,
                flow_atoms(contract, lots, notional_atoms(contract, price, abs(lots))),
                0,
                0,
            )
        have, need = equity.standing_atoms(margin, markets)
        # Just above where a level is left, or anywhere.
        near = [(550_001, RiskLevel.WARNING), (700_001, RiskLevel.DANGER), (850_001, RiskLevel.CRITICAL)]
        ratio_ppm, margin.level = random.choice([*near, (random.randrange(20_000, 999_000), RiskLevel.SAFE)])
        margin.wallet_atoms += need * 1_000_000 // (ratio_ppm + random.randrange(900)) - have
        margin.level = level_now(margin, markets)
        index.nominated(markets, markets)
        held = risk.positions_with_lots(margin)
        index.write(margin, held, markets, *equity.standing_atoms(margin, markets), terms)

        for _ in range(3):
            if random.random() < 0.5:
                contract = markets[random.choice(CONTRACTS[:count])].contract
                lot_atoms = notional_atoms(contract, START_TICKS, 10**4)
                contract.cumulative_nanoatoms += random.randrange(-(10**3), 10**3) * lot_atoms
            if index.nominated(markets, markets):
                break
            for id_ in CONTRACTS[:count]:
                go_to_the_bound(index, markets, id_, random.choice([1_000, 900_000]))
            assert level_now(margin, markets) == margin.level
            held_still += 1
    # The bounds are not so narrow that nothing was tested.
    assert held_still > 20
