"""The crash itself: a market is opened, a crowd comes, the price falls, and the engine does its work."""

import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Final, NamedTuple

from steelyard.client import Permission
from steelyard.ops.crash import crowd, makers, market, path
from steelyard.ops.crash.stage import FEEDER, Stage, Struck, Wish
from steelyard.ops.terminal import Terminal

#: Between two steps of the path.
STEP_NS: Final = 250_000_000
#: The price stands still for at most so many steps until the last leader that was taken away is back.
HOLD_STEPS_MAX: Final = 240
#: Steps at the last price, with nothing to do for the engine, before it is over, or half of those before if
#: that is less; and at most so many at all.
QUIET_STEPS: Final = 24
REST_STEPS_MAX: Final = 4_000
#: What the operator pays into each fund: this part of the crowd's money.
FUND: Final = 0.01


class Plan(NamedTuple):
    """What is to be played."""

    accounts: int
    #: How far the first market falls, 0 to 1.
    drop: float
    seed: int
    steps: int
    #: How often the leader is to be taken away.
    strikes: int


class Played(NamedTuple):
    """What was asked for."""

    accounts: int
    positions: int
    steps: int
    #: By the clock of the feed: when the fall began, when the path came to its end, and when the leader was
    #: taken away, each time.
    fall_ns: int
    rest_ns: int
    strikes_ns: tuple[int, ...]
    #: Refusals until then, and how long all that took.
    refused_at_first: int
    opening_s: float


async def play(terminal: Terminal, stage: Stage, plan: Plan) -> Played:
    """Play a crash to its end."""
    began_s = time.monotonic()
    traders = crowd.crowd(seed=plan.seed, accounts=plan.accounts, starts=market.STARTS)
    await _open(terminal, stage, traders, plan)
    await _enter(terminal, stage, traders, plan)
    opening_s = time.monotonic() - began_s
    refused_at_first = sum(stage.refused.values())
    fall_ns = stage.now_ns()
    steps = path.fall(seed=plan.seed, steps=plan.steps, drop=plan.drop, starts=market.STARTS)
    strikes = Strikes(stage, plan.strikes, path.lows(steps))
    rest_ns = await _fall(terminal, stage, strikes, traders, plan, steps)
    return Played(
        len(traders),
        sum(len(trader.bets) for trader in traders),
        plan.steps,
        fall_ns,
        rest_ns,
        tuple(strikes.done_ns),
        refused_at_first,
        opening_s,
    )


class Strikes:
    """When leaders are taken away: evenly over the new lows from the engine's first sign to the gap.

    A new low is where the engine has work to do.
    """

    def __init__(self, stage: Struck, wanted: int, lows: Sequence[int]) -> None:
        self.done_ns: list[int] = []
        self._stage = stage
        self._wanted = wanted
        self._lows = lows
        self._begun = False

    async def is_due(self, number: int) -> bool:
        """Return whether a step is one at which the leader is to be taken away."""
        if len(self.done_ns) == self._wanted:
            return False
        if not self._begun:
            if not await self._stage.has_begun():
                return False
            self._begun = True
            self._lows = [low for low in self._lows if low >= number]
        if not self._lows or number > self._lows[-1]:
            return True
        place = len(self._lows) * (2 * len(self.done_ns) + 1) // (2 * self._wanted)
        return number in self._lows and number >= self._lows[place]

    async def strike(self) -> None:
        """Take the leader away; if there is none at the moment, it stays due."""
        if await self._stage.strike():
            self.done_ns.append(self._stage.now_ns())


async def _open(terminal: Terminal, stage: Stage, traders: Sequence[crowd.Trader], plan: Plan) -> None:
    """List everything; open, fund and give keys to the feed, the makers, the masters and their families."""
    operator = stage.operator
    families: dict[int, list[crowd.Trader]] = defaultdict(list)
    funds: dict[int, int] = dict.fromkeys((market.USDT, market.BTC), 0)
    for trader in traders:
        families[trader.master].append(trader)
        funds[trader.asset] += trader.funds_atoms
    with terminal.busy("listing the market"):
        await market.open_market(operator, [(asset, int(atoms * FUND) + 1) for asset, atoms in funds.items()])
        await operator.open_account(FEEDER)
        await stage.give_keys([FEEDER], Permission.FEED, _nobody)
        for account in makers.MAKERS:
            await operator.open_account(account)
            for asset, atoms in makers.endowment(traders, market.STARTS):
                await operator.deposit(account, asset, atoms)
        await stage.give_keys(makers.MAKERS, crowd.TRADER_PERMISSIONS, _nobody)
        for master, family in families.items():
            await operator.open_account(master)
            for asset in (market.USDT, market.BTC):
                atoms = sum(trader.funds_atoms for trader in family if trader.asset == asset)
                if atoms:
                    await operator.deposit(master, asset, atoms)
        await stage.give_keys(list(families), crowd.TRADER_PERMISSIONS, _nobody)
    with terminal.progress("opening families of accounts", len(families)) as advance:
        await stage.play(
            [Wish(master, list(crowd.family(master, family))) for master, family in families.items()], advance
        )
    with terminal.progress("giving keys", len(traders)) as advance:
        await stage.give_keys([trader.account for trader in traders], crowd.TRADER_PERMISSIONS, advance)


async def _enter(terminal: Terminal, stage: Stage, traders: Sequence[crowd.Trader], plan: Plan) -> None:
    """Let the makers quote at the starting prices, and the crowd take its positions."""
    await stage.keep(makers.MAKERS)
    funds = makers.endowment(traders, market.STARTS)
    calm = path.calm(seed=plan.seed, starts=market.STARTS)
    await _feed(stage, calm)
    await stage.ask(
        [Wish(maker.account, makers.welcome(maker, market.STARTS, funds)) for maker in makers.makers(traders)]
    )
    await stage.settle()
    with terminal.progress("taking positions", len(traders)) as advance:
        wishes = [Wish(trader.account, crowd.opening(trader, market.STARTS)) for trader in traders]
        await stage.play(wishes, advance, lambda: _feed(stage, calm))


async def _fall(
    terminal: Terminal,
    stage: Stage,
    strikes: Strikes,
    traders: Sequence[crowd.Trader],
    plan: Plan,
    steps: Sequence[path.Step],
) -> int:
    """Let the price fall step by step, and stand still at last; return when it began to do that.

    It stands still for a while, too, where a leader is to be taken away and the last one is not back.
    """
    still = path.calm(seed=plan.seed, starts=market.STARTS)
    before: Sequence[float] = market.STARTS
    players = makers.makers(traders)
    with terminal.progress("the market falls", len(steps)) as advance:
        for number, step in enumerate(steps):
            part = number / plan.steps
            is_due = await strikes.is_due(number)
            for _ in range(HOLD_STEPS_MAX if is_due else 0):
                if stage.is_whole():
                    break
                await _feed(stage, still)
                await _quote(stage, players, part, before, still)
            await _feed(stage, step)
            if is_due:
                # Now that the engine has begun with those whom the new price ruins.
                await strikes.strike()
            await _quote(stage, players, part, before, step)
            before, still = step.prices, step
            advance(number + 1)
    rest_ns = stage.now_ns()
    with terminal.busy("the dust settles"):
        await _rest(stage, players, steps[-1], plan)
    await stage.settle()
    return rest_ns


async def _rest(stage: Stage, players: Sequence[makers.Maker], last: path.Step, plan: Plan) -> None:
    """Let the price stand still until the engine has done its work, and for a while in any case."""
    quiet = 0
    for number in range(REST_STEPS_MAX):
        step = path.at_rest(last, seed=plan.seed + number)
        await _feed(stage, step)
        await _quote(stage, players, 1.0, last.prices, step)
        quiet = 0 if await stage.is_busy() else quiet + 1
        if quiet >= min(QUIET_STEPS, plan.steps // 2):
            return


async def _quote(
    stage: Stage, players: Sequence[makers.Maker], part: float, before: Sequence[float], step: path.Step
) -> None:
    """Let the makers say what they say at a step, and time pass until the next."""
    await stage.ask(
        [Wish(maker.account, makers.requote(maker, part, before, step.prices)) for maker in players]
    )
    await stage.pause(STEP_NS)


async def _feed(stage: Stage, step: path.Step) -> None:
    for index, said in zip(market.INDICES, step.said, strict=True):
        if said:
            quotes = path.quotes(said, float(index.tick), stage.now_ns())
            await stage.feeder.set_index_sources(index.number, quotes)


def _nobody(_: int) -> None:
    """Nobody watches how far it is."""
