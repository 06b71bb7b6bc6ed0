"""The page of a license, for whoever has a link to it: no account."""
