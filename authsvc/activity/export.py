"""The columns of activity as comma-separated values, which :mod:`authsvc.spreadsheet_csv` writes."""

COLUMNS = (
    *("period", "resolution", "app", "repository", "tag", "digest", "action", "subject", "license", "customer"),
    *("customer_id", "count", "bytes", "first_at", "last_at", "source", "hits", "misses", "stale", "name"),
)
"""The columns of a list of activity, named as the members of a row."""
