"""Whatever is asked of leverage, modes, wallets and buckets, margin stays covered and money stays."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from tests.helpers.builders import ALICE, BOB, USD, buy, sell
from tests.helpers.contracts import PERP, ContractVenue, contract_market, contract_rules, perpetual

from steelyard.core.commands import (
    AdjustBucket,
    AnyCommand,
    MarginTerms,
    MarginTier,
    MoveMargin,
    SetContractModes,
    SetLeverage,
)
from steelyard.core.contracts import equity
from steelyard.core.entry import Accepted
from steelyard.core.units import Leg, MarginMode, RiskLevel, Side

TIERS = MarginTerms(
    tiers=[
        MarginTier(floor_atoms=0, maintenance_ppm=50_000, initial_ppm=100_000),
        MarginTier(floor_atoms=2_000, maintenance_ppm=100_000, initial_ppm=250_000),
    ]
)
LOTS = st.integers(1, 20)
AMOUNTS = st.integers(-1_200, 1_200)

commands: st.SearchStrategy[AnyCommand] = st.one_of(
    st.builds(
        SetLeverage,
        account=st.just(ALICE),
        instrument=st.just(PERP),
        leverage=st.integers(0, 12),
        leg=st.sampled_from([Leg.NET, Leg.NET, Leg.LONG]),
    ),
    st.builds(
        SetContractModes,
        account=st.just(ALICE),
        instrument=st.just(PERP),
        margin=st.sampled_from(MarginMode),
    ),
    st.builds(MoveMargin, account=st.just(ALICE), asset=st.just(USD), amount_atoms=AMOUNTS),
    st.builds(AdjustBucket, account=st.just(ALICE), instrument=st.just(PERP), amount_atoms=AMOUNTS),
)
#: Alice's order, in which she may meet Bob, and the mark.
orders = st.tuples(st.sampled_from(Side), LOTS, st.integers(95, 105))
marks = st.integers(80, 125)


def place(venue: ContractVenue, side: Side, lots: int, price_ticks: int) -> None:
    """Let Alice trade with Bob, or leave an order in the book."""
    number = venue.exchange.state.last_number + 1
    mine, theirs = (buy, sell) if side == Side.BUY else (sell, buy)
    if lots % 3:
        venue.place(BOB, msgspec.structs.replace(theirs(number, lots, price_ticks), instrument=PERP))
    venue.place(ALICE, msgspec.structs.replace(mine(number, lots, price_ticks), instrument=PERP))


def do_what_is_due(venue: ContractVenue) -> None:
    """Let the engine do what it can, so that no command comes together with a step of it."""
    due_ns = venue.exchange.next_due_ns()
    while due_ns is not None and due_ns <= venue.exchange.time_ns:
        venue.tick()
        due_ns = venue.exchange.next_due_ns()


def wealth(venue: ContractVenue) -> int:
    """Return everything that Alice has, wherever it stands."""
    margin = venue.margin(ALICE)
    kept = sum(each.bucket_atoms + each.held_atoms for each in margin.positions.values())
    return venue.free_atoms(ALICE, USD) + margin.wallet_atoms + kept


@given(st.lists(st.one_of(commands, commands, orders, marks), max_size=40))
def test_nothing_leaves_what_is_used_uncovered(log: list[AnyCommand | tuple[Side, int, int] | int]) -> None:
    """Rows P7, P8 and L5; the venue looks at every invariant after every command."""
    venue = contract_market(
        perpetual(rules=contract_rules(margin=TIERS), taker_ppm=1_000), funds_atoms=10_000, wallet_atoms=1_000
    )
    venue.deposit(BOB, USD, 10**9)
    venue.pay_in(BOB, 10**9)
    instruments = venue.exchange.state.markets.instruments
    for step in log:
        if not isinstance(step, msgspec.Struct):
            if isinstance(step, int):
                venue.mark(step)
            else:
                place(venue, *step)
            do_what_is_due(venue)
            continue
        before, margin = wealth(venue), venue.margin(ALICE)
        available = equity.available_atoms(margin, instruments)
        if not isinstance(venue.ask(ALICE, step).reply, Accepted):
            continue
        margin, position = venue.margin(ALICE), venue.position(ALICE)
        assert wealth(venue) == before
        after = equity.available_atoms(margin, instruments)
        assert after >= min(available, 0)
        match step:
            case MoveMargin(amount_atoms=amount) if amount < 0:
                notional = sum(
                    abs(each.qty_lots) * instruments[PERP].mark_ticks
                    for each in margin.positions.values()
                    if not each.is_isolated
                )
                assert min(margin.wallet_atoms, equity.equity_atoms(margin, instruments)) * 10 >= notional
                assert after >= 0
            case AdjustBucket(amount_atoms=amount) if amount < 0:
                contract = venue.contract()
                needed = equity.lots_initial_atoms(
                    contract, abs(position.qty_lots), venue.instrument().mark_ticks, position.leverage
                )
                worth = equity.equity_atoms(position, instruments)
                assert min(position.bucket_atoms, worth) >= needed
                assert position.level < RiskLevel.LIQUIDATING
            case SetLeverage(leverage=leverage) if leverage:
                contract = venue.contract()
                worst = equity.worst_lots(position) * venue.instrument().mark_ticks
                assert leverage <= (10 if worst < 2_000 else 4)
            case _:
                pass
