"""Keeps the index of images up to date: one worker at a time reads changes, and crawls the whole registry.

The index itself is in :mod:`authsvc.store.image_index`, and images are defined in :mod:`authsvc.images`.
"""
