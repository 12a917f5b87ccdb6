"""No atom appears or vanishes in a fill; margin has no steps; the liquidation price is where it says."""

from hypothesis import given
from hypothesis import strategies as st
from tests.helpers.contract_parts import (
    ALICE,
    PERPETUAL,
    SETTLE,
    Market,
    contract_of,
    position_of,
    terms,
    trade,
)

from steelyard.core.commands import MarginTerms
from steelyard.core.contracts import equity, schedule
from steelyard.core.contracts.fill import fill, settle
from steelyard.core.contracts.liquidation_price import liquidation_price
from steelyard.core.contracts.scales import flow_atoms, notional_atoms, value_atoms
from steelyard.core.ledger import Balance
from steelyard.core.matching import Margin, Order, Position
from steelyard.core.units import AccountId, ContractKind, InstrumentId, Leg, OrderId, OrderNumber, Side

BOB = AccountId(1002)
OTHER = InstrumentId(6)
kinds = st.sampled_from(ContractKind)
#: Small ones round most of the time, large ones are real.
scales = st.sampled_from([1, 7, 1000, 200_000_000])
prices = st.integers(1, 60) | st.integers(19_000, 21_000)
signed = st.integers(-9, 9).filter(bool)


@st.composite
def schedules(draw: st.DrawFn, *, steep: bool = True) -> MarginTerms:
    """Return margin terms of up to four tiers, or of one with a slope, or with maintenance at entry."""
    floors = [0, *sorted(draw(st.lists(st.integers(1, 10**7), max_size=3, unique=True)))]
    highest = 900_000 if steep else 300_000
    rates = sorted(draw(st.lists(st.integers(1, highest), min_size=len(floors), max_size=len(floors))))
    more = draw(st.integers(1, 99_999))
    slope = draw(st.sampled_from([0, 0, 0, 1, 50_000]))
    if slope:
        floors, rates = floors[:1], rates[:1]
    return terms(
        *[(floor, rate, rate + more) for floor, rate in zip(floors, rates, strict=True)],
        slope_ppb=slope,
        at_entry=draw(st.sampled_from([False, False, True])),
    )


# --- fills ------------------------------------------------------------------------------------------------


@given(
    kinds,
    scales,
    st.lists(st.tuples(signed, prices, st.integers(-3, 9)), min_size=1, max_size=1000),
    st.booleans(),
)
def test_what_is_realised_is_the_cash_that_came_in(
    kind: ContractKind, scale: int, fills: list[tuple[int, int, int]], isolated: bool
) -> None:
    """Row P6: two accounts trade with each other in random slices, flips included, and close at the end."""
    contract = contract_of(kind, scale, terms((0, 10_000, 20_000)))
    margins = Margin(ALICE, SETTLE), Margin(BOB, SETTLE)
    alice, bob = (position_of(margin, isolated=isolated) for margin in margins)
    net = sum(lots for lots, _, _ in fills)
    cash, realised, fees = 0, 0, 0
    for lots, price, fee in [*fills, (-net, 20_000, 0)] if net else fills:
        flow = flow_atoms(contract, lots, notional_atoms(contract, price, abs(lots)))
        cash += flow
        fees += fee
        realised += fill(contract, alice, lots, flow, fee, 0)
        fill(contract, bob, -lots, -flow, 0, 0)
        money = sum(margin.wallet_atoms for margin in margins) + alice.bucket_atoms + bob.bucket_atoms
        assert money + contract.clearing_atoms + fees == 0
        assert alice.cash_flow_atoms + bob.cash_flow_atoms == contract.clearing_atoms
        assert contract.open_interest_lots == abs(alice.qty_lots) == abs(bob.qty_lots)
        assert len(contract.positions) == (2 if alice.qty_lots else 0)
    assert realised == cash
    assert alice.cash_flow_atoms == contract.clearing_atoms == 0
    assert alice.bucket_atoms + margins[0].wallet_atoms == cash - fees


@given(
    kinds,
    scales,
    st.lists(st.tuples(signed, prices, st.integers(-2, 5), st.integers(0, 50)), min_size=1, max_size=30),
    st.integers(-100, 10**6),
    st.lists(st.integers(-(10**9), 10**10), min_size=30, max_size=30),
)
def test_no_atom_appears_or_vanishes_in_an_isolated_fill(
    kind: ContractKind,
    scale: int,
    fills: list[tuple[int, int, int, int]],
    bucket: int,
    owed: list[int],
) -> None:
    contract = contract_of(kind, scale, terms((0, 10_000, 20_000)))
    margin = Margin(ALICE, SETTLE)
    position = position_of(margin, isolated=True)
    position.bucket_atoms, position.held_atoms = bucket, 10**6
    fees = 0

    def money() -> int:
        return (
            margin.wallet_atoms
            + position.bucket_atoms
            + position.held_atoms
            + contract.clearing_atoms
            + contract.funding_atoms
        )

    before = money()
    for (lots, price, fee, pledge), more in zip(fills, owed, strict=False):
        contract.cumulative_nanoatoms += more
        settle(contract, position)
        wallet = margin.wallet_atoms
        fill(
            contract,
            position,
            lots,
            flow_atoms(contract, lots, notional_atoms(contract, price, abs(lots))),
            fee,
            pledge,
        )
        fees += fee
        assert money() + fees == before
        # A loss of an isolated position never reaches the wallet.
        assert margin.wallet_atoms >= wallet
        assert position.settled_nanoatoms == contract.cumulative_nanoatoms


# --- schedules --------------------------------------------------------------------------------------------


@given(schedules(), st.integers(0, 2 * 10**7), st.integers(1, 1000), st.integers(0, 50))
def test_margin_never_falls_and_never_jumps(
    margin: MarginTerms, notional: int, step: int, leverage: int
) -> None:
    """Row R2: from one notional to another margin rises by at most the highest rate of what is between."""
    lots = 3
    for rates, atoms in (
        ([row.maintenance_ppm for row in margin.tiers], schedule.maintenance_atoms),
        (
            [max(row.initial_ppm, -(-(10**6) // leverage) if leverage else 0) for row in margin.tiers],
            lambda terms, n, lots: schedule.initial_atoms(terms, n, lots, leverage, 0),
        ),
    ):
        low, high = atoms(margin, notional, lots), atoms(margin, notional + step, lots)
        rate_ppb = max(rates) * 1000 + margin.slope_ppb * lots
        assert 0 <= high - low <= -(-step * rate_ppb // 10**9)


@given(schedules(), st.sampled_from(["maintenance_ppm", "initial_ppm"]))
def test_both_tiers_agree_at_each_boundary(margin: MarginTerms, which: str) -> None:
    def at(notional: int) -> int:
        if which == "maintenance_ppm":
            return schedule.maintenance_atoms(margin, notional, 1)
        return schedule.initial_atoms(margin, notional, 1, 0, 0)

    cum = 0
    for before, after in zip(margin.tiers, margin.tiers[1:], strict=False):
        floor = after.floor_atoms
        lower = -(-(floor * getattr(before, which) - cum) // 10**6)
        cum += floor * (getattr(after, which) - getattr(before, which))
        assert at(floor) == lower == -(-(floor * getattr(after, which) - cum) // 10**6)


@given(schedules(), st.integers(1, 10**8), st.integers(1, 100))
def test_the_highest_leverage_never_asks_for_less_than_the_tier(
    margin: MarginTerms, notional: int, lots: int
) -> None:
    highest = schedule.max_leverage(margin, notional, lots)
    rate = schedule.initial_rate_ppm(margin, notional, lots)

    assert highest * rate <= 10**6 < (highest + 1) * rate
    assert schedule.initial_atoms(margin, notional, lots, 0, 0) >= schedule.maintenance_atoms(
        margin, notional, lots
    )


# --- orders -----------------------------------------------------------------------------------------------

order_rows = st.lists(st.tuples(st.sampled_from(Side), prices, st.integers(1, 9)), max_size=4)


def rest(position: Position, side: Side, price: int, lots: int, pledge: int, number: int = 0) -> Order:
    number = number or len(position.orders) + 1
    order = Order(
        position.account,
        position.instrument,
        OrderId(number),
        OrderNumber(number),
        "",
        side,
        price,
        lots,
        lots,
        pledge,
        Balance(),
        Balance(),
    )
    position.begin(order)
    return order


@given(kinds, scales, schedules(), order_rows, order_rows, st.integers(-9, 9), prices, st.data())
def test_a_rehearsal_says_what_the_book_will(
    kind: ContractKind,
    scale: int,
    margin_terms: MarginTerms,
    rows: list[tuple[Side, int, int]],
    others: list[tuple[Side, int, int]],
    lots: int,
    mark: int,
    data: st.DataObject,
) -> None:
    contract = contract_of(kind, scale, margin_terms)
    other_contract = contract_of(ContractKind.LINEAR, 3, terms((0, 10_000, 20_000)))
    margin = Margin(ALICE, SETTLE)
    position, other = position_of(margin), position_of(margin, instrument=OTHER)
    if lots:
        trade(contract, position, lots, mark + 1)
    marks = {PERPETUAL: Market(contract, mark), OTHER: Market(other_contract, mark)}
    for row in rows:
        rest(position, *row, 5)
    for row in others:
        rest(other, *row, 2)
    side, price, size = data.draw(st.tuples(st.sampled_from(Side), prices, st.integers(1, 9)))

    said = equity.available_with_atoms(margin, marks, position, side, size, price, 7)

    rest(position, side, price, size, 7, number=99)
    assert said == equity.available_atoms(margin, marks)
    assert said == equity.equity_atoms(margin, marks) - equity.used_atoms(margin, marks)
    assert equity.used_atoms(margin, marks) >= 0
    assert equity.withdrawable_atoms(margin, marks) <= max(0, said)


@given(kinds, scales, order_rows, prices)
def test_open_loss_is_the_same_with_hints_and_without(
    kind: ContractKind, scale: int, rows: list[tuple[Side, int, int]], mark: int
) -> None:
    contract = contract_of(kind, scale, terms((0, 10_000, 20_000)))
    position = position_of(Margin(ALICE, SETTLE))
    orders = [rest(position, *row, 0) for row in rows]

    assert equity.open_loss_atoms(contract, position, mark) == sum(
        equity.order_loss_atoms(contract, order.side, order.open_lots, order.price_ticks, mark)
        for order in orders
    )


@given(
    kinds,
    scales,
    schedules(),
    st.integers(-9, 9),
    st.sampled_from(Side),
    st.integers(1, 9),
    prices,
    prices,
    prices,
    st.integers(0, 100),
)
def test_an_isolated_pledge_covers_the_margin_of_what_it_opens(
    kind: ContractKind,
    scale: int,
    margin_terms: MarginTerms,
    lots: int,
    side: Side,
    size: int,
    limit: int,
    opposite: int,
    mark: int,
    leverage: int,
) -> None:
    """Filled at its limit, or at the best price that it meets, it brings what initial margin rises by."""
    contract = contract_of(kind, scale, margin_terms)
    position = position_of(Margin(ALICE, SETTLE), isolated=True)
    position.leverage = leverage
    signed_lots = size if side == Side.BUY else -size
    lots = lots if lots * signed_lots > 0 else 0
    if lots:
        trade(contract, position, lots, mark)
    meets = opposite <= limit if side == Side.BUY else opposite >= limit
    price = opposite if meets else limit

    pledge = equity.isolated_pledge_atoms(
        contract, position, side, size, limit, opposite if meets else 0, mark, 500
    )

    before = equity.lots_initial_atoms(contract, abs(lots), mark, leverage)
    after = equity.lots_initial_atoms(contract, abs(lots) + size, mark, leverage)
    notional = notional_atoms(contract, price, size)
    gain = flow_atoms(contract, signed_lots, notional) + value_atoms(contract, signed_lots, mark)
    fee = -(-notional * 500 // 10**6)
    # Both initial margins round up.
    assert size * pledge + gain - fee >= after - before - 1


# --- the liquidation price --------------------------------------------------------------------------------


@given(
    kinds,
    st.sampled_from([1, 1000, 200_000_000]),
    schedules(steep=False),
    st.sampled_from(["cross", "isolated", "hedged"]),
    st.integers(1, 500),
    st.integers(0, 500),
    st.sampled_from([1, -1]),
    st.integers(1_000, 30_000),
    st.integers(1_000, 30_000),
    st.integers(1, 400_000),
    st.integers(-(10**9), 10**10),
)
def test_the_shown_tick_is_safe_and_the_next_one_is_not(
    kind: ContractKind,
    scale: int,
    margin_terms: MarginTerms,
    mode: str,
    lots: int,
    opposite_lots: int,
    side: int,
    entry: int,
    mark: int,
    cash_ppm: int,
    owed: int,
) -> None:
    """Row R4: by substitution, over random tiers, sides and modes."""
    contract = contract_of(kind, scale, margin_terms)
    margin = Margin(ALICE, SETTLE)
    first, second = (Leg.LONG, Leg.SHORT) if side > 0 else (Leg.SHORT, Leg.LONG)
    position = position_of(margin, first if mode == "hedged" else Leg.NET, isolated=mode == "isolated")
    trade(contract, position, side * lots, entry)
    if mode == "hedged" and opposite_lots:
        trade(contract, position_of(margin, second), -side * opposite_lots, entry + 7)
    cash = abs(position.cash_flow_atoms) * cash_ppm // 10**6
    if mode == "isolated":
        position.bucket_atoms = cash
    else:
        margin.wallet_atoms = cash
    contract.cumulative_nanoatoms += owed
    market = Market(contract, mark)
    marks = {PERPETUAL: market}

    def is_safe(ticks: int) -> bool:
        market.mark_ticks = ticks
        worth, need = equity.standing_atoms(position.scope, marks)
        return worth >= need

    found = liquidation_price(position, marks)

    if found is None:
        # Then it changes nowhere, but perhaps where an inverse contract is worth less than an atom.
        if kind == ContractKind.LINEAR and mode != "hedged":
            assert len(dict.fromkeys(map(is_safe, (1, mark, 10**12)))) == 1
        return
    assert is_safe(found.ticks)
    beyond = found.ticks + (-1 if found.is_below else 1)
    assert beyond == 0 or not is_safe(beyond)
    # Where a tick is more than an atom it is the exact solution, rounded.
    if mode == "hedged":
        return
    rounded = found.numerator // found.denominator + (
        found.is_below and found.numerator % found.denominator > 0
    )
    if kind == ContractKind.LINEAR:
        assert found.ticks == rounded
    elif scale == 200_000_000 and lots >= 50 and found.ticks < 40_000:
        assert abs(found.ticks - rounded) <= 1
