"""Whatever happens in the log: statements add up, candles are their trades, and a cut-off file goes on."""

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from tests.helpers.spot_traffic import SpotTraffic

from steelyard.core import Exchange
from steelyard.core.entry import Applied
from steelyard.core.events import Traded
from steelyard.core.invariants import all_balances
from steelyard.core.units import Side
from steelyard.replication.archive import Ledger
from steelyard.replication.archive_file import ArchiveWriter, Gap
from steelyard.replication.archive_read import ArchiveReader
from steelyard.replication.candles import Candle, Trade, joined
from steelyard.replication.intervals import SECOND_NS, Interval, start_s

ENTRIES = 400
SEEDS = range(1, 7)
Balances = dict[tuple[int, int], int]


def entries(seed: int) -> Iterator[tuple[Exchange, Applied]]:
    """Yield an exchange after each of its entries, and what the entry came to."""
    exchange = Exchange()
    script = SpotTraffic(seed).script()
    entry = next(script)
    for index in range(1, ENTRIES + 1):
        applied = exchange.apply(index, entry)
        yield exchange, applied
        entry = script.send(applied)


def balances_of(exchange: Exchange) -> Balances:
    return {(int(a), int(b)): atoms for (a, b), atoms in all_balances(exchange.state).items() if atoms}


def written(path: Path, seed: int, *, gap: range = range(0)) -> tuple[list[Balances], list[Applied]]:
    """Write an archive in batches of any size; return everybody's balances after each entry from zero on."""
    random = Random(seed)
    file = ArchiveWriter(path, "twin")
    ledger = Ledger(file)
    history: list[Balances] = [{}]
    everything: list[Applied] = []
    for exchange, applied in entries(seed):
        history.append(balances_of(exchange))
        everything.append(applied)
        if applied.index in gap:
            if applied.index == gap.stop - 1:
                rows = ((account, asset, atoms) for (account, asset), atoms in history[-1].items())
                file.begin_at(applied.index, applied.time_ns, rows)
                ledger = Ledger(file)
            continue
        ledger.add(exchange, applied)
        if random.random() < 0.2 or applied.index in (gap.start - 1, ENTRIES):
            ledger.write(applied.index, applied.time_ns)
            if random.random() < 0.2:
                # As after a crash: all that is remembered is in the file.
                file.close()
                file = ArchiveWriter(path, "twin")
                ledger = Ledger(file)
    file.close()
    return history, everything


@pytest.mark.parametrize("seed", SEEDS)
def test_the_lines_of_a_statement_are_the_difference_of_its_balances_and_those_are_the_exchanges(
    tmp_path: Path, seed: int
) -> None:
    history, _ = written(tmp_path / "archive.sqlite", seed)
    accounts = sorted({account for balances in history for account, _ in balances})
    random = Random(seed)
    counted = 0
    with ArchiveReader(tmp_path / "archive.sqlite") as reader:
        assert reader.last_index == ENTRIES
        for account in accounts * 10:
            after, to = sorted(random.choices(range(ENTRIES + 1), k=2))
            found = reader.statement(account, after, to, movements=True)
            assert not found.gaps
            for asset, before_atoms, after_atoms in found.balances:
                assert before_atoms == history[after].get((account, asset), 0)
                assert after_atoms == history[to].get((account, asset), 0)
                moved = sum(line.amount_atoms for line in found.lines if line.asset == asset)
                assert before_atoms + moved == after_atoms
            for line in found.lines:
                of = [m for m in found.movements if (m.asset, m.cause) == (line.asset, line.cause)]
                assert (sum(m.amount_atoms for m in of), len(of)) == (line.amount_atoms, line.count)
                counted += line.count
            missing = {place for place in history[to] if place[0] == account} - {
                (account, asset) for asset, _, _ in found.balances
            }
            assert not missing
    assert counted > 500


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("gap", [range(1, 151), range(200, 260)])
def test_a_gap_is_told_and_balances_on_both_sides_of_it_are_right(
    tmp_path: Path, seed: int, gap: range
) -> None:
    history, _ = written(tmp_path / "archive.sqlite", seed, gap=gap)
    accounts = sorted({account for balances in history for account, _ in balances})
    missing = Gap(gap.start - 1, gap.stop - 1)
    with ArchiveReader(tmp_path / "archive.sqlite") as reader:
        for account in accounts:
            for after, to in ((gap.start - 1, ENTRIES), (gap.stop - 1, ENTRIES), (0, ENTRIES), (300, 350)):
                found = reader.statement(account, after, to, movements=False)
                assert found.gaps == ([missing] if after < gap.stop - 1 else [])
                for asset, before_atoms, after_atoms in found.balances:
                    assert before_atoms == history[after].get((account, asset), 0)
                    assert after_atoms == history[to].get((account, asset), 0)
                    if not found.gaps:
                        moved = sum(line.amount_atoms for line in found.lines if line.asset == asset)
                        assert before_atoms + moved == after_atoms


@pytest.mark.parametrize("seed", SEEDS)
def test_trades_and_candles_of_every_interval_are_those_of_the_log(tmp_path: Path, seed: int) -> None:
    _, everything = written(tmp_path / "archive.sqlite", seed)
    traded: dict[int, list[tuple[int, int, Traded]]] = {}
    for applied in everything:
        for events in (applied.due, *(outcome.events for outcome in applied.outcomes)):
            for event in events:
                if isinstance(event, Traded):
                    traded.setdefault(event.instrument, []).append((applied.index, applied.time_ns, event))
    assert traded
    with ArchiveReader(tmp_path / "archive.sqlite") as reader:
        for instrument, all_of in traded.items():
            tape = reader.trades(instrument, 0, 1000)
            assert [
                (each.trade, each.log_index, each.time_ns, each.price_ticks, each.size_lots) for each in tape
            ] == [
                (event.trade, index, time_ns, event.price_ticks, event.size_lots)
                for index, time_ns, event in all_of
            ][-1000:]
            middle = all_of[len(all_of) // 2][2].trade
            assert [each.trade for each in reader.trades(instrument, middle, 5)] == [
                event.trade for _, _, event in all_of if event.trade > middle
            ][:5]
            for interval in Interval:
                expected = joined(
                    interval,
                    [
                        Candle.of(
                            start_s(interval, time_ns // SECOND_NS),
                            Trade(
                                time_ns,
                                event.price_ticks,
                                event.size_lots,
                                event.notional_atoms,
                                event.taker_side == Side.BUY,
                            ),
                        )
                        for _, time_ns, event in all_of
                    ],
                )
                assert reader.candles(instrument, interval, 0, 1000) == expected[-1000:]
                assert reader.candles(instrument, interval, 0, 2) == expected[-2:]
                second = expected[len(expected) // 2].start_s
                assert (
                    reader.candles(instrument, interval, second, 2)
                    == [candle for candle in expected if candle.start_s >= second][:2]
                )
                assert (
                    reader.candles(instrument, interval, second + 1, 1)
                    == [candle for candle in expected if candle.start_s > second][:1]
                )


@pytest.mark.parametrize("seed", SEEDS)
def test_an_index_is_found_by_its_log_time(tmp_path: Path, seed: int) -> None:
    _, everything = written(tmp_path / "archive.sqlite", seed)
    with ArchiveReader(tmp_path / "archive.sqlite") as reader:
        for applied in everything[::17]:
            assert reader.index_at(applied.time_ns) == applied.index
            assert reader.index_at(applied.time_ns - 1) == applied.index - 1
        assert reader.index_at(0) == 0
