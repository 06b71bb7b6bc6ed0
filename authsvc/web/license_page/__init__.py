"""The page of a license, for the holder of a link, without an account."""
