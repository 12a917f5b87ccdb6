"""The life of an order: what stood before it, its trades and fees, and what they did to its position."""

from typing import Final, NamedTuple

from steelyard.core import Exchange, events
from steelyard.core.contracts.contract import Contract
from steelyard.core.contracts.fill import fill, settle
from steelyard.core.contracts.scales import flow_atoms, notional_atoms
from steelyard.core.instruments import Instrument
from steelyard.core.ledger import fee_atoms
from steelyard.core.matching import BookSide, Margin, Position
from steelyard.core.state import State
from steelyard.core.units import AccountId, InstrumentId, Leg, OrderNumber, Side
from steelyard.ops.explain.log import MemberLog, Unexplained
from steelyard.ops.explain.scopes import contract_of
from steelyard.ops.explain.telling import Explanation, Row

#: Levels of a side that are shown.
LEVELS_MAX: Final = 20
_BUY: Final = Side.BUY


class _Held(NamedTuple):
    """A position before a trade."""

    qty_lots: int
    cash_flow_atoms: int
    settled_nanoatoms: int


class OrderExplainer:
    """Hears of one order, from its acceptance until it is gone."""

    def __init__(self, number: int) -> None:
        self.explanation = Explanation("order", str(number))
        self._number = OrderNumber(number)
        self._accepted: events.OrderAccepted | None = None
        self._cap_ppm = 0
        self._is_liquidation = False
        self._leg = Leg.NET
        self._held: _Held | None = None
        self._traded: events.Traded | None = None
        self._executed_lots = self._executed_atoms = self._fees_atoms = 0
        self._is_done = False

    @property
    def is_done(self) -> bool:
        """Whether the order is gone."""
        return self._is_done

    @property
    def has_begun(self) -> bool:
        """Whether it was heard of."""
        return self._accepted is not None

    def begin_entry(self, exchange: Exchange) -> None:
        """Remember the order's position."""
        if self._accepted is not None:
            self._held = self._look(exchange.state)

    def hear(self, exchange: Exchange, event: events.AnyEvent) -> None:
        """Look at an event and at the state in which it happens."""
        if self._is_done:
            return
        if self._accepted is None:
            if isinstance(event, events.OrderAccepted) and event.number == self._number:
                self._accept(exchange, event)
            return
        match event:
            case events.OrderContractSet() if event.number == self._number:
                self._leg = event.leg
                self._is_liquidation = event.liquidation != 0
                self._held = self._look(exchange.state)
            case events.Traded() if self._number in (event.maker_number, event.taker_number):
                self._trade(exchange, event)
            case events.PositionsTraded() if event.instrument == self._accepted.instrument:
                if self._traded and event.trade == self._traded.trade:
                    self._move(exchange, event)
                self._follow_position(exchange.state, event)
            case events.OrderRested() if event.number == self._number:
                self._rest(exchange, event)
            case (
                events.OrderFilled()
                | events.OrderCancelled()
                | events.OrderExpired()
                | events.OrderReduced()
                | events.OrderTriggered()
            ) if event.number == self._number:
                self._live(exchange, event)
            case events.OrderReplaced() | events.OrderReplenished() if event.before == self._number:
                self._follow(exchange, event)
            case events.FundingPaid() | events.AdlSettled() | events.PositionSettled():
                self._held = self._look(exchange.state)
            case _:
                pass

    def _accept(self, exchange: Exchange, event: events.OrderAccepted) -> None:
        self._accepted = event
        state = exchange.state
        instrument = state.markets.instruments[event.instrument]
        living = state.orders.get(self._number)
        special = None if living is None else living.special
        self._cap_ppm = instrument.cap_ppm if special is None else special.cap_ppm
        self._held = self._look(state)
        best = "none"
        if (ticks := instrument.book.best_ticks(_opposite(event.side))) is not None:
            best = str(ticks)
        self.explanation.facts |= {
            "account": event.account,
            "symbol": instrument.symbol,
            "client_order": event.order,
            "side": event.side.name,
            "kind": event.kind.name,
            "time_in_force": event.time_in_force.name,
            "limit_ticks": event.limit_ticks,
            "size_lots": event.size_lots,
            "accepted_at_index": exchange.applied_index,
            "accepted_at_ns": exchange.time_ns,
            "best_opposite_ticks": best,
        }
        met = [
            row
            for row in _levels(instrument.book.opposite(event.side))
            if event.limit_ticks == 0
            or _is_within(event.side, int(row["price_ticks"] or 0), event.limit_ticks)
        ]
        self.explanation.table("what it met within its limit", met[:LEVELS_MAX])

    def _rest(self, exchange: Exchange, event: events.OrderRested) -> None:
        instrument = exchange.state.markets.instruments[event.instrument]
        ahead = [
            row
            for row in _levels(instrument.book.side(event.side))
            if _is_within(event.side, event.price_ticks, int(row["price_ticks"] or 0))
        ]
        # Whether the order itself is in the book already when this is said, is the path's own affair.
        own = exchange.state.orders.get(self._number)
        if own is not None and own.level is not None:
            ahead = [_without(row, event.price_ticks, own.shown_lots) for row in ahead]
        ahead = [row for row in ahead if row["orders"]]
        self.explanation.facts |= {
            "rested_at_ticks": event.price_ticks,
            "rested_lots": event.open_lots,
            "orders_ahead": sum(int(row["orders"] or 0) for row in ahead),
            "lots_ahead": sum(int(row["lots"] or 0) for row in ahead),
        }
        self.explanation.table("what was ahead of it when it rested", ahead[:LEVELS_MAX])

    def _trade(self, exchange: Exchange, event: events.Traded) -> None:
        assert self._accepted is not None, "it has been accepted"
        self._traded = event
        state = exchange.state
        instrument = state.markets.instruments[event.instrument]
        told = self.explanation
        is_maker = event.maker_number == self._number
        said_atoms = event.maker_fee_atoms if is_maker else event.taker_fee_atoms
        contract = instrument.contract
        worth_atoms = (
            event.price_ticks * event.size_lots * instrument.tick_lot_atoms
            if contract is None
            else notional_atoms(contract, event.price_ticks, event.size_lots)
        )
        owed_atoms = self._fee(state, instrument, event, worth_atoms, is_maker=is_maker)
        self._executed_lots += event.size_lots
        self._executed_atoms += worth_atoms
        self._fees_atoms += owed_atoms
        told.table(
            "trades",
            [
                {
                    "index": exchange.applied_index,
                    "trade": event.trade,
                    "as": "maker" if is_maker else "taker",
                    "with_account": event.taker if is_maker else event.maker,
                    "price_ticks": event.price_ticks,
                    "lots": event.size_lots,
                    "notional_atoms": worth_atoms,
                    "fee_atoms": owed_atoms,
                    "open_lots": event.maker_open_lots if is_maker else event.taker_open_lots,
                }
            ],
        )
        name = f"trade {event.trade}"
        limit_ticks = self._accepted.limit_ticks
        told.check(f"{name}: notional, atoms", event.notional_atoms, worth_atoms)
        told.check(f"{name}: fee, atoms", said_atoms, owed_atoms)
        if limit_ticks and not is_maker:
            within = _is_within(self._accepted.side, event.price_ticks, limit_ticks)
            told.check(f"{name}: price within the limit", True, within)

    def _fee(
        self, state: State, instrument: Instrument, event: events.Traded, worth_atoms: int, *, is_maker: bool
    ) -> int:
        """Return what the order pays for a fill: its account's rate, at most the cap of its acceptance."""
        if self._is_liquidation:
            return 0
        assert self._accepted is not None, "it has been accepted"
        maker_ppm, taker_ppm = state.rates(state.accounts[self._accepted.account], instrument)
        if is_maker:
            # A rebate is at most what the other side pays.
            return max(fee_atoms(worth_atoms, min(maker_ppm, self._cap_ppm)), -event.taker_fee_atoms)
        return fee_atoms(worth_atoms, min(taker_ppm, self._cap_ppm))

    def _move(self, exchange: Exchange, event: events.PositionsTraded) -> None:
        """Work out what a trade did to the order's position."""
        assert self._traded is not None, "a trade came before"
        trade, held = self._traded, self._held
        if held is None or event.maker == event.taker:
            return  # both sides are one account's: what came between the two fills is not said
        is_maker = trade.maker_number == self._number
        contract = contract_of(exchange.state.markets.instruments[event.instrument])
        is_buying = (trade.taker_side == _BUY) != is_maker
        signed_lots = trade.size_lots if is_buying else -trade.size_lots
        moved = _moved(contract, held, signed_lots, trade.notional_atoms)
        said = (
            (
                event.maker_qty_lots,
                event.maker_cash_flow_atoms,
                event.maker_realised_atoms,
                event.maker_funding_atoms,
            )
            if is_maker
            else (
                event.taker_qty_lots,
                event.taker_cash_flow_atoms,
                event.taker_realised_atoms,
                event.taker_funding_atoms,
            )
        )
        told = self.explanation
        told.table(
            "position after each trade",
            [
                {
                    "trade": event.trade,
                    "qty_lots": moved.qty_lots,
                    "cash_flow_atoms": moved.cash_flow_atoms,
                    "realised_atoms": moved.realised_atoms,
                    "funding_atoms": moved.funding_atoms,
                }
            ],
        )
        for what, one, other in zip(
            ("lots", "cash flow, atoms", "realised, atoms", "funding, atoms"), said, moved, strict=True
        ):
            told.check(f"trade {event.trade}: {what}", one, other)

    def _follow_position(self, state: State, event: events.PositionsTraded) -> None:
        """Remember what a trade, also one of another order, has made of the position."""
        assert self._accepted is not None, "it has been accepted"
        settled_nanoatoms = contract_of(state.markets.instruments[event.instrument]).cumulative_nanoatoms
        for account, leg, qty_lots, cash_flow_atoms in (
            (event.maker, event.maker_leg, event.maker_qty_lots, event.maker_cash_flow_atoms),
            (event.taker, event.taker_leg, event.taker_qty_lots, event.taker_cash_flow_atoms),
        ):
            if (account, leg) == (self._accepted.account, self._leg):
                self._held = _Held(qty_lots, cash_flow_atoms, settled_nanoatoms)

    def _live(
        self,
        exchange: Exchange,
        event: events.OrderFilled
        | events.OrderCancelled
        | events.OrderExpired
        | events.OrderReduced
        | events.OrderTriggered,
    ) -> None:
        words = type(event).__name__.removeprefix("Order").upper()
        if isinstance(event, events.OrderExpired):
            words = f"{words} ({event.reason.name})"
        self.explanation.table("what became of it", [{"index": exchange.applied_index, "what": words}])
        if not isinstance(event, events.OrderReduced | events.OrderTriggered):
            self.explanation.facts |= {"ended": words, "ended_at_index": exchange.applied_index}
            self._is_done = True

    def _follow(self, exchange: Exchange, event: events.OrderReplaced | events.OrderReplenished) -> None:
        """Go on with the number that an order has from here on."""
        words = "replaced" if isinstance(event, events.OrderReplaced) else "shows its next slice"
        self.explanation.table(
            "what became of it",
            [{"index": exchange.applied_index, "what": f"{words}; its number is {event.number}"}],
        )
        self._number = event.number
        if isinstance(event, events.OrderReplaced) and self._accepted is not None:
            self.explanation.facts["limit_ticks"] = event.limit_ticks

    def finish(self) -> None:
        """Sum up what was heard."""
        self.explanation.facts |= {
            "executed_lots": self._executed_lots,
            "executed_atoms": self._executed_atoms,
            "fees_atoms": self._fees_atoms,
        }
        self.explanation.facts.setdefault("ended", "not yet")

    def _look(self, state: State) -> _Held | None:
        assert self._accepted is not None, "it has been accepted"
        return _position_of(state, self._accepted.account, self._accepted.instrument, self._leg)


class _Moved(NamedTuple):
    qty_lots: int
    cash_flow_atoms: int
    realised_atoms: int
    funding_atoms: int


def _moved(contract: Contract, held: _Held, signed_lots: int, worth_atoms: int) -> _Moved:
    """Return what a fill makes of a position."""
    own = Contract(contract.kind, contract.scale, contract.settle, contract.index, contract.rules)
    own.cumulative_nanoatoms = contract.cumulative_nanoatoms
    position = Position(Margin(AccountId(0), contract.settle), InstrumentId(0), Leg.NET, 0)
    position.qty_lots, position.cash_flow_atoms = held.qty_lots, held.cash_flow_atoms
    position.settled_nanoatoms = held.settled_nanoatoms if held.qty_lots else contract.cumulative_nanoatoms
    if held.qty_lots:
        own.positions[position.account, position.leg] = position
        own.open_interest_lots = max(held.qty_lots, 0)
    paid_atoms = settle(own, position)
    flow = flow_atoms(contract, signed_lots, worth_atoms)
    realised_atoms = fill(own, position, signed_lots, flow, 0, 0)
    return _Moved(position.qty_lots, position.cash_flow_atoms, realised_atoms, paid_atoms)


def _position_of(state: State, account: AccountId, instrument_id: InstrumentId, leg: Leg) -> _Held | None:
    contract = state.markets.instruments[instrument_id].contract
    if contract is None:
        return None
    margin = state.accounts[account].margins.get(contract.settle)
    position = None if margin is None else margin.positions.get((instrument_id, leg))
    if position is None:
        return _Held(0, 0, 0)
    return _Held(position.qty_lots, position.cash_flow_atoms, position.settled_nanoatoms)


def _levels(side: BookSide) -> list[Row]:
    return [
        {"price_ticks": abs(level.key), "orders": level.count, "lots": level.open_lots}
        for level in side.best_first()
    ]


def _without(row: Row, price_ticks: int, lots: int) -> Row:
    if row["price_ticks"] != price_ticks:
        return row
    return {
        **row,
        "orders": int(row["orders"] or 0) - 1,
        "lots": int(row["lots"] or 0) - lots,
    }


def _opposite(side: Side) -> Side:
    return Side.SELL if side == _BUY else _BUY


def _is_within(side: Side, price_ticks: int, limit_ticks: int) -> bool:
    """Return whether a price is no worse than a limit for who stands on ``side``."""
    return price_ticks <= limit_ticks if side == _BUY else price_ticks >= limit_ticks


def explain_order(log: MemberLog, number: int) -> Explanation:
    """Work an order's trades out again.

    Raises:
        Unexplained: The log does not hold it.

    """
    exchange = log.before(lambda state: state.last_number < number, f"order {number}")
    explainer = OrderExplainer(number)
    log.retell(exchange, explainer)
    if not explainer.has_begun:
        raise Unexplained(
            f"no order was accepted as number {number}: the last number in the log of {log.node.name} is"
            f" {exchange.state.last_number} (an amended order, or the next slice of an iceberg, has a number"
            " of its own: ask for the first)"
        )
    explainer.finish()
    return explainer.explanation
