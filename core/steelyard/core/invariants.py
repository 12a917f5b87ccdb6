"""What must hold across the parts of the state."""

from steelyard.core.accounts import Account, Rules
from steelyard.core.contract_invariants import check_contracts, margin_atoms
from steelyard.core.instruments import Instrument
from steelyard.core.ledger import Balance
from steelyard.core.limits import (
    HOLDS_PER_ACCOUNT_MAX,
    INTEGER_MAX,
    RECENT_ORDERS_MAX,
    SUB_ACCOUNTS_MAX,
    TIERS_MAX,
)
from steelyard.core.lists import OrderList
from steelyard.core.matching import NO_BALANCE, Order
from steelyard.core.state import State
from steelyard.core.timing import urgent_timers
from steelyard.core.units import (
    BAD_DEBT,
    CLEARING,
    FEES,
    FUNDING,
    INSURANCE,
    OMNIBUS,
    REFERRAL,
    ROUNDING,
    AccountId,
    AssetId,
    InstrumentId,
    ListKind,
    OrderState,
    Side,
)


def check_state(state: State) -> None:
    """Raise ``AssertionError`` unless every part is sound and the parts agree with each other."""
    state.markets.check_invariants()
    state.ledger.check_invariants()
    for account_id, account in state.accounts.items():
        assert account.account == account_id, (account.account, account_id)
        account.check_invariants()
        _check_rules(state, account)
    _check_names(state)
    _check_orders(state)
    _check_waiting(state)
    _check_lists(state)
    _check_counts(state)
    _check_timers(state)
    check_sums(state)
    _check_holds(state)
    _check_referrals(state)
    check_contracts(state)


def customers_atoms(state: State) -> dict[AssetId, int]:
    """Return what all customers together have of each asset: free, held, and behind their positions."""
    totals = dict.fromkeys(state.markets.assets, 0)
    for account in state.accounts.values():
        for asset, balance in account.balances.items():
            totals[asset] += balance.free_atoms + balance.held_atoms
        for asset, margin in account.margins.items():
            totals[asset] += margin_atoms(margin)
    return totals


def contracts_atoms(state: State) -> dict[AssetId, tuple[int, int]]:
    """Return what contracts keep of each settle asset, in CLEARING and in FUNDING."""
    totals: dict[AssetId, tuple[int, int]] = {}
    for instrument in state.markets.instruments.values():
        contract = instrument.contract
        if contract is not None:
            clearing_atoms, funding_atoms = totals.get(contract.settle, (0, 0))
            totals[contract.settle] = (
                clearing_atoms + contract.clearing_atoms,
                funding_atoms + contract.funding_atoms,
            )
    return totals


def all_balances(state: State) -> dict[tuple[AccountId, AssetId], int]:
    """Return what every account has of each asset, wherever it has it; the system's own included."""
    found = {
        (account_id, asset): balance.free_atoms + balance.held_atoms
        for account_id, account in state.accounts.items()
        for asset, balance in account.balances.items()
    }
    for account_id, account in state.accounts.items():
        for asset, margin in account.margins.items():
            found[account_id, asset] = found.get((account_id, asset), 0) + margin_atoms(margin)
    for asset, house in state.ledger.houses.items():
        found[OMNIBUS, asset] = house.omnibus_atoms
        found[FEES, asset] = house.fees_atoms
        found[ROUNDING, asset] = house.rounding_atoms
        found[REFERRAL, asset] = house.referral_atoms
        found[INSURANCE, asset] = house.insurance_atoms
        found[BAD_DEBT, asset] = house.debt_atoms
    for asset, (clearing_atoms, funding_atoms) in contracts_atoms(state).items():
        found[CLEARING, asset] = clearing_atoms
        found[FUNDING, asset] = funding_atoms
    return found


def check_sums(state: State) -> None:
    """Raise ``AssertionError`` unless all balances of each asset, the system's own included, sum to zero."""
    assert list(state.ledger.houses) == list(state.markets.assets), "every asset has its system accounts"
    contracts = contracts_atoms(state)
    for asset, customers in customers_atoms(state).items():
        house, kept = state.ledger.houses[asset], sum(contracts.get(asset, (0, 0)))
        assert customers + house.sum_atoms + kept == 0, (asset, customers, house.sum_atoms, kept)


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


def _check_rules(state: State, account: Account) -> None:
    """Raise ``AssertionError`` unless the families agree and everything named exists and is bounded."""
    assert len(account.recent) <= RECENT_ORDERS_MAX, (account.account, len(account.recent))
    assert not any(order in account.recent for order in account.orders), account.account
    rules = account.rules
    if rules is None:
        return
    assert rules.say_something(), account.account
    if rules.master != 0:
        assert not rules.sub_accounts, (account.account, rules.sub_accounts)
        assert rules.master in state.accounts, rules.master
        master = state.accounts[rules.master].rules
        assert master is not None, rules.master
        assert account.account in master.sub_accounts, (account.account, rules.master)
    assert len(rules.sub_accounts) <= SUB_ACCOUNTS_MAX, (account.account, len(rules.sub_accounts))
    assert len(dict.fromkeys(rules.sub_accounts)) == len(rules.sub_accounts), rules.sub_accounts
    for sub_account in rules.sub_accounts:
        assert sub_account in state.accounts, sub_account
        its = state.accounts[sub_account].rules
        assert its is not None, sub_account
        assert its.master == account.account, (sub_account, its.master, account.account)
    assert rules.referrer == 0 or rules.referrer in state.accounts, rules.referrer
    assert rules.tier == 0 or any(rules.tier == tier for tier, _ in state.tiers), rules.tier
    assert rules.tier <= TIERS_MAX, rules.tier
    _check_amounts(state, rules)


def _check_amounts(state: State, rules: Rules) -> None:
    assert len(rules.holds) <= HOLDS_PER_ACCOUNT_MAX, len(rules.holds)
    for hold_id, hold in rules.holds.items():
        assert hold.hold == hold_id, (hold.hold, hold_id)
        assert hold.asset in state.markets.assets, hold.asset
        assert hold.amount_atoms > 0, (hold_id, hold.amount_atoms)
    for asset, owed_atoms in rules.owed.items():
        assert asset in state.markets.assets, asset
        assert owed_atoms > 0, (asset, owed_atoms)
    for instrument in rules.order_limits:
        assert instrument in state.markets.instruments, instrument


def _check_orders(state: State) -> None:
    """Raise ``AssertionError`` unless numbers, accounts, books and waiting places know the same orders."""
    in_books = 0
    for instrument in state.markets.instruments.values():
        for order in instrument.book.orders():
            in_books += 1
            assert state.orders.get(order.number) is order, order.number
            assert order.instrument == instrument.instrument, (order.instrument, instrument.instrument)
    standing = 0
    for number, order in state.orders.items():
        assert order.number == number <= state.last_number, (order.number, number, state.last_number)
        standing += order.level is not None
        instrument = state.markets.instruments[order.instrument]
        account = state.accounts[order.account]
        assert account.orders.get(order.order) is order, number
        if instrument.contract is not None:
            assert order.pledge is order.proceeds is NO_BALANCE, number
        else:
            buying = order.side == Side.BUY
            pledged, earned = (
                (instrument.quote, instrument.base) if buying else (instrument.base, instrument.quote)
            )
            assert order.pledge is account.balances.get(pledged), number
            assert order.proceeds is account.balances.get(earned), number
        special = order.special
        prevented_lots = 0 if special is None else special.prevented_lots
        executed_lots = order.size_lots - order.open_lots - prevented_lots
        closes = special is not None and special.close_position and special.state != OrderState.WORKING
        assert order.open_lots > 0 or (closes and order.open_lots == 0), (number, order.open_lots)
        assert prevented_lots >= 0, (number, prevented_lots)
        assert executed_lots >= 0, (number, executed_lots)
        assert special is not None or order.level is not None, number
        assert special is None or (special.state == OrderState.WORKING) == (order.level is not None), number
    assert in_books == standing, (in_books, standing)
    in_accounts = sum(len(account.orders) for account in state.accounts.values())
    assert len(state.orders) == in_accounts, (len(state.orders), in_accounts)


def _check_waiting(state: State) -> None:
    """Raise ``AssertionError`` unless a waiting order stands in one place: by its trigger, or in the work."""
    indexed = 0
    for instrument in state.markets.instruments.values():
        instrument.triggers.check_invariants()
        for order in instrument.triggers.orders.values():
            indexed += 1
            assert state.orders.get(order.number) is order, order.number
            assert order.instrument == instrument.instrument, (order.instrument, instrument.instrument)
            assert order not in state.work, order.number
    waiting = working = 0
    for order in state.orders.values():
        special = order.special
        if special is not None and special.state != OrderState.WORKING:
            working += order in state.work
            waiting += special.state == OrderState.WAITING and order not in state.work
            if special.state == OrderState.PENDING:
                assert special.list_number or order in state.work, order.number
    assert indexed == waiting, (indexed, waiting)
    assert len(state.work) == working, (len(state.work), working)


def _check_lists(state: State) -> None:
    """Raise ``AssertionError`` unless every list and its living orders know each other."""
    led = 0
    for number, order_list in state.lists.items():
        assert order_list.number == number <= state.last_number, (order_list.number, number)
        assert len(order_list.legs) == (3 if order_list.kind == ListKind.OTOCO else 2), order_list.legs
        assert order_list.holder == 0 or order_list.holder in order_list.legs, order_list.holder
        for leg in order_list.legs:
            assert leg in state.orders, (number, leg)
            order = state.orders[leg]
            led += 1
            assert order.account == order_list.account, (leg, number)
            assert order.instrument == order_list.instrument, (leg, number)
            assert order.special is not None, leg
            assert order.special.list_number == number, (leg, order.special.list_number, number)
    listed = sum(
        order.special is not None and order.special.list_number != 0 for order in state.orders.values()
    )
    assert led == listed, (led, listed)


def _check_counts(state: State) -> None:
    """Raise ``AssertionError`` unless each instrument has counted its uncommon and its accounts' orders."""
    specials: dict[InstrumentId, int] = {}
    counts: dict[InstrumentId, dict[AccountId, int]] = {}
    for order in state.orders.values():
        where = order.instrument
        specials[where] = specials.get(where, 0) + (order.special is not None)
        of_instrument = counts.setdefault(where, {})
        of_instrument[order.account] = of_instrument.get(order.account, 0) + 1
    for where, instrument in state.markets.instruments.items():
        assert instrument.specials == specials.get(where, 0), (where, instrument.specials, specials)
        bounded = instrument.rules is not None and instrument.rules.orders_max > 0
        assert (instrument.counts is not None) == bounded, where
        assert instrument.counts is None or instrument.counts == counts.get(where, {}), where


def _check_timers(state: State) -> None:
    """Raise ``AssertionError`` unless a timer fires for everything that has a time, at it or before."""
    fires_ns: dict[tuple[int, int, int], int] = {}
    for due_ns, kind, subject, detail in sorted(state.timers.urgent, reverse=True):
        fires_ns[kind, subject, detail] = due_ns
    for due_ns, kind, subject, detail in urgent_timers(state):
        assert fires_ns.get((kind, subject, detail), INTEGER_MAX) <= due_ns, (kind, subject, detail, due_ns)
    for where, instrument in state.markets.instruments.items():
        assert (instrument.next_state is None) == (instrument.next_ns == 0), where
    expiries = dict.fromkeys(state.timers.expiries)
    for order in state.orders.values():
        if order.special is not None and order.special.terms.expires_ns != 0:
            assert (order.special.terms.expires_ns, order.number) in expiries, order.number


def _check_holds(state: State) -> None:
    """Raise ``AssertionError`` unless exactly what living orders pledge and operators hold is held."""
    held_atoms: dict[tuple[AccountId, AssetId], int] = {}
    for order in state.orders.values():
        instrument = state.markets.instruments[order.instrument]
        if instrument.contract is not None:
            continue
        asset = instrument.quote if order.side == Side.BUY else instrument.base
        _check_pledge(order, instrument)
        where = (order.account, asset)
        held_atoms[where] = held_atoms.get(where, 0) + _pledged_atoms(order, _list_of(state, order))
    for account_id, account in state.accounts.items():
        holds = {} if account.rules is None else account.rules.holds
        for hold in holds.values():
            where = (account_id, hold.asset)
            held_atoms[where] = held_atoms.get(where, 0) + hold.amount_atoms
        for asset, balance in account.balances.items():
            atoms = held_atoms.pop((account_id, asset), 0)
            assert balance.held_atoms == atoms, (account_id, asset, balance.held_atoms, atoms)
            _check_range(balance)
    assert not any(held_atoms.values()), held_atoms


def _check_pledge(order: Order, instrument: Instrument) -> None:
    """Raise ``AssertionError`` unless a lot's pledge pays for a lot, once there is one."""
    if order.special is not None and order.special.state == OrderState.PENDING:
        return
    if order.side == Side.SELL:
        assert order.lot_pledge_atoms == instrument.lot_atoms, order.number
    else:
        least_atoms = order.price_ticks * instrument.tick_lot_atoms
        assert order.lot_pledge_atoms >= least_atoms, (order.number, order.lot_pledge_atoms, least_atoms)


def _list_of(state: State, order: Order) -> OrderList | None:
    special = order.special
    if special is None or special.list_number == 0:
        return None
    assert special.list_number in state.lists, (order.number, special.list_number)
    return state.lists[special.list_number]


def _pledged_atoms(order: Order, order_list: OrderList | None) -> int:
    """Return what an order holds: two alternatives hold the larger of their pledges, once."""
    if order_list is not None and order_list.kind == ListKind.OCO and order_list.holder != order.number:
        return 0
    return order.pledged_atoms


def _check_referrals(state: State) -> None:
    """Raise ``AssertionError`` unless REFERRAL has exactly what referrers have earned and not been paid."""
    owed_atoms = dict.fromkeys(state.markets.assets, 0)
    for account in state.accounts.values():
        if account.rules is not None:
            for asset, atoms in account.rules.owed.items():
                owed_atoms[asset] += atoms
    for asset, house in state.ledger.houses.items():
        assert house.referral_atoms == owed_atoms[asset], (asset, house.referral_atoms, owed_atoms[asset])


def _check_range(balance: Balance) -> None:
    assert balance.free_atoms + balance.held_atoms <= INTEGER_MAX, (balance.free_atoms, balance.held_atoms)
