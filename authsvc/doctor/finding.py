"""Findings of the doctor: a stable code, and the sentences of the catalogue with the values of this installation."""

from collections.abc import Mapping

from attrs import field, frozen

LONGEST_FACT = 160
"""Characters of a value that a sentence shows: servers choose what stands in it."""


@frozen
class FindingKind:
    """One thing that may be wrong; texts have ``{names}`` of facts.

    Attributes:
        what: what is seen.
        why: why it matters.
        change: the line to change, and where.
    """

    what: str
    why: str
    change: str


@frozen
class Finding:
    """Something that is wrong with an installation.

    Attributes:
        code: stable name; docs/doctor.md lists them.
        what: what is seen.
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
    """All that one part found.

    Attributes:
        findings: what is wrong, in the order in which it should be mended.
        skipped: what was not looked at.
        passed: what was looked at and is fine.
    """

    findings: tuple[Finding, ...] = ()
    skipped: tuple[SkippedCheck, ...] = ()
    passed: tuple[str, ...] = field(default=())

    def joined(self, other: "Diagnosis") -> "Diagnosis":
        """Return both; of findings with the same code the first."""
        known = {finding.code for finding in self.findings}
        more = tuple(finding for finding in other.findings if finding.code not in known)
        return Diagnosis(self.findings + more, self.skipped + other.skipped, self.passed + other.passed)
