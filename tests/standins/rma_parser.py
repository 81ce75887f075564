"""Parse the text of an RMA query.

One regular expression splits the text into tokens, which a recursive descent parser reads; nothing
in it is ever evaluated::

    query       = "model::" NAME criteria { "," stage }
    stage       = "rma::criteria" [","] criteria | "rma::include" "," includes
                | "rma::options" { condition }
    criteria    = { [","] ( condition | association ) }
    association = NAME [ "(" criteria ")" ] { condition }
    condition   = "[" NAME "$" operator value { "," value } "]"
    includes    = NAME [ "(" includes ")" ] { "," includes }
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Literal, NoReturn, cast, get_args

from rma_query import (
    Condition,
    Criteria,
    Include,
    Operator,
    OrderColumn,
    Query,
    Scalar,
    TabularColumn,
)

from spikehouse.errors import InvalidArgumentError, describe_choices

_LIST_OPERATORS = ("in", "nin")
_STAGES = ("criteria", "include", "options")
_OPTIONS = ("start_row", "num_rows", "order", "tabular", "count")
_WORDS: dict[str, Scalar] = {"true": True, "false": False, "null": None}


def parse_query(text: str) -> Query:
    """Parse an RMA query; raise InvalidArgumentError with the position of a mistake."""
    # White space between tokens is ignored, and a quote inside a quoted text is doubled. The last
    # value of a repeated option counts, because clients append the page to a query that may have
    # options already. Time and memory are linear in the length of the text.
    return _Parser(text).parse()


_TOKEN = re.compile(
    r"""(?P<space>\s+)
      | (?P<text>'(?:[^']|'')*')
      | (?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)
      | (?P<operator>\$(?:eq|nin|ne|in|lt|gt|le|ge|li|il|asc|desc))
      | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<mark>::|[\[\](),.])
      """,
    re.VERBOSE | re.ASCII,
)

_Kind = Literal["text", "number", "operator", "name", "mark", "end"]


@dataclass(frozen=True)
class _Token:
    kind: _Kind
    written: str
    position: int


def _tokenize(text: str) -> Iterator[_Token]:
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise InvalidArgumentError(_describe_bad_character(text, position))
        if match.lastgroup != "space":
            yield _Token(cast("_Kind", match.lastgroup), match.group(), position)
        position = match.end()
    yield _Token("end", "", len(text))


def _describe_bad_character(text: str, position: int) -> str:
    if text[position] == "'":
        return f"RMA syntax: the quote opened at character {position} is never closed"
    if text[position] == "$":
        word = "".join(takewhile(str.isalnum, text[position + 1 : position + 9]))
        known = ", ".join("$" + name for name in get_args(Operator))
        return f"RMA syntax: unknown operator at character {position}: '${word}'. Valid: {known}"
    return f"RMA syntax: unexpected {text[position]!r} at character {position}"


class _Parser:
    """Recursive descent over the tokens of one text; one method for each rule of the grammar."""

    def __init__(self, text: str) -> None:
        self._tokens = list(_tokenize(text))
        self._next = 0

    # --- tokens

    @property
    def _token(self) -> _Token:
        return self._tokens[self._next]

    def _fail(self, expected: str) -> NoReturn:
        found = repr(self._token.written) if self._token.kind != "end" else "the end"
        raise InvalidArgumentError(
            f"RMA syntax: expected {expected} but found {found} at character {self._token.position}"
        )

    def _at(self, mark: str) -> bool:
        return self._token.kind == "mark" and self._token.written == mark

    def _take(self, mark: str) -> bool:
        if not self._at(mark):
            return False
        self._next += 1
        return True

    def _expect(self, mark: str) -> None:
        if not self._take(mark):
            self._fail(repr(mark))

    def _expect_name(self, what: str) -> str:
        if self._token.kind != "name":
            self._fail(what)
        self._next += 1
        return self._tokens[self._next - 1].written

    def _at_stage(self, offset: int = 0) -> bool:
        ahead = self._tokens[self._next + offset : self._next + offset + 2]
        return len(ahead) == 2 and ahead[0].kind == "name" and ahead[1].written == "::"

    # --- the grammar

    def parse(self) -> Query:
        if self._expect_name("'model::'") != "model":
            self._next -= 1
            self._fail("'model::'")
        self._expect("::")
        query = Query(model=self._expect_name("the name of a model"))
        query = replace(query, criteria=self._criteria())
        while self._take(","):
            query = self._stage(query)
        if self._token.kind != "end":
            self._fail("',' and a further stage")
        return query

    def _stage(self, query: Query) -> Query:
        if self._expect_name("'rma::'") != "rma":
            self._next -= 1
            self._fail("'rma::'")
        self._expect("::")
        stage = self._expect_name("'criteria', 'include' or 'options'")
        if stage not in _STAGES:
            raise InvalidArgumentError(
                f"RMA syntax: unknown stage 'rma::{stage}': {describe_choices(stage, _STAGES)}"
            )
        if self._at(",") and not self._at_stage(offset=1):
            self._next += 1
        if stage == "criteria":
            return replace(query, criteria=query.criteria.joined(self._criteria()))
        if stage == "include":
            return replace(query, includes=query.includes + self._includes())
        return self._options(query)

    def _criteria(self) -> Criteria:
        conditions: list[Condition] = []
        associations: list[tuple[str, Criteria]] = []
        while True:
            if self._at("["):
                conditions.append(self._condition())
            elif self._token.kind == "name" and not self._at_stage():
                associations.append(self._association())
            elif self._at(",") and not self._at_stage(offset=1) and (conditions or associations):
                self._next += 1
                if not (self._at("[") or self._token.kind == "name"):
                    self._fail("'[' or the name of an association")
            else:
                return Criteria(tuple(conditions), tuple(associations))

    def _association(self) -> tuple[str, Criteria]:
        name = self._expect_name("the name of an association")
        criteria = Criteria()
        if self._take("("):
            criteria = self._criteria()
            self._expect(")")
        brackets = []
        while self._at("["):
            brackets.append(self._condition())
        return name, criteria.joined(Criteria(tuple(brackets)))

    def _condition(self) -> Condition:
        self._expect("[")
        column = self._expect_name("the name of a column")
        operator = self._operator()
        values = [self._value()]
        while operator in _LIST_OPERATORS and self._take(","):
            values.append(self._value())
        self._expect("]")
        return Condition(column, operator, tuple(values))

    def _operator(self) -> Operator:
        written = self._token.written[1:]
        if self._token.kind != "operator" or written not in get_args(Operator):
            self._fail("an operator such as $eq or $in")
        self._next += 1
        return cast("Operator", written)

    def _value(self) -> Scalar:
        token = self._token
        is_word = token.kind == "name" and token.written in _WORDS
        if token.kind not in ("text", "number") and not is_word:
            self._fail("a number, a text in single quotes, true, false or null")
        self._next += 1
        if token.kind == "text":
            return token.written[1:-1].replace("''", "'")
        return _WORDS[token.written] if is_word else _read_number(token)

    def _includes(self) -> tuple[Include, ...]:
        includes: list[Include] = []
        while True:
            name = self._expect_name("the name of an association to include")
            nested: tuple[Include, ...] = ()
            if self._take("("):
                nested = self._includes()
                self._expect(")")
            includes.append(Include(name, nested))
            if not self._at(",") or self._at_stage(offset=1):
                return tuple(includes)
            self._next += 1

    def _options(self, query: Query) -> Query:
        if not self._at("["):
            self._fail("'[' and an option")
        while self._at("["):
            condition = self._condition()
            if condition.operator != "eq":
                raise InvalidArgumentError(
                    f"RMA syntax: option {condition.column!r} is set with $eq, "
                    f"not ${condition.operator}"
                )
            query = _with_option(query, condition.column, condition.values[0])
        return query

    # --- texts inside options

    def parse_order(self) -> tuple[OrderColumn, ...]:
        columns: list[OrderColumn] = []
        while not columns or self._take(","):
            table, column = self._column()
            direction = self._token.written.lstrip("$")
            if direction in ("asc", "desc"):
                self._next += 1
            columns.append(OrderColumn(table, column, direction == "desc"))
        self._expect_end()
        return tuple(columns)

    def parse_tabular(self) -> tuple[TabularColumn, ...]:
        columns: list[TabularColumn] = []
        while not columns or self._take(","):
            table, column = self._column()
            name = column
            if self._token.kind == "name" and self._token.written.lower() == "as":
                self._next += 1
                name = self._expect_name("a name after 'as'")
            columns.append(TabularColumn(table, column, name))
        self._expect_end()
        return tuple(columns)

    def _column(self) -> tuple[str | None, str]:
        first = self._expect_name("the name of a column")
        if self._take("."):
            return first, self._expect_name("the name of a column")
        return None, first

    def _expect_end(self) -> None:
        if self._token.kind != "end":
            self._fail("',' and a further column")


def _read_number(token: _Token) -> int | float:
    whole = int(token.written) if token.written.lstrip("-").isdigit() else None
    # no id is beyond int64, and a float compares with integer columns without overflow
    return whole if whole is not None and abs(whole) < 2**63 else float(token.written)


def _with_option(query: Query, name: str, value: Scalar) -> Query:
    if name == "start_row":
        return replace(query, start_row=_read_count(name, value, least=0))
    if name == "num_rows":
        n_rows = None if value == "all" else _read_count(name, value, least=1)
        return replace(query, num_rows=n_rows)
    if name == "count":
        if not isinstance(value, bool):
            raise InvalidArgumentError(f"RMA option 'count' is true or false, not {value!r}")
        return replace(query, count=value)
    if name == "order" and isinstance(value, str):
        return replace(query, order=_Parser(value).parse_order())
    if name == "tabular" and isinstance(value, str):
        return replace(query, tabular=_Parser(value).parse_tabular())
    if name in _OPTIONS:
        raise InvalidArgumentError(
            f"RMA option {name!r} is a text of column names in single quotes, not {value!r}"
        )
    raise InvalidArgumentError(f"unknown RMA option {name!r}: {describe_choices(name, _OPTIONS)}")


def _read_count(name: str, value: Scalar, *, least: int) -> int:
    number = value
    if isinstance(value, str) and value.isdecimal():
        number = int(value)
    if isinstance(number, bool) or not isinstance(number, int) or number < least:
        alternative = " or 'all'" if name == "num_rows" else ""
        raise InvalidArgumentError(
            f"RMA option {name!r} is a whole number, {least} or more{alternative}, not {value!r}"
        )
    return number
