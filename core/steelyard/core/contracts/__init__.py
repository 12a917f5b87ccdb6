"""Perpetual contracts: what they are worth, what margin they need, who holds them."""
