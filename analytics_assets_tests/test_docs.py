"""What the documents say of the code is there, and what the code has is in the documents."""

from __future__ import annotations

import datetime as dt
import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from analytics_assets.assets.catalog import resolve
from analytics_assets.assets.report import LONGEST
from analytics_assets.automation.alert_words import written
from analytics_assets.automation.alerting import Book, Evaluation, Run, observe
from analytics_assets.automation.jobs import weekly_tables
from analytics_assets.contracts import (
    activity,
    baselines,
    churn_model,
    customers,
    experiments,
    funnels,
    impact,
    lifetime,
    marketing,
    metrics,
    quality,
    sales,
    series,
    star,
    verdicts,
)
from analytics_assets.contracts import shop as shop_contracts
from analytics_assets.contracts.delivered import DELIVERED
from analytics_assets.contracts.model import Contract
from analytics_assets.lake.days import Days, DaySet
from analytics_assets.outlets.messages import Change
from analytics_assets.outlets.reports import KEPT
from analytics_assets.outlets.webhook import json_document, slack_document
from analytics_assets.project import alerts, questions
from analytics_assets.project.business import Control, Customers, Forecasts, Marketing
from analytics_assets.project.conditions import Question
from analytics_assets.project.experiments import Amendment, Guardrail, Measured, Plan, Primary
from analytics_assets.project.loading import load_project
from analytics_assets.project.model import ColumnMapping, Feed, Project, ProjectFile, Source
from analytics_assets.project.operations import Daily
from analytics_assets.project.plans import State
from analytics_assets.project.postgres import PostgresRows
from analytics_assets.project.quality import AcceptedDays, Quality
from analytics_assets.project.shop import (
    SIZES,
    ByDevice,
    BySegment,
    Campaign,
    Dirt,
    Effect,
    Experiment,
    Funnel,
    Orders,
    Purchases,
    Season,
    Shop,
    Spend,
    Visits,
)
from analytics_assets.project.yaml import read_yaml
from analytics_assets.report.rendering import LARGEST_PICTURE
from analytics_assets.report.rules import RULES
from analytics_assets.report.words import NOTICEABLE
from analytics_assets.settings import Settings
from analytics_assets.sources.shop.world import World
from analytics_assets_tests.charts.worlds import charts

AT = dt.datetime(2025, 3, 2, 6, 12, tzinfo=dt.UTC)

ROOT = Path(__file__).resolve().parents[1]
PROJECTS = (ROOT / "docs/projects.md").read_text()
SEMANTICS = (ROOT / "docs/semantics.md").read_text()
SHOP = (ROOT / "docs/shop.md").read_text()
QUESTIONS = (ROOT / "docs/questions.md").read_text()
ALERTS = (ROOT / "docs/alerts.md").read_text()
GALLERY = (ROOT / "docs/charts.md").read_text()
EXPERIMENTS = (ROOT / "docs/experiments.md").read_text()
MARTS = {
    sales: "sales.md",
    customers: "customers.md",
    lifetime: "lifetime_value.md",
    churn_model: "churn.md",
    marketing: "marketing.md",
    series: "forecasts.md",
    experiments: "experiments.md",
    verdicts: "experiments.md",
    baselines: "experiments.md",
    quality: "quality.md",
}
"""The page on which each room of marts is described."""
OF_THE_SHOP: dict[type[BaseModel], str] = {
    Shop: "shop.yaml", Visits: "visits", Purchases: "purchases", Funnel: "funnel", Spend: "spend", Orders: "orders",
    Season: "season", Campaign: "campaigns", Experiment: "experiments", Effect: "experiments", Dirt: "dirt",
}  # fmt: skip


@pytest.mark.parametrize(
    "model",
    [
        ProjectFile, Customers, Forecasts, Marketing, Control, Quality, AcceptedDays, Daily, Source, Feed,
        PostgresRows, ColumnMapping, Question,
    ],
)  # fmt: skip
def test_every_key_of_a_project_is_documented_in_its_own_words(model: type[BaseModel]) -> None:
    for name, field in model.model_fields.items():
        assert re.search(rf"^\| `{name}` \|.*\| {re.escape(field.description or '?')} \|$", PROJECTS, re.MULTILINE), (
            name
        )


@pytest.mark.parametrize(
    "model",
    [
        questions.Metric, questions.Measure, questions.Funnel, questions.FunnelStep, questions.FunnelExclusion,
        questions.FunnelBreakdown, questions.Retention, questions.Match, questions.Paths,
    ],
)  # fmt: skip
def test_every_key_of_a_question_is_documented_in_its_own_words(model: type[BaseModel]) -> None:
    for name, field in model.model_fields.items():
        told = re.escape(field.description or "?")
        assert re.search(rf"^\| `{name}` \|.*\| {told} \|$", QUESTIONS, re.MULTILINE), name


@pytest.mark.parametrize("model", [Plan, Measured, Primary, Guardrail, Amendment, questions.Match])
def test_every_key_of_a_plan_is_documented_in_its_own_words(model: type[BaseModel]) -> None:
    for name, field in model.model_fields.items():
        told = re.escape(field.description or "?")
        assert re.search(rf"^\| `{name}` \|.*\| {told} \|$", EXPERIMENTS, re.MULTILINE), name


def test_the_postgres_source_in_the_documents_is_one(tmp_path: Path) -> None:
    path = tmp_path / "events.yaml"
    path.write_text(re.findall(r"```yaml\n(postgres:.*?)```", PROJECTS, re.DOTALL)[0])
    source, _ = read_yaml(path, Source)
    assert (source.origin, source.kind) == ("postgres table public.events_raw of SHOP_DATABASE_URL", "postgres")


def test_the_plan_in_the_documents_is_one(tmp_path: Path) -> None:
    path = tmp_path / "checkout_redesign.yaml"
    path.write_text("".join(re.findall(r"```yaml\n(.*?)```", EXPERIMENTS, re.DOTALL)))
    plan, _ = read_yaml(path, Plan)
    assert (plan.control, len(plan.amendments)) == ("control", 1)


def test_every_state_of_a_plan_is_documented() -> None:
    for state in get_args(State):
        assert re.search(rf"^\| {state} \|", EXPERIMENTS, re.MULTILINE), state


def test_every_table_of_answers_is_documented() -> None:
    for contract in (told for module in (activity, funnels, metrics) for told in vars(module).values()):
        if isinstance(contract, Contract):
            assert f"`{contract.table}`" in QUESTIONS, contract.table


@pytest.mark.parametrize(("module", "document"), MARTS.items(), ids=lambda told: getattr(told, "__name__", ""))
def test_every_mart_is_documented(module: ModuleType, document: str) -> None:
    page = (ROOT / "docs" / document).read_text()
    for contract in vars(module).values():
        if isinstance(contract, Contract):
            assert f"`{contract.table}`" in page, contract.table


def test_every_table_of_what_follows_from_experiments_is_documented() -> None:
    for contract in vars(impact).values():
        if isinstance(contract, Contract):
            assert f"`show {contract.table}`" in EXPERIMENTS, contract.table


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
    known |= {"negative_impressions", "negative_clicks", "negative_conversions"}  # the "..." after the first four
    for delivered in DELIVERED.values():
        for refusal in delivered.refusals:
            assert f"`{refusal.reason}`" in SEMANTICS or refusal.reason in known


def test_pictures_in_documents_are_small() -> None:
    sizes = {path.name: path.stat().st_size for path in (ROOT / "docs").rglob("*.png")}
    assert len(sizes) >= 3
    assert not {name: size for name, size in sizes.items() if size >= 300_000}


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


def chapter(name: str) -> str:
    """Return the part of docs/shop.md whose heading names a parameter, or a file."""
    (found,) = (part for part in SHOP.split("\n## ") if f"(`{name}`)" in part.split("\n")[0])
    return found


def default_of(field: FieldInfo, name: str, model: type[BaseModel]) -> str:
    if field.is_required():
        return "required"
    if model is Shop and name in SIZES["tiny"]:
        return "by `size`"
    if model is Shop and (isinstance(field.default, BaseModel) or name in {"campaigns", "experiments"}):
        return "below"
    told = field.default.model_dump() if isinstance(field.default, (ByDevice, BySegment)) else field.default
    return "" if told is None else f"`{json.dumps(told)}`"


@pytest.mark.parametrize("model", OF_THE_SHOP)
def test_every_parameter_of_the_shop_is_documented_in_its_own_words(model: type[BaseModel]) -> None:
    for name, field in model.model_fields.items():
        described = (field.description or "?").replace("|", r"\|")
        row = f"\n| `{name}` | {default_of(field, name, model)} | {described} |"
        assert row in chapter(OF_THE_SHOP[model]), f"docs/shop.md should have the row {row}"


def test_every_chapter_of_parameters_is_looked_at() -> None:
    nested = {name for name, field in Shop.model_fields.items() if default_of(field, name, Shop) == "below"}
    assert nested == set(OF_THE_SHOP.values()) - {"shop.yaml"}


def test_the_sizes_of_the_shop_are_documented() -> None:
    for name, size in SIZES.items():
        assert f"\n| `{name}` | {size['users']:,} | {size['products']:,} | {size['days']:,} |" in SHOP


def test_every_campaign_of_the_shop_is_documented() -> None:
    for name, told in Shop().campaigns.items():
        row = f"| `{name}` | {told.name} | {told.channel} | {told.uplift:g} | {told.withheld:g} | {told.spend:g} |"
        assert row in chapter("campaigns"), row


def test_every_experiment_of_the_shop_is_documented_with_what_is_planted() -> None:
    for name, told in Shop().experiments.items():
        pattern = rf"^\| `{name}` \| {told.exposure} \| (.*) \| {re.escape(told.verdict)} \|$"
        (planted,) = re.findall(pattern, chapter("experiments"), re.MULTILINE)
        for effect in (effect for effects in told.effects.values() for effect in effects):
            assert effect.step in planted
            assert f"{effect.lift:+.0%}".replace("%", " %") in planted
            assert (effect.segment or "") in planted
            assert effect.half_life is None or f"{effect.half_life:g} days" in planted
        assert all(f"{share:.0%}".replace("%", " %") in planted for share in told.lost.values())


def test_every_table_of_the_truth_is_documented() -> None:
    for contract in vars(shop_contracts).values():
        if isinstance(contract, Contract):
            assert f"`show {contract.table}`" in SHOP


@pytest.mark.slow
@pytest.mark.parametrize("example", re.findall(r"```yaml\n(.*?)```", SHOP, re.DOTALL))
def test_examples_of_other_worlds_load_and_live(example: str) -> None:
    told: dict[str, Any] = yaml.safe_load(example)
    world = World(Shop.model_validate(told), dt.date(2025, 1, 1), "Europe/Berlin")
    assert told["size"] == "tiny"
    assert sum(len(world.day(number).lines) for number in range(world.shop.days)) > 0


@pytest.mark.parametrize(
    "model",
    [
        alerts.Alerts, alerts.Route, alerts.SlackChannel, alerts.WebhookChannel, alerts.EmailChannel, alerts.LogChannel,
    ],
)  # fmt: skip
def test_every_key_of_alerts_is_documented_in_its_own_words(model: type[BaseModel]) -> None:
    for name, field in model.model_fields.items():
        told = re.escape(field.description or "?")
        assert re.search(rf"^\| `{field.alias or name}` \|.*\| {told} \|$", ALERTS, re.MULTILINE), name


@pytest.mark.parametrize("name", ["automation", "ui_url"])
def test_the_settings_of_alerts_are_documented_in_their_own_words(name: str) -> None:
    field = Settings.model_fields[name]
    default = str(field.default).lower()
    assert f"| `ANALYTICS_{name.upper()}` | `{default}` | {field.description} |" in ALERTS


def test_the_daily_run_is_documented_with_its_sensors_and_weekly_tables() -> None:
    project = load_project(ROOT / "analytics_assets/shop", {})
    page = (ROOT / "docs/daily.md").read_text()
    for name in [*weekly_tables(resolve(project)), "new_files", "late_rows", "dead_runs", "alerts"]:
        assert f"`{name}`" in page, name


def test_every_kind_of_problem_is_documented() -> None:
    for kind in get_args(alerts.AlertKind):
        assert f"\n| `{kind}` | " in ALERTS


def test_the_alerts_in_the_documents_are_some(tmp_path: Path) -> None:
    path = tmp_path / "alerts.yaml"
    path.write_text("".join(re.findall(r"```yaml\n(.*?)```", ALERTS, re.DOTALL)))
    read, positions = read_yaml(path, alerts.Alerts)
    assert not list(alerts.alerts_problems(read, positions))
    assert {channel.type for channel in read.channels.values()} == {"slack", "webhook", "email"}


def test_the_messages_in_the_documents_are_what_slack_gets(tmp_path: Path) -> None:
    seen = Evaluation(
        "fact_sales", "keys", passed=False, days=DaySet.read("2025-03-01"), samples=("order_id o1, line 1",),
        rules=("order_id, line names one row (error): 2 rows",), step="fact_sales",
    )  # fmt: skip
    day = Days(dt.date(2025, 3, 1), dt.date(2025, 3, 1))
    stopped = Run("4f1c", "daily", "failure", day, evaluations=(seen,), failures={"fact_sales": "not published"})
    passed = Evaluation("fact_sales", "keys", passed=True)
    mended = Run("77d0", "daily", "success", day, evaluations=(passed,), released=True)
    _, notices = observe(Book(), [stopped, mended], AT)
    project = Project(name="shop", first_day=day.first, owners=["team:sales"], folder=tmp_path, sources={})
    told = [slack_document(written(notice, project, Settings.model_fields["ui_url"].default)) for notice in notices]
    assert [message["text"] + "\n" for message in told] == re.findall(r"```text\n(.*?)```", ALERTS, re.DOTALL)


def test_the_document_of_a_webhook_is_described(tmp_path: Path) -> None:
    project = Project(name="shop", first_day=AT.date(), folder=tmp_path, sources={})
    (notice,) = observe(Book(), [Run("1", "daily", "failure")], AT)[1]
    for key in json_document(written(notice, project, "")):
        assert f"`{key}`" in chapter_of(ALERTS, "What a message says"), key
    for change in get_args(Change):
        assert f"`{change}`" in ALERTS


def chapter_of(page: str, title: str) -> str:
    return re.split(r"^## ", page.partition(f"## {title}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


@pytest.mark.parametrize("name", ["starter", "online_retail", "vanguard", "facebook_ads"])
def test_examples_load(name: str) -> None:
    assert load_project(ROOT / "examples" / name, {}).name == name


def test_every_chart_is_in_the_gallery_with_its_tables_and_none_that_is_gone() -> None:
    rows = {row[0]: row for row in re.findall(r"^\| `(\w+)` \| (.+?) \| (.+?) \| .+ \|$", GALLERY, re.MULTILINE)}
    drawn = set()
    for chart in charts():
        pattern = re.sub(r"_by_\w+$", "_by_COLUMN", chart.called.replace(f"_{chart.asked}", "_NAME", bool(chart.asked)))
        assert pattern in rows, f"docs/charts.md has no row `{pattern}`"
        _, shows, tables = rows[pattern]
        assert shows == chart.shows
        for table in chart.inputs:
            assert f"`{table.replace(f'_{chart.asked}', '_NAME', bool(chart.asked))}`" in tables
        drawn.add(pattern)
    assert set(rows) == drawn


def test_the_rules_of_the_report_are_those_of_the_code() -> None:
    """Each row says what the rule's object says: its name, its findings, its conditions, its evidence, its table."""
    page = (ROOT / "docs/report.md").read_text()
    table = [line for line in page.splitlines() if re.match(r"\| `\w+` \| `\w+` \|", line)]
    rows = {
        cells[0].strip("`"): cells for line in table if (cells := [c.strip() for c in line.strip("|").split(" | ")])
    }
    assert [name.strip() for name in rows] == [rule.name for rule in RULES]
    for rule in RULES:
        _, over, when, says, enough, rests, worth = rows[rule.name]
        assert over == f"`{rule.over}`"
        assert re.findall(r"`([^`]+)`", when) == list(rule.when)
        head = re.sub(r"\{(\w+):\w+\}", r"*\1*", rule.says.partition(": ")[0])
        assert says == head
        assert enough == rule.enough
        assert rests.strip("`") == rule.table.replace("{table}", "TABLE").replace("{funnel}", "NAME")
        assert worth.rstrip(" |") == (f"`{rule.worth[0]}` {rule.per}" if rule.worth else "")
    assert f"last {KEPT} days" in page
    assert f"{LONGEST} days" in page
    assert f"below {LARGEST_PICTURE // 1000} kB" in page
    assert f"within {NOTICEABLE:.0%}".replace("%", " %") in page
