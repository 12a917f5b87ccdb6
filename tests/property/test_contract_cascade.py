"""Cascades: whatever marks do to whoever is levered too highly, the money is all there and everybody is told.

Rows R7 to R10 and R17: steps, each liquidation once, the fund, the ranking, no debt after the waterfall.
"""

from random import Random
from typing import Final

import pytest
from tests.helpers.builders import order
from tests.helpers.contract_scopes import overlooked, scopes
from tests.helpers.contracts import (
    TRADE_TRANSFER,
    ContractVenue,
    contract_market,
    contract_rules,
    perpetual,
)

from steelyard.core import Entry, Exchange, Outcome, Request, snapshot, wire
from steelyard.core.commands import (
    FundingTerms,
    FundInsurance,
    LiquidationTerms,
    MarginTerms,
    MarginTier,
    SetContractModes,
    SetLeverage,
)
from steelyard.core.contracts import equity
from steelyard.core.entry import ENTRY_VERSION
from steelyard.core.events import (
    AdlSettled,
    AnyEvent,
    DebtRepaid,
    DebtTaken,
    InsuranceFunded,
    LiquidationEnded,
    LiquidationPaid,
    LiquidationStarted,
    LiquidationStepped,
    LossShared,
)
from steelyard.core.handlers import risk
from steelyard.core.units import AccountId, AssetId, ContractKind, FundingRule, InstrumentId, MarginMode, Side

TRADERS: Final = tuple(AccountId(1000 + number) for number in range(12))
MAKERS: Final = (AccountId(1900 + 1), AccountId(1900 + 2))
START: Final = 10_000
ACTS: Final = ("quote", "quote", "trade", "trade", "trade", "mark", "mark", "mark", "wait", "fund")
TIERS: Final = MarginTerms(
    tiers=[
        MarginTier(floor_atoms=0, maintenance_ppm=10_000, initial_ppm=15_000),
        MarginTier(floor_atoms=3_000_000, maintenance_ppm=30_000, initial_ppm=50_000),
    ]
)


class Doubled(ContractVenue):
    """A venue with a second member that is restored from a snapshot again and again."""

    def __init__(self) -> None:
        super().__init__()
        self.other: Exchange | None = None
        self.said: list[AnyEvent] = []

    def send(self, *requests: Request, after_ns: int = 1000) -> list[Outcome]:
        """Let both members apply an entry, and compare what they said."""
        entry = Entry(ENTRY_VERSION, self.exchange.time_ns + after_ns, list(requests))
        body = wire.encode_entry(entry)
        index = self.exchange.applied_index + 1
        applied, _ = self.exchange.apply_bytes(index, body)
        self.exchange.check_invariants()
        self.due = applied.due
        self.said += applied.due
        for outcome in applied.outcomes:
            self.said += outcome.events
        if self.other is not None:
            if index % 7 == 0:
                self.other = snapshot.load(snapshot.dump(self.other))
            self.other.apply_bytes(index, body)
            assert self.other.digest == self.exchange.digest, "a restored member says something else"
        return applied.outcomes


def world(random: Random, kind: ContractKind) -> tuple[Doubled, InstrumentId]:
    """Return a market where traders with little margin may trade with makers who have a lot."""
    terms = LiquidationTerms(
        penalty_ppm=random.choice([0, 2_000, 5_000]),
        step_ppm=random.choice([0, 200_000]),
        adl_share_ppm=random.choice([1_000_000, 300_000]),
    )
    rules = contract_rules(
        margin=TIERS,
        liquidation=terms,
        funding=FundingTerms(rule=FundingRule.DEAD_BAND, interval_ns=60 * 10**9),
    )
    inverse = kind == ContractKind.INVERSE
    listed = perpetual(kind, rules, price_max_ticks=100_000, lot_mantissa=10**8 if inverse else 1)
    # Without decimals a lot of 10**8 dollars is 10**8 / price atoms of the coin.
    venue = Doubled()
    contract_market(listed, price_ticks=START, wallet_atoms=0, accounts=(), venue=venue)
    settle = venue.contract(listed.instrument).settle
    for account in (*TRADERS, *MAKERS):
        venue.open_account(account, TRADE_TRANSFER)
        venue.deposit(account, settle, 10**9)
        venue.pay_in(account, 10**8 if account in MAKERS else random.randrange(20_000, 400_000), settle)
    for account in TRADERS[::3]:
        modes = SetContractModes(account=account, instrument=listed.instrument, margin=MarginMode.ISOLATED)
        venue.ask(account, modes)
        venue.ask(account, SetLeverage(account=account, instrument=listed.instrument, leverage=20))
    venue.other = snapshot.load(snapshot.dump(venue.exchange))
    return venue, listed.instrument


def act(venue: Doubled, random: Random, instrument: InstrumentId) -> None:
    """Let a maker quote, a trader trade, the mark move, or time pass."""
    mark = venue.instrument(instrument).mark_ticks
    number = venue.exchange.state.last_number + 1
    match random.choice(ACTS):
        case "quote":
            side = random.choice([Side.BUY, Side.SELL])
            away = random.randrange(0, 1 + mark // random.choice([500, 50, 10]))
            price = mark - away if side == Side.BUY else mark + away
            maker = random.choice(MAKERS)
            lots = random.randrange(1, 120)
            venue.ask(maker, order(side, number, lots, max(1, price), account=maker, instrument=instrument))
        case "trade":
            trader = random.choice(TRADERS)
            side = random.choice([Side.BUY, Side.SELL])
            lots = random.randrange(1, 300)
            price = mark + mark // 100 if side == Side.BUY else mark - mark // 100
            venue.ask(trader, order(side, number, lots, price, account=trader, instrument=instrument))
        case "mark":
            width = mark // random.choice([1000, 100, 100, 20])
            venue.mark(max(100, mark + random.randrange(-width, width + 1)), instrument)
        case "wait":
            venue.feed(START)
            venue.tick(after_ns=random.choice([1, 5, 8]) * 10**9)
        case _:
            amount = random.choice([50_000, 10_000, -5_000])
            venue.operate(FundInsurance(asset=venue.contract(instrument).settle, amount_atoms=amount))


def check_fund(venue: Doubled, settle: AssetId) -> None:
    """Insist that the fund, the debt and the steps are what has been said of them."""
    house = venue.exchange.state.ledger.houses[settle]
    fund = debt = 0
    stepped: LiquidationStepped | None = None
    for event in venue.said:
        match event:
            case InsuranceFunded():
                fund += event.amount_atoms
            case LiquidationStepped():
                stepped = event
            case LiquidationPaid():
                assert stepped is not None
                due = stepped.bankruptcy_atoms * event.lots // stepped.lots
                assert event.bankruptcy_atoms == due
                surplus = event.received_atoms - due
                assert event.insurance_atoms <= max(surplus, 0)
                assert event.insurance_atoms >= min(surplus, 0)
                assert event.insurance_atoms >= -fund
                fund += event.insurance_atoms
            case DebtTaken():
                assert event.insurance_atoms <= fund
                assert event.debt_atoms == 0 or event.insurance_atoms == fund
                fund -= event.insurance_atoms
                debt += event.debt_atoms
            case LossShared():
                assert event.debt_atoms == sum(atoms for _, _, atoms in event.shares) <= debt
                debt -= event.debt_atoms
            case DebtRepaid():
                assert event.atoms == min(fund, debt)
                fund -= event.atoms
                debt -= event.atoms
            case AdlSettled():
                assert sum(row.lots for row in event.givers) == event.lots
                assert sum(row.cash_atoms for row in event.givers) == -event.cash_atoms
                places = [row.place for row in event.givers]
                assert places == sorted(set(places))
                assert 1 <= places[0] <= places[-1] <= event.ranked
                assert all(row.lots > 0 for row in event.givers)
            case _:
                pass
    assert fund == house.insurance_atoms
    assert debt == -house.debt_atoms


@pytest.mark.parametrize("kind", [ContractKind.LINEAR, ContractKind.INVERSE], ids=["linear", "inverse"])
@pytest.mark.parametrize("seed", range(6))
def test_a_cascade_leaves_everything_in_order(kind: ContractKind, seed: int) -> None:
    random = Random(f"{kind} {seed}")
    venue, instrument = world(random, kind)
    settle = venue.contract(instrument).settle
    for _ in range(250):
        act(venue, random, instrument)
        assert overlooked(venue.exchange.state) == []
    venue.feed(START)
    for _ in range(60):
        venue.tick()

    started = [event.liquidation for event in venue.said if isinstance(event, LiquidationStarted)]
    ended = [event.liquidation for event in venue.said if isinstance(event, LiquidationEnded)]
    assert started == list(range(1, len(started) + 1))
    assert len(set(ended)) == len(ended)
    assert set(ended) | set(venue.exchange.state.liquidations) == set(started)
    assert len(started) >= 3
    check_fund(venue, settle)
    # Who is still in the queue waits for another mark, or for somebody to be closed against.
    state = venue.exchange.state
    for scope in scopes(state):
        if scope.liquidation:
            assert state.liquidations[scope.liquidation].is_parked
        else:
            have, need = equity.standing_atoms(scope, state.markets.instruments)
            assert have >= need
            assert risk.positions_with_lots(scope) or have >= 0
