"""The report as an asset: of the release, after its charts, into files; what fails leaves the release alone."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

import dagster as dg
import pytest
import yaml

from analytics_assets.assets.catalog import resolve
from analytics_assets.assets.drawing import drawable
from analytics_assets.automation.report import REPORT
from analytics_assets.definitions import build_definitions
from analytics_assets.project.loading import load_project
from analytics_assets.report import writing
from analytics_assets.report.desk import CONTENTS, Chart, candidates, picked
from analytics_assets.report.rules import RULES
from analytics_assets.settings import Settings
from analytics_assets_tests.automation.test_drawing import events, metadata
from analytics_assets_tests.conftest import Workshop, csv
from analytics_assets_tests.test_bad_input import EVENT_COLUMNS, EVENTS

CHART = "chart_funnel_buying_steps"
FORMS = ("html", "md", "txt")


@pytest.fixture
def shop(workshop: Workshop) -> Workshop:
    """Deliver events of a funnel from looking to buying."""
    workshop.source("events", EVENTS)
    steps = {"steps": [{"event": "look"}, {"event": "buy"}], "window": "1 day", "intervals": ["day"]}
    (workshop.home / "funnels").mkdir()
    (workshop.home / "funnels" / "buying.yaml").write_text(yaml.safe_dump(steps))
    workshop.deliver("events.csv", csv(EVENT_COLUMNS, *events("look", 9), *events("buy", 3)))
    workshop.selects = f"+{CHART} or +fact_user_days or +funnel_buying_friction or report"
    return workshop


@pytest.mark.slow
def test_a_run_ends_in_a_report_of_its_release_with_its_charts(shop: Workshop) -> None:
    ran = shop.run()
    assert ran.succeeded, ran.outcomes
    told = metadata(shop, ran.run_id, REPORT)
    folder = shop.folder / "reports"
    assert {form: told[form].value for form in FORMS} == {
        form: str(folder / f"executive_report.{form}") for form in FORMS
    }
    assert (told["as_of"].value, told["release"].value, told["figures"].value) == ("2024-03-02", 1, 1)
    assert str(told["report"].value).startswith("# workshop: executive report")
    assert len(str(told["report"].value)) < 10_000
    texts = {form: (folder / f"executive_report.{form}").read_text(encoding="utf-8") for form in FORMS}
    assert len(texts["html"].encode()) == told["html_bytes"].value
    assert {path.name for path in folder.iterdir()} == {
        f"executive_report{dated}.{form}" for form in FORMS for dated in ("", "_2024-03-02")
    }
    assert "../charts/funnel_buying_steps.png" in texts["md"]
    assert (folder / "../charts/funnel_buying_steps.png").resolve().is_file()
    assert 'id="figure-funnel_buying_steps"' in texts["html"]
    assert "Experiments: experiment_verdicts" in texts["txt"]
    assert "With 2 days of data" in texts["txt"]

    again = shop.run(select="report")
    assert again.succeeded
    after = {form: (folder / f"executive_report.{form}").read_text(encoding="utf-8") for form in FORMS}
    # the same data, the same bytes, but for the number of the release
    assert {form: text.replace("release 2", "release 1") for form, text in after.items()} == texts


@pytest.mark.slow
def test_a_chart_that_is_not_drawn_is_left_out(shop: Workshop) -> None:
    shop.selects = "+fact_user_days or +funnel_buying_friction or report"
    ran = shop.run()
    assert ran.succeeded, ran.outcomes
    assert metadata(shop, ran.run_id, REPORT)["figures"].value == 0
    assert "<figure" not in (shop.folder / "reports/executive_report.html").read_text()


@pytest.mark.slow
def test_a_report_that_cannot_be_kept_leaves_the_release_and_says_where(shop: Workshop) -> None:
    (shop.folder / "reports").write_text("a file")
    ran = shop.run()
    assert not ran.succeeded
    assert shop.release().number == 1
    failed = [
        e for e in shop.instance.all_logs(ran.run_id) if e.is_dagster_event and e.get_dagster_event().is_step_failure
    ]
    assert [event.step_key for event in failed] == [REPORT]
    assert "ANALYTICS_REPORTS" in str(failed[0].get_dagster_event().step_failure_data.error)


def test_it_comes_after_the_release_and_the_charts_that_it_may_show() -> None:
    settings = Settings()
    project = load_project(settings.project, settings.environment)
    graph = build_definitions(project, settings).resolve_asset_graph()
    before = {key.to_user_string() for key in graph.get(dg.AssetKey(REPORT)).parent_keys}
    gallery = drawable(project, resolve(project)).charts
    known = {asset.called: Chart(asset.shows, asset.inputs) for asset in gallery}
    assert "release" in before
    assert {f"chart_{name}" for name in candidates(known)} <= before
    assert {name for names in picked(known).values() for name in names} <= set(candidates(known))
    assert all(picked(known).values())
    wanted = [pattern for patterns in CONTENTS.values() for pattern in patterns]
    wanted += [re.sub(r"\{\w+\}", "*", pattern) for rule in RULES for pattern in rule.figures]
    assert [pattern for pattern in wanted if not any(fnmatchcase(name, pattern) for name in known)] == []
    assert {writer.__name__ for writer in writing.SECTIONS} >= CONTENTS.keys()
