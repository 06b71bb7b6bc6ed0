"""What an image is, read from manifests that anyone with the right to push may have written.

Nothing here trusts a field, and nothing here waits: what cannot be understood is *unknown*, never *none*.
"""
