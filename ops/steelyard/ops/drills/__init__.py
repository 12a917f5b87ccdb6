"""Drills: faults on purpose, and what came of them."""
