"""Rule on secrets: they are compared in constant time only, with ``hmac.compare_digest``."""

import ast
import re

from tests.architecture.source import Module, last_name

SECRET = re.compile(
    r"(?:.*_)?(?:secrets?|passwords?|cookie|bearer|token|sha256|hmac|mac|signature)(?:_hash|_bytes|_text|_value)?"
)
"""How variables, attributes and functions that are or give a secret are called; constants are upper-case."""

REVEALS = {"reveal", "sha256"}
"""Methods that give a secret, or what is stored of one."""

ON_THE_HOLDERS_MACHINE = "installer/"
"""Tools that compare two files of one person: nobody can measure them."""


def secrets_are_compared_in_constant_time(module: Module) -> list[str]:
    """Find ``==``, ``!=`` and ``in`` between secrets: how long they take depends on how much is equal."""
    if module.path.startswith(ON_THE_HOLDERS_MACHINE):
        return []
    comparisons = (node for node in ast.walk(module.tree) if isinstance(node, ast.Compare))
    return [ast.unparse(node) for node in comparisons if _leaks(node)]


def _leaks(node: ast.Compare) -> bool:
    """Whether two values are compared byte by byte and one of them is a secret; comparing with a literal is none."""
    if not any(isinstance(operator, ast.Eq | ast.NotEq | ast.In | ast.NotIn) for operator in node.ops):
        return False
    operands = [node.left, *node.comparators]
    return not any(isinstance(one, ast.Constant) for one in operands) and any(_is_secret(one) for one in operands)


def _is_secret(operand: ast.expr) -> bool:
    if isinstance(operand, ast.Await):
        return _is_secret(operand.value)
    if isinstance(operand, ast.Call):
        return last_name(operand.func) in REVEALS or SECRET.fullmatch(last_name(operand.func)) is not None
    if isinstance(operand, ast.Subscript):
        return _is_secret(operand.value)
    return isinstance(operand, ast.Name | ast.Attribute) and SECRET.fullmatch(last_name(operand)) is not None
