"""The tour, first part: every kind of order, one step each."""

import asyncio
from decimal import Decimal
from typing import Final

from steelyard.client import (
    Amended,
    BatchMode,
    Cancelled,
    Fill,
    Many,
    OrderEvent,
    OrderState,
    OrderStep,
    Placed,
    Refused,
    Swept,
    TimeInForce,
    Waiting,
    amend,
    cancel,
    stop,
    take_profit,
)
from steelyard.client.commands import Batch, CancelOrders, PlaceOrderList, ReplaceOrder
from steelyard.client.words import ListKind
from steelyard.ops.tour_stage import PATIENCE_S, POLL_S, Step

#: How long the good-till-date order lives.
LIFE_NS: Final = 1_500_000_000

IOC, FOK = TimeInForce.IOC, TimeInForce.FOK


async def limit(step: Step) -> None:
    """A limit order: rests, then trades at its price."""
    placed = await step.get(Placed, step.alice, step.buy("1", "100"))
    step.require(placed.open_lots == 100, "nobody sells, so the whole size rests")
    taken = await step.get(Placed, step.bob, step.sell("0.4", "99"))
    step.require(taken.executed_atoms == 40_000_000, "the newcomer trades at the resting price, not its own")
    fill = await step.hears(step.alice, Fill)
    step.require((fill.maker, fill.open_lots) == (True, 60), "the maker hears of its fill and what is left")
    bids, _ = await step.book()
    step.require(bids == [(Decimal(100), Decimal("0.6"))], "the book shows the rest")


async def market(step: Step) -> None:
    """A market order: takes the best prices, never rests."""
    for price in ("101", "102"):
        await step.send(step.bob, step.sell("1", price))
    placed = await step.get(Placed, step.alice, step.buy("1.5", market=True))
    step.require(placed.executed_atoms == 152_000_000, "1 at 101 and 0.5 at 102: best price first")
    step.require(placed.open_lots == 0, "a market order leaves nothing in the book")
    step.require(not (await step.living(step.alice)), "nothing of it lives on")


async def budget(step: Step) -> None:
    """A market order by quote amount: spends at most so much, fee included."""
    await step.send(step.bob, step.sell("5", "100"))
    placed = await step.get(Placed, step.alice, step.buy(budget=Decimal(250)))
    spent = placed.executed_atoms + placed.fee_atoms
    step.require(placed.executed_lots == 249, "2.49 at 100 and the fee of 0.2 % fit into 250, 2.50 would not")
    step.require(spent <= 250_000_000, f"spent {step.instrument.quote.amount(spent)} in all")


async def stop_orders(step: Step) -> None:
    """Stop orders, market and limit: sleep until the price is reached."""
    await step.trade_at("100")
    await step.send(step.bob, step.sell("5", "106"))
    market_stop = await step.get(Waiting, step.alice, step.buy("1", market=True, trigger=stop(Decimal(105))))
    limit_stop = await step.get(Waiting, step.alice, step.buy("1", "104", trigger=stop(Decimal(105))))
    met = await step.get(Refused, step.alice, step.buy("1", market=True, trigger=stop(Decimal(99))))
    step.require(met.reason == "TRIGGER_ALREADY_MET", "a trigger that is met already is refused")
    living = await step.living(step.alice)
    step.require(
        all(living[each.number].state is OrderState.WAITING for each in (market_stop, limit_stop)),
        "both wait, and the book does not show them",
    )
    await step.trade_at("105")
    triggered = await step.hears(step.alice, OrderEvent, lambda event: event.step is OrderStep.TRIGGERED)
    step.require(triggered.number == market_stop.number, "at 105 both wake, the older one first")
    fill = await step.hears(step.alice, Fill)
    step.require(fill.price_ticks == 10_600, "the market stop buys at the best price there is")
    rested = await step.hears(step.alice, OrderEvent, lambda event: event.step is OrderStep.RESTED)
    step.require(rested.price_ticks == 10_400, "the limit stop rests at its own price")


async def take_profits(step: Step) -> None:
    """Take-profit orders, market and limit: the mirror image of stops."""
    await step.trade_at("100")
    await step.send(step.bob, step.buy("5", "108"))
    await step.get(Waiting, step.alice, step.sell("1", market=True, trigger=take_profit(Decimal(110))))
    await step.get(Waiting, step.alice, step.sell("1", "112", trigger=take_profit(Decimal(110))))
    await step.trade_at("110")
    await step.hears(step.alice, OrderEvent, lambda event: event.step is OrderStep.TRIGGERED)
    fill = await step.hears(step.alice, Fill)
    step.require(fill.price_ticks == 10_800, "the market take-profit sells to the best bid, 108")
    rested = await step.hears(step.alice, OrderEvent, lambda event: event.step is OrderStep.RESTED)
    step.require(rested.price_ticks == 11_200, "the limit take-profit rests at 112")


async def trailing(step: Step) -> None:
    """A trailing stop: follows the best price, sells when it has fallen by one per cent."""
    await step.trade_at("100")
    await step.send(step.bob, step.buy("5", "107"))
    order = step.sell("1", market=True, trigger=stop(), trail=Decimal("0.01"))
    await step.get(Waiting, step.alice, order)
    await step.hears(step.alice, OrderEvent, lambda event: event.step is OrderStep.ACTIVATED)
    for price in ("110", "109.5"):
        await step.trade_at(price)
    step.require(
        not step.heard(step.alice, OrderEvent, lambda event: event.step is OrderStep.TRIGGERED),
        "109.5 is less than 1 % below 110: it waits on",
    )
    await step.trade_at("108.9")
    triggered = await step.hears(step.alice, OrderEvent, lambda event: event.step is OrderStep.TRIGGERED)
    step.require(triggered.price_ticks == 10_890, "1 % below the best price it has seen, 110, is 108.90")
    fill = await step.hears(step.alice, Fill)
    step.require(fill.price_ticks == 10_700, "then it sells at the market, to the bid of 107")


async def iceberg(step: Step) -> None:
    """An iceberg: shows a slice at a time."""
    await step.get(Placed, step.alice, step.sell("3", "100", iceberg=Decimal(1)))
    await step.send(step.carol, step.sell("1", "100"))
    _, asks = await step.book()
    step.require(asks == [(Decimal(100), Decimal(2))], "the book shows one slice of 1 and Carol's 1")
    await step.send(step.bob, step.buy("1.5", "100", time_in_force=IOC))
    await step.hears(step.alice, OrderEvent, lambda event: event.step is OrderStep.REPLENISHED)
    carol = await step.hears(step.carol, Fill)
    step.require(carol.size_lots == 50, "the next slice went behind Carol, who traded 0.5 first")
    taken = await step.get(Placed, step.bob, step.buy("9", "100", time_in_force=IOC))
    step.require(taken.executed_lots == 250, "hidden lots trade, too")


async def post_only(step: Step) -> None:
    """Post-only: refused where it would trade, or slid one step behind the best price."""
    await step.send(step.bob, step.sell("1", "100"))
    refused = await step.get(Refused, step.alice, step.buy("1", "101", post_only=True))
    step.require(refused.reason == "POST_ONLY_WOULD_TRADE", "it never takes")
    slid = await step.get(Placed, step.alice, step.buy("1", "101", post_only="slide"))
    living = await step.living(step.alice)
    step.require(living[slid.number].price_ticks == 9_999, "with slide it rests at 99.99, one tick below")


async def ioc(step: Step) -> None:
    """Immediate or cancel: what does not trade at once is gone."""
    await step.send(step.bob, step.sell("1", "100"))
    placed = await step.get(Placed, step.alice, step.buy("3", "100", time_in_force=IOC))
    step.require((placed.executed_lots, placed.open_lots) == (100, 0), "1 traded, nothing rests")
    ended = await step.hears(step.alice, OrderEvent, lambda event: event.step is OrderStep.EXPIRED)
    step.require((ended.reason, ended.lots) == ("NO_LIQUIDITY", 200), "the other 2 are gone")


async def fok(step: Step) -> None:
    """Fill or kill: all at once, or nothing."""
    await step.send(step.bob, step.sell("1", "100"))
    killed = await step.get(Placed, step.alice, step.buy("3", "100", time_in_force=FOK))
    step.require((killed.executed_lots, killed.open_lots) == (0, 0), "3 are not there: nothing trades")
    filled = await step.get(Placed, step.alice, step.buy("1", "100", time_in_force=FOK))
    step.require(filled.executed_lots == 100, "1 is there: all of it trades")


async def good_till_date(step: Step) -> None:
    """Good till date: leaves by itself when log time has come."""
    now_ns = (await step.alice.client.status()).log_time_ns
    placed = await step.get(Placed, step.alice, step.buy("1", "100", good_till=now_ns + LIFE_NS))
    past = await step.get(Refused, step.alice, step.buy("1", "100", good_till=now_ns - LIFE_NS))
    step.require(past.reason == "EXPIRY_IN_PAST", "a time that has passed is refused")
    ended = await step.hears(step.alice, OrderEvent, lambda event: event.step is OrderStep.EXPIRED)
    step.require((ended.number, ended.reason) == (placed.number, "EXPIRED"), "nobody had to ask for it")
    step.require(ended.log_time_ns >= now_ns + LIFE_NS, "not before its time")


async def oco(step: Step) -> None:
    """One cancels the other: a profit target and a stop share one pledge."""
    await step.trade_at("100")
    legs = (
        step.sell("1", "110"),
        step.sell("1", market=True, trigger=stop(Decimal(95))),
    )
    both = await step.get(Many, step.alice, PlaceOrderList(ListKind.OCO, legs))
    step.require([type(leg) for leg in both.legs] == [Placed, Waiting], "one rests, the other waits")
    await step.get(Placed, step.bob, step.buy("0.5", "110"))
    ended = await step.hears(step.alice, OrderEvent, lambda event: event.step is OrderStep.EXPIRED)
    step.require(
        (ended.number, ended.reason) == (both.legs[1].number, "OTHER_LEG"),
        "a first fill of the target ends the stop",
    )
    step.require([*await step.living(step.alice)] == [both.legs[0].number], "the rest of the target stays")


async def oto(step: Step) -> None:
    """One triggers the other: the second order comes when the first is filled."""
    legs = (step.buy("1", "100"), step.sell("1", "105"))
    both = await step.get(Many, step.alice, PlaceOrderList(ListKind.OTO, legs))
    living = await step.living(step.alice)
    step.require(
        living[both.legs[1].number].state is OrderState.PENDING, "the sale is pending, without a pledge"
    )
    await step.send(step.bob, step.sell("0.4", "100"))
    step.require(
        (await step.living(step.alice))[both.legs[1].number].state is OrderState.PENDING,
        "a partial fill does not wake it",
    )
    await step.send(step.bob, step.sell("0.6", "100"))
    rested = await step.hears(
        step.alice,
        OrderEvent,
        lambda event: event.step is OrderStep.RESTED and event.price_ticks == 10_500,
    )
    step.require(rested.lots == 100, "the complete fill puts the sale into the book")


async def otoco(step: Step) -> None:
    """One triggers two, of which one cancels the other: entry, target and stop in one command."""
    legs = (
        step.buy("1", "100"),
        step.sell("1", "110"),
        step.sell("1", market=True, trigger=stop(Decimal(95))),
    )
    all_three = await step.get(Many, step.alice, PlaceOrderList(ListKind.OTOCO, legs))
    await step.send(step.bob, step.buy("5", "91"))
    await step.send(step.bob, step.sell("1", "100"))
    await step.hears(
        step.alice,
        OrderEvent,
        lambda event: event.step is OrderStep.RESTED and event.price_ticks == 11_000,
    )
    await step.trade_at("95")
    ended = await step.hears(step.alice, OrderEvent, lambda event: event.reason == "OTHER_LEG")
    step.require(ended.lots == 100, "the stop ends the target, which had traded nothing")
    fill = await step.hears(step.alice, Fill, lambda event: not event.maker)
    step.require(
        fill.number == all_three.legs[2].number and fill.price_ticks == 9_100,
        "the stop has sold at the market",
    )


async def amending(step: Step) -> None:
    """Amend: less size keeps the place in the queue, more or another price loses it."""
    first = await step.get(Placed, step.alice, step.sell("2", "100"))
    await step.send(step.carol, step.sell("1", "100"))
    less = await step.get(Amended, step.alice, amend(first, size_lots=100))
    step.require(less.number == first.number, "less size: the same number, the same place")
    await step.send(step.bob, step.buy("0.5", "100", time_in_force=IOC))
    step.require((await step.hears(step.alice, Fill)).size_lots == 50, "Alice still trades before Carol")
    more = await step.get(Amended, step.alice, amend(less, size_lots=300))
    step.require(more.number > first.number, "more size: a new number, the back of the queue")
    await step.send(step.bob, step.buy("0.5", "100", time_in_force=IOC))
    step.require((await step.hears(step.carol, Fill)).size_lots == 50, "now Carol trades first")
    moved = await step.get(Amended, step.alice, amend(more, instrument=step.instrument, limit=Decimal(101)))
    step.require(moved.open_lots == 250, "another price: total 3 less the 0.5 traded, at 101")
    nothing = await step.get(Refused, step.alice, amend(moved, limit_ticks=10_100))
    step.require(nothing.reason == "NOTHING_TO_CHANGE", "an amendment must change something")


async def replacing(step: Step) -> None:
    """Replace: cancel and place as one, with the pledge of the first free for the second."""
    first = await step.get(Placed, step.alice, step.buy("1", "100"))
    both = await step.get(Many, step.alice, ReplaceOrder(cancel(first), step.buy("2", "99")))
    step.require([type(leg) for leg in both.legs] == [Cancelled, Placed], "both in one command")
    gone = await step.get(Refused, step.alice, ReplaceOrder(cancel(first), step.buy("2", "98")))
    step.require(gone.reason == "UNKNOWN_ORDER", "the first is gone, so nothing is placed")
    anyway = ReplaceOrder(cancel(first), step.buy("2", "98"), place_anyway=True)
    forgiven = await step.get(Many, step.alice, anyway)
    step.require([type(leg) for leg in forgiven.legs] == [Refused, Placed], "unless it is asked for anyway")


async def batches(step: Step) -> None:
    """Batch: many commands in one, each by itself or all or none."""
    legs = (step.buy("1", "99"), cancel(number=999_999_999), step.buy("1", "98"))
    each = await step.get(Many, step.alice, Batch(legs))
    step.require([type(leg) for leg in each.legs] == [Placed, Refused, Placed], "one fault harms only itself")
    none = await step.get(
        Refused,
        step.alice,
        Batch((step.buy("1", "97"), cancel(number=999_999_999)), BatchMode.ALL_OR_NONE),
    )
    step.require((none.reason, none.expected) == ("UNKNOWN_ORDER", 2), "all or none names the leg at fault")
    step.require(len(await step.living(step.alice)) == 2, "and has done nothing")
    better = (step.buy("1", "97"), cancel(each.legs[0]), step.buy("1", "96"))
    done = await step.get(Many, step.alice, Batch(better, BatchMode.ALL_OR_NONE))
    step.require([type(leg) for leg in done.legs] == [Placed, Cancelled, Placed], "otherwise all is done")


async def cancel_all(step: Step) -> None:
    """Cancel all: of one side, then of both."""
    for command in (step.buy("1", "98"), step.buy("1", "99"), step.sell("1", "101")):
        await step.get(Placed, step.alice, command)
    buys = await step.get(Swept, step.alice, CancelOrders(step.instrument.instrument, side=1))
    step.require(buys.orders_count == 2, "two buys are gone")
    rest = await step.get(Swept, step.alice, CancelOrders())
    step.require(rest.orders_count >= 1, "then everything in all markets")
    step.require(not await step.living(step.alice), "nothing is left")


async def dry_run(step: Step) -> None:
    """Dry run: the exchange says what an order would come to, and nothing is logged."""
    await step.send(step.bob, step.sell("1", "100"))
    wanted = step.buy("3", "100.5")
    trial = await step.alice.client.try_order(wanted)
    step.note(
        "alice",
        "try: buy 3 at 100.5",
        f"would trade {step.instrument.size(trial.executed_lots)}, "
        f"{step.instrument.size(trial.open_lots)} would rest",
    )
    bids, asks = await step.book()
    step.require((bids, asks) == ([], [(Decimal(100), Decimal(1))]), "the book is as it was")
    real = await step.get(Placed, step.alice, wanted)
    step.require(
        (trial.executed_lots, trial.executed_atoms, trial.fee_atoms, trial.open_lots)
        == (real.executed_lots, real.executed_atoms, real.fee_atoms, real.open_lots),
        "the real order comes to exactly that",
    )
    too_dear = await step.alice.client.try_order(step.buy("1000", "100000"))
    step.note("alice", "try: buy 1000 at 100000", f"would be refused: {too_dear.refused}")


async def settle(step: Step) -> None:
    """Let what is due happen, and clear everybody's orders."""
    for actor in step.stage.actors:
        await actor.session.cancel_all()
    async with asyncio.timeout(PATIENCE_S):
        while any([await actor.client.open_orders() for actor in step.stage.actors]):
            await asyncio.sleep(POLL_S)
