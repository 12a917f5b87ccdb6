"""``steelyard scenario crash``: a market that halves within minutes, and what became of everybody's money."""
