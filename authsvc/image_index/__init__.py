"""Keeps the index of images true to the registry: one worker at a time reads what has changed, and crawls everything.

The index itself is in :mod:`authsvc.store.image_index`, and what an image is in :mod:`authsvc.images`.
"""
