"""Conditions on rows: what a team may ask of a column, and what it means as an expression.

Belongs here: the questions, and how they are put to a table. Does not belong here: which rows are asked (`model` of
delivered rows, `questions` of events).
"""

from __future__ import annotations

import functools
import operator
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, Field, model_validator

from analytics_assets.project.base import Model

if TYPE_CHECKING:
    from ibis.expr.types import BooleanValue, StringValue


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"'{text}' is no regular expression: {error}") from error
    return text


class Question(Model):
    """Ask something of one column; several questions must all hold."""

    equals: str | list[str] | None = Field(None, description="the text, or one of several texts")
    not_equals: str | list[str] | None = Field(None, description="any text but this one, or these")
    starts_with: str | None = Field(None, description="how the text begins")
    ends_with: str | None = Field(None, description="how the text ends")
    contains: str | None = Field(None, description="a part of the text")
    matches: Annotated[str, AfterValidator(_pattern)] | None = Field(
        None, description="a regular expression that is found in the text"
    )
    at_least: float | None = Field(None, description="a number, this one or larger")
    at_most: float | None = Field(None, description="a number, this one or smaller")
    missing: bool | None = Field(None, description="whether the value is missing")

    @model_validator(mode="after")
    def _asks_something(self) -> Question:
        if not self.model_fields_set:
            raise ValueError(
                "asks nothing: use equals, not_equals, starts_with, ends_with, contains, matches, at_least, at_most or "
                "missing"
            )
        return self


Condition = dict[str, str | list[str] | Question]
"""Tests by column, all of which must hold; a text or a list of texts stands for `equals`."""


def holds(value: Callable[[str], StringValue], condition: Condition) -> BooleanValue:
    """Say of each row whether a condition holds; a missing value fails every test but `missing`.

    Args:
        value: Gives the text of a column by its name.
        condition: The tests.
    """
    import ibis

    tests = [_test(value(column), test) for column, test in condition.items()]
    return functools.reduce(operator.and_, tests, ibis.literal(True)).fill_null(False)  # noqa: FBT003


def _test(value: StringValue, test: str | list[str] | Question) -> BooleanValue:
    asked = test if isinstance(test, Question) else Question(equals=test)
    answers: list[BooleanValue] = []
    if asked.equals is not None:
        answers.append(value.isin([asked.equals] if isinstance(asked.equals, str) else asked.equals))
    if asked.not_equals is not None:
        answers.append(value.notin([asked.not_equals] if isinstance(asked.not_equals, str) else asked.not_equals))
    if asked.starts_with is not None:
        answers.append(value.startswith(asked.starts_with))
    if asked.ends_with is not None:
        answers.append(value.endswith(asked.ends_with))
    if asked.contains is not None:
        answers.append(value.contains(asked.contains))
    if asked.matches is not None:
        answers.append(value.re_search(asked.matches))
    if asked.at_least is not None:
        answers.append(value.try_cast("float64") >= asked.at_least)
    if asked.at_most is not None:
        answers.append(value.try_cast("float64") <= asked.at_most)
    if asked.missing is not None:
        missing = value.isnull() | (value == "")
        answers.append(missing if asked.missing else ~missing)
    return functools.reduce(operator.and_, answers)
