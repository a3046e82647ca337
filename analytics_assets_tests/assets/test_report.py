"""What a report tells is found in the tables: opposite tables make opposite findings, absent ones make none."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from ibis.expr.types import Table

from analytics_assets.assets.catalog import Setting, resolve
from analytics_assets.assets.report import gather, periods, reads
from analytics_assets.contracts import churn_model, customers, impact, marketing, sales, series, star, verdicts
from analytics_assets.contracts import quality as quality_contracts
from analytics_assets.contracts.delivered import DELIVERED
from analytics_assets.contracts.model import Contract
from analytics_assets.lake.days import Days
from analytics_assets.lake.engine import Engine
from analytics_assets.project.model import Project
from analytics_assets.project.questions import Funnel, Questions
from analytics_assets.report.findings import Findings
from analytics_assets.report.rules import fired
from analytics_assets.report.words import Way, went
from analytics_assets_tests.making import engine, feed, project, source, table
from analytics_assets_tests.report.worlds import report

__all__ = ["engine"]

FIRST, LAST = dt.date(2024, 1, 1), dt.date(2024, 2, 25)
"""Eight weeks."""
SHOP = project(source(feed("events"), feed("order_lines")), first_day=FIRST, last_day=LAST, currency="EUR")
Rows = Sequence[Mapping[str, Any]]


def told(engine: Engine, of: Project = SHOP, last: dt.date = LAST, **tables: Table) -> Findings:
    return gather(tables, Setting(of, Days(of.first_day, last), collect=engine.rows), 7, {})


def days(first: dt.date = FIRST, last: dt.date = LAST) -> list[dt.date]:
    return list(Days(first, last))


def late(day: dt.date) -> bool:
    return day > LAST - dt.timedelta(days=28)


def revenue(factor: float, first: dt.date = FIRST, last: dt.date = LAST, category: str = "") -> Rows:
    """Make days of revenue that is so many times as high in the last four weeks; some noise, always the same."""
    zeros = {"customers": 0, "new_customers": 0, "units": 0, "gross": 0, "discount": 0, "tax": 0, "shipping": 0}
    found = []
    for n, day in enumerate(days(first, last)):
        much = round((100 + 10 * (day.weekday() > 4) + (n * 37) % 11) * (factor if late(day) else 1), 2)
        found.append(
            {
                **zeros,
                "day": day,
                "dimension": "category" if category else "",
                "value": category,
                "orders": 10,
                "net": much,
                "cost": much / 2,
                "profit": round(much / 2, 2),
                "net_uncosted": 0,
                "refunds": 5,
                "refunds_of_orders": 5,
                "returns_open": False,
            }
        )
    return found


def acted(now: int, before: int, bought: int = 0) -> Rows:
    """Make users of the last four weeks and of those before; the first of each buy."""
    rows = []
    for day, users in ((LAST, now), (LAST - dt.timedelta(days=30), before)):
        for n in range(users):
            orders = int(n < bought) if day == LAST else int(n < 100)
            rows.append({"day": day, "user_id": f"u{n}", "is_anonymous": False, "orders": orders, "events": 1})
    return rows


def test_revenue_that_rises_falls_or_stays(engine: Engine) -> None:
    ways = {}
    for factor in (1.3, 0.7, 1.0):
        findings = told(engine, revenue_daily=table(sales.REVENUE_DAILY, *revenue(factor)))
        kpis = {kpi.name: kpi for kpi in findings.kpis}
        ways[factor] = went(kpis["net revenue"].change), went(kpis["average order value"].change)
        assert went(kpis["orders"].change) is Way.STEADY
        assert kpis["net revenue"].change.change == pytest.approx(factor - 1, abs=0.02)
        assert kpis["average order value"].value == pytest.approx(kpis["net revenue"].value / 280)
    assert ways == {
        1.3: (Way.ROSE, Way.ROSE), 0.7: (Way.FELL, Way.FELL), 1.0: (Way.STEADY, Way.STEADY)
    }  # fmt: skip


def test_users_and_conversion_that_rise_or_fall(engine: Engine) -> None:
    def found(now: int, bought: int) -> dict[str, Way]:
        told_ = told(
            engine,
            revenue_daily=table(sales.REVENUE_DAILY, *revenue(1.0)),
            fact_events=table(star.FACT_EVENTS),
            fact_user_days=table(star.FACT_USER_DAYS, *acted(now, 1000, bought)),
        )
        return {kpi.name: went(kpi.change, kpi.unit) for kpi in told_.kpis if kpi.chance == "people"}

    assert found(1500, 300) == dict.fromkeys(
        ("active users", "customers who bought", "conversion of active users"), Way.ROSE
    )
    assert found(700, 30) == dict.fromkeys(
        ("active users", "customers who bought", "conversion of active users"), Way.FELL
    )
    assert found(1002, 101)["conversion of active users"] is Way.STEADY


def test_categories_are_told_where_there_are_any(engine: Engine) -> None:
    def names(*categories: str) -> list[str]:
        rows = [row for name in categories for row in revenue(1.3, category=name)]
        tables = {"revenue_daily": table(sales.REVENUE_DAILY, *rows, *revenue(1.3))}
        products = told(engine, product_performance=table(sales.PRODUCT_PERFORMANCE), **tables).products
        assert products is not None
        assert all(went(part.change) is Way.ROSE for part in products.categories)
        return [part.name for part in products.categories]

    assert names("Books", "(unknown)") == ["(unknown)", "Books"]
    assert names("(unknown)") == []


def test_without_events_nobody_is_active_and_nothing_converts(engine: Engine) -> None:
    tables = {
        "revenue_daily": table(sales.REVENUE_DAILY, *revenue(1.0)),
        "fact_user_days": table(star.FACT_USER_DAYS, *acted(100, 100, 100)),
    }
    names = [kpi.name for kpi in told(engine, **tables).kpis]
    assert names == ["customers who bought", "orders", "net revenue", "average order value"]


def test_the_same_weeks_of_the_year_before_are_compared_where_they_are_there(engine: Engine) -> None:
    first = LAST - dt.timedelta(days=364 + 27)
    old = project(source(feed("order_lines")), first_day=first, last_day=LAST, currency="EUR")
    rows = revenue(1.5, first)
    findings = told(engine, of=old, revenue_daily=table(sales.REVENUE_DAILY, *rows))
    (net,) = [kpi for kpi in findings.kpis if kpi.name == "net revenue"]
    assert findings.year is not None
    assert (findings.year.first, findings.year.last) == (first, LAST - dt.timedelta(days=364))
    assert net.year is not None
    assert net.year.change == pytest.approx(0.5, abs=0.03)
    assert "against the year before" in report(findings)


@pytest.mark.parametrize("there", [1, 3, 13])
def test_too_few_days_are_compared_with_nothing(engine: Engine, there: int) -> None:
    last = FIRST + dt.timedelta(days=there - 1)
    findings = told(engine, last=last, revenue_daily=table(sales.REVENUE_DAILY, *revenue(1.0, FIRST, last)))
    assert (findings.before, findings.period.days) == (None, there)
    assert all(kpi.change is None for kpi in findings.kpis)
    assert "no change can be told" in report(findings)


def test_two_weeks_show_a_change_without_an_interval(engine: Engine) -> None:
    last = FIRST + dt.timedelta(days=13)
    findings = told(engine, last=last, revenue_daily=table(sales.REVENUE_DAILY, *revenue(1.0, FIRST, last)))
    assert findings.period.days == 7
    assert {went(kpi.change, kpi.unit) for kpi in findings.kpis} == {Way.UNTOLD}


def test_a_project_without_tables_says_what_is_absent_and_why(engine: Engine) -> None:
    why = {"experiment_verdicts": "needs fact_assignments", "campaign_roi_analysis": "needs fact_campaign_spend"}
    setting = Setting(SHOP, Days(FIRST, LAST), collect=engine.rows)
    findings = gather({}, setting, 0, why)
    said = report(findings)
    assert "There are no days of orders or events to report on." in said
    assert "Experiments: experiment_verdicts needs fact_assignments." in said
    assert "Marketing: campaign_roi_analysis needs fact_campaign_spend." in said
    assert "Funnels: the project asks for none." in said
    assert fired(findings) == ()


def test_empty_tables_are_told_without_a_number(engine: Engine) -> None:
    graph = resolve(SHOP)
    tables = {name: table(graph.contracts()[name]) for name in reads(SHOP, graph)}
    findings = gather(tables, Setting(SHOP, Days(FIRST, LAST), collect=engine.rows))
    said = report(findings)
    assert fired(findings) == ()
    assert "rose" not in said
    assert "fell" not in said
    assert "nan" not in said
    assert "Whether" in said


def test_a_named_day_is_left_out_of_what_is_told_without_it(engine: Engine) -> None:
    sale = LAST - dt.timedelta(days=40)
    named = project(
        source(feed("order_lines")), first_day=FIRST, last_day=LAST, forecasts={"special_days": {"The sale": [sale]}}
    )
    rows = [{**row, "net": 5000} if row["day"] == sale else row for row in revenue(1.3)]
    findings = told(engine, of=named, revenue_daily=table(sales.REVENUE_DAILY, *rows))
    (net,) = [kpi for kpi in findings.kpis if kpi.name == "net revenue"]
    assert went(net.change) is Way.UNTOLD
    assert went(net.plain) is Way.ROSE
    assert (net.plain_days, findings.season.named_before) == (27, ("The sale",))
    assert "On the 27 pairs of days of which none has a name, orders" in report(findings)


def verdict(verdict: str, **says: Any) -> Table:
    told_ = {"experiment": "e", "variant": "b", "because": "it is so", "over": True, "metric": "buyers over 7 days"}
    return table(verdicts.EXPERIMENT_VERDICTS, {**told_, "verdict": verdict, "difference": 0.1, **says})


def worth(low: float, high: float, state: str = "told") -> Table:
    known = {"revenue": low + high, "revenue_low": 2 * low, "revenue_high": 2 * high}
    known |= {"margin": (low + high) / 2, "margin_low": low, "margin_high": high}
    said = {"experiment": "e", "variant": "b", "state": state, "reason": None if state == "told" else "too early"}
    return table(impact.EXPERIMENT_IMPACT, {**said, **(known if state == "told" else {})})


def test_an_experiment_that_ships_and_one_that_is_taken_back(engine: Engine) -> None:
    def heads(decided: str, impact_: Table) -> list[str]:
        findings = told(engine, experiment_verdicts=verdict(decided), experiment_impact=impact_)
        return [f"{one.rule.name} {one.worth}" for one in fired(findings)]

    assert heads("ship", worth(100, 300)) == ["ship 200.0"]
    assert heads("ship", worth(-100, 300)) == ["ship_of_doubtful_worth None"]
    assert heads("ship", worth(0, 0, "not yet")) == ["ship_of_unknown_worth None"]
    assert heads("rollback", worth(100, 300)) == ["roll_back None"]
    assert heads("inconclusive", worth(-100, 300)) == ["whether_a_variant_helps None"]
    alone = told(engine, experiment_verdicts=verdict("ship"))
    assert "What that is worth is not told: no orders are delivered." in report(alone)


def roi(low: float | None, high: float | None) -> Table:
    base = {"campaign_id": "C1", "name": "Spring", "spend": 1000, "complete": True, "channel": "email"}
    naive = {**base, "method": "naive", "revenue": 9000, "profit": 4500, "roi": 8.0, "state": "counted"}
    real = {**base, "method": "incremental", "state": "not identified", "reason": "no control"}
    if low is not None and high is not None:
        middle = (low + high) / 2
        told_ = {"revenue": middle, "revenue_low": low, "revenue_high": high, "profit": middle / 2, "reason": ""}
        real |= {**told_, "state": "identified", "roi": middle / 1000 - 1}
    return table(marketing.CAMPAIGN_ROI_ANALYSIS, naive, real)


@pytest.mark.parametrize(
    ("low", "high", "rule"),
    [
        (2500.0, 4000.0, "run_a_campaign_again"),
        (-500.0, 1500.0, "stop_a_campaign"),
        (1500.0, 4000.0, "whether_a_campaign_pays"),
        (None, None, "what_a_campaign_brought"),
    ],
)
def test_a_campaign_pays_by_the_profit_of_its_increment(
    engine: Engine, low: float | None, high: float | None, rule: str
) -> None:
    findings = told(engine, campaign_roi_analysis=roi(low, high))
    assert [one.rule.name for one in fired(findings)] == [rule]
    assert findings.campaigns[0].naive == 8.0


def test_a_segment_that_grows_or_shrinks(engine: Engine) -> None:
    def of(now: int) -> list[str]:
        months = {dt.date(2024, 1, 1): 300, dt.date(2024, 2, 1): now, dt.date(2023, 11, 1): 900}
        rows = [
            {"month": month, "segment": name, "customers": count, "complete": True}
            for month, best in months.items()
            for name, count in (("Champions", best), ("Lost", 1000 - best))
        ]
        standing = [
            {"segment": name, "place": place, "customers": count, "share": count / 1000, "revenue": 10}
            for place, name, count in ((1, "Champions", now), (7, "Lost", 1000 - now))
        ]
        findings = told(
            engine,
            rfm_segments=table(customers.RFM_SEGMENTS, *standing),
            rfm_history=table(customers.RFM_HISTORY, *rows),
        )
        assert findings.segments[0].before == dt.date(2024, 1, 1)
        return [one.rule.name for one in fired(findings)]

    assert of(200) == ["keep_the_best_customers"]
    assert of(400) == of(300) == []


def test_churn_is_worth_acting_on_only_where_the_model_can_be_trusted(engine: Engine) -> None:
    def found(calibration: str, low: float) -> list[str]:
        base = {"model": "boosting", "state": "fitted", "churn_days": 60, "customers": 900, "churned": 300}
        rows = [
            {**base, "metric": "auc", "value": 0.8, "low": low, "high": 0.85, "verdict": "better"},
            {**base, "metric": "calibration_error", "value": 0.02, "verdict": calibration},
        ]
        findings = told(
            engine,
            customer_churn_performance=table(churn_model.CUSTOMER_CHURN_PERFORMANCE, *rows),
            customer_churn_risk=table(churn_model.CUSTOMER_CHURN_RISK, {"user_id": "u", "expected_loss": 60.88}),
        )
        assert findings.churn is not None
        assert findings.churn.loss_a_month == pytest.approx(30.8865, abs=1e-3)
        return [one.rule.name for one in fired(findings)]

    assert found("calibrated", 0.75) == ["win_customers_back"]
    assert found("calibrated", 0.49) == []
    assert found("off by more than 0.05", 0.75) == ["whether_churn_is_calibrated"]


def test_what_is_expected_is_held_against_as_many_last_days(engine: Engine) -> None:
    def found(low: float, high: float) -> list[str]:
        ahead = [
            {"measure": "revenue", "dimension": "", "value": "", "day": LAST + dt.timedelta(days=n),
             "model": "harmonic", "forecast": (low + high) / 2, "low_80": low, "high_80": high}
            for n in range(1, 15)
        ]  # fmt: skip
        findings = told(
            engine,
            forecast=table(series.FORECAST, *ahead),
            revenue_daily=table(sales.REVENUE_DAILY, *revenue(1.0)),
        )
        assert findings.outlook is not None
        assert (findings.outlook.days, findings.outlook.low) == (14, pytest.approx(14 * low))
        return [one.rule.name for one in fired(findings)]

    assert found(150, 200) == ["prepare_for_more"]
    assert found(50, 80) == ["plan_for_less"]
    assert found(90, 200) == []


ASKED = Funnel.model_validate(
    {"steps": [{"event": "look"}, {"event": "buy"}], "window": "1 day", "breakdowns": ["device"]}
)
FUNNEL = SHOP.model_copy(update={"questions": Questions(funnels={"buying": ASKED})})


def friction(mobile: int, *, significant: bool = True) -> Table:
    base = {"step": 2, "name": "buy", "significant": significant, "p_adjusted": 0.001 if significant else 0.3}
    rows = [
        {**base, "dimension": "", "value": "", "came": 2000, "went_on": 500 + mobile, "rate": (500 + mobile) / 2000},
        {**base, "dimension": "device", "value": "desktop", "came": 1000, "went_on": 500, "rate": 0.5,
         "rate_of_others": mobile / 1000, "difference": 0.5 - mobile / 1000, "lost": mobile - 500.0},
        {**base, "dimension": "device", "value": "mobile", "came": 1000, "went_on": mobile, "rate": mobile / 1000,
         "rate_of_others": 0.5, "difference": mobile / 1000 - 0.5, "lost": 500.0 - mobile},
    ]  # fmt: skip
    return table(FRICTION, *rows)


def contract_of(name: str) -> Contract:
    return resolve(FUNNEL).contracts()[name]


FRICTION = contract_of("funnel_buying_friction")


@pytest.mark.parametrize(("mobile", "who"), [(300, "mobile"), (700, "desktop")])
def test_whoever_goes_on_less_often_is_named_and_only_they(engine: Engine, mobile: int, who: str) -> None:
    findings = told(
        engine, of=FUNNEL, funnel_buying=table(contract_of("funnel_buying")), funnel_buying_friction=friction(mobile)
    )
    (one,) = findings.frictions
    assert (one.value, one.previous, one.name) == (who, "look", "buy")
    assert one.gap == pytest.approx(-0.2)
    assert one.gap_low < one.gap < one.gap_high < 0
    assert one.worth is None  # nobody says that the funnel ends in an order
    assert f"Look for what stops {who}" in report(findings)


def test_a_gap_of_chance_is_not_named(engine: Engine) -> None:
    findings = told(
        engine,
        of=FUNNEL,
        funnel_buying=table(contract_of("funnel_buying")),
        funnel_buying_friction=friction(480, significant=False),
    )
    assert findings.frictions == ()
    assert "No value of a breakdown goes on significantly less often" in report(findings)


@pytest.mark.parametrize(("ordered", "worth_"), [(10, 163.07), (5, None)])
def test_a_gap_is_worth_orders_only_where_the_funnel_ends_in_one(
    engine: Engine, ordered: int, worth_: float | None
) -> None:
    users = [f"u{n}" for n in range(10)]
    findings = told(
        engine,
        of=FUNNEL,
        funnel_buying=table(contract_of("funnel_buying")),
        funnel_buying_friction=friction(300),
        revenue_daily=table(sales.REVENUE_DAILY, *({**row, "net": 30, "profit": 15} for row in revenue(1.0))),
        fact_user_days=table(
            star.FACT_USER_DAYS,
            *({"day": LAST, "user_id": user, "orders": int(n < ordered)} for n, user in enumerate(users)),
        ),
        fact_user_day_events=table(
            star.FACT_USER_DAY_EVENTS, *({"day": LAST, "user_id": user, "event_type": "buy"} for user in users)
        ),
    )
    # 0.2 x 1,000 mobile users of 56 days, a month of 30.44 days, orders of 3 EUR with a profit of a half
    (one,) = findings.frictions
    assert one.worth == (None if worth_ is None else pytest.approx(worth_, abs=0.01))
    assert one.worth_of == ("revenue" if worth_ is None else "profit")


def test_a_funnels_trend_is_of_days_whose_windows_have_closed(engine: Engine) -> None:
    rows = [
        {"interval": "day", "period": day, "dimension": "", "value": "", "step": step, "name": name,
         "matured": 0 if n >= 54 else count, "immature": count if n >= 54 else 0}
        for n, day in enumerate(days(FIRST - dt.timedelta(days=10)))
        for step, name, count in ((1, "look", 100), (2, "buy", 30 if n > 30 else 20))
    ]  # fmt: skip
    older = FUNNEL.model_copy(update={"first_day": FIRST - dt.timedelta(days=10)})
    findings = told(
        engine, of=older, funnel_buying=table(contract_of("funnel_buying"), *rows), funnel_buying_friction=friction(300)
    )
    assert findings.funnels[0].compared is None  # 54 days have closed: two periods of 28 have not
    rows = [{**row, "matured": row["matured"] + row["immature"], "immature": 0} for row in rows]
    findings = told(
        engine, of=older, funnel_buying=table(contract_of("funnel_buying"), *rows), funnel_buying_friction=friction(300)
    )
    (funnel,) = findings.funnels
    assert funnel.compared is not None
    assert funnel.compared[0].last == LAST
    assert went(funnel.change, "share") is Way.ROSE


def test_a_product_that_comes_back_more_often_is_found_and_its_cost_told(engine: Engine) -> None:
    def sold(name: str, units: int, returned: int) -> dict[str, Any]:
        return {
            "product_id": name,
            "product": name,
            "units": units,
            "returned": returned,
            "refund": 10 * returned,
            "net": 20 * units,
        }

    rows = [sold("lamp", 200, 60), sold("chair", 2000, 100), sold("table", 40, 40), sold("bed", 2000, 100)]
    tables = {
        "product_performance": table(sales.PRODUCT_PERFORMANCE, *rows),
        "fact_returns": table(star.FACT_RETURNS),
    }
    (one,) = told(engine, **tables).returned
    others = 240 / 4040
    assert (one.product, one.rate, one.rate_of_others) == ("lamp", 0.3, pytest.approx(others))
    assert one.worth == pytest.approx((0.3 - others) * 200 * 10 / 56 * 30.44)
    assert told(engine, product_performance=tables["product_performance"]).returned == ()


def test_what_was_delivered_and_rejected_is_counted_and_silence_is_noticed(engine: Engine) -> None:
    def staged(*gone: int) -> Table:
        contract = DELIVERED["events"].staged()
        rows = [
            {
                "source": "s",
                "file": "f",
                "feed": 0,
                "row_number": n,
                "delivery_day": day,
                "rejected": ["late"] if n % 10 == 0 else [],
            }
            for n, day in enumerate(days())
            if n not in gone
        ]
        return table(contract, *rows)

    daily = project(source(feed("events"), path="rows_{day}.csv"), first_day=FIRST, last_day=LAST)
    (fine,) = told(engine, of=daily, staged_events=staged()).deliveries
    assert (fine.rows, fine.rejected, fine.main_reason, fine.silent_days) == (28, 3, "late", 0)
    silent = told(engine, of=daily, staged_events=staged(53, 54, 55))
    assert [one.rule.name for one in fired(silent)] == ["ask_a_silent_source"]
    used_to_it = told(engine, of=daily, staged_events=staged(20, 21, 22, 53, 54, 55))
    assert fired(used_to_it) == ()


def test_days_that_stand_out_are_told_and_errors_come_first(engine: Engine) -> None:
    base = {"day": LAST, "kind": "volume", "table": "fact_events", "measure": "rows", "column": "", "value": ""}
    rows = [
        {**base, "severity": "error", "reason": "10 rows, 500 to 900 are usual"},
        {**base, "severity": "warning", "reason": "few rows", "value": "x"},
        {**base, "severity": "error", "reason": "accepted", "accepted": "a holiday", "value": "y"},
        {**base, "severity": "error", "reason": "long ago", "day": FIRST},
    ]
    sums = [{"name": "net of all", "expected": 2, "found": 3}, {"name": "orders of all", "expected": 2, "found": 2}]
    findings = told(
        engine,
        quality_findings=table(quality_contracts.QUALITY_FINDINGS, *rows),
        reconciliation=table(sales.RECONCILIATION, *sums),
        experiment_verdicts=verdict("ship"),
        experiment_impact=worth(100, 300),
    )
    assert [doubt.reason for doubt in findings.doubts] == [
        "10 rows, 500 to 900 are usual", "few rows", "two tables differ in net of all"
    ]  # fmt: skip
    assert [one.rule.name for one in fired(findings)] == ["mend_broken_data", "mend_broken_data", "ship"]
    assert "1 of 2 sums agree" in report(findings)


def test_the_report_reads_only_tables_that_the_project_has() -> None:
    graph = resolve(FUNNEL)
    names = reads(FUNNEL, graph)
    assert set(names) <= set(graph.contracts())
    assert {"funnel_buying", "funnel_buying_friction", "staged_events", "revenue_daily"} <= set(names)
    assert "experiment_verdicts" not in names


def test_periods_are_whole_weeks() -> None:
    for there in range(1, 130):
        period, before, _ = periods(FIRST, FIRST + dt.timedelta(days=there - 1))
        if before is None:
            assert there < 14
            continue
        assert period.days == before.days
        assert period.days % 7 == 0
        assert before.last + dt.timedelta(days=1) == period.first
        assert before.first >= FIRST
