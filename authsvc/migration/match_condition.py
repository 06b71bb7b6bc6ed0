"""Matches texts with globs and regular expressions like docker_auth, as far as the result is certain."""

import re

_VARIABLE = re.compile(r"\$\{(account|type)\}")
_SPECIAL = re.compile(r"[\\.+*?()|\[\]{}^$]")

_LITERAL = r"(?:[A-Za-z0-9_@:/-]|\\[!-/:-@\[-`{-~])"
_ATOM = rf"(?:{_LITERAL}|\.)[*+?]?"
_GROUP = rf"\({_LITERAL}+(?:\|{_LITERAL}+)*\)"
_SIMPLE_REGEX = re.compile(rf"\^?(?:{_ATOM}|{_GROUP})*\$?", re.ASCII)
_REPETITION = re.compile(r"[*+?]")

MAX_REPETITIONS = 2
"""Most repetitions of a regular expression that is evaluated, so that none is slow."""

MAX_TEXT = 300
"""Longest condition that is evaluated, and longest account, in characters."""


def substituted(condition: str, account: str) -> str | None:
    """Return a condition with its variables replaced; None when it has one whose value depends on the request."""
    values = {"account": _quoted(account), "type": "repository"}
    text = _VARIABLE.sub(lambda found: values[found[1]], condition)
    return None if "${" in _VARIABLE.sub("", condition) else text


def regex_of(text: str) -> str | None:
    """Return the regular expression that a condition is, or None for a glob."""
    return text[1:-1] if len(text) > len("//") and text[0] == text[-1] == "/" else None


def matches(condition: str | None, text: str, account: str) -> bool | None:
    """Whether a condition matches ``text``; None when that is not certain."""
    if condition is None:
        return True
    pattern = substituted(condition, account)
    if pattern is None or len(pattern) > MAX_TEXT:
        return None
    regex = regex_of(pattern)
    return _glob_matches(pattern, text) if regex is None else _regex_matches(regex, text)


def literal_of(condition: str) -> str | None:
    """Return the one text that a condition matches; None when it matches others too."""
    if "${" in condition or regex_of(condition) is not None or re.search(r"(?<!\\)(?:\\\\)*[*?\[]", condition):
        return None
    return re.sub(r"\\(.)", r"\1", condition)


def _quoted(text: str) -> str:
    return _SPECIAL.sub(lambda found: f"\\{found[0]}", text)


def _regex_matches(regex: str, text: str) -> bool | None:
    """Search as RE2 does, for a part of its grammar that Python reads in the same way."""
    if not _SIMPLE_REGEX.fullmatch(regex) or len(_REPETITION.findall(regex)) > MAX_REPETITIONS:
        return None
    # Python's `$` would match before a line break at the end, too.
    whole = f"{regex[:-1]}\\Z" if regex.endswith("$") and not regex.endswith("\\$") else regex
    try:
        return re.search(whole, text, re.ASCII) is not None
    except re.error:
        return None


def _glob_matches(glob: str, text: str) -> bool | None:
    """Match as Go's ``path.Match`` does, with no more steps than the product of the lengths."""
    tokens = _tokens(glob)
    if tokens is None:
        return None
    states = {0}
    for character in text:
        states = _after_stars(tokens, states)
        reached = {state for state in states if state < len(tokens) and tokens[state] == "*" and character != "/"}
        reached |= {state + 1 for state in states if state < len(tokens) and _matches_one(tokens[state], character)}
        states = reached
    return len(tokens) in _after_stars(tokens, states)


def _tokens(glob: str) -> list[str] | None:
    """Return ``*``, ``?`` and literals behind a backslash; None for what has a class or is malformed."""
    parts = re.findall(r"\\.|[^\\]", glob, re.DOTALL)
    if "[" in parts or sum(map(len, parts)) != len(glob):
        return None
    return [part if part in {"*", "?"} else f"\\{part[-1]}" for part in parts]


def _matches_one(wanted: str, character: str) -> bool:
    return wanted == f"\\{character}" or (wanted == "?" and character != "/")


def _after_stars(tokens: list[str], states: set[int]) -> set[int]:
    """Return the states, and those that are reached when a star matches an empty text."""
    found = set(states)
    for state in range(min(states, default=len(tokens)), len(tokens)):
        if state in found and tokens[state] == "*":
            found.add(state + 1)
    return found
