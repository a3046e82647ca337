from __future__ import annotations

import datetime as dt
import random
from pathlib import Path
from typing import Any

import pytest
import yaml

from analytics_assets.project.experiments import Plan
from analytics_assets.project.loading import load_project
from analytics_assets.project.plans import (
    LOCK_FILE,
    Locked,
    LockError,
    decision,
    differences,
    digest,
    lock,
    read_locks,
    registration,
    write_locks,
    written,
)
from analytics_assets.project.questions import Metric
from analytics_assets_tests.project.test_experiments import SHOP, ask, plan
from analytics_assets_tests.project.test_loading import refused

NAME = "checkout"
BEFORE, FIRST, AFTER, LATER = (dt.date(2024, 3, day) for day in (1, 4, 6, 9))
METRICS: dict[str, dict[str, Any]] = {
    "buyers": {"kind": "unique_users", "fact": "fact_events", "where": {"event_type": "purchase"}},
    "revenue": {"kind": "sum", "fact": "fact_sales", "value": "net", "where": {"status": ["completed", "pending"]}},
    "rate": {
        "kind": "ratio",
        "numerator": {"fact": "fact_returns"},
        "denominator": {"fact": "fact_sales", "value": "quantity"},
    },
    "comes_back": {"kind": "retention", "fact": "fact_user_days"},
    "length": {"kind": "quantile", "fact": "fact_sessions", "value": "duration"},
    "unused": {"kind": "count", "fact": "fact_events"},
}
TOLD: dict[str, Any] = {
    "description": "what it is about",
    "hypothesis": "a shorter checkout lets more visitors buy",
    "owner": "team:checkout",
    "variants": {"control": 0.5, "treatment": 0.5},
    "exposure": {"event": "begin_checkout", "where": {"device": ["app", "web"], "amount": {"at_least": 5}}},
    "starts": "2024-03-04",
    "ends": "2024-03-17",
    "primary": {"metric": "buyers", "window_days": 7, "minimum_effect": 0.02},
    "secondary": [
        {"metric": "comes_back", "window_days": 14},
        {"metric": "length", "window_days": 7},
        {"metric": "rate", "window_days": 14},
    ],
    "guardrails": [{"metric": "revenue", "window_days": 14, "margin": 0.5}],
    "segments": ["device", "user.country"],
}


def planned(**says: Any) -> Plan:
    return Plan.model_validate({**TOLD, **says})


def metrics(**says: Any) -> dict[str, Metric]:
    """Define the metrics; `buyers={"fact": ...}` changes keys of one."""
    return {name: Metric.model_validate({**told, **says.get(name, {})}) for name, told in METRICS.items()}


def hashed(made: Plan, defined: dict[str, Metric] | None = None, name: str = NAME) -> str:
    return digest(decision(name, made, defined or metrics()))


def locked(made: Plan, day: dt.date, before: tuple[Locked, ...] = ()) -> tuple[Locked, ...]:
    return lock(NAME, made, metrics(), before, day)


def amended(day: dt.date, **says: Any) -> Plan:
    return planned(amendments=[{"on": day, "what": "it ends later", "why": "it was down"}], **says)


# --- the hash ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "says",
    [
        {"description": "something else"},
        {"owner": "team:other"},
        {"amendments": [{"on": "2024-03-05", "what": "nothing", "why": "to see"}]},
        {"control": "control"},
        {"salt": NAME},
        {"unit": "user"},
        {"alpha": 0.05, "power": 0.8, "covariate_days": 28, "method": "fixed"},
        {"segments": ["user.country", "device"]},
        {"secondary": TOLD["secondary"][::-1]},
        {"primary": {**TOLD["primary"], "delay_days": 0}},
        {
            "exposure": {
                "where": {"amount": {"at_least": 5.0}, "device": {"equals": ["web", "app"]}},
                "event": "begin_checkout",
            }
        },
    ],
    ids=",".join,
)
def test_what_does_not_matter_to_a_decision_does_not_change_the_hash(says):
    assert hashed(planned(**says)) == hashed(planned())


@pytest.mark.parametrize(
    "says",
    [
        {"hypothesis": "another"},
        {"variants": {"control": 0.4, "treatment": 0.6}},
        {"variants": {"treatment": 0.5, "control": 0.5}, "control": "control"},
        {"variants": {"control": 0.5, "other": 0.5}},
        {"control": "treatment"},
        {"exposure": {"event": "purchase"}},
        {"exposure": {**TOLD["exposure"], "where": {}}},
        {"exposure": {**TOLD["exposure"], "where": {"device": "app"}}},
        {"starts": "2024-03-05"},
        {"ends": "2024-03-18"},
        {"primary": {**TOLD["primary"], "metric": "revenue"}},
        {"primary": {**TOLD["primary"], "window_days": 8}},
        {"primary": {**TOLD["primary"], "delay_days": 1}},
        {"primary": {**TOLD["primary"], "minimum_effect": 0.0200001}},
        {"secondary": TOLD["secondary"][1:]},
        {"secondary": [*TOLD["secondary"], {"metric": "buyers", "window_days": 14}]},
        {"guardrails": [{**TOLD["guardrails"][0], "margin": 0.6}]},
        {"segments": ["device"]},
        {"covariate_days": 0},
        {"method": "always_valid"},
        {"method": "group_sequential"},
        {"alpha": 0.1},
        {"power": 0.9},
        {"salt": "another"},
    ],
    ids=",".join,
)
def test_what_a_decision_rests_on_changes_the_hash_and_is_told(says):
    made = planned(**says)
    assert hashed(made) != hashed(planned())
    told = differences(decision(NAME, planned(), metrics()), decision(NAME, made, metrics()))
    assert told
    assert all(next(iter(says)) in change or change.startswith(("metrics.", "looks")) for change in told), told


def test_the_looks_change_the_hash_where_there_are_any():
    one, other = (planned(method="group_sequential", looks=looks) for looks in (4, 5))
    assert hashed(one) != hashed(other)
    assert hashed(other) == hashed(planned(method="group_sequential"))


@pytest.mark.parametrize(
    "says",
    [
        {"buyers": {"description": "x", "unit": "users", "owner": "team:x", "dimensions": ["device"]}},
        {"buyers": {"where": {"event_type": {"equals": ["purchase"]}}}},
        {"buyers": {"quantile": 0.9, "after_days": [2, 3]}},
        {"revenue": {"where": {"status": ["pending", "completed"]}}},
        {"unused": {"fact": "fact_sales"}},
    ],
)
def test_what_does_not_matter_to_a_metric_s_number_does_not_change_the_hash(says):
    assert hashed(planned(), metrics(**says)) == hashed(planned())


@pytest.mark.parametrize(
    "says",
    [
        {"buyers": {"kind": "count"}},
        {"buyers": {"fact": "fact_user_day_events"}},
        {"buyers": {"where": {"event_type": "order"}}},
        {"buyers": {"where": {}}},
        {"buyers": {"direction": "down"}},
        {"revenue": {"value": "gross"}},
        {"revenue": {"cap": 100}},
        {"rate": {"numerator": {"fact": "fact_returns", "where": {"status": "refunded"}}}},
        {"rate": {"denominator": {"fact": "fact_sales"}}},
        {"comes_back": {"after_days": [1, 5]}},
        {"length": {"quantile": 0.9}},
    ],
    ids=str,
)
def test_a_metric_s_definition_changes_the_hash_and_is_told(says):
    assert hashed(planned(), metrics(**says)) != hashed(planned())
    told = differences(decision(NAME, planned(), metrics()), decision(NAME, planned(), metrics(**says)))
    assert told
    assert all(change.startswith(f"metrics.{next(iter(says))}") for change in told)


def test_the_hash_is_the_same_for_ever():
    made = Plan.model_validate({**TOLD, "secondary": [], "guardrails": [], "exposure": {"event": "view"}})
    assert hashed(made) == "8020b2d72e1ee53b9513095d36cd33fc2080b67260759b3abfc7f2beb162dac3"


def test_texts_of_a_condition_stand_in_order():
    texts = ["g", "c", "a", "f", "b", "e", "d", "a"]
    where = {"page": texts, "device": {"not_equals": texts}}
    found = decision(NAME, planned(exposure={"where": where}), metrics())["exposure"]["where"]
    assert found == {"device": {"not_equals": [*"abcdefg"]}, "page": {"equals": [*"abcdefg"]}}
    assert list(found) == ["device", "page"]


def test_what_changed_is_told_in_words():
    made = planned(
        ends="2024-03-20",
        segments=[],
        guardrails=[{"metric": "revenue", "window_days": 7, "margin": 0.5}],
        exposure={"event": "begin_checkout"},
    )
    assert differences(decision(NAME, planned(), metrics()), decision(NAME, made, metrics())) == (
        "exposure.where.amount.at_least: was 5.0, is gone",
        "exposure.where.device.equals: was app, web, is gone",
        "ends: was 2024-03-17, is 2024-03-20",
        "guardrails, revenue over 14 days.margin: was 0.5, is gone",
        "segments: was device, user.country, is nothing",
        "exposure.where: was not there, is anything",
        "guardrails, revenue over 7 days.margin: was not there, is 0.5",
    )
    assert differences(decision(NAME, planned(), metrics()), decision(NAME, planned(), metrics())) == ()


# --- states -----------------------------------------------------------------------------------------------------------


def state(made: Plan, versions: tuple[Locked, ...]) -> str:
    return registration(NAME, made, metrics(), versions).state


def test_a_plan_that_was_never_locked_is_retrospective():
    known = registration(NAME, planned(), metrics(), ())
    assert (known.state, known.locked_on, known.is_locked) == ("retrospective", None, False)


@pytest.mark.parametrize("day", [BEFORE, FIRST])
def test_a_plan_locked_by_its_first_day_is_registered(day):
    known = registration(NAME, planned(), metrics(), locked(planned(), day))
    assert (known.state, known.locked_on, known.is_locked, known.changes) == ("registered", day, True, ())
    assert str(day) in known.reason


def test_a_plan_locked_after_its_first_day_is_retrospective():
    known = registration(NAME, planned(), metrics(), locked(planned(), AFTER))
    assert known.state == "retrospective"
    assert known.reason == "the plan was first locked on 2024-03-06, after its first day, 2024-03-04"


def test_a_plan_that_is_not_what_was_locked_is_changed():
    known = registration(NAME, planned(ends="2024-03-20"), metrics(), locked(planned(), BEFORE))
    assert (known.state, known.is_locked) == ("changed", False)
    assert known.changes == ("ends: was 2024-03-17, is 2024-03-20",)


def test_a_metric_that_is_not_what_was_locked_changes_the_plan():
    known = registration(NAME, planned(), metrics(buyers={"fact": "fact_user_day_events"}), locked(planned(), BEFORE))
    assert known.state == "changed"
    assert known.changes == ("metrics.buyers.fact: was fact_events, is fact_user_day_events",)


def test_an_amendment_alone_does_not_mend_a_changed_plan_until_it_is_locked():
    made, before = amended(AFTER, ends="2024-03-20"), locked(planned(), BEFORE)
    known = registration(NAME, made, metrics(), before)
    assert known.state == "changed"
    assert "what was amended since is not locked yet" in known.reason
    after = locked(made, AFTER, before)
    known = registration(NAME, made, metrics(), after)
    assert (known.state, known.is_locked, known.locked_on) == ("amended", True, BEFORE)
    assert known.changes == ("ends: was 2024-03-17, is 2024-03-20",)
    assert after[0] == before[0]
    assert [told.what for told in after[1].amendments] == ["it ends later"]


def test_an_amended_plan_that_goes_back_without_a_word_is_changed():
    after = locked(amended(AFTER, ends="2024-03-20"), AFTER, locked(planned(), BEFORE))
    assert state(planned(), after) == "changed"


def test_no_amendment_makes_a_late_plan_early():
    late = locked(planned(), AFTER)
    made = amended(LATER, starts="2024-03-10")
    assert state(made, locked(made, LATER, late)) == "retrospective"


# --- locking ----------------------------------------------------------------------------------------------------------


def test_locking_again_changes_nothing_where_nothing_changed():
    once = locked(planned(), BEFORE)
    assert locked(planned(description="new words"), LATER, once) == once


def test_a_change_without_an_amendment_cannot_be_locked():
    with pytest.raises(LockError) as caught:
        locked(planned(alpha=0.1), AFTER, locked(planned(), BEFORE))
    assert "alpha: was 0.05, is 0.1" in str(caught.value)
    assert "say so in experiments/checkout.yaml, with a day from 2024-03-01 to 2024-03-06" in str(caught.value)


@pytest.mark.parametrize("day", [BEFORE - dt.timedelta(days=1), LATER])
def test_an_amendment_from_before_the_lock_or_of_a_day_to_come_does_not_count(day):
    with pytest.raises(LockError):
        locked(amended(day, alpha=0.1), AFTER, locked(planned(), BEFORE))


@pytest.mark.parametrize("day", [BEFORE, FIRST, AFTER])
def test_an_amendment_between_the_lock_and_the_next_counts(day):
    assert len(locked(amended(day, alpha=0.1), AFTER, locked(planned(), BEFORE))) == 2


def test_an_amendment_counts_once():
    twice = locked(amended(AFTER, alpha=0.1), AFTER, locked(planned(), BEFORE))
    with pytest.raises(LockError):
        locked(amended(AFTER, alpha=0.2), AFTER, twice)


def test_nothing_is_locked_before_the_last_lock():
    with pytest.raises(LockError, match="locked on 2024-03-06 already, and 2024-03-01 lies before it"):
        locked(amended(AFTER, alpha=0.1), BEFORE, locked(planned(), AFTER))


# --- the file ---------------------------------------------------------------------------------------------------------


def several() -> dict[str, tuple[Locked, ...]]:
    once = locked(planned(), BEFORE)
    made = amended(AFTER, ends="2024-03-20", hypothesis="ja: nein? 'on' # 1.0 — äöü\nno")
    return {"b": once, "a": locked(made, AFTER, once), "c": once}


def test_what_is_written_is_read_back(tmp_path):
    write_locks(tmp_path, several())
    assert read_locks(tmp_path) == several()
    assert [path.name for path in tmp_path.iterdir()] == [LOCK_FILE]


def test_nothing_was_locked_where_there_is_no_file(tmp_path):
    assert read_locks(tmp_path) == {}


def test_the_same_locks_are_the_same_bytes_in_any_order(tmp_path):
    items = list(several().items())
    random.Random(1).shuffle(items)
    assert written(dict(items)) == written(several())
    first = write_locks(tmp_path, several()).read_bytes()
    assert write_locks(tmp_path, read_locks(tmp_path)).read_bytes() == first
    assert b"\r" not in first


def test_the_lock_file_of_the_shop_is_written_as_it_is_read():
    assert written(read_locks(SHOP)) == (SHOP / LOCK_FILE).read_text(encoding="utf-8")


def test_a_lock_file_is_plain_yaml_for_others(tmp_path):
    told = yaml.safe_load(write_locks(tmp_path, several()).read_text())["plans"]
    assert [entry["locked_on"] for entry in told["a"]] == ["2024-03-01", "2024-03-06"]
    assert told["a"][1]["amendments"] == [{"on": "2024-03-06", "what": "it ends later", "why": "it was down"}]
    assert digest(told["b"][0]["decision"]) == told["b"][0]["sha256"]


@pytest.mark.parametrize(
    ("was", "now", "message"),
    [
        ("ends: '2024-03-17'", "ends: '2024-03-18'", "is not that of the decision below it"),
        ("locked_on: '2024-03-06'", "locked_on: '2024-02-01'", "lies before the version above it"),
        ("locked_on: '2024-03-06'", "locked_on: soon", "must be a date"),
        ("plans:", "plnas:", "unknown key 'plnas'"),
        ("plans:", "plans: [", "not valid YAML"),
    ],
)
def test_a_lock_file_that_was_changed_by_hand_is_refused(tmp_path, was, now, message):
    path = write_locks(ask(tmp_path, plan()), {"a": several()["a"]})
    path.write_text(path.read_text().replace(was, now))
    problems = refused(tmp_path)
    assert {told.file for told in problems} == {path}
    assert any(message in told.message for told in problems), problems


def test_a_project_knows_what_was_locked_of_its_plans(tmp_path):
    project = load_project(ask(tmp_path, plan()), {})
    assert project.registration(NAME).state == "retrospective"
    made = lock(NAME, project.experiments[NAME], project.questions.metrics, (), BEFORE)
    write_locks(tmp_path, {NAME: made, "gone": made})
    project = load_project(tmp_path, {})
    assert project.registration(NAME).state == "registered"
    assert list(project.locks) == [NAME, "gone"]


def test_a_broken_lock_file_keeps_what_it_holds(tmp_path, monkeypatch):
    path = write_locks(tmp_path, several())
    before = path.read_bytes()
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError("no room")))
    with pytest.raises(OSError, match="no room"):
        write_locks(tmp_path, {})
    assert path.read_bytes() == before
