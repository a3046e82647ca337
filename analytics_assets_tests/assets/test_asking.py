from __future__ import annotations

from analytics_assets.assets.asking import askable, predicate, read_for, with_users
from analytics_assets.project.conditions import Question
from analytics_assets_tests.answers import event, happened, people
from analytics_assets_tests.making import table


def test_the_tables_of_a_question_are_those_that_it_speaks_of():
    assert read_for([]) == read_for(["device", "page"]) == ("fact_events",)
    assert read_for(["device", "user.country"]) == ("fact_events", "dim_users", "dim_geography")


def test_events_that_are_excluded_count_for_nothing(engine):
    events = happened(event("ann", "view", "01 10:00"), event("bot", "view", "01 10:00", excluded_as="bot"))
    assert [row["user_id"] for row in engine.rows(askable({"fact_events": events}, []))] == ["ann"]


def test_a_property_becomes_a_column_and_a_column_stays_one(engine):
    told = '{"page": "/home", "a/b~c": "x", "device": "not this one"}'
    events = happened(event("ann", "view", "01 10:00", device="tv", properties=told), event("bob", "view", "01 11:00"))
    found = engine.rows(askable({"fact_events": events}, ["page", "a/b~c", "device", "page"]).order_by("occurred_at"))
    assert [(row["page"], row["a/b~c"], row["device"]) for row in found] == [("/home", "x", "tv"), (None, None, None)]


def test_what_is_known_of_users_stands_beside_their_events(engine):
    events = happened(
        event("ann", "view", "01 10:00", device="tv"), event("who", "view", "01 11:00"), event(None, "view", "01 12:00")
    )
    users = people({"user_id": "ann", "country": "DE", "device": "phone", "channel": "ads"})
    names = ["user.country", "user.device", "user.channel", "device"]
    found = engine.rows(askable({"fact_events": events, **users}, names).order_by("occurred_at"))
    assert [tuple(row[name] for name in names) for row in found] == [
        ("DE", "phone", "ads", "tv"), (None, None, None, None), (None, None, None, None),
    ]  # fmt: skip
    assert len(found) == 3
    assert [name for name in found[0] if name.startswith(("user.", "whom"))] == names[:3]


def test_users_stand_beside_any_rows(engine):
    rows = table({"user_id": "string", "n": "int64"}, {"user_id": "ann", "n": 1}, {"user_id": "bob", "n": 2})
    known = people({"user_id": "ann", "channel": "ads"})["dim_users"]
    found = engine.rows(with_users(rows, ["user.channel"], known).order_by("n"))
    assert [tuple(row.values()) for row in found] == [("ann", 1, "ads"), ("bob", 2, None)]


def test_a_condition_is_a_predicate_of_events_and_none_is_no_predicate(engine):
    assert predicate({}) == ()
    events = happened(
        event("a", "view", "01 10:00", device="tv", amount="9.5"),
        event("b", "view", "01 10:00", device="tv", amount="10"),
        event("c", "view", "01 10:00", amount="10"),
        event("d", "view", "01 10:00", device="phone", amount="10"),
    )
    (holds,) = predicate({"device": ["tv", "radio"], "amount": Question(at_least=10)})
    assert [row["user_id"] for row in engine.rows(events.filter(holds(events)))] == ["b"]
    (missing,) = predicate({"device": Question(missing=True)})
    assert [row["user_id"] for row in engine.rows(events.filter(missing(events)))] == ["c"]
