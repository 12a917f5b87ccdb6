"""Money, books and orders stay sound whatever is asked."""

from collections.abc import Iterable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.helpers.duel import Desk, Duel
from tests.helpers.sight import account_info, balances, everything_but_sessions, lists, open_orders, totals
from tests.helpers.spot_strategies import spot_asks, spot_trades
from tests.helpers.spot_traffic import SpotTraffic
from tests.helpers.strategies import Asks, asks, trades
from tests.helpers.traffic import Traffic
from tests.helpers.world import CUSTOMERS, SECOND_NS

from steelyard.core import Exchange, snapshot
from steelyard.core.commands import CancelOrder, CancelOrders
from steelyard.core.entry import Refused
from steelyard.core.events import (
    AnyEvent,
    Deposited,
    OrderAccepted,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderReduced,
    OrderReplaced,
    Traded,
    TradePrevented,
    Withdrawn,
)
from steelyard.core.units import AccountId, ListKind, OrderState, Side
from steelyard.simulation.twin_parts import ceil_div

#: Where a snapshot says its position in the log, and where its sessions.
POSITION = slice(1, 4)
SESSIONS = 12


def business(exchange: Exchange) -> list[object]:
    """Return the state, as its snapshot holds it, without position and sessions."""
    fields: list[object] = msgspec.msgpack.decode(snapshot.dump(exchange))
    del fields[SESSIONS]
    del fields[POSITION]
    return fields


def needed(exchange: Exchange, customer: AccountId) -> dict[int, int]:
    """Add up what an account's orders and holds need, by asset: of two alternatives the larger."""
    kinds = {row.list_number: row.kind for row in lists(exchange, customer)}
    larger: dict[int, dict[int, int]] = {}
    for order in open_orders(exchange, customer):
        market = exchange.state.markets.instruments[order.instrument]
        asset, lot_atoms = market.base, market.lot_atoms
        if order.side == Side.BUY:
            cost = order.price_ticks * market.tick_lot_atoms
            asset, lot_atoms = market.quote, cost + ceil_div(cost * order.cap_ppm, 10**6)
        atoms = 0 if order.state == OrderState.PENDING else order.open_lots * lot_atoms
        # Orders without alternatives count by their own number, which is no list's.
        group = order.list_number if kinds.get(order.list_number) == ListKind.OCO else int(order.number)
        found = larger.setdefault(asset, {})
        found[group] = max(found.get(group, 0), atoms)
    held = {asset: sum(found.values()) for asset, found in larger.items()}
    for hold in account_info(exchange, customer).holds:
        held[hold.asset] = held.get(hold.asset, 0) + hold.amount_atoms
    return {asset: atoms for asset, atoms in held.items() if atoms}


def cancel_everything(desk: Desk) -> None:
    """Cancel every order of every customer, one by one."""
    for account in CUSTOMERS:
        for order in open_orders(desk.both.fast, account):
            outcome = desk.hand_in(account, CancelOrder(account=account, number=order.number))
            assert not isinstance(outcome.reply, Refused)


@given(st.lists(st.one_of(spot_asks, spot_asks, st.integers(0, 3 * SECOND_NS)), max_size=60))
def test_no_sequence_breaks_an_invariant(log: list[Asks | int]) -> None:
    desk = Desk()
    for wish in log:
        if isinstance(wish, int):
            desk.pass_time(wish)
        else:
            desk.hand_in(*wish)
        desk.both.fast.check_invariants()


@given(st.lists(asks, max_size=60))
def test_a_refusal_of_version_1_changes_nothing(log: list[Asks]) -> None:
    desk = Desk(Traffic)
    before = everything_but_sessions(desk.both.fast)
    for account, command in log:
        outcome = desk.hand_in(account, command)
        after = everything_but_sessions(desk.both.fast)
        if isinstance(outcome.reply, Refused):
            assert after == before
        before = after


@given(st.lists(spot_asks, max_size=60))
def test_a_refusal_changes_no_byte(log: list[Asks]) -> None:
    desk = Desk()
    before = business(desk.both.fast)
    for account, command in log:
        outcome = desk.hand_in(account, command)
        after = business(desk.both.fast)
        if isinstance(outcome.reply, Refused) and not desk.due:
            assert after == before
        before = after


@given(st.lists(spot_asks, max_size=60))
def test_every_asset_sums_to_zero_after_every_command(log: list[Asks]) -> None:
    desk = Desk()
    for account, command in log:
        desk.hand_in(account, command)
        for asset in totals(desk.both.fast):
            assert asset.sum_atoms == 0
            assert asset.customers_atoms >= 0
            assert asset.fees_atoms >= 0
            assert asset.referral_atoms >= 0
            assert asset.rounding_atoms == 0


@given(st.lists(spot_asks, max_size=60))
def test_held_is_exactly_what_orders_and_holds_need(log: list[Asks]) -> None:
    desk = Desk()
    for account, command in log:
        desk.hand_in(account, command)
        for customer in CUSTOMERS:
            held = {asset: held for asset, (_, held) in balances(desk.both.fast, customer).items() if held}
            assert held == needed(desk.both.fast, customer)


@given(st.lists(asks, max_size=60))
def test_cancelling_everything_leaves_what_the_events_say(log: list[Asks]) -> None:
    desk = Desk(Traffic)
    owned = {
        (account, asset): free
        for account in CUSTOMERS
        for asset, (free, _) in balances(desk.both.fast, account).items()
    }

    def post(account: AccountId, asset: int, atoms: int) -> None:
        owned[account, asset] = owned.get((account, asset), 0) + atoms

    for account, command in log:
        for event in desk.hand_in(account, command).events:
            match event:
                case Deposited():
                    post(event.account, event.asset, event.amount_atoms)
                case Withdrawn():
                    post(event.account, event.asset, -event.amount_atoms)
                case Traded():
                    market = desk.both.slow.markets[event.instrument]
                    sign = 1 if event.taker_side == Side.BUY else -1
                    for trader, way, fee_atoms in (
                        (event.taker, sign, event.taker_fee_atoms),
                        (event.maker, -sign, event.maker_fee_atoms),
                    ):
                        post(trader, market.spec.base, way * event.size_lots * market.lot_atoms)
                        post(trader, market.spec.quote, -way * event.notional_atoms - fee_atoms)
                case _:
                    pass
    cancel_everything(desk)

    left = {
        (account, asset): (free, held)
        for account in dict.fromkeys(account for account, _ in owned)
        for asset, (free, held) in balances(desk.both.fast, AccountId(account)).items()
    }
    assert left == {owner: (atoms, 0) for owner, atoms in owned.items() if atoms}


@given(st.lists(trades, max_size=60))
def test_without_a_trade_cancelling_everything_restores_every_balance(log: list[Asks]) -> None:
    desk = Desk(Traffic)
    before = {account: balances(desk.both.fast, account) for account in CUSTOMERS}
    for account, command in log:
        if getattr(command, "side", Side.BUY) == Side.BUY:
            desk.hand_in(account, command)
    cancel_everything(desk)
    assert {account: balances(desk.both.fast, account) for account in CUSTOMERS} == before


@given(st.lists(spot_trades, max_size=60))
def test_a_sweep_frees_all_that_orders_held_and_nothing_else(log: list[Asks]) -> None:
    desk = Desk()
    for account, command in log:
        desk.hand_in(account, command)
    before = {account: balances(desk.both.fast, account) for account in CUSTOMERS}
    for account in CUSTOMERS:
        assert not isinstance(desk.hand_in(account, CancelOrders(account=account)).reply, Refused)
    for account in CUSTOMERS:
        assert open_orders(desk.both.fast, account) == []
        freed = {asset: (free + held, 0) for asset, (free, held) in before[account].items()}
        assert balances(desk.both.fast, account) == freed


# ---- what the events say of every order


class Ledger:
    """Every order's size and what became of its lots, from the events alone."""

    def __init__(self) -> None:
        self.numbers: dict[int, int] = {}
        self.sizes: dict[int, int] = {}
        self.used: dict[int, int] = {}
        self.ended = 0

    def note(self, events: Iterable[AnyEvent]) -> None:
        """Follow events; whoever ends has no lots left that are not accounted for."""
        for event in events:
            match event:
                case OrderAccepted():
                    self.sizes[event.number], self.used[event.number] = event.size_lots, 0
                case OrderReplaced():
                    self.used[event.number] = self.used.pop(event.before)
                    del self.sizes[event.before]
                    self.sizes[event.number] = event.size_lots
                    assert event.open_lots == event.size_lots - self.used[event.number]
                case OrderReduced():
                    self.sizes[event.number] = event.size_lots
                    assert event.open_lots == event.size_lots - self.used[event.number]
                case Traded():
                    self.use(event.maker_number, event.size_lots, event.maker_open_lots)
                    self.use(event.taker_number, event.size_lots, event.taker_open_lots)
                case TradePrevented():
                    self.use(event.maker_number, event.maker_lots, event.maker_open_lots)
                    self.use(event.taker_number, event.taker_lots, event.taker_open_lots)
                case OrderFilled():
                    self.end(event.number, 0)
                case OrderCancelled() | OrderExpired():
                    self.end(event.number, event.open_lots)
                case _:
                    before, number = getattr(event, "before", None), getattr(event, "number", None)
                    if isinstance(before, int) and isinstance(number, int) and before in self.sizes:
                        self.sizes[number], self.used[number] = self.sizes.pop(before), self.used.pop(before)

    def use(self, number: int, lots: int, open_lots: int) -> None:
        """Count lots that an order has traded, or that were prevented."""
        if self.sizes[number]:
            self.used[number] += lots
            assert self.sizes[number] - self.used[number] == open_lots, number

    def end(self, number: int, open_lots: int) -> None:
        """Count an order's end; one by budget has no size."""
        size, used = self.sizes.pop(number), self.used.pop(number)
        assert size == 0 or size - used == open_lots, number
        self.ended += 1


@pytest.mark.parametrize("seed", [21, 22, 23])
def test_what_traded_was_prevented_and_is_open_is_the_size_of_every_order(seed: int) -> None:
    both, ledger = Duel(), Ledger()
    script = SpotTraffic(seed).script()
    entry = next(script)
    while both.commands < 4_000:
        applied = both.step(entry)
        ledger.note((*applied.due, *(event for outcome in applied.outcomes for event in outcome.events)))
        entry = script.send(applied)
    living = {
        int(order.number): order.size_lots - order.open_lots
        for account in both.slow.accounts
        for order in open_orders(both.fast, AccountId(account))
    }
    assert living == ledger.used
    assert ledger.ended > 500
