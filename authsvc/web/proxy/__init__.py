"""``/v2/proxy/APP/UPSTREAM/…``: images of linked registries, pulled with the same token as our own."""
