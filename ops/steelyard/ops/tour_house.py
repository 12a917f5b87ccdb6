"""The tour, second part: the house's rules, safety nets, auctions, accounts and fees."""

import asyncio
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Final

from steelyard.client import (
    Accepted,
    AccountEvent,
    AccountStep,
    Client,
    Fill,
    InstrumentState,
    LotsEvent,
    OrderEvent,
    OrderStep,
    Placed,
    PreventedEvent,
    Refused,
    SelfTrade,
    Side,
)
from steelyard.client.commands import ArmCountdown, OpenSubAccount, PayReferral, Transfer
from steelyard.ops.tour_stage import ALL_PERMISSIONS, BTC, PATIENCE_S, POLL_S, USDT, Step, StepFailed

#: Long enough for another leader to be there before it fires.
COUNTDOWN_S: Final = 6
DISCONNECT_S: Final = 5
NS_PER_S: Final = 1_000_000_000
TRADE_GROUP: Final = 7
SUB_ACCOUNT: Final = 2000


async def countdown(step: Step) -> None:
    """A countdown through a killed leader: the orders go in time, once."""
    stage, alice = step.stage, step.alice
    placed = [await step.get(Placed, alice, step.buy("1", limit)) for limit in ("97", "98", "99")]
    await step.get(Accepted, alice, ArmCountdown(COUNTDOWN_S * 1_000))
    armed = await step.hears(alice, AccountEvent, lambda event: event.step is AccountStep.COUNTDOWN_ARMED)
    leader = await stage.kill_leader()
    step.note("node", f"kill -9 of node {leader}, which leads")
    fired = await step.hears(alice, AccountEvent, lambda event: event.step is AccountStep.COUNTDOWN_FIRED)
    step.require(
        fired.log_time_ns >= armed.until_ns, "it fires when log time has come, although the leader is dead"
    )
    await step.hears(
        alice,
        OrderEvent,
        lambda event: event.step is OrderStep.EXPIRED and event.number == placed[-1].number,
    )
    ended = step.heard(alice, OrderEvent, lambda event: event.step is OrderStep.EXPIRED)
    step.require(
        [(event.number, event.reason) for event in ended]
        == [(order.number, "COUNTDOWN") for order in placed],
        "every order ended once, oldest first, for that reason",
    )
    stage.group.restart(leader)
    await stage.group.wait_ready(stage.operator)


async def disconnect(step: Step) -> None:
    """Cancel on disconnect: the orders go with the connection, or soon after its gateway was killed."""
    stage, alice = step.stage, step.alice
    wait = timedelta(seconds=DISCONNECT_S)
    async with Client(stage.group.endpoints, await stage.key(alice.account)) as client:
        session = await stage.attached(client, "market maker", cancel_on_disconnect=wait)
        await session.place(step.instrument, Side.BUY, size=Decimal(1), limit=Decimal(99))
        step.note("maker", "attaches with cancel on disconnect, buys 1 at 99", "in the book")
        step.require(len(await step.living(alice)) == 1, "while it is attached, its order stays")
    step.note("maker", "hangs up")
    await _no_order_left(step)
    step.require(not (await alice.client.account()).countdowns, "its order went with it; nothing stays armed")
    async with Client(stage.group.endpoints, await stage.key(alice.account)) as client:
        session = await stage.attached(client, "market maker 2", cancel_on_disconnect=wait)
        await session.place(step.instrument, Side.BUY, size=Decimal(1), limit=Decimal(99))
        leader = await stage.kill_leader()
        step.note("node", f"kill -9 of node {leader}, which leads: gateway and replica")
        await session.settled()
        await session.place(step.instrument, Side.BUY, size=Decimal(1), limit=Decimal(98))
        stage.group.restart(leader)
        await stage.group.wait_ready(stage.operator)
        await asyncio.sleep(DISCONNECT_S + 1)
        step.require(
            len(await step.living(alice)) == 2, "a stream that lives keeps its orders through a failover"
        )
    await _no_order_left(step)


async def _no_order_left(step: Step) -> None:
    try:
        async with asyncio.timeout(PATIENCE_S):
            while await step.living(step.alice):
                await asyncio.sleep(POLL_S)
    except TimeoutError as error:
        raise StepFailed("the orders did not go") from error


async def self_trade(step: Step) -> None:
    """Self-trade prevention: none, and the four ways to let orders of one account pass each other."""
    expected = {
        #: mode: (the taker trades, taker's rest in lots, maker's rest in lots)
        SelfTrade.NONE: (100, 0, 100),
        SelfTrade.EXPIRE_TAKER: (0, 0, 200),
        SelfTrade.EXPIRE_MAKER: (0, 100, 0),
        SelfTrade.EXPIRE_BOTH: (0, 0, 0),
        SelfTrade.DECREMENT: (0, 0, 100),
    }
    for mode, (traded, taker_left, maker_left) in expected.items():
        maker = await step.get(Placed, step.alice, step.sell("2", "100"))
        taker = await step.get(Placed, step.alice, step.buy("1", "100", self_trade=mode))
        if mode is not SelfTrade.NONE:
            await step.hears(step.alice, PreventedEvent, partial(_is_of_taker, taker.number))
        living = await step.living(step.alice)
        left = [living[each.number].open_lots if each.number in living else 0 for each in (taker, maker)]
        step.require(
            (taker.executed_lots, *left) == (traded, taker_left, maker_left),
            f"{mode.name}: {traded} lots traded, taker {taker_left} and maker {maker_left} left",
        )
        await step.alice.session.cancel_all()


def _is_of_taker(number: int, event: PreventedEvent) -> bool:
    return not event.maker and event.number == number


async def transfer_lots(step: Step) -> None:
    """Self-trade prevention by transfer: within a trade group lots change hands, without a fee or a trade."""
    admin = step.stage.admin
    for actor in (step.alice, step.bob):
        await admin.set_account_rules(actor.account, permissions=ALL_PERMISSIONS, trade_group=TRADE_GROUP)
    step.note("operator", f"alice and bob are of trade group {TRADE_GROUP}", "done")
    await step.get(Placed, step.bob, step.sell("1", "100", self_trade=SelfTrade.TRANSFER))
    taker = await step.get(Placed, step.alice, step.buy("1", "100", self_trade=SelfTrade.TRANSFER))
    got = await step.hears(step.alice, LotsEvent)
    gave = await step.hears(step.bob, LotsEvent)
    step.require(
        (got.size_lots, got.notional_atoms, taker.fee_atoms) == (100, 100_000_000, 0),
        "1 BTC against 100 USDT, no fee",
    )
    step.require((got.other, gave.other) == (step.bob.account, step.alice.account), "each hears of the other")
    step.require(not step.heard(step.alice, Fill), "it is no trade")
    for actor in (step.alice, step.bob):
        await admin.set_account_rules(actor.account, permissions=ALL_PERMISSIONS)


async def halt_and_auction(step: Step) -> None:
    """A volatility halt, then a call auction, then trading goes on."""
    admin, number = step.stage.admin, step.instrument.instrument
    await admin.set_instrument_rules(
        number, halt_ppm=50_000, halt_window_ns=60 * NS_PER_S, halt_ns=NS_PER_S, auction_ns=2 * NS_PER_S
    )
    step.note("operator", "5 % within a minute halt the market: 1 s, then an auction of 2 s", "done")
    await step.trade_at("100")
    for price in ("104", "106"):
        await step.send(step.bob, step.sell("1", price))
    taken = await step.get(Placed, step.alice, step.buy("2", "110"))
    step.require(taken.executed_lots == 100, "104 is within 5 % of 100 and trades; 106 is not")
    ended = await step.hears(step.alice, OrderEvent, lambda event: event.step is OrderStep.EXPIRED)
    step.require(ended.reason == "VOLATILITY_HALT", "what is left of the order ends, and the market halts")
    refused = await step.get(Refused, step.carol, step.buy("1", "100"))
    step.require(refused.reason == "INSTRUMENT_STATE", "a halted market takes no orders")
    await step.wait_for_state(InstrumentState.AUCTION)
    await step.get(Placed, step.alice, step.buy("2", "107"))
    await step.get(Placed, step.carol, step.sell("1", "103"))
    bids, asks = await step.book()
    step.require(bids[0][0] > asks[0][0], "the auction collects orders: the book is crossed, nothing trades")
    fill = await step.hears(step.alice, Fill, lambda event: event.maker or event.price_ticks != 10_400)
    step.require(fill.price_ticks == 10_600, "one price for all: at 106 the most trades, 2")
    await step.wait_for_state(InstrumentState.OPEN)
    fills = step.heard(step.alice, Fill, lambda event: event.log_index == fill.log_index)
    step.require(sum(event.size_lots for event in fills) == 200, "Alice bought 2, from Carol and from Bob")


async def scheduled_auction(step: Step) -> None:
    """An auction that the operator calls, and a state that is scheduled."""
    admin, number = step.stage.admin, step.instrument.instrument
    now_ns = (await step.stage.operator.status()).log_time_ns
    await admin.schedule_state(number, InstrumentState.POST_ONLY, now_ns + NS_PER_S)
    step.note("operator", "schedules POST_ONLY in a second", "done")
    await step.wait_for_state(InstrumentState.POST_ONLY)
    refused = await step.get(Refused, step.alice, step.buy("1", "100"))
    step.require(refused.reason == "INSTRUMENT_STATE", "then only what makes is taken")
    await step.get(Placed, step.alice, step.buy("1", "100", post_only=True))
    await admin.start_auction(number, NS_PER_S)
    await step.get(Placed, step.bob, step.sell("1", "100"))
    fill = await step.hears(step.alice, Fill)
    step.require(fill.price_ticks == 10_000, "the auction trades at 100 and opens the market")
    await step.wait_for_state(InstrumentState.OPEN)


async def sub_account(step: Step) -> None:
    """A sub-account: money moves within the family, and nowhere else."""
    alice, stage = step.alice, step.stage
    await step.get(Accepted, alice, OpenSubAccount(SUB_ACCOUNT, ALL_PERMISSIONS))
    await step.get(Accepted, alice, Transfer(USDT, 5_000_000, taker=SUB_ACCOUNT))
    rows = await alice.client.balances(SUB_ACCOUNT)
    step.require(
        [(row.asset.asset, row.free_atoms) for row in rows] == [(USDT, 5_000_000)],
        "the master sees what the sub-account has: 5 USDT",
    )
    refused = await step.get(Refused, alice, Transfer(USDT, 1, taker=step.bob.account))
    step.require(refused.reason == "NOT_FAMILY", "Bob is no family")
    await step.get(Accepted, alice, Transfer(USDT, 2_000_000, giver=SUB_ACCOUNT))
    info = await alice.client.account()
    step.require(info.sub_accounts == [SUB_ACCOUNT], "the account says who belongs to it")
    await stage.admin.hold_funds(SUB_ACCOUNT, 1, USDT, 3_000_000)
    stuck = await step.get(Refused, alice, Transfer(USDT, 1, giver=SUB_ACCOUNT))
    step.require(stuck.reason == "INSUFFICIENT_FUNDS", "what the operator holds stays where it is")
    await stage.admin.release_hold(SUB_ACCOUNT, 1)


async def freeze(step: Step) -> None:
    """A frozen account: may cancel and nothing else."""
    admin, alice = step.stage.admin, step.alice
    placed = await step.get(Placed, alice, step.buy("1", "99"))
    await admin.set_frozen(alice.account, True)
    await step.hears(alice, AccountEvent, lambda event: event.step is AccountStep.FROZEN)
    refused = await step.get(Refused, alice, step.buy("1", "99"))
    step.require(refused.reason == "ACCOUNT_FROZEN", "no new order")
    await admin.set_legal_hold(alice.account, True)
    await admin.set_frozen(alice.account, False)
    held = await step.get(Refused, alice, step.buy("1", "99"))
    step.require(held.reason == "LEGAL_HOLD", "a legal hold outlasts the end of the freeze")
    await alice.session.cancel(placed)
    step.require(not await step.living(alice), "cancelling is always possible")
    await admin.set_legal_hold(alice.account, False)
    await step.get(Placed, alice, step.buy("1", "99"))


async def fees(step: Step) -> None:
    """A fee tier and a referral: lower fees, and a share of them for who brought the customer."""
    admin, number = step.stage.admin, step.instrument.instrument
    await admin.set_fee_tier(1, number, maker_ppm=-100, taker_ppm=1_000)
    await admin.set_account_tier(step.alice.account, 1)
    await admin.set_referrer(step.alice.account, step.carol.account, 200_000)
    step.note("operator", "tier 1: taker 0.1 %, maker -0.01 %; Carol referred Alice, 20 %", "done")
    rates = {row.instrument: row for row in (await step.alice.client.account()).rates}
    step.require((rates[number].maker_ppm, rates[number].taker_ppm) == (-100, 1_000), "Alice sees her rates")
    await step.send(step.bob, step.sell("1", "100"))
    taken = await step.get(Placed, step.alice, step.buy("1", "100"))
    step.require(taken.fee_atoms == 100_000, "0.1 % of 100 USDT, not 0.2 %")
    earned = await step.hears(
        step.carol, AccountEvent, lambda event: event.step is AccountStep.REFERRAL_EARNED
    )
    step.require(earned.amount == 20_000, "a fifth of it is Carol's")
    await step.get(Accepted, step.carol, PayReferral(USDT))
    step.require(not (await step.carol.client.account()).owed, "and is paid")
    await step.send(step.alice, step.buy("1", "100"))
    await step.send(step.bob, step.sell("1", "100"))
    rebate = await step.hears(step.alice, Fill, lambda event: event.maker)
    step.require(rebate.fee_atoms == -10_000, "as a maker Alice is given 0.01 %")
    await admin.set_account_tier(step.alice.account, 0)
    await admin.set_referrer(step.alice.account, 0, 0)


async def money(step: Step) -> None:
    """Where all the money is, after all this."""
    for total in await step.stage.admin.totals():
        name = {BTC: "BTC", USDT: "USDT"}[total.asset]
        step.note(
            name,
            f"customers {total.customers_atoms:,}, outside {total.omnibus_atoms:,}",
            f"fees {total.fees_atoms:,}, referral {total.referral_atoms:,}, sum {total.sum_atoms}",
        )
        step.require(total.sum_atoms == 0, f"every atom of {name} is accounted for")
