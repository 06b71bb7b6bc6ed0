"""HTTP served, and only here: reading requests into values, and values into replies. Nothing is decided here."""
