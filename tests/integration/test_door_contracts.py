"""Contracts through the gateway and the SDK: listed, fed, traded, watched, liquidated, kept by an archive."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.helpers.door import client, run
from tests.helpers.stub_replica import BTC, GROUP, USD, Door, open_door

from steelyard.client import (
    Admin,
    ApiKey,
    Channel,
    Client,
    ContractKind,
    ContractRules,
    Event,
    FundingTerms,
    IndexQuote,
    Instrument,
    InstrumentState,
    LiquidationEnd,
    LiquidationEvent,
    LiquidationStep,
    MarginEvent,
    MarginMode,
    MarginTerms,
    MarginTier,
    MarketUpdate,
    MarkRule,
    OrderEvent,
    OrderRejected,
    OrderStep,
    PositionEvent,
    PositionLeg,
    PositionStep,
    PriceSource,
    Rejected,
    RiskEvent,
    RiskLevel,
    Session,
    Side,
    SyncClient,
    order,
    stop,
)
from steelyard.core.commands import ActivateVersion
from steelyard.core.units import Permission
from steelyard.replication.archive import Ledger
from steelyard.replication.archive_file import ArchiveWriter
from steelyard.rpc.gateway import Gateway

TRADER = Permission.READ | Permission.TRADE | Permission.TRANSFER
#: One tier, 1 % to stay and 2 % to enlarge; a mark that is fed, so that a test says what it is.
RULES = ContractRules(
    margin=MarginTerms((MarginTier(0, 10_000, 20_000),)),
    position_max_lots=1_000_000,
    open_interest_max_lots=1_000_000,
    mark_rule=MarkRule.FED,
)
PERP, BTC_INDEX = 2, 1


class Market(NamedTuple):
    """A door with a contract, an index with a price, and whose hands move them."""

    door: Door
    operator: Admin
    feed: Admin
    contract: Instrument

    async def set_mark(self, ticks: int) -> int:
        """Let the mark be so; return the log index."""
        return await self.feed.set_mark(PERP, ticks)

    async def set_index(self, ticks: int) -> int:
        """Let the index be so; return the log index."""
        now_ns = self.door.stub.exchange.time_ns
        return await self.feed.set_index_sources(BTC_INDEX, [IndexQuote(1, ticks, 1, now_ns)])


@asynccontextmanager
async def open_contracts(folder: Path, rules: ContractRules = RULES) -> AsyncIterator[Market]:
    """Open a door of version 3 with an open contract, settled in USD, at a mark and an index of 100."""
    async with open_door(folder) as door:
        door.stub.do(ActivateVersion(version=2), ActivateVersion(version=3))
        door.stub.tell()
        async with (
            client(door, door.operator) as operator,
            client(door, door.key(1000, int(Permission.READ | Permission.FEED))) as feeder,
        ):
            admin, feed = await operator.admin(), await feeder.admin("feed")
            await admin.list_index(BTC_INDEX, "BTC", tick=Decimal("0.5"), stale_ns=86_400 * 10**9)
            await admin.list_contract(
                PERP,
                "BTC-PERP",
                BTC,
                USD,
                contract=ContractKind.LINEAR,
                index=BTC_INDEX,
                rules=rules,
                tick=Decimal("0.5"),
                lot=Decimal("0.02"),
                price_max_ticks=100_000,
                size_max_lots=100_000,
                taker_ppm=500,
            )
            market = Market(door, admin, feed, await operator.instrument("BTC-PERP"))
            await market.set_index(100)
            if rules.mark_rule is MarkRule.FED:
                await market.set_mark(100)
            for state in (InstrumentState.POST_ONLY, InstrumentState.OPEN):
                await admin.set_instrument_state(PERP, state)
            yield market


def trader(market: Market, account: int, *targets: str) -> tuple[ApiKey, Client]:
    """Return a key that trades and moves margin, and a client with it."""
    key = market.door.key(account, int(TRADER))
    return key, Client([market.door.target, *targets], key, retry_deadline_s=10)


async def until(updates: AsyncGenerator[MarketUpdate], log_index: int) -> list[MarketUpdate]:
    """Return the updates up to one that is at least of ``log_index``."""
    taken = [await anext(updates)]
    while taken[-1].log_index < log_index:
        taken.append(await anext(updates))
    return taken


async def heard(session: Session, last: type[Event], step: int) -> list[Event]:
    """Return the events up to one of a kind and a step."""
    found: list[Event] = []
    async with aclosing(session.events()) as events:
        async for event in events:
            found.append(event)
            if isinstance(event, last) and getattr(event, "step", None) == step:
                return found
    return found


def test_a_position_is_opened_and_looked_at(tmp_path: Path) -> None:
    async def check() -> None:
        async with open_contracts(tmp_path) as market:
            contract = market.contract
            assert contract.contract is not None
            assert (contract.contract.kind, contract.settle.symbol, contract.contract.scale) == (
                ContractKind.LINEAR,
                "USD",
                1,
            )
            alice, bob = trader(market, 1000)[1], trader(market, 1001)[1]
            async with alice, bob:
                buyer, seller = await alice.session("main", events=True), await bob.session("main")
                usd = contract.settle
                with pytest.raises(OrderRejected, match="INSUFFICIENT_MARGIN"):
                    await buyer.place(contract, Side.BUY, size=Decimal("0.2"), limit=Decimal(50))
                for session in (buyer, seller):
                    await session.move_margin(usd, Decimal(10))
                await buyer.set_leverage(contract, 10)
                trial = await alice.try_order(order(contract, Side.BUY, size_lots=10, limit_ticks=100))
                assert (trial.refused, trial.open_lots) == ("", 10)
                # Ten lots at 100 are 1000 atoms: a tenth of it, and the fee of each lot rounded up.
                assert (trial.margin_atoms, trial.available_atoms) == (110, 890)

                await seller.place(contract, Side.SELL, size=Decimal("0.2"), limit=Decimal(50))
                placed = await buyer.place(contract, Side.BUY, size=Decimal("0.2"), limit=Decimal(50))
                assert (placed.executed_lots, placed.executed_atoms, placed.fee_atoms) == (10, 1000, 1)

                info = await alice.account()
                (margin,) = info.margins
                (position,) = info.positions
                assert (margin.asset, margin.wallet_atoms, margin.equity_atoms) == (USD, 999, 999)
                assert (margin.maintenance_atoms, margin.used_atoms, margin.level) == (
                    10,
                    100,
                    RiskLevel.SAFE,
                )
                assert (position.qty_lots, position.cash_flow_atoms, position.entry_ticks) == (10, -1000, 100)
                assert (position.leg, position.margin, position.leverage) == (
                    PositionLeg.NET,
                    MarginMode.CROSS,
                    10,
                )
                await market.set_mark(110)
                (position,) = (await alice.account()).positions
                assert (position.pnl_atoms, position.mark_ticks) == (100, 110)
                async with aclosing(buyer.events()) as events:
                    told = [await anext(events) for _ in range(6)]
                names = ["MarginEvent", "PositionEvent", "OrderEvent", "Fill", "PositionEvent", "OrderEvent"]
                assert [type(each).__name__ for each in told] == names
                moved, chosen, traded = told[0], told[1], told[4]
                assert isinstance(moved, MarginEvent)
                assert (moved.amount_atoms, moved.wallet_atoms) == (1000, 1000)
                assert isinstance(chosen, PositionEvent)
                assert (chosen.step, chosen.leverage) == (PositionStep.LEVERAGE, 10)
                assert isinstance(traded, PositionEvent)
                assert (traded.step, traded.trade, traded.qty_lots, traded.cash_flow_atoms) == (
                    PositionStep.TRADED,
                    1,
                    10,
                    -1000,
                )

    run(check())


def test_modes_buckets_and_orders_about_positions(tmp_path: Path) -> None:
    async def check() -> None:
        async with open_contracts(tmp_path) as market:
            contract, usd = market.contract, market.contract.settle
            alice, bob = trader(market, 1000)[1], trader(market, 1001)[1]
            async with alice, bob:
                session, other = await alice.session("main", events=True), await bob.session("main")
                for each in (session, other):
                    await each.move_margin(usd, Decimal(20))
                await session.set_contract_modes(contract, MarginMode.ISOLATED, hedge=True)
                with pytest.raises(OrderRejected, match="UNKNOWN_POSITION"):
                    await session.place(contract, Side.BUY, size_lots=10, limit_ticks=100)
                await other.place(contract, Side.SELL, size_lots=10, limit_ticks=100)
                await session.place(contract, Side.BUY, size_lots=10, limit_ticks=100, leg=PositionLeg.LONG)
                before = (await alice.account()).positions[0]
                assert (before.leg, before.margin, before.hedge, before.qty_lots) == (
                    PositionLeg.LONG,
                    MarginMode.ISOLATED,
                    True,
                    10,
                )
                await session.adjust_bucket(contract, Decimal(2), leg=PositionLeg.LONG)
                after = (await alice.account()).positions[0]
                assert after.bucket_atoms == before.bucket_atoms + 200

                waiting = await session.place(
                    contract,
                    Side.SELL,
                    close_position=True,
                    leg=PositionLeg.LONG,
                    trigger=stop(at_ticks=90, source=PriceSource.INDEX),
                )
                exact = await session.place(
                    contract, Side.SELL, size_lots=99, limit_ticks=200, leg=PositionLeg.LONG, reduce_only=True
                )
                assert exact.open_lots == 10
                close, reduce = await alice.open_orders()
                assert close.terms is not None
                assert reduce.terms is not None
                assert (close.number, close.terms.close_position, close.terms.leg) == (
                    waiting.number,
                    True,
                    PositionLeg.LONG,
                )
                assert (reduce.size_lots, reduce.terms.reduce_only) == (10, True)
                await session.cancel(exact)
                await other.place(contract, Side.BUY, size_lots=10, limit_ticks=95)
                # What wakes by the index has its turn with the next entry, and sells all of it.
                for _ in range(2):
                    await market.set_index(90)
                info = await alice.account()
                assert not any(row.qty_lots for row in info.positions)
                told = await heard(session, PositionEvent, PositionStep.TRADED)
                told += await heard(session, PositionEvent, PositionStep.TRADED)
                closing = [
                    each.terms.close_position
                    for each in told
                    if isinstance(each, OrderEvent) and each.step is OrderStep.CONTRACT and each.terms
                ]
                assert closing == [False, True, False]

    run(check())


def test_what_only_an_operator_may(tmp_path: Path) -> None:
    async def check() -> None:
        async with open_contracts(tmp_path) as market:
            contract, operator = market.contract, market.operator
            alice = trader(market, 1000)[1]
            async with alice, client(market.door, market.door.operator) as house:
                session = await alice.session("main", events=True)
                await session.move_margin(contract.settle, Decimal(20))
                with pytest.raises(OrderRejected, match="NOT_PERMITTED"):
                    await session.set_leverage(contract, 5, account=1001)
                await (await house.session("desk")).set_leverage(contract, 5, account=1000)
                assert (await alice.account()).positions[0].leverage == 5

                await operator.fund_insurance(USD, 500)
                await operator.fund_insurance(USD, -100)
                found = await alice.contracts()
                assert (found.funds[USD].insurance_atoms, found.funds[USD].gate) == (400, False)
                totals = {row.asset: row for row in await operator.totals()}
                assert (totals[USD].insurance_atoms, totals[USD].sum_atoms) == (400, 0)
                with pytest.raises(Rejected, match="INSUFFICIENT_FUNDS"):
                    await operator.fund_insurance(USD, -500)

                for switch in ({"account": 1000}, {"instrument": PERP}, {}):
                    await operator.set_kill_switch(True, **switch)
                    with pytest.raises(OrderRejected, match="KILL_SWITCH"):
                        await session.place(contract, Side.BUY, size_lots=1, limit_ticks=90)
                    found = await alice.contracts()
                    assert found.contracts[PERP].kill_switch == ("instrument" in switch)
                    assert found.kill_switch == (not switch)
                    await operator.set_kill_switch(False, **switch)
                assert (await session.place(contract, Side.BUY, size_lots=1, limit_ticks=90)).open_lots == 1

                assert found.contracts[PERP].rules == RULES
                stricter = replace(RULES, margin=MarginTerms((MarginTier(0, 50_000, 100_000),)))
                await operator.set_contract_rules(PERP, stricter)
                assert (await alice.contracts()).contracts[PERP].rules == stricter
                with pytest.raises(OrderRejected, match="LEVERAGE_OUT_OF_RANGE"):
                    await session.set_leverage(contract, 20)
                no_tiers = replace(RULES, margin=MarginTerms((MarginTier(5, 50_000, 100_000),)))
                with pytest.raises(Rejected, match="MARGIN_OUT_OF_RANGE"):
                    await operator.set_contract_rules(PERP, no_tiers)
                with pytest.raises(Rejected, match="NOT_PERMITTED"):
                    await market.feed.fund_insurance(USD, 1)

    run(check())


WATCHED = (Channel.PRICES, Channel.FUNDING, Channel.OPEN_INTEREST, Channel.LIQUIDATIONS)


def test_a_liquidation_is_watched_heard_and_kept(tmp_path: Path) -> None:
    async def check() -> None:
        async with open_contracts(tmp_path) as market:
            contract = market.contract
            alice, bob = trader(market, 1000)[1], trader(market, 1001)[1]
            async with alice, bob, aclosing(alice.market.watch(contract, WATCHED)) as updates:
                first = await anext(updates)
                assert first.picture
                assert [(each.mark_ticks, each.index_ticks) for each in first.prices] == [(100, 100)]
                assert (first.open_interest_lots, first.liquidations) == (0, [])
                session, other = await alice.session("main", events=True), await bob.session("main")
                await session.move_margin(contract.settle, Decimal("1.5"))
                await other.move_margin(contract.settle, Decimal(100))
                await market.operator.fund_insurance(USD, 1_000)
                await other.place(contract, Side.SELL, size_lots=50, limit_ticks=100)
                await session.place(contract, Side.BUY, size_lots=50, limit_ticks=100)
                await other.place(contract, Side.BUY, size_lots=50, limit_ticks=98)
                # 50 lots have lost 100 of 147 atoms; 1 % of 4,900 is 49.
                last = await market.set_mark(98)
                last = await market.set_index(98)
                taken = await until(updates, last)
                counts = [each.open_interest_lots for each in taken if each.open_interest_lots is not None]
                assert counts[0] == 50
                assert [each.mark_ticks for update in taken for each in update.prices][-1] == 98
                steps = [each.step for update in taken for each in update.liquidations]
                assert steps[:3] == [LiquidationStep.STARTED, LiquidationStep.STEPPED, LiquidationStep.PAID]
                assert steps[-1] == LiquidationStep.ENDED
                begun, shown, *_ = [each for update in taken for each in update.liquidations]
                assert (begun.liquidation, begun.instrument, begun.asset) == (shown.liquidation, 0, USD)
                assert (shown.side, shown.mark_ticks, shown.instrument) == (Side.SELL, 98, PERP)
                traded = [update.open_interest_lots for update in taken if update.liquidations]
                standing = (await alice.contracts()).contracts[PERP]
                assert traded[-1] == standing.open_interest_lots < 50

                told = await heard(session, LiquidationEvent, LiquidationStep.ENDED)
                ended = told[-1]
                assert isinstance(ended, LiquidationEvent)
                assert ended.how in (LiquidationEnd.CURED, LiquidationEnd.CLOSED)
                levels = [each.after for each in told if isinstance(each, RiskEvent)]
                assert RiskLevel.LIQUIDATING in levels
                of_engine = [
                    each.liquidation
                    for each in told
                    if isinstance(each, OrderEvent) and each.step is OrderStep.CONTRACT
                ]
                assert of_engine[0] == ended.liquidation

    run(check())


def test_archives_keep_funding_liquidations_and_statements_of_contracts(tmp_path: Path) -> None:
    interval_ns = 60 * 10**9
    rules = replace(RULES, funding=FundingTerms(interval_ns=interval_ns, interest_ppb=1_000_000))

    async def check() -> None:
        path = tmp_path / "archive.sqlite"
        async with open_contracts(tmp_path, rules) as market:
            stub, contract = market.door.stub, market.contract
            library = Gateway(GROUP, 1, stub.path, "127.0.0.1:0", name="library", archive=path)
            await library.start()
            target = f"127.0.0.1:{library.port}"
            alice, bob = trader(market, 1000)[1], trader(market, 1001)[1]
            async with alice, bob, Client([target], market.door.operator, retry_deadline_s=5) as reader:
                session, other = await alice.session("main"), await bob.session("main")
                await session.move_margin(contract.settle, Decimal(30))
                await other.move_margin(contract.settle, Decimal(100))
                await market.operator.fund_insurance(USD, 100_000)
                await other.place(contract, Side.SELL, size_lots=1000, limit_ticks=100)
                await session.place(contract, Side.BUY, size_lots=1000, limit_ticks=100)
                # A book on both sides, samples, and the end of an interval.
                await other.place(contract, Side.SELL, size_lots=10, limit_ticks=101)
                await other.place(contract, Side.BUY, size_lots=2000, limit_ticks=98)
                for _ in range(14):
                    stub.wait(5 * 10**9)
                    await market.set_index(100)
                await market.set_mark(97)
                for _ in range(3):
                    await market.set_index(97)
                file = ArchiveWriter(path, GROUP)
                ledger = Ledger(file)
                for applied in stub.applied:
                    ledger.add(stub.exchange, applied)
                ledger.write(stub.applied[-1].index, stub.applied[-1].time_ns)
                file.close()

                fundings = await reader.market.funding(contract)
                standing = (await alice.contracts()).contracts[PERP]
                assert fundings.rows
                assert fundings.rows[-1].cumulative_nanoatoms == standing.cumulative_nanoatoms
                assert {row.mark_ticks for row in fundings.rows} == {100}
                again = await reader.market.funding(contract, after_index=fundings.rows[0].log_index)
                assert again.rows == fundings.rows[1:]
                steps = (await reader.market.liquidations()).rows
                assert [each.step for each in steps][:3] == [
                    LiquidationStep.STARTED,
                    LiquidationStep.STEPPED,
                    LiquidationStep.PAID,
                ]
                assert steps[-1].how is not None
                assert (await reader.market.liquidations(contract)).rows == steps
                newest = (await reader.market.liquidations(rows_max=1)).rows
                assert newest == [each for each in steps if each.log_index == steps[-1].log_index]

                for account in (1000, 1001):
                    found = await reader.market.statement(account)
                    for balance in found.balances:
                        lines = [line.amount_atoms for line in found.lines if line.asset == balance.asset]
                        assert balance.before_atoms + sum(lines) == balance.after_atoms
                causes = {line.cause for line in (await reader.market.statement(1000)).lines}
                assert causes >= {"deposit", "fee", "funding", "pnl"}
                (ticker,) = (await reader.market.tickers(contract)).rows
                assert (ticker.index_ticks, ticker.open_interest_lots) == (97, standing.open_interest_lots)
                assert ticker.funding_ns == standing.funding_ns
            await library.stop(patience_s=0.2)

    run(check())


def test_the_blocking_client_knows_contracts_and_markets(tmp_path: Path) -> None:
    def block(market: Market, key: ApiKey) -> None:
        with SyncClient([market.door.target], key, retry_deadline_s=10) as alice:
            contract = alice.instrument("BTC-PERP")
            session = alice.session("main")
            session.move_margin(contract.settle, Decimal(20))
            session.set_leverage(contract, 4)
            session.set_contract_modes(contract, MarginMode.ISOLATED)
            assert alice.contracts().contracts[PERP].mark_ticks == 100
            updates = alice.market.watch(contract, WATCHED)
            assert next(updates).picture
            session.place(contract, Side.BUY, size_lots=5, limit_ticks=90)
            updates.close()
            index, orders = alice.market.orders(contract)
            assert [each.lots for each in orders] == [5]
            assert index

    async def check() -> None:
        async with open_contracts(tmp_path) as market:
            await asyncio.to_thread(block, market, market.door.key(1000, int(TRADER)))

    run(check())
