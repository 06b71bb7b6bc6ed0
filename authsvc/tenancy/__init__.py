"""Who and what exists: teams, apps, members and licenses as frozen records, and the rules on them.

Pure: no clock, no randomness, no I/O. A record knows nothing of how it is stored (:mod:`authsvc.store`) and nothing
of who may change it (:mod:`authsvc.manage`).
"""
