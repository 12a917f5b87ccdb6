"""The price feed: reads what sources say, smooths it, and proposes it as the quotes of an index."""
