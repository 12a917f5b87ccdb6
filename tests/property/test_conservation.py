"""Money and books stay sound whatever is asked."""

from hypothesis import given
from hypothesis import strategies as st
from tests.helpers.duel import Desk, balances, everything_but_sessions, open_orders, totals
from tests.helpers.strategies import Asks, asks, trades
from tests.helpers.world import CUSTOMERS

from steelyard.core.commands import CancelOrder
from steelyard.core.entry import Refused
from steelyard.core.events import Deposited, Traded, Withdrawn
from steelyard.core.units import AccountId, OrderNumber, Side


def cancel_everything(desk: Desk) -> None:
    """Cancel every order of every customer, one by one."""
    for account in CUSTOMERS:
        for number, *_ in open_orders(desk.both.fast, account):
            outcome = desk.hand_in(account, CancelOrder(account=account, number=OrderNumber(number)))
            assert not isinstance(outcome.reply, Refused)


@given(st.lists(asks, max_size=60))
def test_no_sequence_breaks_an_invariant(log: list[Asks]) -> None:
    desk = Desk()
    for account, command in log:
        desk.hand_in(account, command)
        desk.both.fast.check_invariants()


@given(st.lists(asks, max_size=60))
def test_a_refusal_changes_nothing(log: list[Asks]) -> None:
    desk = Desk()
    before = everything_but_sessions(desk.both.fast)
    for account, command in log:
        outcome = desk.hand_in(account, command)
        after = everything_but_sessions(desk.both.fast)
        if isinstance(outcome.reply, Refused):
            assert after == before
        before = after


@given(st.lists(asks, max_size=60))
def test_every_asset_sums_to_zero_after_every_command(log: list[Asks]) -> None:
    desk = Desk()
    for account, command in log:
        desk.hand_in(account, command)
        for asset in totals(desk.both.fast):
            assert asset.sum_atoms == 0
            assert asset.customers_atoms >= 0
            assert asset.fees_atoms >= 0
            assert asset.rounding_atoms == 0


@given(st.lists(trades, max_size=60))
def test_held_is_exactly_what_open_orders_need(log: list[Asks]) -> None:
    desk = Desk()
    for account, command in log:
        desk.hand_in(account, command)
        for customer in CUSTOMERS:
            needed: dict[int, int] = {}
            for _, instrument, _, _, side, price_ticks, _, open_lots in open_orders(desk.both.fast, customer):
                market = desk.both.slow.markets[instrument]
                asset, atoms = desk.both.slow.pledge(market, Side(side), price_ticks, open_lots)
                needed[asset] = needed.get(asset, 0) + atoms
            held = {asset: held for asset, (_, held) in balances(desk.both.fast, customer).items() if held}
            assert held == needed


@given(st.lists(asks, max_size=60))
def test_cancelling_everything_leaves_what_the_events_say(log: list[Asks]) -> None:
    desk = Desk()
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
    desk = Desk()
    before = {account: balances(desk.both.fast, account) for account in CUSTOMERS}
    for account, command in log:
        if getattr(command, "side", Side.BUY) == Side.BUY:
            desk.hand_in(account, command)
    cancel_everything(desk)
    assert {account: balances(desk.both.fast, account) for account in CUSTOMERS} == before
