from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
import yaml

from analytics_assets.project.experiments import Guardrail, Measured, Plan
from analytics_assets.project.loading import load_project
from analytics_assets.project.model import Project
from analytics_assets.project.problems import Problem
from analytics_assets_tests.project.test_loading import HERE, refused, write

ROOT = Path(__file__).resolve().parents[2]
SHOP = ROOT / "analytics_assets/shop"
EVENTS = """\
path: events.csv
format: csv
feeds:
  - {table: events, columns: {event_type: what, occurred_at: when}, properties: [page]}
"""
METRICS = {
    "buyers": "kind: unique_users\nfact: fact_events\nwhere: {event_type: purchase}\n",
    "revenue": "kind: sum\nfact: sales_overview\nvalue: net\n",
    "spend": "kind: sum\nfact: fact_campaign_spend\nvalue: spend\n",
    "length": "kind: mean\nfact: fact_sessions\nvalue: duration\ndirection: neither\n",
    "slow": "kind: quantile\nfact: fact_sessions\nvalue: duration\nquantile: 0.9\ndirection: down\n",
    "comes_back": "kind: retention\nfact: fact_user_days\nafter_days: [1, 7]\n",
}
PLAN = {
    "hypothesis": "hypothesis: a shorter checkout lets more visitors buy",
    "variants": "variants: {control: 0.5, treatment: 0.5}",
    "exposure": "exposure: {event: begin_checkout}",
    "starts": "starts: 2024-03-04",
    "ends": "ends: 2024-03-17",
    "primary": "primary: {metric: buyers, window_days: 7, minimum_effect: 0.02}",
}


def plan(**lines: str | None) -> str:
    """Write a plan: the least there is to say, with lines replaced, added, or left out."""
    return "\n".join(line for line in ({**PLAN, **lines}).values() if line) + "\n"


def ask(folder: Path, text: str, name: str = "checkout") -> Path:
    write(folder, {"events": EVENTS})
    for kind, texts in {"metrics": METRICS, "experiments": {name: text}}.items():
        (folder / kind).mkdir(exist_ok=True)
        for called, said in texts.items():
            (folder / kind / f"{called}.yaml").write_text(said)
    return folder


def load(folder: Path, text: str) -> Project:
    return load_project(ask(folder, text), {})


def problem(folder: Path, text: str) -> Problem:
    """Load a plan with one problem, in the line that says `here`, or in the first."""
    (found,) = refused(ask(folder, text))
    assert found.file == folder / "experiments" / "checkout.yaml"
    assert found.line == next((n for n, line in enumerate(text.splitlines(), 1) if line.endswith(HERE)), 1), found
    return found


# --- what is understood -----------------------------------------------------------------------------------------------


def test_a_plan_is_loaded_by_name_and_has_its_defaults(tmp_path):
    (found,) = load(tmp_path, plan()).experiments.values()
    assert (found.unit, found.control, found.treatments, found.days) == ("user", "control", ("treatment",), 14)
    assert (found.method, found.alpha, found.power, found.covariate_days, found.salt) == ("fixed", 0.05, 0.8, 28, None)
    assert (found.primary.delay_days, found.secondary, found.guardrails, found.segments) == (0, [], [], [])


def test_a_plan_says_all_that_it_can(tmp_path):
    text = plan(
        variants="variants: {old: 0.34, a: 0.33, b: 0.33}",
        control="control: a",
        exposure="exposure: {event: open, where: {page: [/a, /b]}}",
        secondary="secondary: [{metric: buyers, window_days: 14}, {metric: length, window_days: 7, delay_days: 1}]",
        guardrails="guardrails: [{metric: revenue, window_days: 14, margin: 0.5}]",
        segments="segments: [device, user.country, user.segment]",
        method="method: group_sequential\nlooks: 4",
        rest="alpha: 0.01\npower: 0.9\nsalt: c2\ncovariate_days: 0",
        amendments='amendments: [{on: 2024-03-05, what: "it ends later", why: "it was down"}]',
    )
    (found,) = load(tmp_path, text).experiments.values()
    assert (found.control, found.treatments) == ("a", ("old", "b"))
    roles = [(role, told.called) for role, told in found.measured()]
    assert roles == [
        ("primary", "buyers over 7 days"),
        ("secondary", "buyers over 14 days"),
        ("secondary", "length over 7 days after 1 day"),
        ("guardrail", "revenue over 14 days"),
    ]
    assert isinstance(found.measured()[-1][1], Guardrail)
    assert (found.looks, found.amendments[0].on) == (4, dt.date(2024, 3, 5))


def test_an_experiment_may_last_a_day(tmp_path):
    (found,) = load(tmp_path, plan(ends="ends: 2024-03-04")).experiments.values()
    assert found.days == 1


def test_a_window_is_told_as_people_say_it():
    assert Measured(metric="a", window_days=1).called == "a over 1 day"
    assert Measured(metric="a", window_days=2, delay_days=3).called == "a over 2 days after 3 days"


# --- what one file says wrong -----------------------------------------------------------------------------------------

METRIC = "{metric: buyers, window_days: 7, minimum_effect: 0.02}"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            {"primary": f"primary: [{METRIC}, {METRIC}]  # here"},
            "a plan has one primary metric, and this is a list of 2",
        ),
        ({"again": f"primary: {METRIC}  # here"}, "key 'primary' is given twice"),
        ({"primary": "primary: {metric: buyers, window_days: 7}  # here"}, "missing key 'minimum_effect'"),
        ({"primary": "primary: {metric: buyers, minimum_effect: 1}  # here"}, "missing key 'window_days'"),
        ({"primary": "primary: {metric: buyers, window_days: 0, minimum_effect: 1}  # here"}, "must be 1 or more"),
        ({"primary": "primary: {metric: buyers, window_days: 366, minimum_effect: 1}  # here"}, "must be 365 or less"),
        ({"primary": "primary: {metric: buyers, window_days: 7, minimum_effect: 0}  # here"}, "must be more than 0"),
        ({"primary": "primary: {metric: buyers, window_days: 7, margin: 1, minimum_effect: 1}  # here"}, "'margin'"),
        ({"guardrails": "guardrails: [{metric: revenue, window_days: 7}]  # here"}, "missing key 'margin'"),
        ({"guardrails": "guardrails: [{metric: revenue, window_days: 7, margin: -1}]  # here"}, "must be more than 0"),
        ({"guardrails": "guardrails: [{metric: revenue, window_days: 7, margin: .inf}]  # here"}, "a finite number"),
        (
            {"secondary": "secondary: [{metric: buyers, window_days: 7}]  # here"},
            "buyers over 7 days is measured twice",
        ),
        (
            {"guardrails": "guardrails: [{metric: buyers, window_days: 7, margin: 1}]  # here"},
            "buyers over 7 days is measured twice: keep it once, or give it another window",
        ),
        (
            {
                "secondary": "secondary: [{metric: revenue, window_days: 7}]",
                "guardrails": "guardrails: [{metric: revenue, window_days: 7, margin: 1}]  # here",
            },
            "revenue over 7 days is measured twice",
        ),
        *(({"alpha": f"alpha: {alpha}  # here"}, "must be more than 0.0, not") for alpha in ("0", "-0.1")),
        *(({"alpha": f"alpha: {alpha}  # here"}, "must be less than 1.0, not") for alpha in ("1", "5", ".nan")),
        ({"alpha": "alpha: five percent  # here"}, "must be a number"),
        ({"power": "power: 80  # here"}, "must be less than 1.0, not 80"),
        ({"variants": "variants: {control: 0.5, treatment: 0.4}  # here"}, "come to 0.9, not to 1"),
        ({"variants": "variants: {control: 50, treatment: 0.5}  # here"}, "must be less than 1.0, not 50"),
        ({"variants": "variants: {control: 1}  # here"}, "must be less than 1"),
        ({"variants": "variants: {control: 0.9, treatment: 0}  # here"}, "must be more than 0"),
        ({"variants": "variants: {control: 0.9}  # here"}, "at least 2 items"),
        ({"variants": f"variants: {{{', '.join(f'v{n}: 0.05' for n in range(20))}}}  # here"}, "at most 10 items"),
        (
            {"control": "control: contrl  # here"},
            "there is no variant 'contrl' to be the control; there are: control, t",
        ),
        ({"ends": "ends: 2024-03-03  # here"}, "it ends on 2024-03-03, before it starts on 2024-03-04"),
        ({"starts": "starts: soon  # here"}, "must be a date"),
        ({"unit": "unit: session  # here"}, "the unit 'session' is not analysed: only users are; sessions and devices"),
        ({"exposure": "exposure: {}  # here"}, "an exposure needs an `event` or a `where`"),
        ({"exposure": None}, "missing key 'exposure'"),
        ({"hypothesis": "hypothesis: ''  # here"}, "must be text of 1 or more characters"),
        ({"method": "method: bayes  # here"}, "must be one of 'fixed', 'always_valid', 'group_sequential'"),
        ({"looks": "looks: 3  # here"}, "`looks` belong to `method: group_sequential`, not to fixed"),
        ({"method": "method: group_sequential\nlooks: 1  # here"}, "must be 2 or more"),
        ({"salt": "salt: a:b  # here"}, "the salt 'a:b' has a colon"),
        ({"segments": "segments: [device, device]  # here"}, "told apart by 'device' twice"),
        ({"covariate_days": "covariate_days: -1  # here"}, "must be 0 or more"),
        ({"amendments": "amendments: [{on: 2024-03-05, what: x}]  # here"}, "missing key 'why'"),
        (
            {"a": "amendments: [{on: 2024-03-05, what: x, why: y}, {on: 2024-03-04, what: x, why: y}]  # here"},
            "in the order of their days",
        ),
        ({"two": "one_sided: true  # here"}, "unknown key 'one_sided'"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused_with_its_line(tmp_path, lines, message):
    found = problem(tmp_path, plan(**lines))
    assert message in f"{found.message} {found.hint}", found


# --- what takes the rest of the project -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "message", "hint"),
    [
        (
            {"primary": "primary: {metric: buyer, window_days: 7, minimum_effect: 0.02}  # here"},
            "there is no metric 'buyer'",
            "Did you mean 'buyers'? There are: buyers, comes_back, length, revenue, slow, spend",
        ),
        (
            {"secondary": "secondary:\n - {metric: buyers, window_days: 9}\n - {metric: zzz, window_days: 1}  # here"},
            "there is no metric 'zzz'",
            "There are: buyers",
        ),
        (
            {"secondary": "secondary: [{metric: spend, window_days: 7}]  # here"},
            "spend is of fact_campaign_spend, which knows no users",
            "Use a metric of events, sessions, sales or returns",
        ),
        (
            {"guardrails": "guardrails: [{metric: length, window_days: 7, margin: 1}]  # here"},
            "length has no direction that is better, and a guardrail metric needs one",
            "Write `direction: up` or `down` in metrics/length.yaml",
        ),
        (
            {"secondary": "secondary: [{metric: comes_back, window_days: 7}]  # here"},
            "comes_back looks at the days to the 7. after, and the window closes before",
            "Write 8 or more",
        ),
        (
            {
                "primary": "primary: {metric: slow, window_days: 7, minimum_effect: 2}",
                "method": "method: always_valid  # here",
            },
            "slow is a quantile, whose error is not known day by day: it is judged once",
            "Write `method: fixed`",
        ),
        (
            {"exposure": "exposure:\n  event: open\n  where:\n    pge: /a  # here"},
            "no column of events is called 'pge'",
            "Did you mean 'page'?",
        ),
        (
            {"segments": "segments: [device, user.contry]  # here"},
            "no column of users, as before exposure, is called 'user.contry'",
            "Did you mean 'user.country'? There are: device, country, campaign_id, user.",
        ),
        ({"segments": "segments: [user.email]  # here"}, "is called 'user.email'", ""),
        *(
            (
                {"segments": f"segments: [{by}]  # here"},
                f"'{by}' is not known before exposure: it is what an event says",
                "Known before are: device, country, campaign_id, user.",
            )
            for by in ("amount", "event_type", "page")
        ),
    ],
)
def test_what_a_plan_names_is_there_and_can_be_measured(tmp_path, lines, message, hint):
    found = problem(tmp_path, plan(**lines))
    assert message in found.message, found
    assert hint in found.hint, found


def test_a_secondary_metric_need_not_know_what_is_better(tmp_path):
    told = "secondary: [{metric: length, window_days: 7}, {metric: comes_back, window_days: 8}]"
    assert load(tmp_path, plan(secondary=told))


def test_a_plan_without_any_metric_is_told_where_to_define_it(tmp_path):
    ask(tmp_path, plan())
    for path in (tmp_path / "metrics").iterdir():
        path.unlink()
    (found,) = refused(tmp_path)
    assert (found.message, found.hint) == ("there is no metric 'buyers'", "Define it in metrics/buyers.yaml")


def test_every_problem_of_a_plan_is_told_at_once(tmp_path):
    found = refused(ask(tmp_path, plan(alpha="alpha: 2", ends="ends: 2024-01-01", unit="unit: page")))
    assert [told.where for told in found] == ["ends", "alpha", "unit"]


# --- the folder -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "stranger", ["experiment/a.yaml", "expriments/a.yaml", "experiments/a.yml", "experiments.yaml", "plan.lock"]
)
def test_a_plan_that_nothing_reads_is_refused(tmp_path, stranger):
    ask(tmp_path, plan())
    (tmp_path / stranger).parent.mkdir(exist_ok=True)
    (tmp_path / stranger).write_text(plan())
    (found,) = refused(tmp_path)
    assert found.message == "nothing reads this"
    assert "experiments" in found.hint or "a.yaml" in found.hint


def test_locks_of_others_may_lie_beside_a_project(tmp_path):
    (ask(tmp_path, plan()) / "uv.lock").write_text("")
    assert load_project(tmp_path, {})


@pytest.mark.parametrize("name", ["Checkout", "check-out", "x" * 49])
def test_an_experiment_has_a_name_that_a_table_can_have(tmp_path, name):
    (found,) = refused(ask(tmp_path, plan(), name))
    assert found.message == f"'{name}' is no name of an experiment"


@pytest.mark.parametrize("name", ["exposures", "outcomes", "moments", "results"])
def test_no_experiment_has_the_name_of_another_table(tmp_path, name):
    (found,) = refused(ask(tmp_path, plan(), name))
    assert found.message == f"there is another table called experiment_{name}"


# --- the plans that come with the package -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shop() -> Project:
    return load_project(SHOP, {})


def test_every_experiment_of_the_shop_is_planned_as_it_is_planted(shop):
    assert shop.shop is not None
    assert list(shop.experiments) == sorted(shop.shop.experiments)
    for name, planted in shop.shop.experiments.items():
        planned, span = shop.experiments[name], shop.shop.span(planted)
        first, last = (shop.first_day + dt.timedelta(days=day) for day in (span.start, span.stop - 1))
        assert (planned.starts, planned.ends) == (first, last), name
        assert planned.variants == planted.variants
        feature = planned.exposure.where.get("feature")
        assert (feature if planned.exposure.event == "use_feature" else planned.exposure.event) == planted.exposure
        assert planned.description
        assert planned.owner


def test_every_plan_of_the_shop_was_locked_on_the_day_before_it_began(shop):
    assert sorted(shop.locks) == sorted(shop.experiments)
    for name, planned in shop.experiments.items():
        known = shop.registration(name)
        assert (known.state, known.is_locked) == ("registered", True), known
        assert known.locked_on == planned.starts - dt.timedelta(days=1)


def test_what_the_shop_plants_in_money_is_guarded(shop):
    guardrails = {told.metric for told in shop.experiments["free_shipping_banner"].guardrails}
    assert guardrails == {"contribution"}
    assert shop.experiments["loyalty_badge"].segments == ["user.segment"]


def test_the_plan_of_vanguard_is_retrospective():
    vanguard = load_project(ROOT / "examples/vanguard", {"ANALYTICS_SHARED": "/nowhere"})
    known = vanguard.registration("form_redesign")
    assert (known.state, known.reason) == ("retrospective", "the plan was never locked")
    assert set(vanguard.experiments["form_redesign"].variants) == {"Control", "Test"}


def test_a_plan_can_be_made_without_a_file():
    told = yaml.safe_load(plan())
    assert Plan.model_validate(told).ends == dt.date(2024, 3, 17)
