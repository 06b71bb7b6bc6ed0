"""``authsvc up``: the whole installation on one machine."""
