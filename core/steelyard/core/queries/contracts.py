"""What is asked about contracts, indices and insurance funds."""

from steelyard.core.instruments import Instrument
from steelyard.core.queries.answers import ContractInfo, Contracts, ContractStanding, FundInfo, IndexInfo
from steelyard.core.state import State
from steelyard.core.units import AccountId, InstrumentId, InstrumentState

_EVERYBODY = AccountId(0)
_EVERYWHERE = InstrumentId(0)


def contracts(state: State) -> Contracts:
    """Return where everything about contracts stands."""
    standings = [
        found
        for _, instrument in sorted(state.markets.instruments.items())
        if (found := standing(state, instrument)) is not None
    ]
    settled = {
        instrument.contract.settle: None
        for instrument in state.markets.instruments.values()
        if instrument.contract is not None
    }
    return Contracts(
        state.time_ns,
        standings,
        [
            IndexInfo(
                index=number,
                symbol=index.listing.symbol,
                tick_mantissa=index.listing.tick_mantissa,
                tick_decimals=index.listing.tick_decimals,
                stale_ns=index.listing.stale_ns,
                outlier_ppm=index.listing.outlier_ppm,
                price_ticks=index.price_ticks,
                stale=index.is_stale,
                quotes=list(index.quotes),
            )
            for number, index in sorted(state.markets.indices.items())
        ],
        [
            FundInfo(asset, house.insurance_atoms, house.debt_atoms, house.peak_atoms, house.gate_on)
            for asset, house in sorted(state.ledger.houses.items())
            if asset in settled or house.insurance_atoms or house.debt_atoms
        ],
        (_EVERYBODY, _EVERYWHERE) in state.kill_switches,
    )


def standing(state: State, instrument: Instrument) -> ContractStanding | None:
    """Return where a contract stands; None for spot."""
    contract = instrument.contract
    if contract is None:
        return None
    runs = instrument.state != InstrumentState.CLOSED
    return ContractStanding(
        instrument=instrument.instrument,
        index=contract.index.index,
        settle=contract.settle,
        rules=contract.rules,
        mark_ticks=instrument.mark_ticks,
        index_ticks=contract.index.price_ticks,
        index_stale=contract.index.is_stale,
        rate_ppb=contract.rate_ppb,
        predicted_ppb=contract.predicted_ppb if runs else 0,
        funding_ns=contract.funding_ns if runs else 0,
        cumulative_nanoatoms=contract.cumulative_nanoatoms,
        open_interest_lots=contract.open_interest_lots,
        positions=len(contract.positions),
        settle_ticks=contract.settle_ticks,
        kill_switch=(_EVERYBODY, instrument.instrument) in state.kill_switches,
    )


def info(instrument: Instrument) -> ContractInfo | None:
    """Return what of a contract never changes; None for spot."""
    contract = instrument.contract
    if contract is None:
        return None
    return ContractInfo(contract.kind, contract.index.index, contract.settle, contract.scale)
