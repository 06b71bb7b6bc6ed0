"""The data model: teams, apps, members and licenses as frozen records, and the rules on them.

Pure: no clock, no randomness, no I/O. How records are stored is up to :mod:`authsvc.store`, and who may change them to
    :mod:`authsvc.manage`.
"""
