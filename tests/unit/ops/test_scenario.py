"""A market that crashes: its path, its crowd, its makers, and a whole crash on one exchange."""

import asyncio
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner
from tests.helpers.crash_log import crash

from steelyard.client import (
    Batch,
    CancelOrders,
    MarginMode,
    PlaceOrder,
    SetContractModes,
    SetLeverage,
    Transfer,
)
from steelyard.core import Exchange
from steelyard.ops import cli
from steelyard.ops.claims import Crashed, claims_of_crash
from steelyard.ops.crash import crowd, makers, market, path, plots
from steelyard.ops.crash.play import Plan
from steelyard.ops.crash.report import report_table
from steelyard.ops.crash.run import crash_in_process
from steelyard.ops.crash.solvency import solvency
from steelyard.ops.errors import OpsError
from steelyard.ops.terminal import Terminal
from steelyard.ops.verdict import Verdict

ACCOUNTS = 500
STEPS = 130


def test_the_path_falls_as_far_as_it_should_and_is_the_same_for_the_same_seed() -> None:
    fallen = path.fall(seed=3, steps=400, drop=0.5, starts=market.STARTS)
    assert fallen == path.fall(seed=3, steps=400, drop=0.5, starts=market.STARTS)
    assert fallen != path.fall(seed=4, steps=400, drop=0.5, starts=market.STARTS)
    lowest = min(step.prices[0] for step in fallen)
    assert lowest == pytest.approx(0.5 * market.STARTS[0], rel=0.01)
    assert fallen[0].prices[0] == pytest.approx(market.STARTS[0], rel=0.01)


def test_oracles_fall_silent_and_some_of_them_err() -> None:
    steps = path.fall(seed=3, steps=400, drop=0.5, starts=market.STARTS)
    silent = [step for step in steps if not step.said[0]]
    assert len(silent) == 2 * path.SILENT_STEPS

    def far_off(step: path.Step) -> int:
        return sum(abs(price / step.prices[0] - 1) > 0.1 for _, price in step.said[0])

    assert {far_off(step) for step in steps} == {0, 1, 2}
    assert any(abs(after.prices[0] / before.prices[0] - 1) > 0.05 for before, after in pairwise(steps)), (
        "a gap"
    )


def test_the_crowd_has_all_kinds_of_traders_and_leaves_nobody_without_margin() -> None:
    traders = crowd.crowd(seed=1, accounts=2000, starts=market.STARTS)
    bets = [bet for trader in traders for bet in trader.bets]
    assert {bet.contract.instrument for bet in bets} == {10, 11, 12}
    assert {bet.leverage for bet in bets} == set(crowd.LEVERAGES)
    assert 0.5 < sum(bet.lots > 0 for bet in bets) / len(bets) < 0.66
    assert 0.3 < sum(trader.isolated for trader in traders) / len(traders) < 0.4
    assert len({trader.account for trader in traders}) == len(traders)
    families = {trader.master for trader in traders}
    assert len(families) == len(traders) / crowd.FAMILY


def test_a_family_is_opened_and_funded_by_its_master_alone() -> None:
    traders = crowd.crowd(seed=1, accounts=3, starts=market.STARTS)
    asked = list(crowd.family(traders[0].master, traders))
    funds = [each for each in asked if isinstance(each, Transfer)]
    assert [each.taker for each in funds] == [trader.account for trader in traders]
    assert [each.amount_atoms for each in funds] == [trader.funds_atoms for trader in traders]


def test_a_trader_asks_for_modes_and_leverage_before_its_orders() -> None:
    traders = crowd.crowd(seed=1, accounts=50, starts=market.STARTS)
    lonely = next(trader for trader in traders if trader.isolated)
    kinds = [type(each) for each in crowd.opening(lonely, market.STARTS)]
    assert kinds.index(SetContractModes) < kinds.index(SetLeverage) < kinds.index(PlaceOrder)
    modes = [each for each in crowd.opening(lonely, market.STARTS) if isinstance(each, SetContractModes)]
    assert [each.margin for each in modes] == [MarginMode.ISOLATED] * len(lonely.bets)


def test_makers_show_less_and_stand_further_away_when_it_falls_and_all_but_one_go() -> None:
    players = makers.makers(crowd.crowd(seed=1, accounts=500, starts=market.STARTS))
    first, second = players[:2]

    def shown(maker: makers.Maker, part: float, before: float, after: float) -> tuple[int, float]:
        asked = makers.requote(maker, part, (before, before), (after, after))
        orders = [
            leg
            for each in asked
            if isinstance(each, Batch)
            for leg in each.legs
            if isinstance(leg, PlaceOrder)
        ]
        mine = [leg for leg in orders if leg.instrument == 10]
        price = after / float(market.INDICES[0].tick)
        return sum(leg.size_lots for leg in mine), max(abs(leg.limit_ticks / price - 1) for leg in mine)

    calm_lots, calm_away = shown(first, 0.1, 60_000.0, 60_000.0)
    fright_lots, fright_away = shown(first, 0.5, 60_000.0, 59_000.0)
    assert fright_lots * 2 < calm_lots
    assert fright_away > 2 * calm_away
    gone = makers.requote(second, 0.5, market.STARTS, market.STARTS)
    assert {type(each) for each in gone} == {CancelOrders}


def test_five_hundred_accounts_crash_and_every_atom_is_where_it_should_be(tmp_path: Path) -> None:
    """Every invariant is looked at after every entry; a snapshot stands for the killed leader."""
    result = asyncio.run(
        crash_in_process(Terminal(as_json=True), Plan(ACCOUNTS, 0.5, 1, STEPS, strikes=True), tmp_path)
    )
    assert result["failures"] == []
    assert result["ok"]
    assert result["accounts"] == ACCOUNTS
    assert result["liquidations"] > ACCOUNTS / 3
    assert {"CLOSED", "CURED", "FUND", "ADL"} <= result["liquidations_by_end"].keys()
    assert result["index_stale"] > 0
    assert result["leader_kills"] == 1
    assert all(row["gap_atoms"] == 0 for row in result["solvency"]["1"])
    assert {row["symbol"] for row in result["solvency"]["1"]} == {"USDT", "BTC", "ETH"}
    assert sorted(Path(name).name for name in result["plots"]) == [
        "crash-adl.png",
        "crash-fund.png",
        "crash-open-interest.png",
        "crash-price.png",
    ]
    assert all(Path(name).read_bytes().startswith(b"\x89PNG") for name in result["plots"])
    assert msgspec.json.decode(msgspec.json.encode(result))["claims"]
    assert len(report_table(result).renderables) == 2


def test_an_atom_that_is_missing_is_a_gap() -> None:
    exchange = Exchange()
    for index, entry in enumerate(crash().entries, start=1):
        exchange.apply(index, entry)
    assert [row.gap_atoms for row in solvency(exchange.state)] == [0, 0, 0]
    margin = next(
        margin
        for account in exchange.state.accounts.values()
        for margin in account.margins.values()
        if margin.wallet_atoms
    )
    margin.wallet_atoms -= 1
    assert sum(row.gap_atoms for row in solvency(exchange.state)) == 1


def test_a_crash_is_the_same_for_the_same_seed_and_another_for_another() -> None:
    def outcome(seed: int) -> list[Any]:
        plan = Plan(12, 0.5, seed, 24, strikes=False)
        result = asyncio.run(crash_in_process(Terminal(as_json=True), plan))
        return [result[name] for name in ("events", "marks", "liquidations_by_end", "fund_atoms", "solvency")]

    assert outcome(5) == outcome(5)
    assert outcome(5) != outcome(6)


GOOD = Crashed(
    replicas=3,
    gaps=[],
    verdict=Verdict(
        acknowledged=10,
        lost=0,
        duplicated=0,
        changed=0,
        money_conserved=True,
        digests_equal=True,
        replicas_compared=3,
        ok=True,
        findings=[],
    ),
    refused_at_first=0,
    liquidations=5,
    odd_liquidations=0,
    left=0,
    fund_faults=[],
    peak_units=20,
    units_max=20,
    strikes_wanted=1,
    strikes=1,
    recovered=1,
)


@pytest.mark.parametrize(
    "bad",
    [
        {"replicas": 0},
        {"gaps": ["replica 1: USDT lacks 1 atoms"]},
        {"refused_at_first": 1},
        {"liquidations": 0},
        {"odd_liquidations": 1},
        {"left": 1},
        {"fund_faults": ["replica 2: 1 atoms, told 2"]},
        {"peak_units": 21},
        {"strikes": 0},
        {"recovered": 0},
        {"verdict": msgspec.structs.replace(GOOD.verdict, lost=1, ok=False)},  # type: ignore[type-var]
        {"verdict": msgspec.structs.replace(GOOD.verdict, digests_equal=False, ok=False)},  # type: ignore[type-var]
    ],
    ids=lambda bad: next(iter(bad)),
)
def test_each_claim_of_a_crash_can_fail(bad: dict[str, Any]) -> None:
    assert all(holds for _, holds in claims_of_crash(GOOD))
    assert not all(holds for _, holds in claims_of_crash(GOOD._replace(**bad)))


def test_pictures_that_cannot_be_written_are_said_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(OpsError, match="cannot write pictures to"):
        plots.draw(crash().watch, tmp_path / "file")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["scenario", "crash", "--in-process", "--data", "x"], "--in-process has no group"),
        (["scenario", "crash", "--drop", "96"], "is not in the range"),
        (["scenario", "crash", "--accounts", "1"], "is not in the range"),
        (["explain", "funding", "BTC-USDT-PERP"], "say SYMBOL@INDEX"),
        (["explain", "funding", "BTC-USDT-PERP@noon"], "neither a log index nor a time"),
    ],
)
def test_wrong_usage_is_said_before_anything_is_started(arguments: list[str], words: str) -> None:
    done = CliRunner().invoke(cli.cli, arguments)
    assert done.exit_code == 2
    assert words in done.output
