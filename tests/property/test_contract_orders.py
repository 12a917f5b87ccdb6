"""Random orders of every kind about positions: what must hold of positions, margin and reduce-only orders.

Every entry's invariants are checked by the venue: among others, that no reduce-only orders exceed their
position after any command, and that sums over orders are those of the orders.
"""

import random
from collections.abc import Iterator
from typing import Final

import msgspec
import pytest
from tests.helpers.builders import ALICE, BOB, CAROL
from tests.helpers.contracts import (
    INVERSE_PERP,
    PERP,
    ContractVenue,
    contract_market,
    contract_rules,
    perpetual,
)

from steelyard.core import Exchange, Reject, queries, snapshot
from steelyard.core.commands import (
    AmendOrder,
    AnyCommand,
    Batch,
    CancelOrder,
    MarginTerms,
    MarginTier,
    OrderTerms,
    PlaceContractOrder,
    PlaceOrder,
    PlaceOrderList,
    ReplaceOrder,
    SetContractModes,
    SetInstrumentRules,
    SetInstrumentState,
    SetLeverage,
    StartAuction,
)
from steelyard.core.contracts import equity
from steelyard.core.entry import Outcome, Placed, Refused
from steelyard.core.events import (
    AnyEvent,
    OrderAccepted,
    OrderContractSet,
    OrderExpired,
    PositionsTraded,
    Traded,
)
from steelyard.core.units import (
    AccountId,
    BatchMode,
    ContractKind,
    InstrumentId,
    InstrumentState,
    Leg,
    ListKind,
    MarginMode,
    OrderId,
    OrderKind,
    PriceSource,
    SelfTrade,
    Side,
    TimeInForce,
    TriggerKind,
)

TRADERS: Final = (ALICE, BOB, CAROL)
CONTRACTS: Final = (PERP, PERP, INVERSE_PERP)
SECOND_NS: Final = 10**9


class Traffic:
    """A market of contracts and random commands for it; it knows who is hedged where."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        tiers = [
            MarginTier(floor_atoms=0, maintenance_ppm=20_000, initial_ppm=50_000),
            MarginTier(floor_atoms=2_000, maintenance_ppm=50_000, initial_ppm=100_000),
        ]
        rules = contract_rules(
            margin=MarginTerms(tiers=tiers), position_max_lots=60, open_interest_max_lots=100
        )
        shape = {"price_max_ticks": 200, "size_max_lots": 40}
        fees = {"maker_ppm": -1_000, "taker_ppm": 3_000}
        linear = perpetual(ContractKind.LINEAR, rules, lot_mantissa=10, **shape, **fees)  # type: ignore[arg-type]
        inverse = perpetual(ContractKind.INVERSE, rules, lot_mantissa=10_000, **shape, **fees)  # type: ignore[arg-type]
        self.venue = contract_market(
            linear, inverse, wallet_atoms=1_500 if seed % 2 else 6_000, accounts=TRADERS
        )
        self.last_order = 0
        for account in TRADERS:
            for instrument in (PERP, INVERSE_PERP):
                margin = self.rng.choice(tuple(MarginMode))
                hedge = self.flip(0.4)
                modes = SetContractModes(account=account, instrument=instrument, margin=margin, hedge=hedge)
                self.venue.ask(account, modes)

    def commands(self, steps: int) -> Iterator[tuple[AccountId, AnyCommand]]:
        """Yield who asks for what, after what the house and time do in between."""
        for _ in range(steps):
            self._happen()
            account = self.rng.choice(TRADERS)
            yield account, self.command(account)

    def command(self, account: AccountId) -> AnyCommand:
        """Return a random command of a trader."""
        draw = self.rng.random()
        if draw < 0.55:
            return self.order(account)
        if draw < 0.63:
            return CancelOrder(account=account, order=self.living(account))
        if draw < 0.75:
            return self.amend(account)
        if draw < 0.83:
            return self.order_list(account)
        if draw < 0.87:
            cancel = CancelOrder(account=account, order=self.living(account))
            return ReplaceOrder(cancel=cancel, place=self.order(account), cancel_anyway=self.flip(0.3))
        if draw < 0.94:
            return self.batch(account)
        if draw < 0.97:
            leverage = self.rng.randint(0, 15)
            instrument = self.rng.choice(CONTRACTS)
            return SetLeverage(
                account=account, instrument=instrument, leverage=leverage, leg=self.leg(account, instrument)
            )
        return SetContractModes(
            account=account,
            instrument=self.rng.choice(CONTRACTS),
            margin=self.rng.choice(tuple(MarginMode)),
            hedge=self.flip(0.5),
        )

    def order(self, account: AccountId, instrument: InstrumentId | None = None) -> PlaceContractOrder:
        """Return a random order near the mark."""
        rng = self.rng
        instrument = instrument or rng.choice(CONTRACTS)
        self.last_order += 1
        triggered = self.flip(0.15)
        kind = OrderKind.MARKET if self.flip(0.15) else OrderKind.LIMIT
        if triggered and self.flip(0.5):
            kind = OrderKind.MARKET
        time_in_force = rng.choice((TimeInForce.IOC, TimeInForce.FOK))
        if kind == OrderKind.LIMIT and self.flip(0.8):
            time_in_force = TimeInForce.GTC
        rests = time_in_force == TimeInForce.GTC
        closes = triggered and kind == OrderKind.MARKET and self.flip(0.4)
        size_lots = 0 if closes else rng.randint(1, 15)
        display_lots = rng.randint(1, 4) if rests and size_lots > 4 and self.flip(0.3) else 0
        leg = self.leg(account, instrument)
        side = rng.choice(tuple(Side))
        reduces = not closes and self.flip(0.35)
        qty_lots = self.venue.position(account, instrument, leg).qty_lots
        if (reduces or closes) and qty_lots and self.flip(0.9):
            side = Side.SELL if qty_lots > 0 else Side.BUY
        expires_ns = self.venue.exchange.time_ns + rng.randint(1, 20) * SECOND_NS
        post_only = rests and self.flip(0.1)
        terms = OrderTerms(
            trigger=rng.choice(tuple(TriggerKind)) if triggered else None,
            trigger_source=rng.choice(tuple(PriceSource)),
            trigger_ticks=rng.randint(92, 108) if triggered else 0,
            display_lots=display_lots,
            expires_ns=expires_ns if rests and self.flip(0.15) else 0,
            slide=post_only and self.flip(0.5),
            self_trade=rng.choice((None, None, *SelfTrade)),
        )
        return PlaceContractOrder(
            account=account,
            instrument=instrument,
            order=OrderId(self.last_order),
            side=side,
            size_lots=size_lots,
            limit_ticks=rng.randint(95, 105) if kind == OrderKind.LIMIT else 0,
            kind=kind,
            time_in_force=time_in_force,
            post_only=post_only,
            terms=terms,
            leg=leg,
            reduce_only=reduces,
            close_position=closes,
        )

    def amend(self, account: AccountId) -> AmendOrder:
        """Return a change of some living order."""
        rng = self.rng
        return AmendOrder(
            account=account,
            order=self.living(account),
            size_lots=rng.randint(1, 20) if self.flip(0.6) else 0,
            limit_ticks=rng.randint(95, 105) if self.flip(0.4) else 0,
            trigger_ticks=rng.randint(92, 108) if self.flip(0.1) else 0,
        )

    def order_list(self, account: AccountId) -> PlaceOrderList:
        """Return a list; most of them make sense."""
        rng = self.rng
        instrument = rng.choice(CONTRACTS)
        kind = rng.choice(tuple(ListKind))
        entry = self.resting(self.order(account, instrument))
        side = rng.choice(tuple(Side))
        reduce_only = self.flip(0.6)
        stop = msgspec.structs.replace(
            self.resting(self.order(account, instrument)),
            side=side,
            reduce_only=reduce_only,
            terms=OrderTerms(
                trigger=TriggerKind.STOP,
                trigger_source=rng.choice(tuple(PriceSource)),
                trigger_ticks=rng.randint(101, 106) if side == Side.BUY else rng.randint(94, 99),
            ),
        )
        target = msgspec.structs.replace(
            self.resting(self.order(account, instrument)),
            side=side,
            reduce_only=reduce_only,
            limit_ticks=rng.randint(94, 99) if side == Side.BUY else rng.randint(101, 106),
        )
        legs = {
            ListKind.OCO: [target, stop],
            ListKind.OTO: [entry, rng.choice((stop, target, self.order(account, instrument)))],
            ListKind.OTOCO: [entry, target, stop],
        }[kind]
        return PlaceOrderList(account=account, instrument=instrument, kind=kind, legs=list(legs))

    def batch(self, account: AccountId) -> Batch:
        """Return a batch; one of all or none has legs that trade nothing."""
        mode = self.rng.choice(tuple(BatchMode))
        legs: list[CancelOrder | AmendOrder | PlaceContractOrder] = []
        for _ in range(self.rng.randint(1, 4)):
            draw = self.rng.random()
            if draw < 0.3:
                legs.append(CancelOrder(account=account, order=self.living(account)))
            elif draw < 0.5:
                size_lots = self.rng.randint(1, 8)
                legs.append(AmendOrder(account=account, order=self.living(account), size_lots=size_lots))
            elif mode == BatchMode.EACH:
                legs.append(self.order(account))
            else:
                order = self.resting(self.order(account))
                away_ticks = 90 if order.side == Side.BUY else 110
                legs.append(msgspec.structs.replace(order, limit_ticks=away_ticks))
        return Batch(account=account, mode=mode, legs=list(legs))

    def resting(self, order: PlaceContractOrder) -> PlaceContractOrder:
        """Return an order as a plain limit order that may rest."""
        return msgspec.structs.replace(
            order,
            kind=OrderKind.LIMIT,
            time_in_force=TimeInForce.GTC,
            limit_ticks=order.limit_ticks or self.rng.randint(95, 105),
            size_lots=order.size_lots or 3,
            terms=OrderTerms(),
            close_position=False,
            post_only=False,
        )

    def leg(self, account: AccountId, instrument: InstrumentId) -> Leg:
        """Return a leg that the account has, nearly always."""
        settle = self.venue.contract(instrument).settle
        hedged = instrument in self.venue.margin(account, settle).hedged
        if self.flip(0.03):
            hedged = not hedged
        return self.rng.choice((Leg.LONG, Leg.SHORT)) if hedged else Leg.NET

    def living(self, account: AccountId) -> OrderId:
        """Return the id of some living order, or of none."""
        orders = list(self.venue.exchange.state.accounts[account].orders)
        return self.rng.choice(orders) if orders else OrderId(10**6)

    def flip(self, chance: float) -> bool:
        """Return whether it happens."""
        return self.rng.random() < chance

    def _happen(self) -> None:
        """Let marks, time and instruments move now and then."""
        rng, venue = self.rng, self.venue
        draw = rng.random()
        instrument = rng.choice(CONTRACTS)
        in_auction = any(venue.instrument(each).state == InstrumentState.AUCTION for each in CONTRACTS)
        if in_auction and draw > 0.8:
            venue.tick(after_ns=SECOND_NS)
            venue.feed(100)
        if draw < 0.08:
            venue.mark(rng.randint(97, 103), instrument)
        elif draw < 0.12:
            venue.tick(after_ns=rng.randint(1, 5) * SECOND_NS)
            venue.feed(rng.randint(98, 102))
        elif draw < 0.14:
            venue.operate(SetInstrumentState(instrument=instrument, state=InstrumentState.POST_ONLY))
            if self.flip(0.6):
                venue.operate(StartAuction(instrument=instrument, auction_ns=SECOND_NS))
        elif draw < 0.15:
            halts = self.flip(0.5)
            venue.operate(
                SetInstrumentRules(
                    instrument=instrument,
                    size_min_lots=rng.randint(1, 2),
                    execution_down_ppm=rng.choice((0, 970_000)),
                    self_trade=rng.choice(tuple(SelfTrade)),
                    halt_ppm=40_000 if halts else 0,
                    halt_window_ns=SECOND_NS if halts else 0,
                    halt_ns=SECOND_NS if halts else 0,
                    auction_ns=SECOND_NS if halts else 0,
                )
            )
        for each in (PERP, INVERSE_PERP):
            if venue.instrument(each).state == InstrumentState.HALTED and self.flip(0.1):
                venue.operate(SetInstrumentState(instrument=each, state=InstrumentState.POST_ONLY))
            if venue.instrument(each).state == InstrumentState.POST_ONLY and self.flip(0.5):
                venue.operate(SetInstrumentState(instrument=each, state=InstrumentState.OPEN))


class Watcher:
    """Follows positions and reduce-only orders through events alone."""

    def __init__(self) -> None:
        self.qty_lots: dict[tuple[AccountId, InstrumentId, Leg], int] = {}
        self.reduce_only: set[tuple[AccountId, OrderId]] = set()
        self.last: Traded | None = None

    def see(self, events: list[AnyEvent]) -> None:
        """Raise ``AssertionError`` if a reduce-only order has enlarged or turned its position."""
        for event in events:
            match event:
                case OrderAccepted():
                    self.reduce_only.discard((event.account, event.order))
                case OrderContractSet() if event.reduce_only:
                    self.reduce_only.add((event.account, event.order))
                case Traded():
                    self.last = event
                case PositionsTraded():
                    assert self.last is not None
                    assert self.last.trade == event.trade
                    maker = (event.maker, self.last.maker_order), event.maker_leg, event.maker_qty_lots
                    taker = (event.taker, self.last.taker_order), event.taker_leg, event.taker_qty_lots
                    alone = (event.maker, event.maker_leg) != (event.taker, event.taker_leg)
                    for name, leg, after_lots in (maker, taker):
                        where = (name[0], event.instrument, leg)
                        before_lots = self.qty_lots.get(where, 0)
                        self.qty_lots[where] = after_lots
                        if name in self.reduce_only and alone:
                            assert abs(after_lots) < abs(before_lots), (event, before_lots)
                            assert after_lots * before_lots >= 0, (event, before_lots)
                case _:
                    pass


def check_margin(venue: ContractVenue, before: Exchange, command: PlaceOrder, outcome: Outcome) -> None:
    """Raise ``AssertionError`` unless margin is left after an accepted order that does not reduce."""
    reply = outcome.reply
    if not isinstance(reply, Placed):
        return
    contract = venue.contract(command.instrument)
    margin = venue.margin(command.account, contract.settle)
    leg = command.leg if isinstance(command, PlaceContractOrder) else Leg.NET
    position = venue.position(command.account, command.instrument, leg)
    if position.is_isolated or margin.level > 1:
        return
    available_atoms = equity.available_atoms(margin, venue.exchange.state.markets.instruments)
    if available_atoms >= 0:
        return
    was = before.state.accounts[command.account].margins[contract.settle]
    then = was.positions[command.instrument, leg]
    lots = command.size_lots
    buys, sells = (lots, 0) if command.side == Side.BUY else (0, lots)
    is_reduce_only = any(
        isinstance(event, OrderContractSet) and event.reduce_only for event in outcome.events
    )
    assert is_reduce_only or equity.worst_lots(then, buys, sells) == equity.worst_lots(then), command


def copy_of(exchange: Exchange) -> Exchange:
    return snapshot.load(snapshot.dump(exchange))


@pytest.mark.parametrize("seed", range(8))
def test_reduce_only_orders_never_enlarge_and_other_accepted_orders_leave_margin(seed: int) -> None:
    traffic = Traffic(seed)
    venue = traffic.venue
    watcher = Watcher()
    for account, command in traffic.commands(250):
        # What has happened in between was not asked for by a trader.
        watcher.qty_lots = {
            (owner, name, leg): position.qty_lots
            for owner in TRADERS
            for margin in venue.exchange.state.accounts[owner].margins.values()
            for (name, leg), position in margin.positions.items()
        }
        before = copy_of(venue.exchange)
        business = venue.business()
        outcome = venue.ask(account, command)
        if venue.due:
            continue
        watcher.see(outcome.events)
        if isinstance(command, PlaceOrder):
            check_margin(venue, before, command, outcome)
        if isinstance(outcome.reply, Refused):
            assert venue.business() == business, command


@pytest.mark.parametrize("seed", range(100, 104))
def test_an_order_that_is_tried_comes_to_what_the_trial_said(seed: int) -> None:
    traffic = Traffic(seed)
    venue = traffic.venue
    tried = 0
    for account, command in traffic.commands(200):
        if not isinstance(command, PlaceContractOrder):
            venue.ask(account, command)
            continue
        trial = venue.query(account, queries.TryOrder(command=command))
        outcome = venue.ask(account, command)
        if venue.due or not isinstance(trial, queries.Trial):
            continue
        tried += 1
        if isinstance(outcome.reply, Refused):
            assert trial.refused == outcome.reply.reason, command
        elif isinstance(outcome.reply, Placed):
            said = (trial.executed_lots, trial.executed_atoms, trial.fee_atoms, trial.open_lots)
            reply = outcome.reply
            assert said == (reply.executed_lots, reply.executed_atoms, reply.fee_atoms, reply.open_lots)
    assert tried > 50


def test_an_order_that_must_be_filled_is_filled_exactly_if_it_could_have_been() -> None:
    counts = [_filled_and_expired(seed) for seed in range(200, 204)]

    assert sum(filled for filled, _ in counts) > 10
    assert sum(expired for _, expired in counts) > 10


def _filled_and_expired(seed: int) -> tuple[int, int]:
    """Let each order of the seed be FOK, beside a copy of the market in which it is IOC."""
    traffic = Traffic(seed)
    venue = traffic.venue
    filled = expired = 0
    for account, command in traffic.commands(250):
        if not isinstance(command, PlaceContractOrder) or command.terms.trigger is not None:
            venue.ask(account, command)
            continue
        whole = msgspec.structs.replace(
            command,
            kind=OrderKind.LIMIT,
            limit_ticks=105 if command.side == Side.BUY else 95,
            time_in_force=TimeInForce.FOK,
            post_only=False,
            terms=OrderTerms(),
        )
        copied = ContractVenue()
        copied.exchange, copied.keys, copied.sessions = copy_of(venue.exchange), venue.keys, venue.sessions
        could = copied.ask(account, msgspec.structs.replace(whole, time_in_force=TimeInForce.IOC))
        outcome = venue.ask(account, whole)
        if not isinstance(outcome.reply, Placed):
            continue
        assert isinstance(could.reply, Placed), could.reply
        accepted = next(event for event in outcome.events if isinstance(event, OrderAccepted))
        if could.reply.executed_lots == accepted.size_lots:
            filled += 1
            assert outcome.reply == could.reply
        else:
            expired += 1
            assert outcome.reply.executed_lots == 0
    return filled, expired


def test_the_commands_of_these_comparisons_are_worth_comparing() -> None:
    said: set[str] = set()
    refused: set[Reject] = set()
    expired: set[Reject] = set()
    for seed in range(8):
        traffic = Traffic(seed)
        for account, command in traffic.commands(250):
            outcome = traffic.venue.ask(account, command)
            happened = [*outcome.events, *traffic.venue.due]
            said |= {type(event).__name__ for event in happened}
            expired |= {event.reason for event in happened if isinstance(event, OrderExpired)}
            if isinstance(outcome.reply, Refused):
                refused.add(outcome.reply.reason)

    assert said >= {
        "OrderContractSet",
        "OrderReduced",
        "OrderReplenished",
        "OrderTriggered",
        "PositionsTraded",
        "TradePrevented",
        "TradingHalted",
    }
    assert refused >= {Reject.REDUCE_ONLY_NOTHING, Reject.UNKNOWN_POSITION, Reject.INSUFFICIENT_MARGIN}
    assert expired >= {Reject.REDUCED_AWAY, Reject.REDUCE_ONLY_NOTHING, Reject.OTHER_LEG}
