"""Authentication: turns the credentials of a request into a proven subject.

It covers secrets, passwords and identity. What a subject may do is decided by :mod:`authsvc.policy`.
"""
