"""Allow ``series & [True, False]`` in notebooks, which pandas accepted until version 3."""

from __future__ import annotations

import ast

import numpy as np

__all__ = ["OPERAND", "as_operand", "wrap_lists"]

# the name under which a notebook's namespace holds `as_operand`
OPERAND = "__spikehouse_operand__"

_LOGICAL = (ast.BitAnd, ast.BitOr, ast.BitXor)


def wrap_lists(tree: ast.Module) -> int:
    """Wrap list literals beside ``&``, ``|`` or ``^`` in :func:`as_operand`; return how many."""
    # Python has no such operators for lists, so the other side can only be an array or a table,
    # for which a list of booleans has always meant an array of them.
    wrapper = _ListWrapper()
    wrapper.visit(tree)
    return wrapper.n_lists


def as_operand(values: list[object]) -> object:
    """Convert a list of booleans to an array, and return any other list unchanged."""
    if all(isinstance(value, (bool, np.bool_)) for value in values):
        return np.asarray(values, dtype=bool)
    return values


class _ListWrapper(ast.NodeTransformer):
    """Wrap and count the lists beside logical operators."""

    def __init__(self) -> None:
        self.n_lists = 0

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.op, _LOGICAL):
            node.left, node.right = self._wrap(node.left), self._wrap(node.right)
        return node

    def _wrap(self, operand: ast.expr) -> ast.expr:
        if not isinstance(operand, (ast.List, ast.ListComp)):
            return operand
        self.n_lists += 1
        call = ast.Call(ast.Name(OPERAND, ast.Load()), [operand], [])
        # tracebacks point at the list
        return ast.fix_missing_locations(ast.copy_location(call, operand))
