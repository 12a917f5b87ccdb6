"""What is told of contracts follows from events alone, at every index; archives keep all of it."""

from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from tests.helpers.contract_traffic import ContractTraffic

from steelyard.core import Exchange, queries
from steelyard.core.entry import Applied
from steelyard.core.events import AdlSettled, FundingSet, LiquidationPaid, LiquidationStepped, PositionSettled
from steelyard.core.invariants import all_balances
from steelyard.core.queries import Picture
from steelyard.core.units import OPERATOR_KEY, InstrumentId
from steelyard.replication.archive import Ledger
from steelyard.replication.archive_file import ArchiveWriter
from steelyard.replication.archive_read import ArchiveReader
from steelyard.replication.liquidations import Stepped, stepped_of
from steelyard.rpc.market.contract import MarketContract
from steelyard.rpc.market.market import Market, by_instrument

ENTRIES = 500
SEEDS = range(1, 9)
Balances = dict[tuple[int, int], int]


def entries(seed: int) -> Iterator[tuple[Exchange, Applied]]:
    """Yield an exchange after each of its entries, and what the entry came to."""
    exchange = Exchange()
    script = ContractTraffic(seed).script()
    entry = next(script)
    for index in range(1, ENTRIES + 1):
        applied = exchange.apply(index, entry)
        yield exchange, applied
        entry = script.send(applied)


def standing(contract: MarketContract) -> tuple[object, ...]:
    """Return all that is told of how a contract stands."""
    return contract.prices, contract.funding, contract.open_interest_lots


def market_of(exchange: Exchange, instrument: InstrumentId) -> Market:
    picture = queries.answer(exchange.state, OPERATOR_KEY, queries.GetPicture(instrument=instrument))
    assert isinstance(picture, Picture)
    return Market(exchange.applied_index, picture)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_followed_contract_is_the_exchanges_own_at_every_index(seed: int) -> None:
    followed: dict[InstrumentId, Market] = {}
    told: dict[InstrumentId, list[Stepped]] = {}
    steps: list[Stepped] = []
    begun: dict[InstrumentId, int] = {}
    changed: Counter[str] = Counter()
    for exchange, applied in entries(seed):
        instruments = exchange.state.markets.instruments
        events = by_instrument(applied, instruments)
        happened = (stepped_of(applied.index, applied.time_ns, event) for event in applied.events())
        steps += [step for step in happened if step is not None]
        for instrument in instruments:
            anew = market_of(exchange, instrument)
            market = followed.setdefault(instrument, anew)
            if market is anew:
                begun[instrument] = applied.index
                continue
            change = market.apply(applied.index, applied.time_ns, events[instrument])
            assert (market.contract is None) == (anew.contract is None)
            if market.contract is None or anew.contract is None or change.contract is None:
                continue
            assert standing(market.contract) == standing(anew.contract)
            told.setdefault(instrument, []).extend(change.contract.liquidations)
            changed["prices"] += len(change.contract.prices)
            changed["fundings"] += len(change.contract.fundings)
            changed["open interest"] += change.contract.open_interest_lots is not None
    for instrument, each in told.items():
        settle = exchange.state.markets.instruments[instrument].settle
        heard = [step for step in steps if step.log_index > begun[instrument]]
        assert each == [step for step in heard if step.instrument == instrument or step.asset == settle]
    assert min(changed[name] for name in ("prices", "fundings", "open interest")) > 0


@cache
def traffic(seed: int) -> tuple[list[Applied], list[Balances], Exchange]:
    """Return what entries came to, and everybody's balances after each of them from zero on."""
    everything, history = [], [Balances()]
    for exchange, applied in entries(seed):
        everything.append(applied)
        owned = all_balances(exchange.state)
        history.append({(int(a), int(b)): atoms for (a, b), atoms in owned.items() if atoms})
    return everything, history, exchange


@pytest.mark.parametrize("seed", SEEDS)
def test_archives_keep_fundings_liquidations_and_statements_that_add_up(tmp_path: Path, seed: int) -> None:
    everything, history, exchange = traffic(seed)
    file = ArchiveWriter(tmp_path / "archive.sqlite", "twin")
    ledger = Ledger(file)
    for applied in everything:
        ledger.add(exchange, applied)
        if applied.index % 37 == 0 or applied.index == ENTRIES:
            ledger.write(applied.index, applied.time_ns)
    file.close()
    steps: list[Stepped] = []
    settled: list[tuple[int, int, int]] = []
    for applied in everything:
        for event in applied.events():
            step = stepped_of(applied.index, applied.time_ns, event)
            if step is not None:
                steps.append(step)
            if isinstance(event, FundingSet):
                settled.append((event.instrument, applied.index, event.delta_nanoatoms))
    with ArchiveReader(tmp_path / "archive.sqlite") as reader:
        for account in sorted({account for balances in history for account, _ in balances}):
            for after, to in ((0, ENTRIES), (ENTRIES // 3, ENTRIES // 2)):
                found = reader.statement(account, after, to, movements=False)
                for asset, before, later in found.balances:
                    assert before == history[after].get((account, asset), 0)
                    assert later == history[to].get((account, asset), 0)
                    assert before + sum(x.amount_atoms for x in found.lines if x.asset == asset) == later
        assert reader.liquidations(0, 0, 1, 100_000) == steps
        paged: list[Stepped] = reader.liquidations(0, 0, 1, 3)
        while more := reader.liquidations(0, 0, paged[-1].log_index, 3) if paged else []:
            paged += more
        assert paged == steps
        for instrument, listed in exchange.state.markets.instruments.items():
            settle = listed.settle or 0
            told = [step for step in steps if step.instrument == instrument or 0 < step.asset == settle]
            assert reader.liquidations(instrument, settle, 1, 100_000) == told
            newest = reader.liquidations(instrument, settle, 0, 5)
            assert newest == told[len(told) - len(newest) :]
        for instrument in exchange.state.markets.instruments:
            kept = [
                (instrument, row.log_index, row.delta_nanoatoms)
                for row in reader.fundings(instrument, 1, 100_000)
            ]
            assert kept == [row for row in settled if row[0] == instrument]


def test_the_traffic_is_worth_it() -> None:
    """Otherwise the tests above would be about little."""
    met = Counter(type(event) for seed in SEEDS for each in traffic(seed)[0] for event in each.events())
    assert all(
        met[kind] for kind in (FundingSet, LiquidationStepped, LiquidationPaid, AdlSettled, PositionSettled)
    )
