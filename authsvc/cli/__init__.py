"""The ``authsvc`` command: arguments and printing only. What it does is in :mod:`authsvc.manage` and ``stack``."""
