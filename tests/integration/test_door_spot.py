"""The SDK's whole surface against the door: by stream, by single calls, and blocking."""

import asyncio
import inspect
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from tests.helpers.door import client, run
from tests.helpers.stub_replica import ALICE, BOB, BTC, USD, Door, open_door

from steelyard.client import (
    Admin,
    Amended,
    BatchMode,
    Cancelled,
    CancelOrder,
    Malformed,
    OrderRejected,
    OrderState,
    OrderTerms,
    Placed,
    PriceSource,
    Refused,
    Rejected,
    SelfTrade,
    Side,
    SyncAdmin,
    SyncClient,
    SyncSession,
    Trader,
    TriggerKind,
    Waiting,
    order,
    stop,
    take_profit,
)
from steelyard.client.words import InstrumentState
from steelyard.core.commands import ActivateVersion

SUB = 2000
EVERYTHING = 63
READ_TRADE_TRANSFER = 7


@pytest.mark.parametrize("kind", ["stream", "unary"])
def test_a_trader_does_everything(tmp_path: Path, kind: str) -> None:
    async def check() -> None:
        async with open_door(tmp_path) as door, client(door, door.key(ALICE, READ_TRADE_TRANSFER)) as alice:
            door.stub.do(ActivateVersion(version=2))
            trader: Trader = (
                await alice.session("main") if kind == "stream" else await alice.unary_session("main")
            )
            btc = await alice.instrument("BTC-USD")
            usd = (await alice.assets())["USD"]

            placed = await trader.place(btc, Side.BUY, size=Decimal(1), limit=Decimal(50))
            waiting = await trader.place(
                btc, Side.BUY, size=Decimal(1), limit=Decimal(60), trigger=stop(Decimal(55)), label="later"
            )
            assert isinstance(placed, Placed)
            assert isinstance(waiting, Waiting)
            rows = await alice.open_orders()
            assert [row.state for row in rows] == [OrderState.WORKING, OrderState.WAITING]
            assert rows[1].terms == OrderTerms(trigger=TriggerKind.STOP, trigger_ticks=110)
            assert (rows[1].label, rows[1].shown_lots, rows[0].terms) == ("later", 0, None)

            less = await trader.amend(placed, instrument=btc, size=Decimal("0.5"))
            assert (less.number, less.open_lots) == (placed.number, 25)
            gone, new = await trader.replace(less, order(btc, Side.BUY, size_lots=5, limit_ticks=90))
            assert isinstance(gone, Cancelled)
            assert isinstance(new, Placed)
            with pytest.raises(OrderRejected, match="UNKNOWN_ORDER"):
                await trader.replace(placed, order(btc, Side.BUY, size_lots=5, limit_ticks=90))

            rise, fall = take_profit(Decimal(70)), stop(Decimal(40), source=PriceSource.MARK)
            await trader.place_oco(
                order(btc, Side.SELL, size_lots=5, limit_ticks=140),
                order(btc, Side.SELL, size_lots=5, market=True, trigger=fall),
            )
            await trader.place_oto(
                order(btc, Side.BUY, size_lots=5, limit_ticks=80),
                order(btc, Side.SELL, size_lots=5, limit_ticks=150),
            )
            legs = await trader.place_otoco(
                order(btc, Side.BUY, size_lots=5, limit_ticks=80),
                order(btc, Side.SELL, size_lots=5, limit_ticks=150),
                order(btc, Side.SELL, size_lots=5, market=True, trigger=rise),
            )
            assert [type(leg) for leg in legs] == [Placed, Waiting, Waiting]

            each = await trader.batch(
                [order(btc, Side.BUY, size_lots=1, limit_ticks=70), CancelOrder(number=999)]
            )
            assert [type(leg) for leg in each] == [Placed, Refused]
            with pytest.raises(OrderRejected) as refused:
                await trader.batch(
                    [order(btc, Side.BUY, size_lots=1, limit_ticks=70), CancelOrder(number=999)],
                    mode=BatchMode.ALL_OR_NONE,
                )
            assert (refused.value.reason, refused.value.expected) == ("UNKNOWN_ORDER", 2)

            await trader.countdown(timedelta(seconds=90))
            await trader.set_self_trade(SelfTrade.EXPIRE_BOTH)
            await trader.open_sub_account(SUB, 1)
            await trader.transfer(usd, Decimal("12.34"), taker=SUB)
            info = await alice.account()
            assert (info.self_trade, info.sub_accounts) == (SelfTrade.EXPIRE_BOTH, [SUB])
            assert list(info.countdowns) == [0]
            (row,) = await alice.balances(SUB)
            assert row.free == Decimal("12.34")
            with pytest.raises(OrderRejected, match="INSUFFICIENT_FUNDS"):
                await trader.pay_referral(usd)

            trial = await alice.try_order(order(btc, Side.BUY, size_lots=7, limit_ticks=60))
            assert (trial.refused, trial.open_lots) == ("", 7)
            count = len(await alice.open_orders())
            assert (await trader.cancel_all(btc)).orders_count == count == 10
            assert not await alice.open_orders()

    run(check())


def test_a_command_without_sense_never_reaches_the_log(tmp_path: Path) -> None:
    async def check() -> None:
        async with open_door(tmp_path) as door, client(door, door.alice) as alice:
            trader = await alice.unary_session("main")
            with pytest.raises(Malformed):
                await trader.batch([])
            btc = await alice.instrument("BTC-USD")
            with pytest.raises(Malformed):
                await alice.try_order(order(btc, Side.BUY, size_lots=-1, limit_ticks=5))

    run(check())


def test_below_version_2_what_is_new_is_refused_and_the_rest_goes_on(tmp_path: Path) -> None:
    async def check() -> None:
        async with open_door(tmp_path) as door, client(door, door.alice) as alice:
            trader = await alice.unary_session("main")
            btc = await alice.instrument("BTC-USD")
            placed = await trader.place(btc, Side.BUY, size=Decimal(1), limit=Decimal(50))
            assert [row.number for row in await alice.open_orders()] == [placed.number]
            assert (await alice.account()).account == ALICE

    run(check())


def test_an_operator_does_everything(tmp_path: Path) -> None:
    async def check() -> None:
        async with open_door(tmp_path) as door, client(door, door.operator) as operator:
            door.stub.do(ActivateVersion(version=2))
            admin = await operator.admin()
            await admin.set_instrument_rules(1, price_step_ticks=5, self_trade=SelfTrade.DECREMENT)
            await admin.open_sub_account(ALICE, SUB, 1)
            await admin.set_account_rules(ALICE, permissions=EVERYTHING, trade_group=3, orders_max=9)
            await admin.set_order_limit(ALICE, 1, size_max_lots=50)
            await admin.set_frozen(ALICE, True)
            await admin.set_legal_hold(ALICE, True)
            await admin.hold_funds(ALICE, 4, USD, 100, legal=True)
            await admin.set_fee_tier(1, 1, maker_ppm=-50, taker_ppm=100)
            await admin.set_account_tier(ALICE, 1)
            await admin.set_referrer(ALICE, BOB, 200_000)
            info = await operator.account(ALICE)
            assert (info.trade_group, info.orders_max, info.tier, info.referrer) == (3, 9, 1, BOB)
            assert (info.frozen, info.legal_hold, info.sub_accounts) == (True, True, [SUB])
            assert [(row.hold, row.asset, row.amount_atoms, row.legal) for row in info.holds] == [
                (4, USD, 100, True)
            ]
            assert [(row.maker_ppm, row.taker_ppm) for row in info.rates] == [(-50, 100)]
            assert [row.size_max_lots for row in info.order_limits] == [50]
            with pytest.raises(Rejected, match="LEGAL_HOLD"):
                await admin.release_hold(ALICE, 4)
            await admin.release_hold(ALICE, 4, legal=True)
            await admin.schedule_state(1, InstrumentState.HALTED, door.stub.exchange.time_ns + 10**12)
            await admin.schedule_state(1, InstrumentState.OPEN, 0)
            await admin.set_instrument_state(1, InstrumentState.HALTED)
            await admin.start_auction(1, 10**12)
            feed = client(door, door.key(9, 32))
            async with feed:
                await (await feed.admin("feed")).set_mark(1, 105)
            assert all(row.sum_atoms == 0 for row in await admin.totals())
            assert {row.asset for row in await admin.totals()} == {BTC, USD}

    run(check())


def test_the_blocking_client_has_the_same_surface(tmp_path: Path) -> None:
    def public(kind: type) -> set[str]:
        return {name for name, _ in inspect.getmembers(kind, inspect.isfunction) if name[0] != "_"}

    assert public(Trader) - {"submit"} <= public(SyncSession)
    assert {name for name in vars(Admin) if name[0] != "_"} <= public(SyncAdmin)

    def block(door: Door) -> None:
        with SyncClient([door.target], door.alice, retry_deadline_s=10) as trader:
            btc = trader.instrument("BTC-USD")
            session = trader.session("main", cancel_on_disconnect=timedelta(seconds=30))
            waiting = session.place(btc, Side.BUY, size=Decimal(1), market=True, trigger=stop(Decimal(55)))
            changed = session.amend(waiting, instrument=btc, trigger=Decimal(56))
            assert isinstance(changed, Amended)
            assert trader.try_order(order(btc, Side.SELL, size_lots=1, limit_ticks=9)).open_lots == 1
            assert trader.account().account == ALICE
            assert session.cancel_all().orders_count == 1

    async def check() -> None:
        async with open_door(tmp_path) as door:
            door.stub.do(ActivateVersion(version=2))
            door.stub.tell()
            await asyncio.to_thread(block, door)

    run(check())
