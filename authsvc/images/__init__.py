"""Images, parsed from manifests that are written by anyone with the right to push.

No field is trusted, and nothing here does I/O. Content that cannot be parsed is *unknown*, never *none*.
"""
