"""What the documents say of the code is there, and what the code has is in the documents."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from analytics_assets.contracts import star
from analytics_assets.contracts.delivered import DELIVERED
from analytics_assets.contracts.model import Contract
from analytics_assets.project.loading import load_project
from analytics_assets.project.model import ColumnMapping, Feed, ProjectFile, Question, Source

ROOT = Path(__file__).resolve().parents[1]
PROJECTS = (ROOT / "docs/projects.md").read_text()
SEMANTICS = (ROOT / "docs/semantics.md").read_text()


@pytest.mark.parametrize("model", [ProjectFile, Source, Feed, ColumnMapping, Question])
def test_every_key_of_a_project_is_documented_in_its_own_words(model: type[BaseModel]) -> None:
    for name, field in model.model_fields.items():
        assert re.search(rf"^\| `{name}` \|.*\| {re.escape(field.description or '?')} \|$", PROJECTS, re.MULTILINE), (
            name
        )


def test_every_raw_table_is_documented_with_its_columns() -> None:
    for delivered in DELIVERED.values():
        (line,) = re.findall(rf"^\| `{delivered.name}` \|.*$", PROJECTS, re.MULTILINE)
        for column in delivered.columns:
            assert (f"**{column.name}**" if not column.nullable else column.name) in line


def test_every_published_table_is_documented() -> None:
    for contract in vars(star).values():
        if isinstance(contract, Contract):
            assert f"`{contract.table}`" in SEMANTICS


def test_every_refusal_is_a_word_of_the_documents() -> None:
    known = {"negative_discount", "negative_tax", "negative_shipping", "negative_refund", "negative_spend"}
    known |= {"negative_impressions", "negative_clicks"}  # the "..." after the first four
    for delivered in DELIVERED.values():
        for refusal in delivered.refusals:
            assert f"`{refusal.reason}`" in SEMANTICS or refusal.reason in known


def test_links_in_documents_lead_somewhere() -> None:
    for document in [
        ROOT / "README.md",
        ROOT / "CONTEXT.md",
        *(ROOT / "docs").rglob("*.md"),
        *ROOT.glob("examples/*/README.md"),
    ]:
        for link in re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text()):
            assert (document.parent / link).exists(), f"{document.name}: {link}"


def test_the_shop_is_documented_as_a_project() -> None:
    assert "`shop.yaml`" in PROJECTS
    assert all((ROOT / "analytics_assets/shop" / name).is_file() for name in ("project.yaml", "shop.yaml"))


@pytest.mark.parametrize("name", ["starter", "online_retail", "vanguard"])
def test_examples_load(name: str) -> None:
    assert load_project(ROOT / "examples" / name, {}).name == name
