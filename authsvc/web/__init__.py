"""The HTTP server: requests become values, and values replies. Nothing is decided here."""
