"""Why and how a scope was liquidated: its margin, each step with the numbers that bound it, and its end."""

from typing import Final, NamedTuple

from steelyard.core import Exchange, events
from steelyard.core.contracts import steps
from steelyard.core.contracts.scales import flow_atoms, value_atoms
from steelyard.core.contracts.sharing import Winner, share_in_rounds
from steelyard.core.instruments import Instrument
from steelyard.core.matching import Scope
from steelyard.core.rounding import mul_div_down, ppm_up
from steelyard.core.state import State
from steelyard.core.units import (
    PPM,
    AccountId,
    AssetId,
    InstrumentId,
    InstrumentState,
    Leg,
    OrderNumber,
    Side,
)
from steelyard.ops.explain.log import MemberLog, Unexplained
from steelyard.ops.explain.scopes import (
    Line,
    Standing,
    cash_atoms,
    contract_of,
    find_scope,
    line_of,
    standing,
)
from steelyard.ops.explain.telling import Explanation, Row

_FILLS: Final = "fills"


class _Step(NamedTuple):
    """A step whose order is under way."""

    number: int
    event: events.LiquidationStepped
    insurance_atoms: int


class LiquidationExplainer:
    """Hears of one liquidation from its beginning to its end."""

    def __init__(self, number: int) -> None:
        self.explanation = Explanation("liquidation", str(number))
        self._number = number
        self._name: tuple[AccountId, AssetId, InstrumentId, Leg] | None = None
        self._last_level: events.RiskLevelChanged | None = None
        self._steps = 0
        self._step: _Step | None = None
        self._order: OrderNumber | None = None
        self._traded_lots = self._received_atoms = self._notional_atoms = 0
        self._debt_atoms = 0
        #: of the shared loss: what each bears, round by round, and how many of those were told
        self._rounds: list[list[tuple[Winner, int]]] = []
        self._rounds_told = 0
        #: As the last event left them: what the scope has beside its positions, and the fund.
        self._cash_atoms = 0
        self._insurance_atoms = 0
        self._stepped: InstrumentId | None = None
        self._is_done = False

    @property
    def is_done(self) -> bool:
        """Whether it has ended."""
        return self._is_done

    @property
    def has_begun(self) -> bool:
        """Whether it was heard of."""
        return self._name is not None

    def begin_entry(self, exchange: Exchange) -> None:
        """Remember what the scope has."""
        if self._name is not None:
            self._remember(exchange.state)

    def hear(self, exchange: Exchange, event: events.AnyEvent) -> None:
        """Look at an event and at the state in which it happens."""
        state = exchange.state
        if self._name is None:
            if isinstance(event, events.RiskLevelChanged):
                self._last_level = event
            elif isinstance(event, events.LiquidationStarted) and event.liquidation == self._number:
                self._begin(exchange, event)
                self._remember(state)
            return
        if not self._is_done:
            self._hear(exchange, event)
            self._remember(state)

    def _hear(self, exchange: Exchange, event: events.AnyEvent) -> None:
        match event:
            case events.LiquidationStepped() if event.liquidation == self._number:
                self._take_step(exchange, event)
            case events.OrderContractSet() if event.liquidation == self._number:
                self._order = event.number
            case events.Traded() if event.taker_number == self._order:
                self._fill(exchange, event)
            case events.LiquidationPaid() if event.liquidation == self._number:
                self._pay(exchange, event)
            case events.AdlSettled() if event.liquidation == self._number:
                self._adl(exchange, event)
            case events.DebtTaken() if event.liquidation == self._number:
                self._take_debt(event)
            case events.LossShared() if event.liquidation == self._number:
                self._share(exchange.state, event)
            case events.LiquidationEnded() if event.liquidation == self._number:
                self._end(exchange, event)
            case _:
                pass

    def _begin(self, exchange: Exchange, event: events.LiquidationStarted) -> None:
        self._name = (event.account, event.asset, event.instrument, event.leg)
        now = self._standing(exchange.state)
        told = self.explanation
        told.facts |= {
            "account": event.account,
            "asset": exchange.state.markets.assets[event.asset].symbol,
            "scope": "isolated position" if event.instrument else "margin wallet",
            "began_at_index": exchange.applied_index,
            "began_at_ns": exchange.time_ns,
            "wallet_or_bucket_atoms": now.cash_atoms,
            "equity_atoms": now.equity_atoms,
            "maintenance_atoms": now.maintenance_atoms,
            "ratio_ppm": now.ratio_ppm,
            "why": f"equity {now.equity_atoms} < maintenance margin {now.maintenance_atoms}",
        }
        told.table("positions at the beginning", [line.row() for line in now.lines])
        told.check("equity at the beginning, atoms", event.equity_atoms, now.equity_atoms)
        told.check(
            "maintenance margin at the beginning, atoms", event.maintenance_atoms, now.maintenance_atoms
        )
        told.check("equity is below maintenance margin", True, _is_bad(now))
        last = self._last_level
        if last is not None and (last.account, last.asset, last.instrument, last.leg) == self._name:
            told.check("ratio at the beginning, ppm", last.ratio_ppm, now.ratio_ppm)

    def _take_step(self, exchange: Exchange, event: events.LiquidationStepped) -> None:
        state = exchange.state
        self._steps += 1
        name = f"step {self._steps}"
        now = self._standing(state)
        line = _largest(state, now)
        instrument = state.markets.instruments[line.instrument]
        contract = contract_of(instrument)
        house = state.ledger.houses[contract.settle]
        closing = steps.Closing(
            contract,
            line.qty_lots,
            line.cash_flow_atoms,
            line.mark_ticks,
            now.equity_atoms,
            now.maintenance_atoms - line.maintenance_atoms,
        )
        budget_atoms = steps.budget_atoms(closing, event.lots, house.insurance_atoms, house.peak_atoms)
        told = self.explanation
        at_once, fewer = _condition(closing, event.lots), _condition(closing, event.lots - 1)
        least_lots = max(1, ppm_up(abs(line.qty_lots), contract.rules.liquidation.step_ppm))
        share_atoms = mul_div_down(
            now.equity_atoms,
            closing.maintenance_atoms(0) - closing.maintenance_atoms(event.lots),
            closing.maintenance_atoms(0),
        )
        worth_atoms = value_atoms(contract, closing.left_lots(event.lots), line.mark_ticks) - line.value_atoms
        told.table(
            "steps",
            [
                {
                    "step": self._steps,
                    "index": exchange.applied_index,
                    "symbol": line.symbol,
                    "leg": line.leg.name,
                    "qty_lots": line.qty_lots,
                    "lots": event.lots,
                    "mark_ticks": line.mark_ticks,
                    "equity_atoms": now.equity_atoms,
                    "maintenance_atoms": now.maintenance_atoms,
                    "bankruptcy_atoms": -worth_atoms - share_atoms,
                    "fund_atoms": house.insurance_atoms,
                    "budget_atoms": budget_atoms,
                    "limit_ticks": event.limit_ticks,
                }
            ],
        )
        told.table(
            "what bounds the lots of a step: equity - penalty >= target",
            [{"step": self._steps, **at_once.row(event.lots)}]
            + ([{"step": self._steps, **fewer.row(event.lots - 1)}] if event.lots > 1 else []),
        )
        told.check(f"{name}: contract", event.instrument, line.instrument)
        told.check(f"{name}: leg", event.leg.name, line.leg.name)
        told.check(f"{name}: side", event.side.name, (Side.SELL if line.qty_lots > 0 else Side.BUY).name)
        told.check(f"{name}: equity, atoms", event.equity_atoms, now.equity_atoms)
        told.check(f"{name}: maintenance margin, atoms", event.maintenance_atoms, now.maintenance_atoms)
        told.check(f"{name}: mark, ticks", event.mark_ticks, line.mark_ticks)
        told.check(
            f"{name}: so many lots restore the scope, or all are closed",
            True,
            at_once.holds or event.lots == abs(line.qty_lots),
        )
        told.check(f"{name}: a lot less would not", True, event.lots <= least_lots or not fewer.holds)
        told.check(f"{name}: bankruptcy cash, atoms", event.bankruptcy_atoms, -worth_atoms - share_atoms)
        told.check(
            f"{name}: limit, ticks",
            event.limit_ticks,
            steps.limit_ticks(
                contract,
                line.qty_lots > 0,
                event.lots,
                -worth_atoms - share_atoms - budget_atoms,
                instrument.price_max_ticks,
            ),
        )
        self._step = _Step(self._steps, event, house.insurance_atoms)
        self._stepped = line.instrument
        self._traded_lots = self._received_atoms = self._notional_atoms = 0

    def _fill(self, exchange: Exchange, event: events.Traded) -> None:
        assert self._step is not None, "a liquidation's order follows a step"
        contract = contract_of(exchange.state.markets.instruments[event.instrument])
        signed_lots = event.size_lots if event.taker_side == Side.BUY else -event.size_lots
        brought_atoms = flow_atoms(contract, signed_lots, event.notional_atoms)
        self._traded_lots += event.size_lots
        self._received_atoms += brought_atoms
        self._notional_atoms += event.notional_atoms
        self.explanation.table(
            _FILLS,
            [
                {
                    "step": self._step.number,
                    "trade": event.trade,
                    "maker": event.maker,
                    "price_ticks": event.price_ticks,
                    "lots": event.size_lots,
                    "cash_atoms": brought_atoms,
                }
            ],
        )

    def _pay(self, exchange: Exchange, event: events.LiquidationPaid) -> None:
        assert self._step is not None, "a payment follows a step"
        contract = contract_of(exchange.state.markets.instruments[event.instrument])
        stepped, name, told = self._step.event, f"step {self._step.number}", self.explanation
        due_atoms = mul_div_down(stepped.bankruptcy_atoms, self._traded_lots, stepped.lots)
        insured_atoms = steps.insured_atoms(
            self._received_atoms,
            due_atoms,
            self._notional_atoms,
            contract.rules.liquidation.penalty_ppm,
            self._step.insurance_atoms,
        )
        told.table(
            "what the steps brought",
            [
                {
                    "step": self._step.number,
                    "lots": self._traded_lots,
                    "received_atoms": self._received_atoms,
                    "due_atoms": due_atoms,
                    "to_the_fund_atoms": insured_atoms,
                    "fund_after_atoms": self._step.insurance_atoms + insured_atoms,
                }
            ],
        )
        told.check(f"{name}: lots that traded", event.lots, self._traded_lots)
        told.check(f"{name}: received, atoms", event.received_atoms, self._received_atoms)
        told.check(f"{name}: due, atoms", event.bankruptcy_atoms, due_atoms)
        told.check(f"{name}: to the fund (below zero: from it), atoms", event.insurance_atoms, insured_atoms)

    def _adl(self, exchange: Exchange, event: events.AdlSettled) -> None:
        self.explanation.table(
            "auto-deleveraging (see 'explain adl')",
            [
                {
                    "index": exchange.applied_index,
                    "lots": event.lots,
                    "cash_atoms": event.cash_atoms,
                    "ranked": event.ranked,
                    "gave": len(event.givers),
                }
            ],
        )
        self.explanation.check(
            "lots given and lots closed", event.lots, sum(row.lots for row in event.givers)
        )

    def _take_debt(self, event: events.DebtTaken) -> None:
        lack_atoms = -self._cash_atoms
        from_fund_atoms = min(lack_atoms, self._insurance_atoms)
        told = self.explanation
        told.table(
            "debt",
            [
                {
                    "lacked_atoms": lack_atoms,
                    "fund_gave_atoms": from_fund_atoms,
                    "rest_atoms": event.debt_atoms,
                }
            ],
        )
        told.check("debt that the fund paid, atoms", event.insurance_atoms, from_fund_atoms)
        told.check("debt that was left, atoms", event.debt_atoms, lack_atoms - from_fund_atoms)
        self._debt_atoms = event.debt_atoms

    def _share(self, state: State, event: events.LossShared) -> None:
        if not self._rounds:
            # Bearing a loss changes nobody's gain: the first round sees what all of them do.
            winners = _winners(state.markets.instruments[event.instrument])
            self._rounds = [*share_in_rounds(self._debt_atoms, winners)]
        shares = self._rounds[self._rounds_told]
        self._rounds_told += 1
        told = self.explanation
        told.table(
            "loss that was shared",
            [
                {
                    "round": self._rounds_told,
                    "account": winner.account,
                    "leg": winner.leg.name,
                    "gain_atoms": winner.gain_atoms,
                    "bore_atoms": atoms,
                }
                for winner, atoms in shares
            ],
        )
        expected = [(winner.account, winner.leg, atoms) for winner, atoms in shares]
        told.check("shared loss, atoms", event.debt_atoms, sum(atoms for _, atoms in shares))
        told.check("shares as they should be", True, [tuple(share) for share in event.shares] == expected)

    def _end(self, exchange: Exchange, event: events.LiquidationEnded) -> None:
        now = self._standing(exchange.state)
        told = self.explanation
        told.facts |= {
            "steps": self._steps,
            "ended": event.how.name,
            "ended_at_index": exchange.applied_index,
            "equity_after_atoms": now.equity_atoms,
            "maintenance_after_atoms": now.maintenance_atoms,
        }
        told.check("equity at the end, atoms", event.equity_atoms, now.equity_atoms)
        told.check("maintenance margin at the end, atoms", event.maintenance_atoms, now.maintenance_atoms)
        told.check("nothing is left, or the margin is enough again", True, not now.lines or not _is_bad(now))
        self._is_done = True

    def _scope(self, state: State) -> Scope | None:
        assert self._name is not None, "it has begun"
        return find_scope(state, *self._name)

    def _standing(self, state: State) -> Standing:
        return standing(state, self._scope(state))

    def _remember(self, state: State) -> None:
        assert self._name is not None, "it has begun"
        self._cash_atoms = cash_atoms(self._scope(state))
        self._insurance_atoms = state.ledger.houses[self._name[1]].insurance_atoms


class _Condition(NamedTuple):
    """Whether closing some lots at the mark restores a scope, and the numbers of that."""

    equity_atoms: int
    penalty_atoms: int
    target_atoms: int

    @property
    def holds(self) -> bool:
        """Whether it does."""
        return self.equity_atoms - self.penalty_atoms >= self.target_atoms

    def row(self, lots: int) -> Row:
        """Return it as a row of a table."""
        return {"lots": lots, **self._asdict(), "holds": self.holds}


def _condition(closing: steps.Closing, lots: int) -> _Condition:
    terms = closing.contract.rules.liquidation
    return _Condition(
        closing.equity_atoms,
        closing.penalty_atoms(lots),
        ppm_up(closing.maintenance_atoms(lots), PPM + terms.buffer_ppm),
    )


def _is_bad(now: Standing) -> bool:
    return now.equity_atoms < now.maintenance_atoms or now.equity_atoms < 0


def _largest(state: State, now: Standing) -> Line:
    """Return the line in an open contract that needs the most margin, the first of equal ones."""
    instruments = state.markets.instruments
    open_lines = [line for line in now.lines if instruments[line.instrument].state == InstrumentState.OPEN]
    return max(open_lines, key=lambda line: line.maintenance_atoms)


def _winners(instrument: Instrument) -> list[Winner]:
    """Return who has a gain in a contract, and how much."""
    return [
        Winner(account, leg, gain_atoms)
        for (account, leg), position in contract_of(instrument).positions.items()
        if (gain_atoms := line_of(instrument, position).gain_atoms) > 0
    ]


def explain_liquidation(log: MemberLog, number: int) -> Explanation:
    """Work a liquidation out again.

    Raises:
        Unexplained: The log does not hold it.

    """
    exchange = log.before(lambda state: state.last_liquidation < number, f"liquidation {number}")
    explainer = LiquidationExplainer(number)
    log.retell(exchange, explainer)
    if not explainer.has_begun:
        raise Unexplained(
            f"there is no liquidation {number}: the last one in the log of {log.node.name} is"
            f" {exchange.state.last_liquidation}; 'steelyard liquidations' lists them"
        )
    if not explainer.is_done:
        explainer.explanation.facts["ended"] = "not yet"
    return explainer.explanation
