"""A market that crashes: its path, its crowd, its makers, and a whole crash on one exchange."""

import asyncio
from collections.abc import Callable
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
from steelyard.core.units import LiquidationEnd
from steelyard.ops import cli
from steelyard.ops.claims import Crashed, claims_of_crash
from steelyard.ops.crash import crowd, makers, market, path, plots
from steelyard.ops.crash.play import Plan, Strikes
from steelyard.ops.crash.register import Register
from steelyard.ops.crash.report import report_table
from steelyard.ops.crash.run import crash_in_process
from steelyard.ops.crash.solvency import solvency
from steelyard.ops.errors import OpsError
from steelyard.ops.terminal import Terminal
from steelyard.ops.verdict import Verdict

ACCOUNTS = 150
SECONDS = "32.5"


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


def test_hundreds_of_accounts_crash_and_every_atom_is_where_it_should_be(tmp_path: Path) -> None:
    """Every invariant is looked at after every entry; a snapshot stands for each killed leader."""
    asked = ["--in-process", "--accounts", str(ACCOUNTS), "--seconds", SECONDS, "--kills", "3"]
    done = CliRunner().invoke(cli.cli, ["scenario", "crash", *asked, "--plots", str(tmp_path), "--json"])
    assert done.exit_code == 0, done.output
    result = msgspec.json.decode(done.stdout.splitlines()[-1])
    assert result["failures"] == []
    assert result["ok"]
    assert result["accounts"] == ACCOUNTS
    assert result["liquidations"] > ACCOUNTS / 3
    assert {"CLOSED", "CURED", "FUND", "ADL"} <= result["liquidations_by_end"].keys()
    assert result["index_stale"] > 0
    assert (result["leader_kills"], result["kills_in_cascade"]) == (3, 3)
    assert result["equations"][2] == "ETH: 0 paid in = 0"
    assert all(row["gap_atoms"] == 0 for row in result["solvency"]["1"])
    assert {row["symbol"] for row in result["solvency"]["1"]} == {"USDT", "BTC", "ETH"}
    assert sorted(result["plots"]) == [
        "crash-adl.png",
        "crash-fund.png",
        "crash-liquidations.png",
        "crash-open-interest.png",
        "crash-price.png",
        "crash.png",
    ]
    assert all((tmp_path / name).read_bytes().startswith(b"\x89PNG") for name in result["plots"])
    assert result["claims"]
    assert len(report_table(result).renderables) == 3


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
        plan = Plan(12, 0.5, seed, 24, strikes=0)
        result = asyncio.run(crash_in_process(Terminal(as_json=True), plan))
        return [result[name] for name in ("events", "marks", "liquidations_by_end", "fund_atoms", "solvency")]

    assert outcome(5) == outcome(5)
    assert outcome(5) != outcome(6)


GOOD = Crashed(
    replicas_wanted=3,
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
    drop_ppm=500_000,
    fallen_ppm=495_000,
    stale_wanted=4,
    stale=4,
    blind_steps=0,
    thin_ppm={"BTC-USDT-PERP": 330_000, "ETH-USDT-PERP": 110_000},
    liquidations=5,
    odd_liquidations={1: 0, 2: 0, 3: 0},
    left={1: 0, 2: 0, 3: 0},
    fund_faults=[],
    peak_units=20,
    units_max=20,
    strikes_wanted=1,
    strikes=1,
    recovered=1,
    strikes_in_cascade=1,
)


def judged(**bad: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever the verdict has
    """Return the good crash's verdict with some of it changed, as a change of the crash."""
    return {"verdict": msgspec.structs.replace(GOOD.verdict, **bad)}  # type: ignore[type-var]


#: Of each claim, in their order, something that makes it false.
BAD: list[tuple[str, dict[str, Any]]] = [
    ("replicas of 3 were looked at", {"replicas": 2}),
    ("what was paid in", {"gaps": ["replica 1: USDT lacks 1 atoms"]}),
    ("the crowd asked for", {"refused_at_first": 1}),
    ("the price fell", {"fallen_ppm": 489_999}),
    ("oracles fell silent", {"stale": 3}),
    ("under a stale index", {"blind_steps": 1}),
    ("books were thin", {"thin_ppm": {"BTC-USDT-PERP": 330_000, "ETH-USDT-PERP": 510_000}}),
    ("there was a cascade", {"liquidations": 0}),
    ("one beginning", {"odd_liquidations": {1: 0, 2: 0, 3: 1}}),
    ("one end", {"left": {1: 0, 2: 1, 3: 0}}),
    ("insurance funds", {"fund_faults": ["replica 2: 1 atoms, told 2"]}),
    ("no entry has more than 20 units", {"peak_units": 21}),
    ("was taken away", {"recovered": 0}),
    ("within the cascade", {"strikes_in_cascade": 0}),
    ("acknowledged requests", judged(lost=1)),
    ("digests are equal", judged(digests_equal=False)),
    ("sums to zero", judged(money_conserved=False)),
    ("nothing else is wrong", judged(ok=False)),
]


def test_every_claim_of_a_crash_is_about_something_that_can_be_otherwise() -> None:
    claims = claims_of_crash(GOOD)
    assert all(holds for _, holds in claims)
    assert len(claims) == len(BAD)
    for (words, _), (said, _bad) in zip(claims, BAD, strict=True):
        assert said in words


@pytest.mark.parametrize(("said", "bad"), BAD, ids=[said for said, _ in BAD])
def test_each_claim_of_a_crash_can_fail_alone(said: str, bad: dict[str, Any]) -> None:
    (words,) = (words for words, holds in claims_of_crash(GOOD._replace(**bad)) if not holds)
    assert said in words


def test_a_crash_without_a_thin_book_or_a_kill_that_was_wanted_is_not_what_was_asked_for() -> None:
    others: list[dict[str, Any]] = [{"thin_ppm": {}}, {"strikes": 0}, {"strikes": 2, "strikes_in_cascade": 2}]
    for bad in others:
        assert not all(holds for _, holds in claims_of_crash(GOOD._replace(**bad)))


def test_a_number_that_begins_or_ends_twice_or_never_began_is_odd_and_one_left_out_too() -> None:
    def register(*numbers: int) -> Register:
        """Return what came of these, one nanosecond after the other; below zero: an end."""
        found = Register()
        for time_ns, number in enumerate(numbers, 10):
            if number > 0:
                found.began(number, time_ns)
            else:
                found.ended(-number, LiquidationEnd.CLOSED, time_ns)
        return found

    sound = register(1, 2, -1)
    assert (sound.odd_count, sound.left, sound.span_ns) == (0, 1, (10, 12))
    assert [sound.in_work(time_ns) for time_ns in (9, 10, 11, 12)] == [0, 1, 2, 1]
    for odd in (register(1, 1), register(1, -1, -1), register(-1, 1), register(2, -2)):
        assert odd.odd_count > 0


class Idle:
    """Where the engine begins at one step, and a leader is there at some."""

    def __init__(self, begins_at: int, ready: Callable[[int], bool]) -> None:
        self.step = 0
        self.begins_at = begins_at
        self.ready = ready

    async def has_begun(self) -> bool:
        """Return whether the step is reached."""
        return self.step >= self.begins_at

    def is_whole(self) -> bool:
        """Return that nobody is missing."""
        return True

    async def strike(self) -> bool:
        """Return whether there is a leader at this step."""
        return self.ready(self.step)

    def now_ns(self) -> int:
        """Return the step."""
        return self.step


def struck(wanted: int, *, begins_at: int, ready: Callable[[int], bool] = lambda _: True) -> list[int]:
    """Return at which of a hundred steps leaders are taken away; every even one up to 80 is a new low."""
    stage = Idle(begins_at, ready)
    strikes = Strikes(stage, wanted, range(0, 81, 2))

    async def walk() -> None:
        for stage.step in range(100):
            if await strikes.is_due(stage.step):
                await strikes.strike()

    asyncio.run(walk())
    return strikes.done_ns


def test_leaders_are_taken_away_evenly_over_the_new_lows_from_the_first_liquidation_on() -> None:
    assert struck(1, begins_at=21) == [52]
    assert struck(3, begins_at=21) == [32, 52, 72]
    assert struck(0, begins_at=21) == []
    assert struck(2, begins_at=90) == [90, 91]
    assert struck(3, begins_at=1_000) == []


def test_a_leader_that_is_not_there_yet_is_waited_for() -> None:
    assert struck(2, begins_at=21, ready=lambda step: step % 10 == 4) == [44, 74]
    assert struck(2, begins_at=21, ready=lambda step: step > 80) == [81, 82]


def test_new_lows_are_those_that_somebody_tells() -> None:
    steps = path.fall(seed=3, steps=400, drop=0.5, starts=market.STARTS)
    lows = path.lows(steps)
    assert len(lows) > 60
    assert lows[-1] == path.GAP * 400
    for number in lows:
        assert steps[number].said[0]
        assert all(steps[number].prices[0] < steps[low].prices[0] for low in lows if low < number)


def test_pictures_that_cannot_be_written_are_said_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(OpsError, match="cannot write pictures to"):
        plots.draw(plots.Story(crash().watch, 0, ()), tmp_path / "file")


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
