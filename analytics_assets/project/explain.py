"""Pydantic's errors in words that a data analyst understands, at the places where they are.

Belongs here: what an error of a model means to whoever wrote the file. Does not belong here: YAML (`yaml`).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from analytics_assets.project.problems import Loc, Positions, Problem, shown

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

Schema = dict[str, Any]  # a pydantic core schema, or {} where nothing is known about the value
Errors = list[tuple[Loc, "ErrorDetails"]]  # pydantic's errors, each with the part of its `loc` that is not yet walked
QUOTES = "A value that begins with '{', '[', '*', '&', '%' or '@', or contains ': ', needs quotes around it"

_EXPECTED = {  # by pydantic's error type, without its end "_type", "_parsing" and the like
    **dict.fromkeys(("string", "path"), "text"),
    **dict.fromkeys(("float", "decimal"), "a number"),
    **dict.fromkeys(("list", "tuple", "set", "frozen_set", "iterable", "sequence_str", "is_instance_of"), "a list"),
    **dict.fromkeys(("dict", "mapping", "model", "model_attributes", "dataclass"), "a mapping"),
    "int": "a whole number",
    "bool": "true or false",
    "date": "a date such as 2024-01-31",
    "datetime": "a date and time such as 2024-01-31T09:30:00",
    "time": "a time such as 09:30",
    "time_delta": "a duration such as 01:30:00",
}
_LIMITS = {  # by pydantic's error type; filled in from its context
    "greater_than": "more than {gt}",
    "greater_than_equal": "{ge} or more",
    "less_than": "less than {lt}",
    "less_than_equal": "{le} or less",
    "multiple_of": "a multiple of {multiple_of}",
    "finite_number": "a finite number",
    "none_required": "empty",
    "string_pattern_mismatch": "text that matches the pattern {pattern}",
    "string_too_short": "text of {min_length} or more characters",
    "string_too_long": "text of {max_length} or fewer characters",
}


class Explainer:
    """Problems out of pydantic's errors, found by walking its core schema along the errors' locations.

    The schema tells which parts of a location are keys and which only name a branch of a union, which no file has.
    """

    def __init__(self, positions: Positions) -> None:
        self.positions, self._definitions = positions, dict[str, Schema]()

    def explain(
        self, schema: Schema, errors: Errors, loc: Loc, *, key: bool = False, hint: str = ""
    ) -> Iterator[Problem]:
        """Yield the problems of the value at `loc`; `hint` is what to say where the key itself is the problem."""
        schema, model = self._inner(schema)
        deeper: dict[str | int, Errors] = {}
        for rest, error in errors:
            if rest:
                deeper.setdefault(rest[0], []).append((rest[1:], error))
            else:
                yield self._here(schema, error, loc, hint, key=key)
        kind = schema.get("type")
        if kind == "union" and deeper:
            yield from self._union(schema, deeper, loc, key=key)
            return
        for step, found in deeper.items():
            if kind == "tagged-union":
                choices = {_word(tag): choice for tag, choice in schema["choices"].items()}
                yield from self.explain(choices.get(_word(step), {}), found, loc, key=key)
            elif kind in {"model-fields", "typed-dict"}:
                yield from self._field(schema["fields"], model, str(step), found, loc)
            elif kind == "dict":
                in_key = [(rest[1:], error) for rest, error in found if rest[:1] == ("[key]",)]
                in_value = [(rest, error) for rest, error in found if rest[:1] != ("[key]",)]
                yield from self.explain(schema.get("keys_schema", {}), in_key, (*loc, step), key=True)
                yield from self.explain(schema.get("values_schema", {}), in_value, (*loc, step))
            else:
                item = schema.get("items_schema", {})
                item = item[min(int(step), len(item) - 1)] if isinstance(item, list) else item  # a tuple has several
                yield from self.explain(item, found, (*loc, step))

    def _inner(self, schema: Schema) -> tuple[Schema, type | None]:
        """Unwrap defaults, validators and references down to what has parts; return the model class passed, too."""
        model = None
        while True:
            self._definitions.update({found["ref"]: found for found in schema.get("definitions", ())})
            model = schema.get("cls", model)
            wrapped = [schema[name] for name in ("schema", "lax_schema", "python_schema") if name in schema]
            wrapped += schema.get("steps", [])[-1:]
            if schema.get("type") == "definition-ref":
                wrapped = [self._definitions.get(schema["schema_ref"], {})]
            if not wrapped:
                return schema, model
            schema = wrapped[0]

    def _field(self, fields: Schema, model: type | None, step: str, found: Errors, loc: Loc) -> Iterator[Problem]:
        names: dict[str, str] = {}  # by the key in the file, which an alias may give
        for name, field in fields.items():
            alias = field.get("validation_alias", name)
            names |= dict.fromkeys([alias] if isinstance(alias, str) else [path[0] for path in alias], name)
        name = names.get(step, step)
        about = getattr(model, "model_fields", {}).get(name)
        hint = (about and about.description) or ""
        if step not in names:
            hint = f"{_meant(step, names)} Allowed: {', '.join(names)}".strip()
        yield from self.explain(fields.get(name, {}), found, (*loc, step), hint=hint)

    def _union(self, schema: Schema, deeper: dict[Any, Errors], loc: Loc, *, key: bool) -> Iterator[Problem]:
        """Report the branch that has the shape of the value; where several have, all as one or the nearest."""
        choices = [choice[0] if isinstance(choice, tuple) else choice for choice in schema["choices"]]
        if len(choices) != len(deeper):  # two branches of one name, which pydantic does not tell apart
            choices = [{}] * len(deeper)
        branches = list(zip(choices, deeper.values(), strict=True))
        fitting = [branch for branch in branches if any(rest or not _misfit(error) for rest, error in branch[1])]
        told = [list(self.explain(choice, errors, loc, key=key)) for choice, errors in fitting or branches]
        problems = [problem for branch in told for problem in branch]
        if len(problems) == 1 or any(rest for _, errors in fitting for rest, _ in errors):
            yield from min(told, key=len)
            return
        messages = list(dict.fromkeys(problem.message for problem in problems))
        parts = [message.removeprefix("must be ").rpartition(", not ") for message in messages]
        if all(expected for expected, _, _ in parts):
            messages = [f"must be {' or '.join(expected for expected, _, _ in parts)}, not {parts[0][2]}"]
        hints = dict.fromkeys(problem.hint for problem in problems if problem.hint)
        yield self.positions.problem(loc, "; or ".join(messages), ". ".join(hints), key=key)

    def _here(self, schema: Schema, error: ErrorDetails, loc: Loc, hint: str, *, key: bool) -> Problem:
        kind, value, context = error["type"], error["input"], error.get("ctx", {})
        if kind == "missing":
            return self.positions.problem(loc[:-1], f"missing key {loc[-1]!r}", hint)
        if kind == "extra_forbidden":
            return self.positions.problem(loc, f"unknown key {loc[-1]!r}", hint, key=True)
        hint = ""
        choices = schema.get("expected") or schema.get("members") or schema.get("choices") or ()
        expected = ("one of " if len(choices) > 1 else "") + (_listed(choices) or context.get("expected", ""))
        step = schema.get("discriminator")  # the key that tells which branch of a union is meant; or a function
        if kind in {"value_error", "assertion_error"}:
            message = str(context["error"]) or "is not valid"
        elif kind == "union_tag_not_found" and isinstance(step, str):
            known = {name for choice in schema["choices"].values() for name in self._inner(choice)[0].get("fields", ())}
            if stray := _near(step, [name for name in value if name not in known]):
                return self.positions.problem(
                    (*loc, stray[0]), f"unknown key {stray[0]!r}", _meant(stray[0], [step]), key=True
                )
            message, hint = f"missing key {step!r}", f"It must be {expected}"
        elif kind in {"literal_error", "enum", "union_tag_invalid", "union_tag_not_found"}:
            if kind == "union_tag_invalid" and isinstance(step, str) and isinstance(value, dict):
                loc, value = (*loc, step), value.get(step)
            value = context.get("tag", value) if callable(step) else value
            message, hint = f"must be {expected}, not {shown(value)}", _meant(value, map(_word, choices))
        elif expected := _expected(kind) or _LIMITS.get(kind, "").format_map(context):
            message = f"must be {expected}, not {shown(value)}"
            if expected == "text" and value is not None:
                hint = QUOTES if isinstance(value, dict | list) else "Put quotes around it to make it text"
        else:
            message = error["msg"].replace(" after validation", "")
            message = re.sub(r"^(Input|Value|String|List|Dictionary|Tuple|Set|Date|Datetime) should ", "must ", message)
        return self.positions.problem(loc, message, hint, key=key)


def _word(tag: object) -> str:
    return str(getattr(tag, "value", tag))


def _listed(words: Iterable[object]) -> str:
    return ", ".join(shown(getattr(word, "value", word)) for word in words)


def _near(given: object, allowed: Iterable[object]) -> list[str]:
    words = {str(word).lower(): str(word) for word in allowed}
    cutoff = 0.6 if len(str(given)) > 3 else 0.5
    return [words[word] for word in difflib.get_close_matches(str(given).lower(), words, cutoff=cutoff)]


def _meant(given: object, allowed: Iterable[object]) -> str:
    near = [] if isinstance(given, dict | list) else _near(given, allowed)
    return f"Did you mean {' or '.join(map(repr, near))}?" if near else ""


def _expected(kind: str) -> str:
    match = re.fullmatch(r"(\w+?)_(?:type|parsing|parsing_size|from_\w+)", kind)
    return _EXPECTED.get(match[1] if match else kind, "")


def _misfit(error: ErrorDetails) -> bool:
    """Tell whether the value has another shape (mapping, list, one value) than what was expected."""
    expected = _expected(error["type"])
    if isinstance(error["input"], dict | list):
        return bool(expected) or error["type"] in {"literal_error", "enum"}
    return expected in {"a list", "a mapping"}
