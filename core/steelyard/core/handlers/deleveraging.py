"""Auto-deleveraging: a bankrupt position is closed against the best ranked opposite ones."""

from itertools import chain

from steelyard.core.contracts import adl, steps
from steelyard.core.contracts.fill import fill, settle
from steelyard.core.contracts.liquidation import Liquidation
from steelyard.core.contracts.scales import value_atoms
from steelyard.core.events import AdlRow, AdlSettled, AnyEvent
from steelyard.core.handlers.ending import end_order
from steelyard.core.instruments import Instrument
from steelyard.core.matching import Position
from steelyard.core.rejects import Reject
from steelyard.core.state import State


def deleverage(
    state: State,
    liquidation: Liquidation,
    position: Position,
    closing: steps.Closing,
    out: list[AnyEvent],
) -> bool:
    """Close a position that the book does not take against opposite ones; return whether any lot was closed.

    First at its bankruptcy price, and nobody gives lots who would have less than nothing by it.  What is left
    goes at the mark, to whom ever it may be.
    """
    instrument = state.markets.instruments[position.instrument]
    lots = abs(position.qty_lots)
    bankruptcy_atoms = steps.bankruptcy_atoms(closing, lots)
    _close(state, liquidation, instrument, position, bankruptcy_atoms, out, passes_over=True)
    if position.qty_lots:
        mark_atoms = value_atoms(closing.contract, position.qty_lots, instrument.mark_ticks)
        _close(state, liquidation, instrument, position, mark_atoms, out, passes_over=False)
    return abs(position.qty_lots) < lots


def _close(
    state: State,
    liquidation: Liquidation,
    instrument: Instrument,
    position: Position,
    cash_atoms: int,
    out: list[AnyEvent],
    *,
    passes_over: bool,
) -> None:
    """Close as much of a position as opposite ones give, for ``cash_atoms`` if that is all of it."""
    contract = instrument.contract
    assert contract is not None, position.instrument
    mark_ticks = instrument.mark_ticks
    qty_lots = position.qty_lots
    ranking = state.rankings.ranking(
        position.instrument, state.markets.instruments, state.touched, is_long=qty_lots < 0
    )
    ranked = ranking.ranked
    gifts = adl.gifts(
        contract, mark_ticks, ranking, ranking.gaining, abs(qty_lots), cash_atoms, passes_over=passes_over
    )
    if not gifts:
        return
    giving = [(contract.positions[gift.candidate.account, gift.candidate.leg], gift) for gift in gifts]
    _end_orders(state, instrument, [giver for giver, _ in giving], out)
    givers: list[AdlRow] = []
    for giver, gift in giving:
        candidate = gift.candidate
        funding_atoms = settle(contract, giver)
        signed_lots = gift.lots if qty_lots > 0 else -gift.lots
        realised_atoms = fill(contract, giver, signed_lots, -gift.cash_atoms, 0, 0)
        state.touched[giver.scope] = None
        state.touched[giver.margin] = None
        state.accounts[giver.account].forget_silent(giver)
        givers.append(
            AdlRow(
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
        )
    lots = sum(gift.lots for gift in gifts)
    funding_atoms = settle(contract, position)
    closed_atoms = sum(gift.cash_atoms for gift in gifts)
    signed_lots = -lots if qty_lots > 0 else lots
    realised_atoms = fill(contract, position, signed_lots, closed_atoms, 0, 0)
    state.accounts[position.account].forget_silent(position)
    out.append(
        AdlSettled(
            liquidation=liquidation.liquidation,
            instrument=position.instrument,
            account=position.account,
            leg=position.leg,
            mark_ticks=mark_ticks,
            lots=lots,
            cash_atoms=closed_atoms,
            ranked=ranked,
            givers=givers,
            realised_atoms=realised_atoms,
            funding_atoms=funding_atoms,
        )
    )


def _end_orders(state: State, instrument: Instrument, givers: list[Position], out: list[AnyEvent]) -> None:
    """End the working orders in the contract, of both legs, of accounts that give lots, by number."""
    accounts = dict.fromkeys(giver.account for giver in givers)
    margins = [state.accounts[account].margins[givers[0].margin.asset] for account in accounts]
    positions = (
        position
        for margin in margins
        for position in margin.positions.values()
        if position.instrument == instrument.instrument
    )
    working = chain.from_iterable(position.orders.values() for position in positions)
    for order in sorted(working, key=lambda order: order.number):
        if state.orders.get(order.number) is order:
            end_order(state, order, Reject.AUTO_DELEVERAGED, out)
