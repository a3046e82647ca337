"""Read one YAML file of a project into its pydantic model, or say in plain words what is wrong with it and where.

Here belong: the YAML dialect a project is written in, the place of every value in its file, and the words for every
way a file can be wrong. What the keys mean (the models) and what has to agree between two files do not belong here.

The dialect is YAML 1.1 without its surprises: only ``true`` and ``false`` are booleans; dates, ``12:30`` and ``007``
stay text, which the models parse where they expect a date or a number; every key is text. So models must not be strict.
"""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING, Any, TypeVar

import yaml
from pydantic import BaseModel, TypeAdapter, ValidationError

from analytics_assets.project.explain import QUOTES, Errors, Explainer
from analytics_assets.project.problems import Loc, Positions, Problem, ProjectError, dotted, shown

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


M = TypeVar("M", bound=BaseModel)

MAX_NODES = (
    100_000  # values in one file with its aliases written out; far above any project, far below a memory problem
)
_TAG = "tag:yaml.org,2002:"


def read_yaml(path: Path, model: type[M]) -> tuple[M, Positions]:
    r"""Read a YAML file into `model`; raise ProjectError with everything that is wrong in it.

    >>> import tempfile
    >>> from pathlib import Path
    >>> class Project(BaseModel, extra="forbid"):
    ...     name: str
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "project.yaml")
    ...     _ = file.write_text("# ours\nname: NO\n")
    ...     project, positions = read_yaml(file, Project)
    >>> project.name, positions.problem(("name",), "is not a good name").line
    ('NO', 2)
    """
    builder = _Builder(path)
    root = _compose(path)
    try:
        data = builder.build(root, ())
    except RecursionError:
        raise ProjectError([Problem(path, 1, "", "the values are nested too deeply")]) from None
    problems, found = builder.problems, Positions(path, builder.values, builder.keys)
    if data is None:
        raise ProjectError([Problem(path, 1, "", "the file is empty")])
    if not isinstance(data, dict):
        problems.append(found.problem((), f"the file must hold keys with values (key: value), not {shown(data)}"))
        raise ProjectError(problems)
    try:
        result = model.model_validate(data)
    except ValidationError as error:
        errors: Errors = [(details["loc"], details) for details in error.errors(include_url=False)]
        problems.extend(Explainer(found).explain(dict(TypeAdapter(model).core_schema), errors, ()))
    if problems:
        raise ProjectError(sorted(problems, key=lambda problem: problem.line)) from None
    return result, found


# --- from text to plain data ------------------------------------------------------------------------------------------


class _Loader(yaml.SafeLoader):
    """PyYAML's parser with our scalars, which marks an alias where it is used and not where its anchor is."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's own registry; emptied to drop YAML 1.1's

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:  # noqa: ANN401 - PyYAML's
        alias = self.peek_event() if self.check_event(yaml.AliasEvent) else None  # type: ignore[no-untyped-call]
        node = super().compose_node(parent, index)
        if node is not None and alias is not None:
            node = copy.copy(node)  # shares the list of its children, by which a cycle is recognised
            node.start_mark = alias.start_mark
        return node


for _kind, _pattern in {
    "null": r"~|null|Null|NULL|",
    "bool": r"true|True|TRUE|false|False|FALSE",
    "int": r"[-+]?(?:0|[1-9][0-9]{0,999})",
    "float": r"[-+]?(?:(?:0|[1-9][0-9]*)\.[0-9]*|\.[0-9]+)(?:[eE][-+][0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
    "merge": "<<",
}.items():
    _Loader.add_implicit_resolver(_TAG + _kind, re.compile(f"(?:{_pattern})\\Z"), None)


def _compose(path: Path) -> yaml.Node | None:
    """Parse a file as far as YAML's nodes; say what is wrong where it is not a file or not YAML."""
    line, hint = 1, ""
    raw = b""
    try:
        raw = path.read_bytes()
        return _Loader(raw.decode("utf-8")).get_single_node()
    except FileNotFoundError:
        message = "the file does not exist"
    except IsADirectoryError:
        message = "this is a folder, not a file"
    except OSError as error:
        message = f"the file cannot be read: {error.strerror or error}"
    except UnicodeDecodeError as error:
        line, message = raw.count(b"\n", 0, error.start) + 1, "the file is not UTF-8 text"
        hint = "Save it with the encoding UTF-8"
    except RecursionError:
        message = "the values are nested too deeply"
    except yaml.MarkedYAMLError as error:
        line, message, hint = _complaint(error)
    except yaml.reader.ReaderError as error:
        line = raw.decode("utf-8").count("\n", 0, error.position) + 1
        message = f"the file holds a character that YAML does not allow (U+{error.character:04X})"
    except (ValueError, OverflowError) as error:  # such as the escape "\UFFFFFFFF", which PyYAML does not check
        message = f"not valid YAML: {error}"
    raise ProjectError([Problem(path, line, "", message, hint)])


def _complaint(error: yaml.MarkedYAMLError) -> tuple[int, str, str]:
    """Return the line, YAML's own complaint and a hint for text that is not YAML."""
    mark, opened, context = error.problem_mark or error.context_mark, error.context_mark, error.context or ""
    hint = f"{QUOTES}. Check the indentation, too"
    if "\\t" in (error.problem or ""):
        hint = "Indent with spaces, not with tabs"
    elif "single document" in context:
        hint = "A file holds one document: remove the '---' on this line"
    place = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
    if opened and re.search("quoted|flow|simple key", context):  # what is not closed where it begins is seen later
        mark, context = opened, f"{context} that starts on line {opened.line + 1}"
        missing = (
            "Write 'key: value', with a space after the colon"
            if "simple key" in context
            else "Close the quote or bracket"
        )
        hint = f"{missing}. {QUOTES}"
    text = ", ".join(filter(None, (context, error.problem)))
    return (mark.line + 1 if mark else 1), f"not valid YAML: {text}{place}", hint


class _Builder:
    """Plain data out of YAML's nodes, with the line of each value and key, and what is wrong on the way."""

    def __init__(self, path: Path) -> None:
        self.path, self.problems = path, list[Problem]()
        self.values, self.keys = dict[Loc, int](), dict[Loc, int]()
        self._nodes, self._open = 0, set[int]()

    def build(self, node: yaml.Node | None, loc: Loc) -> Any:  # noqa: ANN401 - any plain data
        if node is None:
            return None
        self.values[loc] = node.start_mark.line + 1
        self._enter(node, loc)
        data: Any
        if isinstance(node, yaml.MappingNode):
            self._tag(node, loc, "map")
            data = {}
            for key, key_node, value in self._pairs(node, loc):
                self.keys[*loc, key] = key_node.start_mark.line + 1
                data[key] = self.build(value, (*loc, key))
        elif isinstance(node, yaml.SequenceNode):
            self._tag(node, loc, "seq")
            data = [self.build(item, (*loc, index)) for index, item in enumerate(node.value)]
        else:
            data = self._scalar(node, loc)
        self._open.discard(id(node.value))
        return data

    def _enter(self, node: yaml.Node, loc: Loc) -> None:
        """Stop at an alias inside its own anchor, and where aliases of aliases grow beyond all measure."""
        self._nodes += len(node.value) if isinstance(node, yaml.CollectionNode) else 0
        if self._nodes > MAX_NODES:
            self._wrong(node, loc, f"the file has more than {MAX_NODES} values when its aliases are written out")
            raise ProjectError(self.problems)
        if isinstance(node, yaml.CollectionNode):
            if id(node.value) in self._open:
                self._wrong(node, loc, "the alias stands inside the value it repeats, which never ends")
                raise ProjectError(self.problems)
            self._open.add(id(node.value))

    def _wrong(self, node: yaml.Node, loc: Loc, message: str, hint: str = "") -> None:
        self.problems.append(Problem(self.path, node.start_mark.line + 1, dotted(loc), message, hint))

    def _tag(self, node: yaml.Node, loc: Loc, *known: str) -> str:
        """Return a node's kind; refuse tags beyond plain data."""
        kind = node.tag.removeprefix(_TAG)
        if kind not in known:
            shown = f"!!{kind}" if node.tag.startswith(_TAG) else node.tag
            self._wrong(node, loc, f"the tag {shown} is not supported", "Remove it, or put quotes around the value")
        return kind

    def _scalar(self, node: yaml.Node, loc: Loc) -> str | float | bool | None:
        text: str = node.value
        kind = self._tag(node, loc, "str", "null", "bool", "int", "float", "merge")
        if kind == "null":
            return None
        if kind == "bool" and text.lower() in {"true", "false"}:
            return text.lower() == "true"
        try:
            return int(text) if kind == "int" else float(re.sub(r"\.(?=[inIN])", "", text)) if kind == "float" else text
        except ValueError:
            return text  # an explicit tag on something else, such as `!!int seven`: the model says what it expects

    def _pairs(self, node: yaml.MappingNode, loc: Loc) -> Iterator[tuple[str, yaml.Node, yaml.Node]]:
        """Yield a mapping's entries: its own, then those that `<<` merges into it and it does not have."""
        seen: dict[str, int] = {}
        merged: list[yaml.MappingNode] = []
        for key_node, value in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                self._wrong(
                    key_node, loc, f"a key must be text, not {shown([] if key_node.id == 'sequence' else {})}", QUOTES
                )
            elif key_node.tag == _TAG + "merge":
                sources = value.value if isinstance(value, yaml.SequenceNode) else [value]
                merged += [source for source in sources if isinstance(source, yaml.MappingNode)]
                if not all(isinstance(source, yaml.MappingNode) for source in sources):
                    self._wrong(value, loc, "'<<' takes the alias of a mapping, such as *defaults, or a list of them")
            elif key_node.value in seen:
                message = f"key {key_node.value!r} is given twice, on line {seen[key_node.value]} and on line {line}"
                self._wrong(key_node, (*loc, key_node.value), message, "Keep one of them")
            else:
                seen[key_node.value] = line
                yield key_node.value, key_node, value
        for source in merged:
            self._enter(source, loc)
            for key, key_node, value in self._pairs(source, loc):
                if key not in seen:
                    seen[key] = key_node.start_mark.line + 1
                    yield key, key_node, value
            self._open.discard(id(source.value))
