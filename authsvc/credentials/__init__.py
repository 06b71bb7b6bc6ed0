"""Authentication: from what a request presents to a proven subject.

It owns secrets, passwords and identity. It does not know what a subject may do (:mod:`authsvc.policy`).
"""
