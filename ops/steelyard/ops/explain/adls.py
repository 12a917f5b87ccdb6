"""Who gave up lots to close a bankrupt position, in which order, and for what."""

from typing import Final, NamedTuple

from steelyard.core import Exchange, events
from steelyard.core.contracts import adl, steps
from steelyard.core.contracts.contract import Contract
from steelyard.core.contracts.fill import fill, settle
from steelyard.core.contracts.scales import value_atoms
from steelyard.core.events import AdlRow
from steelyard.core.instruments import Instrument
from steelyard.core.matching import Margin, Position
from steelyard.core.state import State
from steelyard.core.units import AccountId, AssetId, InstrumentId, Leg
from steelyard.ops.explain.log import MemberLog, Unexplained
from steelyard.ops.explain.scopes import Standing, contract_of, find_scope, line_of, standing
from steelyard.ops.explain.telling import Explanation, Row

#: Rows of a ranking that are shown, beside all that gave lots.
SHOWN_MAX: Final = 50


class _Held(NamedTuple):
    """What a position was when it was ranked."""

    account: AccountId
    leg: Leg
    qty_lots: int
    cash_flow_atoms: int
    settled_nanoatoms: int


class _Ranked(NamedTuple):
    """A ranking and what it has to close: all of the bankrupt's lots, for that cash."""

    candidates: list[adl.Candidate]
    held: dict[tuple[AccountId, Leg], _Held]
    bankrupt: _Held
    cash_atoms: int
    passes_over: bool


class AdlExplainer:
    """Hears of the auto-deleveragings of one liquidation."""

    def __init__(self, number: int) -> None:
        self.explanation = Explanation("adl of liquidation", str(number))
        self.count = 0
        self._number = number
        self._name: tuple[AccountId, AssetId, InstrumentId, Leg] | None = None
        self._ranked: _Ranked | None = None
        self._is_done = False

    @property
    def is_done(self) -> bool:
        """Whether the liquidation has ended."""
        return self._is_done

    @property
    def has_begun(self) -> bool:
        """Whether the liquidation was heard of."""
        return self._name is not None

    def begin_entry(self, exchange: Exchange) -> None:
        """Nothing: what is needed is seen with the step before."""

    def hear(self, exchange: Exchange, event: events.AnyEvent) -> None:
        """Look at an event and at the state in which it happens."""
        match event:
            case events.LiquidationStarted() if event.liquidation == self._number:
                self._name = (event.account, event.asset, event.instrument, event.leg)
            case events.LiquidationStepped() if event.liquidation == self._number:
                # Nothing happens between a step that finds nobody and the ranking.
                self._ranked = self._rank(exchange.state, event.instrument, event.leg, at_mark=False)
            case events.AdlSettled() if event.liquidation == self._number:
                self._settle(exchange, event)
                self._ranked = self._rank(exchange.state, event.instrument, event.leg, at_mark=True)
            case events.LiquidationEnded() if event.liquidation == self._number:
                self.explanation.facts["ended"] = event.how.name
                self._is_done = True
            case _:
                pass

    def _rank(self, state: State, instrument_id: InstrumentId, leg: Leg, *, at_mark: bool) -> _Ranked | None:
        """Rank all opposite positions of a bankrupt one as it is now; None if it has no lots."""
        assert self._name is not None, "it has begun"
        instrument = state.markets.instruments[instrument_id]
        contract = contract_of(instrument)
        position = contract.positions.get((self._name[0], leg))
        if position is None:
            return None
        scope = find_scope(state, *self._name)
        now = standing(state, scope)
        candidates = []
        held = {}
        for (account, its_leg), other in contract.positions.items():
            if (other.qty_lots > 0) == (position.qty_lots > 0) or other.scope.liquidation:
                continue
            line = line_of(instrument, other)
            equity_atoms = standing(state, other.scope).equity_atoms
            score_ppm = adl.score_ppm(
                line.gain_atoms, line.cash_flow_atoms, line.notional_atoms, equity_atoms
            )
            candidates.append(
                adl.Candidate(account, its_leg, line.qty_lots, line.gain_atoms, equity_atoms, score_ppm)
            )
            held[account, its_leg] = _held(other)
        candidates.sort(key=adl.turn)
        cash_atoms = (
            value_atoms(contract, position.qty_lots, instrument.mark_ticks)
            if at_mark
            else _bankruptcy_atoms(instrument, position, now)
        )
        return _Ranked(candidates, held, _held(position), cash_atoms, passes_over=not at_mark)

    def _settle(self, exchange: Exchange, event: events.AdlSettled) -> None:
        told, ranked = self.explanation, self._ranked
        self.count += 1
        instrument = exchange.state.markets.instruments[event.instrument]
        contract = contract_of(instrument)
        name = f"ADL {self.count}"
        assert ranked is not None, "a position that is closed had lots"
        expected = _rows(contract, instrument.mark_ticks, ranked)
        closed_lots = sum(row.lots for row in expected.values())
        cash_atoms = -sum(row.cash_atoms for row in expected.values())
        realised_atoms, funding_atoms = _filled(contract, ranked.bankrupt, closed_lots, cash_atoms)
        told.facts |= {
            "account": event.account,
            "symbol": instrument.symbol,
            f"index_of_{self.count}": exchange.applied_index,
            f"lots_to_close_in_{self.count}": abs(ranked.bankrupt.qty_lots),
            f"cash_for_all_in_{self.count}_atoms": ranked.cash_atoms,
        }
        told.table(
            f"ranking of {name}, {'at the bankruptcy price' if ranked.passes_over else 'at the mark'}:"
            f" the first {SHOWN_MAX} of {len(ranked.candidates)}, and all who gave",
            [
                _line(place, candidate, expected.get(place))
                for place, candidate in enumerate(ranked.candidates, 1)
                if place <= SHOWN_MAX or place in expected
            ],
        )
        told.check(f"{name}: mark, ticks", event.mark_ticks, instrument.mark_ticks)
        told.check(f"{name}: lots closed", event.lots, closed_lots)
        told.check(f"{name}: cash for them, atoms", event.cash_atoms, cash_atoms)
        told.check(f"{name}: realised by the bankrupt, atoms", event.realised_atoms, realised_atoms)
        told.check(f"{name}: funding paid by the bankrupt, atoms", event.funding_atoms, funding_atoms)
        told.check(f"{name}: ranked", event.ranked, len(ranked.candidates))
        told.check(f"{name}: gave", len(event.givers), len(expected))
        for said, row in zip(event.givers, expected.values(), strict=False):
            if said != row:
                told.check(f"{name}: place {row.place}", str(said), str(row))


def _line(place: int, candidate: adl.Candidate, row: AdlRow | None) -> Row:
    """Return what is shown of somebody who was ranked, and of what it gave."""
    return {
        "place": place,
        "account": candidate.account,
        "leg": candidate.leg.name,
        "qty_lots": candidate.qty_lots,
        "gain_atoms": candidate.gain_atoms,
        "equity_atoms": candidate.equity_atoms,
        "score_ppm": candidate.score_ppm,
        "gave_lots": row.lots if row else 0,
        "for_atoms": row.cash_atoms if row else 0,
        "realised_atoms": row.realised_atoms if row else 0,
        "funding_atoms": row.funding_atoms if row else 0,
    }


def _held(position: Position) -> _Held:
    return _Held(
        position.account,
        position.leg,
        position.qty_lots,
        position.cash_flow_atoms,
        position.settled_nanoatoms,
    )


def _bankruptcy_atoms(instrument: Instrument, position: Position, now: Standing) -> int:
    line = line_of(instrument, position)
    closing = steps.Closing(
        contract_of(instrument),
        line.qty_lots,
        line.cash_flow_atoms,
        line.mark_ticks,
        now.equity_atoms,
        now.maintenance_atoms - line.maintenance_atoms,
    )
    return steps.bankruptcy_atoms(closing, abs(line.qty_lots))


def _rows(contract: Contract, mark_ticks: int, ranked: _Ranked) -> dict[int, AdlRow]:
    """Return what the row of everyone who gives should say, by its place."""
    gifts = adl.gifts(
        contract,
        mark_ticks,
        ranked.candidates,
        sum(candidate.gain_atoms > 0 for candidate in ranked.candidates),
        abs(ranked.bankrupt.qty_lots),
        ranked.cash_atoms,
        passes_over=ranked.passes_over,
    )
    rows = {}
    for gift in gifts:
        candidate = gift.candidate
        held = ranked.held[candidate.account, candidate.leg]
        realised_atoms, funding_atoms = _filled(contract, held, gift.lots, -gift.cash_atoms)
        rows[gift.place] = AdlRow(
            place=gift.place,
            account=candidate.account,
            leg=candidate.leg,
            qty_lots=candidate.qty_lots,
            score_ppm=candidate.score_ppm,
            lots=gift.lots,
            cash_atoms=-gift.cash_atoms,
            realised_atoms=realised_atoms,
            funding_atoms=funding_atoms,
        )
    return rows


def _filled(contract: Contract, held: _Held, closed_lots: int, cash_atoms: int) -> tuple[int, int]:
    """Return what closing lots of a position for a cash realises, and the funding that is paid before."""
    own = Contract(contract.kind, contract.scale, contract.settle, contract.index, contract.rules)
    own.cumulative_nanoatoms = contract.cumulative_nanoatoms
    position = Position(Margin(held.account, contract.settle), InstrumentId(0), held.leg, 0)
    position.qty_lots, position.cash_flow_atoms = held.qty_lots, held.cash_flow_atoms
    position.settled_nanoatoms = held.settled_nanoatoms
    own.positions[held.account, held.leg] = position
    own.open_interest_lots = max(held.qty_lots, 0)
    funding_atoms = settle(own, position)
    signed_lots = -closed_lots if held.qty_lots > 0 else closed_lots
    return fill(own, position, signed_lots, cash_atoms, 0, 0), funding_atoms


def explain_adl(log: MemberLog, number: int) -> Explanation:
    """Work the auto-deleveragings of a liquidation out again.

    Raises:
        Unexplained: The log does not hold it, or it had none.

    """
    exchange = log.before(lambda state: state.last_liquidation < number, f"liquidation {number}")
    explainer = AdlExplainer(number)
    log.retell(exchange, explainer)
    if not explainer.has_begun:
        raise Unexplained(
            f"there is no liquidation {number}: the last one in the log of {log.node.name} is"
            f" {exchange.state.last_liquidation}; 'steelyard liquidations' lists them"
        )
    if not explainer.count:
        raise Unexplained(
            f"nobody was deleveraged for liquidation {number}; 'steelyard explain liquidation {number}' says"
            " how it went"
        )
    return explainer.explanation
