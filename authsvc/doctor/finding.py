"""Findings of the doctor: a stable code, and the sentences of the catalogue with the values of this installation."""

from collections.abc import Mapping

from attrs import field, frozen

LONGEST_FACT = 160
"""Most characters of a value in a sentence: its content is chosen by servers."""


@frozen
class FindingKind:
    """A possible problem; its texts contain ``{names}`` of facts.

    Attributes:
        what: the symptom.
        why: why it matters.
        change: the line to change, and where.
    """

    what: str
    why: str
    change: str


@frozen
class Finding:
    """A problem of an installation.

    Attributes:
        code: stable name; docs/doctor.md lists them.
        what: the symptom.
        why: why it matters.
        change: the line to change, and where.
    """

    code: str
    what: str
    why: str
    change: str

    @classmethod
    def of(cls, code: str, kinds: Mapping[str, FindingKind], facts: Mapping[str, object]) -> "Finding":
        """Return the finding ``code`` of a catalogue with its facts filled in.

        Raises:
            KeyError: there is no such code, or a fact is missing.
        """
        kind, texts = kinds[code], {name: str(fact)[:LONGEST_FACT] for name, fact in facts.items()}
        return cls(code, kind.what.format(**texts), kind.why.format(**texts), kind.change.format(**texts))


@frozen
class SkippedCheck:
    """A check that could not be made.

    Attributes:
        check: its name.
        why: one sentence.
    """

    check: str
    why: str


@frozen
class Diagnosis:
    """All results of one part.

    Attributes:
        findings: the problems, in the order in which they should be fixed.
        skipped: the checks that were not made.
        passed: the checks without a finding.
    """

    findings: tuple[Finding, ...] = ()
    skipped: tuple[SkippedCheck, ...] = ()
    passed: tuple[str, ...] = field(default=())

    def joined(self, other: "Diagnosis") -> "Diagnosis":
        """Return both together; of several findings with the same code, only the first."""
        known = {finding.code for finding in self.findings}
        more = tuple(finding for finding in other.findings if finding.code not in known)
        return Diagnosis(self.findings + more, self.skipped + other.skipped, self.passed + other.passed)
