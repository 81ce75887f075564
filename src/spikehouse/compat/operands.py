"""``series & [True, False]``: pandas took a list there until version 3, and notebooks have it."""

from __future__ import annotations

import ast

import numpy as np

__all__ = ["OPERAND", "as_operand", "wrap_lists"]

# the name under which a notebook's namespace holds `as_operand`
OPERAND = "__spikehouse_operand__"

_LOGICAL = (ast.BitAnd, ast.BitOr, ast.BitXor)


def wrap_lists(tree: ast.Module) -> int:
    """Pass lists that are written out beside ``&``, ``|`` or ``^`` through :func:`as_operand`.

    Parameters
    ----------
    tree
        The code; changed in place.

    Returns
    -------
    int
        How many lists there were.

    Notes
    -----
    Python itself has no such operators for lists, so nothing but an array or a table can stand on
    the other side, and there a list of truth values has always meant the array of them.
    """
    wrapper = _ListWrapper()
    wrapper.visit(tree)
    return wrapper.n_lists


def as_operand(values: list[object]) -> object:
    """Make an array of a list of truth values, and leave any other as it is.

    Parameters
    ----------
    values
        What is written beside the operator.

    Returns
    -------
    ndarray of bool, or list
        The values, in order.
    """
    if all(isinstance(value, (bool, np.bool_)) for value in values):
        return np.asarray(values, dtype=bool)
    return values


class _ListWrapper(ast.NodeTransformer):
    """Finds the lists beside logical operators, and counts them."""

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
