"""The withdrawal gate of an asset: closed while a loss is open, and for a while after; who repays a loss."""

from steelyard.core.events import AnyEvent, DebtRepaid, WithdrawalGateSet
from steelyard.core.limits import GATE_NS
from steelyard.core.state import State
from steelyard.core.timers import GATE
from steelyard.core.units import AssetId


def repay_debt(state: State, asset: AssetId, out: list[AnyEvent]) -> None:
    """Let INSURANCE pay what it can of the BAD_DEBT of an asset, if there is one.

    Asked wherever INSURANCE may have come to something: when it is funded, and after a step of the engine.
    So there are never both when the gates are looked at.
    """
    house = state.ledger.houses[asset]
    atoms = min(house.insurance_atoms, -house.debt_atoms)
    if atoms:
        house.insure(-atoms, state.time_ns)
        house.debt_atoms += atoms
        out.append(DebtRepaid(asset=asset, atoms=atoms))


def look_at_gate(state: State, asset: AssetId, out: list[AnyEvent], *, had_loss: bool) -> None:
    """Close the gate of an asset if there is a cause; let it open in ``GATE_NS`` when the last one has gone.

    Causes are a BAD_DEBT, and scopes in the queue that had less than nothing when the engine looked last.
    ``had_loss``: there has just been one of either, even if it has gone by now.
    """
    house = state.ledger.houses[asset]
    if had_loss or house.debt_atoms:
        house.gate_ns = 0
        if not house.gate_on:
            house.gate_on = True
            out.append(WithdrawalGateSet(asset=asset, on=True))
    if not house.gate_on or house.gate_ns or house.debt_atoms:
        return
    if not state.liquidations.has_loss(asset):
        house.gate_ns = state.time_ns + GATE_NS
        state.timers.wake(house.gate_ns, GATE, asset)


def gate_due(state: State, asset: AssetId, due_ns: int, out: list[AnyEvent]) -> None:
    """Open the gate of an asset, unless there has been another cause since the timer was set."""
    house = state.ledger.houses[asset]
    if not house.gate_on or house.gate_ns == 0:
        return
    if house.gate_ns != due_ns:
        state.timers.wake(house.gate_ns, GATE, asset)
        return
    house.gate_on = False
    house.gate_ns = 0
    out.append(WithdrawalGateSet(asset=asset, on=False))
