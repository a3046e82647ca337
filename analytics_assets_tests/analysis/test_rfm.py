from __future__ import annotations

import calendar
import datetime as dt
import itertools
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

import ibis
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics_assets.analysis.rfm import (
    NOBODY_YET,
    SEGMENTS,
    Rule,
    history,
    migration,
    monthly_rfm,
    rfm,
    score_grid,
    scored,
    segment_names,
    segment_of,
    segment_sums,
    segmented,
    thresholds,
)
from analytics_assets.contracts import customers as promised
from analytics_assets_tests.making import day, table

ORDERS = {"user_id": "string", "day": "date", "net": "decimal(18, 4)"}
CUSTOMERS = {"user_id": "string", "recency_days": "int64", "frequency": "int64", "monetary": "decimal(38, 4)"}
TRIPLES = list(itertools.product(range(1, 6), repeat=3))
Row = dict[str, Any]


def order(user: str | None, when: dt.date | int, net: float | str = 10) -> Row:
    """An order on a day of March 2024, or on a date."""
    return {"user_id": user, "day": day(when) if isinstance(when, int) else when, "net": Decimal(str(net))}


def by_user(rows: Sequence[Row]) -> dict[str, Row]:
    return {row["user_id"]: row for row in sorted(rows, key=lambda row: row["user_id"])}


def told(engine, *orders: Row, as_of: int = 31) -> dict[str, Row]:
    return by_user(engine.rows(rfm(table(ORDERS, *orders), day(as_of))))


# --- the rules of the segments ----------------------------------------------------------------------------------------


def test_exactly_one_rule_takes_each_combination_of_scores():
    assert len(TRIPLES) == 125
    for scores in TRIPLES:
        taken = [segment.name for segment in SEGMENTS for rule in segment.rules if rule.takes(*scores)]
        assert taken == [segment_of(*scores)]


def test_every_segment_and_every_rule_can_be_reached():
    for segment in SEGMENTS:
        assert segment.rules
        for rule in segment.rules:
            assert any(rule.takes(*scores) for scores in TRIPLES), (segment.name, rule)
    assert {segment_of(*scores) for scores in TRIPLES} == {segment.name for segment in SEGMENTS}


def test_the_contracts_know_the_same_segments():
    assert tuple(segment.name for segment in SEGMENTS) == promised.SEGMENTS
    assert NOBODY_YET not in promised.SEGMENTS


@pytest.mark.parametrize(
    ("segment", "holds"),
    [
        ("Champions", lambda r, f, m: r >= 4 and f >= 4 and m >= 4),
        ("New", lambda r, f, m: r >= 4 and f == 1),
        ("At Risk", lambda r, f, m: r <= 2 and f >= 3 and m >= 3),
        ("Lost", lambda r, f, m: r <= 2 and f <= 2),
    ],
)
def test_a_name_means_what_it_says(segment, holds):
    assert {s for s in TRIPLES if segment_of(*s) == segment} == {s for s in TRIPLES if holds(*s)}


def test_at_risk_is_no_sum_of_scores():
    sums = {sum(scores) for scores in TRIPLES if segment_of(*scores) == "At Risk"}
    others = {segment_of(*scores) for scores in TRIPLES if sum(scores) in sums}
    assert others == {segment.name for segment in SEGMENTS}


def test_the_engine_names_the_same_segments(engine):
    rows = [dict(zip(("r_score", "f_score", "m_score"), scores, strict=True)) for scores in TRIPLES]
    kinds = dict.fromkeys(("r_score", "f_score", "m_score"), "int64")
    found = engine.rows(segmented(table(kinds, *rows)))
    assert {row["rfm"]: row["segment"] for row in found} == {f"{r}{f}{m}": segment_of(r, f, m) for r, f, m in TRIPLES}


@pytest.mark.parametrize("scores", [(0, 1, 1), (1, 6, 1), (1, 1, -1)])
def test_what_is_no_score_has_no_segment(scores):
    with pytest.raises(ValueError, match="scores are from 1 to 5"):
        segment_of(*scores)


def test_a_rule_is_written_without_what_it_does_not_ask():
    assert str(Rule((4, 5), (1, 1))) == "r 4-5, f 1"
    assert str(Rule(m=(2, 3))) == "m 2-3"


def test_segments_are_listed_from_best_to_worst(engine):
    rows = sorted(engine.rows(segment_names()), key=lambda row: row["place"])
    assert [(row["segment"], row["rule"]) for row in rows] == [(segment.name, str(segment)) for segment in SEGMENTS]


# --- measures and scores ----------------------------------------------------------------------------------------------


def test_measures_are_days_since_the_last_order_orders_and_exact_net(engine):
    found = told(
        engine, order("ann", 1, "0.1"), order("ann", 5, "0.2"), order("ann", 5, "0.0001"), order("bob", 31), as_of=31
    )
    ann = found["ann"]
    assert (ann["recency_days"], ann["frequency"], ann["monetary"]) == (26, 3, Decimal("0.3001"))
    assert (ann["first_order_on"], ann["last_order_on"]) == (day(1), day(5))
    assert found["bob"]["recency_days"] == 0


def test_orders_after_the_day_and_orders_of_nobody_are_left_out(engine):
    orders = order("ann", 1), order("ann", 3), order(None, 2), order("bob", 3)
    found = told(engine, *orders, as_of=2)
    assert list(found) == ["ann"]
    assert (found["ann"]["recency_days"], found["ann"]["frequency"]) == (1, 1)


def test_five_different_customers_have_the_five_scores(engine):
    orders = [order(user, n, n) for n, user in enumerate("abcde", 1) for _ in range(n)]
    found = told(engine, *orders)
    assert [row["rfm"] for row in found.values()] == ["111", "222", "333", "444", "555"]
    assert [row["segment"] for row in found.values()] == [
        "Lost", "Lost", "Needs Attention", "Champions", "Champions",
    ]  # fmt: skip


def test_sixty_percent_with_one_order_all_have_the_lowest_score_and_the_next_ones_four(engine):
    orders = [order(f"once{n}", 1) for n in range(6)] + [order(f"twice{n // 2}", 1) for n in range(4)]
    orders += [order(f"often{n // 3}", 1) for n in range(6)]
    found = told(engine, *orders)
    assert {user[:-1]: row["f_score"] for user, row in found.items()} == {"once": 1, "twice": 4, "often": 5}


def test_one_customer_is_recent_and_new(engine):
    for net in (10, 0, -10):
        assert told(engine, order("ann", 1, net))["ann"]["rfm"] == "511"
    assert told(engine, order("ann", 1), order("ann", 2))["ann"]["segment"] == "New"


def test_without_repeat_buyers_nobody_is_frequent(engine):
    found = told(engine, *(order(f"u{n:02}", n, n) for n in range(1, 21)))
    assert {row["f_score"] for row in found.values()} == {1}
    assert {row["segment"] for row in found.values()} == {"New", "Needs Attention", "Lost"}


def test_when_all_bought_on_one_day_all_are_recent(engine):
    found = told(engine, *(order(user, 1, 10) for user in "aabc"))
    assert {row["r_score"] for row in found.values()} == {5}
    assert {row["m_score"] for row in found.values()} == {1, 4}


def test_net_of_zero_or_less_has_the_lowest_score_and_is_not_dropped(engine):
    orders = [order("owes", 1, 10), order("owes", 2, -40), order("nothing", 1, 0), order("more", 1, -1)]
    orders += [order("small", 1, "0.0001"), order("big", 1, 1)]
    found = told(engine, *orders)
    assert {user: row["m_score"] for user, row in found.items()} == {
        "owes": 1, "nothing": 1, "more": 1, "small": 4, "big": 5,
    }  # fmt: skip
    assert found["owes"]["monetary"] == Decimal(-30)


def test_nobody_has_no_scores(engine):
    assert told(engine) == {}
    assert told(engine, order(None, 1)) == {}


def naive_scores(rows: Sequence[Row]) -> dict[str, tuple[int, int, int]]:
    """Score by counting, for every customer, all who have less; in fractions."""

    def fifths(row: Row, value: Any) -> int:
        less = sum(value(other) < value(row) for other in rows)
        return sum(Fraction(less, len(rows)) >= Fraction(step, 5) for step in range(1, 5))

    return {
        row["user_id"]: (
            5 - fifths(row, lambda c: c["recency_days"]),
            1 + fifths(row, lambda c: c["frequency"]),
            1 + fifths(row, lambda c: max(c["monetary"], 0)),
        )
        for row in rows
    }


customers = st.lists(
    st.fixed_dictionaries(
        {
            "recency_days": st.integers(0, 8) | st.integers(0, 4_000),
            "frequency": st.sampled_from([1, 1, 1, 2, 3]) | st.integers(1, 200),
            "monetary": st.integers(-3, 3).map(Decimal) | st.decimals(-100, 10**9, places=4),
        }
    ),
    max_size=40,
).map(lambda rows: [{"user_id": f"u{number}", **row} for number, row in enumerate(rows)])


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(customers, st.randoms())
def test_scores_are_those_of_counting_all_who_have_less_whatever_the_order_of_rows(engine, rows, random):
    shuffled = random.sample(rows, len(rows))
    found = by_user(engine.rows(scored(table(CUSTOMERS, *shuffled))))
    scores = {user: tuple(row[f"{name}_score"] for name in "rfm") for user, row in found.items()}
    assert scores == naive_scores(rows)
    for row, other in itertools.pairwise(sorted(found.values(), key=lambda row: row["frequency"])):
        assert row["f_score"] <= other["f_score"]
        assert (row["frequency"] != other["frequency"]) | (row["f_score"] == other["f_score"])


def test_customers_are_compared_with_those_of_the_same_group(engine):
    rows = [
        {"user_id": f"{group}{n}", "recency_days": n, "frequency": n + 1, "monetary": Decimal(n), "group": group}
        for group in "xy"
        for n in range(5)
    ]
    found = engine.rows(scored(table({**CUSTOMERS, "group": "string"}, *rows), by=["group"]))
    assert sorted((r["group"], r["r_score"], r["f_score"]) for r in found) == [
        (group, n, 6 - n) for group in "xy" for n in range(1, 6)
    ]


# --- sums -------------------------------------------------------------------------------------------------------------

orders = st.lists(
    st.builds(
        order,
        st.sampled_from([*"abcdefgh", None]),
        st.dates(dt.date(2023, 11, 20), dt.date(2024, 4, 10)),
        st.decimals(-50, 1_000, places=4),
    ),
    max_size=40,
)


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(orders)
def test_segments_scores_and_thresholds_add_up_to_the_orders(engine, rows):
    last = dt.date(2024, 4, 10)
    found = rfm(table(ORDERS, *rows), last)
    known = [row for row in rows if row["user_id"]]
    users, net = len({row["user_id"] for row in known}), sum((row["net"] for row in known), Decimal(0))
    each = by_user(engine.rows(found))
    assert sum((row["monetary"] for row in each.values()), Decimal(0)) == net
    segments, grid, values = (engine.rows(make(found)) for make in (segment_sums, score_grid, thresholds))
    assert (len(segments), len(grid), len(values)) == ((7, 25, 15) if users else (0, 0, 0))
    for sums in (segments, grid):
        assert sum(row["customers"] for row in sums) == users
        assert sum((row["revenue"] for row in sums), Decimal(0)) == net
        assert sum(row["share"] for row in sums) == pytest.approx(1 if users else 0)
    assert sum(row["orders"] for row in segments) == len(known)
    for row in segments:
        members = [told for told in each.values() if told["segment"] == row["segment"]]
        assert row["customers"] == len(members)
        assert row["revenue_share"] == (pytest.approx(float(row["revenue"] / net)) if net else None)
        if members:
            assert row["mean_recency_days"] == pytest.approx(sum(m["recency_days"] for m in members) / len(members))
            assert row["mean_frequency"] == pytest.approx(row["orders"] / len(members))
            assert row["mean_monetary"] == pytest.approx(float(row["revenue"]) / len(members))
            assert row["average_order"] == pytest.approx(float(row["revenue"]) / row["orders"])
        else:
            assert (row["mean_recency_days"], row["average_order"], row["revenue"]) == (None, None, 0)
    columns = {"recency": ("r_score", "recency_days"), "frequency": ("f_score", "frequency")}
    columns["monetary"] = ("m_score", "monetary")
    for row in values:
        score, value = columns[row["measure"]]
        held = [told[value] for told in each.values() if told[score] == row["score"]]
        assert row["customers"] == len(held)
        assert (row["lowest"], row["highest"]) == ((min(held), max(held)) if held else (None, None))


# --- history ----------------------------------------------------------------------------------------------------------


def month_ends(first: dt.date, last: dt.date) -> list[dt.date]:
    """List the last day of each month, and `last` itself for its own."""
    ends, at = [], first.replace(day=1)
    while at <= last:
        end = at.replace(day=calendar.monthrange(at.year, at.month)[1])
        ends.append(min(end, last))
        at = end + dt.timedelta(days=1)
    return ends


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(orders, st.dates(dt.date(2024, 2, 27), dt.date(2024, 4, 10)), st.integers(1, 8), st.randoms())
def test_a_history_is_that_of_scoring_at_every_month_end_what_was_known_then(engine, rows, last, months, random):
    first = dt.date(2023, 11, 20)
    shuffled = table(ORDERS, *random.sample(rows, len(rows)))
    ends = month_ends(first, last)
    each = [by_user(engine.rows(rfm(table(ORDERS, *rows), end))) for end in ends]
    states = monthly_rfm(shuffled, first, last, months)
    grid = engine.rows(history(states, first, last, months))
    moves = engine.rows(migration(states, first, last, months))
    shown = list(zip(ends, each, [{}, *each], strict=False))[-months:]
    assert {row["as_of"] for row in grid} == {end for end, now, _ in shown if now}
    assert {row["month"] for row in moves} <= {end.replace(day=1) for end, _, _ in shown}
    for end, now, before in shown:
        month, over = end.replace(day=1), end.day == calendar.monthrange(end.year, end.month)[1]
        counts = Counter(row["segment"] for row in now.values())
        at_end = {row["segment"]: row for row in grid if row["month"] == month}
        assert set(at_end) == (set(promised.SEGMENTS) if now else set())
        for segment, row in at_end.items():
            net = sum((told["monetary"] for told in now.values() if told["segment"] == segment), Decimal(0))
            assert (row["customers"], row["revenue"], row["complete"]) == (counts[segment], net, over)
            assert row["share"] == pytest.approx(counts[segment] / len(now))
            assert promised.SEGMENTS[row["place"] - 1] == segment
        went = Counter(
            (before[user]["segment"] if user in before else NOBODY_YET, row["segment"]) for user, row in now.items()
        )
        moved = {(row["from_segment"], row["to_segment"]): row for row in moves if row["month"] == month}
        assert {pair: row["customers"] for pair, row in moved.items()} == went
        for (came, _), row in moved.items():
            whole = sum(count for (source, _), count in went.items() if source == came)
            expected = None if came == NOBODY_YET else pytest.approx(row["customers"] / whole)
            assert (row["share"], row["complete"]) == (expected, over)


def test_a_month_without_orders_is_in_the_history_and_ages_everybody(engine):
    rows = [order("ann", dt.date(2024, 1, 31)), order("bob", dt.date(2024, 1, 10)), order("bob", dt.date(2024, 3, 1))]
    first, last = dt.date(2024, 1, 1), dt.date(2024, 3, 31)
    states = engine.rows(monthly_rfm(table(ORDERS, *rows), first, last))
    february = by_user([row for row in states if row["as_of"] == dt.date(2024, 2, 29)])
    assert {user: row["recency_days"] for user, row in february.items()} == {"ann": 29, "bob": 50}
    assert {user: row["frequency"] for user, row in february.items()} == {"ann": 1, "bob": 1}


def test_what_is_ordered_later_changes_no_month_before(engine):
    early = [order("ann", 1), order("bob", 20, 30), order("bob", 21)]
    late = [order("ann", dt.date(2024, 4, 1), 500), order("cas", dt.date(2024, 4, 2))]
    march, april = (
        engine.rows(monthly_rfm(table(ORDERS, *rows), day(1), last))
        for rows, last in ((early, day(31)), (early + late, dt.date(2024, 4, 30)))
    )
    assert by_user(march) == by_user([row for row in april if row["as_of"] == day(31)])


def test_a_long_history_is_cut_but_its_first_month_knows_where_customers_came_from(engine):
    rows = table(ORDERS, order("ann", dt.date(2019, 5, 5)))
    states = monthly_rfm(rows, dt.date(2019, 1, 1), day(31))
    grid = engine.rows(history(states, dt.date(2019, 1, 1), day(31)))
    moves = engine.rows(migration(states, dt.date(2019, 1, 1), day(31)))
    assert (len(grid), min(row["month"] for row in grid)) == (24 * 7, dt.date(2022, 4, 1))
    assert (len(moves), {row["from_segment"] for row in moves}) == (24, {"New"})


def test_the_last_month_is_as_of_the_last_day(engine):
    rows = table(ORDERS, *(order(f"u{n}", n % 28 + 1, n) for n in range(40)))
    states = monthly_rfm(rows, day(1), day(30))
    now = by_user(engine.rows(rfm(rows, day(30))))
    assert {row["user_id"]: row["rfm"] for row in engine.rows(states)} == {u: row["rfm"] for u, row in now.items()}
    grid = engine.rows(history(states, day(1), day(30)))
    assert {(row["as_of"], row["complete"]) for row in grid} == {(day(30), False)}
    assert {row["as_of"] - row["last_order_on"] for row in engine.rows(states)} == {
        dt.timedelta(days=row["recency_days"]) for row in now.values()
    }


def test_no_orders_have_no_history(engine):
    states = monthly_rfm(table(ORDERS, order(None, 1)), day(1), day(31))
    assert engine.rows(states) == []
    assert engine.rows(history(states, day(1), day(31))) == []
    assert engine.rows(migration(states, day(1), day(31))) == []


@pytest.mark.slow
def test_scores_of_a_million_customers_are_whole_numbers(engine):
    """Five times a rank, divided by the number of customers, must not be rounded up to the next fifth."""
    many = 1_000_003
    rows = ibis.range(0, many).unnest().name("frequency").as_table()
    rows = rows.mutate(recency_days=rows.frequency, monetary=rows.frequency.cast("decimal(38, 4)"))
    found = scored(rows)
    # the smallest customer has 0 others below, so the frequency is the rank
    fifth, smaller = found.f_score - 1, found.frequency * 5
    wrong = found.filter((fifth * many > smaller) | (smaller >= (fifth + 1) * many))
    (count,) = engine.rows(wrong.aggregate(n=wrong.count()))
    assert count["n"] == 0
    tops = engine.rows(found.group_by("r_score").aggregate(n=found.count()))
    assert {row["r_score"]: row["n"] for row in tops} == {5: 200_001, 4: 200_001, 3: 200_000, 2: 200_001, 1: 200_000}
