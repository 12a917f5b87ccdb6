"""What must hold across the parts of the state."""

from steelyard.core.ledger import Balance
from steelyard.core.limits import INTEGER_MAX
from steelyard.core.state import State
from steelyard.core.units import AccountId, AssetId, Side


def check_state(state: State) -> None:
    """Raise ``AssertionError`` unless every part is sound and the parts agree with each other."""
    state.markets.check_invariants()
    state.ledger.check_invariants()
    for account_id, account in state.accounts.items():
        assert account.account == account_id, (account.account, account_id)
        account.check_invariants()
    _check_names(state)
    _check_orders(state)
    check_sums(state)
    _check_holds(state)


def customers_atoms(state: State) -> dict[AssetId, int]:
    """Return what all customers together have of each asset, free and held."""
    totals = dict.fromkeys(state.markets.assets, 0)
    for account in state.accounts.values():
        for asset, balance in account.balances.items():
            totals[asset] += balance.free_atoms + balance.held_atoms
    return totals


def check_sums(state: State) -> None:
    """Raise ``AssertionError`` unless all balances of each asset, the system's own included, sum to zero."""
    assert list(state.ledger.houses) == list(state.markets.assets), "every asset has its system accounts"
    for asset, customers in customers_atoms(state).items():
        house = state.ledger.houses[asset]
        total_atoms = customers + house.omnibus_atoms + house.fees_atoms + house.rounding_atoms
        assert total_atoms == 0, (asset, total_atoms)


def _check_names(state: State) -> None:
    assert state.last_key == len(state.keys), (state.last_key, len(state.keys))
    for key_id, key in state.keys.items():
        assert key.key == key_id <= state.last_key, (key.key, key_id)
        assert key.account in state.accounts, key.account
    named = 0
    for account in state.accounts.values():
        named += len(account.sessions)
        for session in account.sessions.values():
            assert state.sessions.get(session.session) is session, session.session
    assert named == len(state.sessions), (named, len(state.sessions))
    for session_id, session in state.sessions.items():
        assert session.session == session_id <= state.last_session, (session.session, session_id)
        assert session.used_ns <= state.time_ns, (session.used_ns, state.time_ns)
        session.check_invariants()


def _check_orders(state: State) -> None:
    """Raise ``AssertionError`` unless books, numbers and accounts know the same orders."""
    in_books = 0
    for instrument in state.markets.instruments.values():
        for order in instrument.book.orders():
            in_books += 1
            assert state.orders.get(order.number) is order, order.number
            assert order.number <= state.last_number, (order.number, state.last_number)
            assert order.instrument == instrument.instrument, (order.instrument, instrument.instrument)
            account = state.accounts[order.account]
            assert account.orders.get(order.order) is order, order.number
            buying = order.side == Side.BUY
            pledged, earned = (
                (instrument.quote, instrument.base) if buying else (instrument.base, instrument.quote)
            )
            assert order.pledge is account.balances.get(pledged), order.number
            assert order.proceeds is account.balances.get(earned), order.number
    assert in_books == len(state.orders), (in_books, len(state.orders))
    in_accounts = sum(len(account.orders) for account in state.accounts.values())
    assert in_books == in_accounts, (in_books, in_accounts)


def _check_holds(state: State) -> None:
    """Raise ``AssertionError`` unless exactly what the open orders pledge is held."""
    pledged_atoms: dict[tuple[AccountId, AssetId], int] = {}
    for order in state.orders.values():
        instrument = state.markets.instruments[order.instrument]
        asset = instrument.quote if order.side == Side.BUY else instrument.base
        least_atoms = order.price_ticks * instrument.tick_lot_atoms
        if order.side == Side.SELL:
            assert order.lot_pledge_atoms == instrument.lot_atoms, order.number
        else:
            assert order.lot_pledge_atoms >= least_atoms, (order.number, order.lot_pledge_atoms, least_atoms)
        where = (order.account, asset)
        pledged_atoms[where] = pledged_atoms.get(where, 0) + order.open_lots * order.lot_pledge_atoms
    for account_id, account in state.accounts.items():
        for asset, balance in account.balances.items():
            pledge_atoms = pledged_atoms.pop((account_id, asset), 0)
            assert balance.held_atoms == pledge_atoms, (account_id, asset, balance.held_atoms, pledge_atoms)
            _check_range(balance)
    assert not pledged_atoms, pledged_atoms


def _check_range(balance: Balance) -> None:
    assert balance.free_atoms + balance.held_atoms <= INTEGER_MAX, (balance.free_atoms, balance.held_atoms)
