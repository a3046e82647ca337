"""Answers of experiments against direct evaluation of what users did, and what makes them worthless."""

from __future__ import annotations

import datetime as dt
import itertools
from typing import Any

import numpy as np
import pytest
from scipy import stats

from analytics_assets.project.plans import Locked, decision, digest
from analytics_assets.statistics.effects import difference
from analytics_assets.statistics.means import means
from analytics_assets.statistics.moments import Moments
from analytics_assets.statistics.multiple import adjust
from analytics_assets.statistics.quantiles import quantile, quantiles
from analytics_assets.statistics.sequential import at_look, boundaries
from analytics_assets_tests.answers import Row
from analytics_assets_tests.experimenting import (
    PLAN,
    World,
    assigned,
    did,
    drawn,
    experimented,
    moment,
    setting,
)  # fmt: skip
from analytics_assets_tests.making import day

FULL: dict[str, Any] = {
    "secondary": [
        {"metric": "spent", "window_days": 7},
        {"metric": "a_view", "window_days": 5, "delay_days": 1},
        {"metric": "middle", "window_days": 7},
    ],
    "guardrails": [{"metric": "spent", "window_days": 3, "margin": 5}],
    "segments": ["device", "user.country"],
}
END = day(15)


def seen(world: World, until: dt.datetime, window: int, delay: int = 0, before: int = 4) -> list[Row]:
    """Evaluate every exposed user of the plan by a loop over the events."""
    found = []
    by_user: dict[str, list[Row]] = {}
    for row in world.events:
        by_user.setdefault(row["user_id"], []).append(row)
    for told in world.assigned:
        own = sorted(by_user.get(told["user_id"], []), key=lambda row: row["occurred_at"])
        opened = [
            r["occurred_at"] for r in own if r["event_type"] == "open" and r["occurred_at"] >= told["assigned_at"]
        ]
        opened = [at for at in opened if PLAN["starts"] <= at.date() <= PLAN["ends"] and at < until]
        if not opened:
            continue
        start = opened[0] + dt.timedelta(days=delay)
        end = start + dt.timedelta(days=window)
        earlier = opened[0] - dt.timedelta(days=before)
        now = [r for r in own if start <= r["occurred_at"] < end and r["occurred_at"] < until]
        pre = [r for r in own if earlier <= r["occurred_at"] < min(opened[0], told["assigned_at"])]
        past = [r for r in own if r["occurred_at"] <= told["assigned_at"] and r.get("device")]
        found.append(
            {
                "user": told["user_id"], "variant": told["variant"], "matured": end <= until, "on": opened[0].date(),
                "device": past[-1]["device"] if past else "(unknown)",
                "now": now, "pre": pre,
            }
        )  # fmt: skip
    return found


def count(rows: list[Row], kind: str) -> float:
    return float(sum(row["event_type"] == kind for row in rows))


def amount(rows: list[Row], _: str = "") -> float:
    return float(sum(row["amount"] for row in rows if row["event_type"] == "buy"))


def welch(y0: Any, y1: Any) -> tuple[float, float, float, float]:
    told = stats.ttest_ind(y1, y0, equal_var=False)
    ends = told.confidence_interval(0.95)
    return float(np.mean(y1) - np.mean(y0)), float(told.pvalue), float(ends.low), float(ends.high)


def cuped(users: list[Row], value: Any) -> tuple[float, float, float]:
    """Adjust by the same metric before: difference, p-value (Welch) and the plain difference, in NumPy alone."""
    y = np.array([value(user["now"]) for user in users])
    x = np.array([value(user["pre"]) for user in users])
    new = np.array([user["variant"] == "new" for user in users])
    theta = np.cov(y, x)[0, 1] / np.var(x, ddof=1) if np.var(x) else 0.0
    adjusted = y - theta * x
    apart, p, *_ = welch(adjusted[~new], adjusted[new])
    return apart, p, float(y[new].mean() - y[~new].mean())


@pytest.fixture(scope="module")
def world() -> World:
    drew = drawn()
    return World(drew.assigned, [row for row in drew.events if row["occurred_at"] < moment(15)], [], drew.users)


@pytest.fixture(scope="module")
def told(engine, world) -> dict[str, list[Row]]:
    return experimented(engine, world, setting(engine, {"e": FULL}, END))


def row(rows: list[Row], **says: Any) -> Row:
    (found,) = [row for row in rows if all(row[name] == value for name, value in says.items())]
    return found


ALL = {"dimension": "", "segment": ""}


@pytest.mark.parametrize("maturity", ["matured", "observed"])
@pytest.mark.parametrize(
    ("metric", "window", "value"),
    [
        ("buyers", 7, lambda rows: float(count(rows, "buy") > 0)),
        ("spent", 7, amount),
        ("spent", 3, amount),
    ],
)
def test_means_are_those_of_users_adjusted_for_the_days_before(told, world, metric, window, value, maturity):
    users = seen(world, moment(15), window)
    users = [user for user in users if user["matured"] or maturity == "observed"]
    found = row(told["experiment_results"], metric=metric, window_days=window, maturity=maturity, **ALL)
    apart, p, plain = cuped(users, value)
    counted = [sum(user["variant"] == arm for user in users) for arm in ("control", "new")]
    assert [found["n_control"], found["n"]] == counted
    assert min(counted) > 50
    assert found["difference"] == pytest.approx(apart, rel=1e-9)
    assert found["plain_difference"] == pytest.approx(plain, rel=1e-9)
    assert found["p_value"] == pytest.approx(p, rel=2e-2)  # degrees of freedom are those of the observed outcomes
    control = [value(user["now"]) for user in users if user["variant"] == "control"]
    assert found["control"] == pytest.approx(np.mean(control), rel=1e-9)
    assert found["reason"] is None
    assert (found["role"], found["margin"]) == {3: ("guardrail", 5)}.get(
        window, ("primary" if metric == "buyers" else "secondary", None)
    )


def test_matured_users_are_fewer_than_those_observed(told):
    for metric, window in (("buyers", 7), ("spent", 3), ("a_view", 5)):
        both = [
            row(told["experiment_results"], metric=metric, window_days=window, maturity=maturity, **ALL)["n"]
            for maturity in ("matured", "observed")
        ]
        assert 0 < both[0] < both[1]


def test_a_ratio_is_one_of_sums_over_users(told, world):
    users = [user for user in seen(world, moment(15), 5, 1) if user["matured"]]
    found = row(told["experiment_results"], metric="a_view", maturity="matured", **ALL)
    for arm, name in (("control", "control"), ("new", "treatment")):
        own = [user["now"] for user in users if user["variant"] == arm]
        assert found[name] == pytest.approx(
            sum(count(rows, "buy") for rows in own) / sum(count(rows, "view") for rows in own), rel=1e-9
        )


def test_a_quantile_is_one_of_rows_clustered_by_user(told, world):
    users = [user for user in seen(world, moment(15), 7) if user["matured"]]
    arms = []
    for arm in ("control", "new"):
        rows = [r for user in users if user["variant"] == arm for r in user["now"] if r["event_type"] == "buy"]
        arms.append(quantile([r["amount"] for r in rows], 0.5, clusters=[r["user_id"] for r in rows]))
    expected = difference(quantiles(*arms))
    found = row(told["experiment_results"], metric="middle", maturity="matured", **ALL)
    assert found["difference"] == pytest.approx(expected.estimate)
    assert (found["low"], found["high"]) == (pytest.approx(expected.low), pytest.approx(expected.high))


def test_segments_are_as_before_exposure_and_their_p_values_adjusted_over_all_of_them(told, world):
    users = [user for user in seen(world, moment(15), 7) if user["matured"]]
    rows = [r for r in told["experiment_results"] if r["metric"] == "buyers" and r["maturity"] == "matured"]
    split = [r for r in rows if r["dimension"]]
    assert {r["dimension"] for r in split} == {"device", "user.country"}
    for found in (r for r in split if r["dimension"] == "device"):
        own = [user for user in users if user["device"] == found["segment"]]
        assert len(own) == found["n"] + found["n_control"]
        apart, *_ = cuped(own, lambda rows: float(count(rows, "buy") > 0))
        assert found["difference"] == pytest.approx(apart, rel=1e-9)
    assert [r["p_adjusted"] for r in split] == pytest.approx(
        adjust([r["p_value"] for r in split], "benjamini-hochberg")
    )
    assert any(r["p_adjusted"] > r["p_value"] for r in split)


def test_the_last_day_of_the_timeline_is_the_result(told):
    for metric, window in (("buyers", 7), ("spent", 7), ("a_view", 5), ("spent", 3)):
        days = [r for r in told["experiment_timeline"] if (r["metric"], r["window_days"]) == (metric, window)]
        last = max(days, key=lambda r: r["day"])
        found = row(told["experiment_results"], metric=metric, window_days=window, maturity="matured", **ALL)
        assert last["n"] == found["n"] + found["n_control"]
        for name in ("difference", "low", "high", "anytime_low", "anytime_high", "p_value"):
            assert last[name] == pytest.approx(found[name], rel=1e-9), (metric, name)
        assert last["day"] == END
        assert [r["n"] for r in days] == sorted(r["n"] for r in days)
        assert all(r["anytime_high"] - r["anytime_low"] > r["high"] - r["low"] for r in days if r["low"] is not None)


@pytest.mark.slow
def test_a_group_sequential_primary_is_judged_at_its_looks(engine):
    world = drawn()
    sequential = {"method": "group_sequential", "looks": 3, "covariate_days": 0}
    within = setting(engine, {"e": sequential}, day(31))
    found = row(experimented(engine, world, within)["experiment_verdicts"], variant="new")
    users = seen(world, moment(31), 7)
    length = 10 - 1 + 7
    days = [day(5) + dt.timedelta(days=round(length * look / 3)) for look in (1, 2, 3)]
    known = [[u for u in users if u["on"] + dt.timedelta(days=7) <= last] for last in days]
    times = [look / 3 for look, some in zip((1, 2, 3), known, strict=True) if some]
    known = [some for some in known if some]  # nobody's window is over at the first
    shares = [len(some) / len(users) for some in known]
    results = []
    for look, some in enumerate(known):
        arms = [
            Moments.of([float(count(u["now"], "buy") > 0) for u in some if u["variant"] == arm])
            for arm in ("control", "new")
        ]
        results.append(
            at_look(difference(means(*arms)), boundaries(shares[: look + 1], 0.05, times=times[: look + 1]), look)
        )
    crossed = [result for result in results if result.low > 0 or result.high < 0]
    expected = (crossed or results[-1:])[0]
    assert shares[-1] == 1
    assert (found["difference"], found["low"], found["high"]) == pytest.approx(
        (expected.estimate, expected.low, expected.high)
    )
    assert found["over"] is True
    assert found["as_of"] == day(21)


# --- trust ------------------------------------------------------------------------------------------------------------


def plain(sizes: dict[str, int], bought: dict[str, int], since: float = 5, before: float | None = None) -> World:
    """Make users who are exposed on one day, so many of them buying within the week."""
    world = World()
    for variant, n in sizes.items():
        for number in range(n):
            user = f"{variant}{number:05}"
            world.assigned.append(assigned(user, variant, since))
            world.events.append(did(user, "open", since + 0.1))
            if before is not None:
                world.events.append(did(user, "view", before))
            if number < bought.get(variant, 0):
                world.events.append(did(user, "buy", since + 1, amount=10))
    return world


def trust(tables: dict[str, list[Row]], question: str) -> Row:
    return row(tables["experiment_trust"], question=question)


@pytest.mark.slow
def test_the_sample_ratio_is_tested_for_every_day_until_the_end_and_by_chi_square_after_it(engine):
    world = plain({"control": 300, "new": 240}, {"control": 30, "new": 60})
    chi = stats.chisquare([300, 240]).pvalue
    early = experimented(engine, world, setting(engine, {"e": {}}, day(10)))
    late = experimented(engine, world, setting(engine, {"e": {}}, day(31)))
    for whom in ("assigned", "exposed"):
        asked = f"sample ratio of {whom} users"
        assert trust(late, asked)["value"] == pytest.approx(chi)
        assert trust(early, asked)["value"] > chi
        assert trust(late, asked)["detail"] == "control 300, new 240; planned 0.5, 0.5"
    assert trust(late, "sample ratio of exposed users")["state"] == "warning"
    assert row(late["experiment_verdicts"])["verdict"] == "ship"
    assert row(early["experiment_verdicts"])["verdict"] == "too early"


@pytest.mark.slow
def test_a_sample_ratio_that_is_far_off_makes_all_invalid(engine):
    world = plain({"control": 300, "new": 200}, {"control": 30, "new": 90})
    for last in (day(10), day(31)):
        tables = experimented(engine, world, setting(engine, {"e": {}}, last))
        assert trust(tables, "sample ratio of assigned users")["state"] == "invalid"
        (found,) = tables["experiment_verdicts"]
        assert found["verdict"] == "invalid"
        assert found["because"].startswith("the shares of assigned users are not those of the plan")
        assert "**Invalid**" in tables["verdict_e"][0]["report"]
        assert tables["verdict_e"][0]["verdict"] == "invalid"


@pytest.mark.slow
@pytest.mark.parametrize(("both", "state", "verdict"), [(2, "fine", "ship"), (8, "invalid", "invalid")])
def test_users_in_two_variants_are_left_out_and_too_many_make_all_invalid(engine, both, state, verdict):
    world = plain({"control": 200, "new": 200}, {"control": 20, "new": 90})
    for number in range(both):
        world.assigned.append(assigned(f"control{number:05}", "new", 5.05))
    tables = experimented(engine, world, setting(engine, {"e": {}}, day(31)))
    found = trust(tables, "users in two variants")
    assert (found["state"], found["value"]) == (state, pytest.approx(both / 400))
    assert row(tables["experiment_results"], maturity="matured")["n_control"] == 200 - both
    assert row(tables["experiment_verdicts"])["verdict"] == verdict


@pytest.mark.slow
def test_arms_that_were_unlike_before_are_a_warning(engine):
    world = plain({"control": 200, "new": 200}, {"control": 20, "new": 20})
    for number in range(60):
        world.events.append(did(f"new{number:05}", "buy", 3, amount=5))
    found = trust(
        experimented(engine, world, setting(engine, {"e": {}}, day(31))), "balance before of buyers over 7 days"
    )
    _, p, *_ = welch(np.zeros(200), np.r_[np.ones(60), np.zeros(140)])
    assert (found["state"], found["value"]) == ("warning", pytest.approx(p))


@pytest.mark.slow
def test_a_metric_without_variance_is_a_warning_and_no_verdict(engine):
    for bought in (0, 50):
        world = plain({"control": 50, "new": 50}, {"control": bought, "new": bought})
        tables = experimented(engine, world, setting(engine, {"e": {"segments": ["device"]}}, day(31)))
        assert trust(tables, "variance of buyers over 7 days")["state"] == "warning"
        (found,) = tables["experiment_verdicts"]
        assert found["verdict"] == "inconclusive"
        assert "the outcomes do not vary" in found["because"]
        assert {r["reason"] for r in tables["experiment_results"]} == {"the outcomes do not vary"}
        assert {r["p_value"] for r in tables["experiment_timeline"]} == {None}
        (model,) = {(r["state"], r["reason"]) for r in tables["experiment_regression"] if r["term"] == "treatment"}
        assert model == ("no fit", "the outcomes do not vary")
        assert tables["experiment_impact"][0]["state"] in {"no lift", "no orders"}


@pytest.mark.slow
def test_a_plan_that_changed_after_it_was_locked_is_invalid(engine):
    world = plain({"control": 200, "new": 200}, {"control": 20, "new": 90})
    before = setting(engine, {"e": {"alpha": 0.01}}, day(31)).project
    decided = decision("e", before.experiments["e"], before.questions.metrics)
    locked = Locked(locked_on=day(4), sha256=digest(decided), decision=decided)
    same = experimented(engine, world, setting(engine, {"e": {"alpha": 0.01}}, day(31), {"e": [locked]}))
    assert [trust(same, "registered plan")["state"], same["experiment_verdicts"][0]["plan"]] == ["fine", "registered"]
    assert same["experiment_verdicts"][0]["verdict"] == "ship"
    changed = experimented(engine, world, setting(engine, {"e": {"alpha": 0.05}}, day(31), {"e": [locked]}))
    assert trust(changed, "registered plan")["state"] == "invalid"
    (found,) = changed["experiment_verdicts"]
    assert (found["verdict"], found["plan"]) == ("invalid", "changed")
    assert "alpha" in found["because"]
    never = experimented(engine, world, setting(engine, {"e": {}}, day(31)))
    assert trust(never, "registered plan")["state"] == "warning"


@pytest.mark.slow
def test_who_met_the_event_before_the_assignment_is_counted(engine):
    world = plain({"control": 50, "new": 50}, {"new": 20})
    for number in range(5):
        world.events.append(did(f"new{number:05}", "open", 4.5))
    found = trust(experimented(engine, world, setting(engine, {"e": {}}, day(31))), "exposed before the assignment")
    assert (found["state"], found["value"]) == ("warning", 5)


# --- verdicts and reports ---------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_every_variant_has_its_verdict_and_the_report_tells_them(engine):
    world = plain({"control": 300, "a": 300, "b": 300}, {"control": 60, "a": 120, "b": 62})
    plan = {"variants": {"control": 0.34, "a": 0.33, "b": 0.33}, "owner": "team:x", "segments": ["device"]}
    tables = experimented(engine, world, setting(engine, {"e": plan}, day(31)))
    found = {r["variant"]: r for r in tables["experiment_verdicts"]}
    assert {name: r["verdict"] for name, r in found.items()} == {"a": "ship", "b": "inconclusive"}
    ps = [welch([1] * 60 + [0] * 240, [1] * n + [0] * (300 - n))[1] for n in (120, 62)]
    assert [found[name]["p_value"] for name in "ab"] == pytest.approx(adjust(ps, "holm"), rel=1e-6)
    assert found["b"]["detectable"] > 0.05
    (told,) = tables["verdict_e"]
    assert told["verdict"] == "a: ship; b: inconclusive"
    text = told["report"]
    for expected in (
        "# e\n", "*more buy*", "**Ship** (a): buyers differs by +0.2", "**Inconclusive** (b):",
        "As of 2024-03-21: 300 users of control, 300 of a, whose buyers over 7 days can be known.",
        "## Results", "| buyers, 7 d | primary | a | 0.2 | 0.4 | +0.2 |", "## Segments", "## What can be doubted",
        "- warning: registered plan: retrospective: the plan was never locked", "## The plan",
        "- variants: control 0.34, a 0.33, b 0.33; control: control", "- owner: team:x",
        "- primary: buyers over 7 days, minimum effect 0.02",
    ):  # fmt: skip
        assert expected in text, expected


@pytest.mark.slow
@pytest.mark.parametrize(
    ("bought", "guardrail", "verdict"),
    [
        ({"control": 40, "new": 90}, 50.0, "ship"),
        ({"control": 90, "new": 40}, 50.0, "rollback"),
        ({"control": 60, "new": 64}, 50.0, "inconclusive"),
        ({"control": 40, "new": 90}, 0.0001, "inconclusive"),
    ],
)
def test_verdicts_follow_the_rules(engine, bought, guardrail, verdict):
    world = plain({"control": 300, "new": 300}, bought)
    for variant, number in itertools.product(("control", "new"), range(30)):
        world.events.append(did(f"{variant}{number:05}", "error", 6))
    plan = {"guardrails": [{"metric": "errors", "window_days": 7, "margin": guardrail}]}
    (found,) = experimented(engine, world, setting(engine, {"e": plan}, day(31)))["experiment_verdicts"]
    assert found["verdict"] == verdict, found


@pytest.mark.slow
def test_many_users_and_nothing_to_see_are_no_meaningful_difference(engine):
    world = plain({"control": 800, "new": 800}, {"control": 80, "new": 80})
    plan = {"primary": {**PLAN["primary"], "minimum_effect": 0.2}}
    (found,) = experimented(engine, world, setting(engine, {"e": plan}, day(31)))["experiment_verdicts"]
    assert found["verdict"] == "no meaningful difference"


@pytest.mark.slow
def test_a_guardrail_that_is_a_quantile_decides_like_any_other(engine):
    world = plain({"control": 200, "new": 200}, {"control": 100, "new": 160})
    guardrail = {"guardrails": [{"metric": "middle", "window_days": 7, "margin": 1}]}
    rng = np.random.default_rng(4)
    for told in world.events:
        if told["event_type"] == "buy":
            told["amount"] = round((20 if told["user_id"].startswith("c") else 5) + rng.uniform(0, 2), 2)
    (found,) = experimented(engine, world, setting(engine, {"e": guardrail}, day(31)))["experiment_verdicts"]
    assert found["verdict"] == "rollback"
    assert "the guardrail middle" in found["because"]


@pytest.mark.slow
def test_a_primary_that_is_a_quantile_decides(engine):
    world = plain({"control": 200, "new": 200}, {"control": 160, "new": 160})
    rng = np.random.default_rng(4)
    for told in world.events:
        if told["event_type"] == "buy":
            told["amount"] = round((20 if told["user_id"].startswith("n") else 5) + rng.uniform(0, 2), 2)
    plan = {"primary": {"metric": "middle", "window_days": 7, "minimum_effect": 1}}
    tables = experimented(engine, world, setting(engine, {"e": plan}, day(31)))
    (found,) = tables["experiment_verdicts"]
    assert (found["verdict"], found["metric"]) == ("ship", "middle over 7 days")
    assert tables["experiment_impact"][0]["state"] == "not of orders"


# --- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_an_experiment_that_has_not_begun_is_too_early(engine):
    world = World(users=[{"user_id": "u", "country": "DE"}])
    plan = {**FULL, "starts": day(20), "ends": day(30)}
    tables = experimented(engine, world, setting(engine, {"e": plan}, day(9)))
    assert {r["reason"] for r in tables["experiment_results"]} == {"an arm has no units"}
    (found,) = tables["experiment_verdicts"]
    assert (found["verdict"], found["n"], found["difference"]) == ("too early", 0, None)
    assert tables["verdict_e"][0]["verdict"] == "too early"
    assert tables["experiment_regression"][0]["state"] == "no users yet"
    assert tables["experiment_impact"][0]["state"] == "not yet"


@pytest.mark.slow
def test_an_experiment_without_exposures_has_no_effect_to_tell(engine):
    world = World([assigned(f"u{n}", ("control", "new")[n % 2], 5) for n in range(40)])
    for last, verdict in ((day(9), "too early"), (day(31), "inconclusive")):
        tables = experimented(engine, world, setting(engine, {"e": {}}, last))
        assert tables["experiment_verdicts"][0]["verdict"] == verdict
        assert tables["experiment_timeline"] == []
        assert tables["experiment_impact"][0]["orders"] is None


@pytest.mark.slow
@pytest.mark.parametrize("empty", ["control", "new"])
def test_an_arm_without_users_is_invalid_or_has_no_effect(engine, empty):
    for n, verdict in ((100, "invalid"), (3, "inconclusive")):
        world = plain({"control": n, "new": n, empty: 0}, {"control": 2, "new": 2})
        tables = experimented(engine, world, setting(engine, {"e": FULL}, day(31)))
        (found,) = tables["experiment_verdicts"]
        assert (found["verdict"], found["difference"]) == (verdict, None)
        assert (
            row(tables["experiment_results"], metric="buyers", maturity="matured", **ALL)["reason"]
            == "an arm has no units"
        )
        assert tables["experiment_regression"][0]["state"] == "no users yet"


@pytest.mark.slow
def test_one_user_is_no_experiment(engine):
    world = plain({"control": 1}, {"control": 1})
    (found,) = experimented(engine, world, setting(engine, {"e": FULL}, day(31)))["experiment_verdicts"]
    assert found["verdict"] == "inconclusive"


@pytest.mark.slow
def test_the_same_user_may_be_in_two_experiments(engine):
    world = plain({"control": 100, "new": 100}, {"control": 20, "new": 60})
    world.assigned += [
        {**told, "experiment": "f", "variant": "control" if n % 2 else "new"} for n, told in enumerate(world.assigned)
    ]
    tables = experimented(engine, world, setting(engine, {"e": {}, "f": {}}, day(31)))
    found = {r["experiment"]: r for r in tables["experiment_verdicts"]}
    assert [found[name]["verdict"] for name in "ef"] == ["ship", "inconclusive"]
    assert [found[name]["n"] + found[name]["n_control"] for name in "ef"] == [200, 200]


@pytest.mark.slow
def test_a_window_longer_than_the_time_passed_decides_nothing(engine):
    world = plain({"control": 100, "new": 100}, {"control": 20, "new": 60})
    plan = {"primary": {**PLAN["primary"], "window_days": 60}}
    tables = experimented(engine, world, setting(engine, {"e": plan}, day(31)))
    (found,) = tables["experiment_verdicts"]
    assert (found["verdict"], found["n"]) == ("too early", 0)
    assert row(tables["experiment_results"])["maturity"] == "observed"
    assert row(tables["experiment_results"])["n"] == 100


@pytest.mark.slow
def test_results_do_not_depend_on_the_order_of_rows(engine, world, told):
    turned = World(world.assigned[::-1], world.events[::-1], world.orders, world.users[::-1])
    again = experimented(engine, turned, setting(engine, {"e": FULL}, END))

    def rounded(rows: list[Row]) -> list[Row]:
        return [{k: float(f"{v:.9g}") if isinstance(v, float) else v for k, v in row.items()} for row in rows]

    for name in ("experiment_verdicts", "experiment_timeline", "experiment_regression"):
        assert rounded(again[name]) == rounded(told[name]), name
