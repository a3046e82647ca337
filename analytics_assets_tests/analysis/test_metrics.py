from __future__ import annotations

import calendar
import datetime as dt
import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ibis.expr.types import Table

from analytics_assets.analysis import metrics
from analytics_assets.analysis.metrics import PLACE, means, measured, proportions, quantiles, ratios, returns, totals
from analytics_assets.analysis.metrics import unique_users as unique
from analytics_assets.lake.engine import Engine
from analytics_assets_tests.making import day, table

ROWS = {
    "user_id": "string",
    "day": "date",
    "device": "string",
    "net": "decimal(18, 4)",
    "time": "float64",
    "n": "int64",
}
Row = dict[str, Any]
Place = tuple[str, dt.date, str, str]
ALL = ("", "")
FIRST, LAST = day(1), day(31)  # a Friday, and a Sunday: the last day of both a week and the month


def act(number: int, user: str | None = "ann", **says: Any) -> Row:
    return {"day": day(number), "user_id": user, **says}


def rows_of(acts: Iterable[Row], value: str | None = None, by: Sequence[str] = (), cap: float | None = None) -> Table:
    return measured(table(ROWS, *acts), value, cap, by)


def found(engine: Engine, computed: Table) -> dict[Place, Row]:
    rows = engine.rows(computed)
    by_place = {tuple(row.pop(name) for name in PLACE): row for row in rows}
    assert len(by_place) == len(rows)
    return by_place  # type: ignore[return-value]


def month(engine: Engine, computed: Table, *value: str) -> Row:
    return found(engine, computed)["month", FIRST, *(value or ALL)]


def estimates(engine: Engine, computed: Table, interval: str = "day") -> dict[int, Any]:
    """Give the estimates over all that differ from 0, by day of the month."""
    told = found(engine, computed).items()
    return {p[1].day: row["estimate"] for p, row in told if p[0] == interval and p[2:] == ALL and row["estimate"]}


# --- what each kind means ---------------------------------------------------------------------------------------------


def test_a_total_adds_up_rows_or_values_those_of_nobody_too(engine):
    acts = [act(1, net=5), act(1, None, net="0.0001"), act(3, "bob", net=7), act(3, "bob")]
    assert estimates(engine, totals(rows_of(acts), FIRST, LAST)) == {1: 2, 3: 2}
    whole = month(engine, totals(rows_of(acts, "net"), FIRST, LAST))
    assert (whole["estimate"], whole["users"], whole["nobody"]) == (12.0001, 2, 1)
    assert {whole[name] for name in ("numerator", "denominator", "low", "high")} == {None}


def test_money_is_added_up_exactly_and_what_is_floating_to_nine_digits(engine):
    acts = [act(1, net="12345678901.2345"), act(2, net="0.0001"), act(1, time=1e9), act(2, time=0.12345)]
    assert month(engine, totals(rows_of(acts, "net"), FIRST, LAST))["estimate"] == 12345678901.2346
    assert month(engine, totals(rows_of(acts, "time"), FIRST, LAST))["estimate"] == 1e9


def test_unique_users_are_distinct_in_each_period_for_itself_and_nobody_is_none_of_them(engine):
    acts = [act(4), act(5), act(6, "bob"), act(11), act(11, None), act(11, None)]
    computed = unique(rows_of(acts), FIRST, LAST)
    assert estimates(engine, computed) == {4: 1, 5: 1, 6: 1, 11: 1}
    assert estimates(engine, computed, "week") == {4: 2, 11: 1}
    whole = month(engine, computed)
    assert (whole["estimate"], whole["users"], whole["nobody"]) == (2, 2, 2)


def test_a_mean_is_of_the_rows_of_users_that_have_a_value(engine):
    acts = [act(1, net=2), act(1, net=4), act(2, "bob", net=9), act(2, "bob"), act(2, None, net=1000)]
    whole = month(engine, means(rows_of(acts, "net"), FIRST, LAST))
    assert (whole["numerator"], whole["denominator"], whole["estimate"]) == (15.0, 3.0, 5.0)
    assert (whole["users"], whole["nobody"]) == (2, 1)


@pytest.mark.parametrize(
    ("value", "cap", "total"), [("net", 3, 8), ("net", 2.5, 7), ("n", 3, 8), ("n", 2.5, 7), ("time", 2.5, 7)]
)
def test_a_cap_is_the_most_that_one_row_counts_for(engine, value, cap, total):
    acts = [act(1, **{value: 5}), act(1, **{value: 2}), act(1, **{value: 1000})]
    assert month(engine, totals(rows_of(acts, value, cap=cap), FIRST, LAST))["estimate"] == total


def test_a_ratio_divides_the_sums_of_the_users_who_are_in_either(engine):
    above = [act(1, net=6), act(1, None, net=100), act(9, "cat", net=3)]
    below = [act(1, n=2), act(2, "bob", n=1), act(2, None, n=50)]
    whole = month(engine, ratios(rows_of(above, "net"), rows_of(below, "n"), FIRST, LAST))
    assert (whole["numerator"], whole["denominator"], whole["estimate"]) == (9.0, 3.0, 3.0)
    assert (whole["users"], whole["nobody"]) == (3, 2)


def test_a_ratio_to_what_knows_no_users_is_of_all_rows_and_has_no_interval(engine):
    above = [act(1, net=6), act(1, None, net=100), act(1, "bob", net=1)]
    spent = measured(table({"day": "date", "net": "decimal(18, 4)"}, {"day": day(1), "net": 2}), "net")
    whole = month(engine, ratios(rows_of(above, "net"), spent, FIRST, LAST))
    assert (whole["numerator"], whole["denominator"], whole["estimate"]) == (107.0, 2.0, 53.5)
    assert (whole["low"], whole["high"]) == (None, None)


def test_a_proportion_is_of_the_denominators_users_in_the_same_period(engine):
    above = [act(4), act(6, "bob"), act(6, "eve"), act(6, None)]
    below = [act(4), act(5, "bob"), act(5, "cat"), act(5, None)]
    computed = proportions(rows_of(above), rows_of(below), FIRST, LAST)
    assert estimates(engine, computed) == {4: 1.0}
    whole = month(engine, computed)
    assert (whole["numerator"], whole["denominator"], whole["users"], whole["nobody"]) == (2.0, 3.0, 3, 2)
    assert whole["estimate"] == 2 / 3


def test_a_quantile_is_of_the_rows_of_users(engine):
    acts = [act(1, net=n) for n in (1, 2, 3, 10)] + [act(1, None, net=1000)]
    assert month(engine, quantiles(rows_of(acts, "net"), FIRST, LAST))["estimate"] == 2.5
    whole = month(engine, quantiles(rows_of(acts, "net"), FIRST, LAST, 0.9))
    assert whole["estimate"] == pytest.approx(np.quantile([1, 2, 3, 10], 0.9))
    assert (whole["users"], whole["nobody"], whole["low"], whole["numerator"]) == (1, 1, None, None)


@pytest.mark.parametrize(("again", "returned"), [(1, False), (2, True), (4, True), (5, False), (0, False)], ids=str)
def test_who_returns_is_there_again_so_many_days_after_both_counted_in(engine, again, returned):
    acts = [act(1), act(1 + again, None)] + ([act(1 + again)] if again else [])
    computed = found(engine, returns(rows_of(acts), FIRST, LAST, (2, 4)))
    whole = computed["day", FIRST, *ALL]
    assert (whole["users"], whole["numerator"]) == (1, float(returned))


def test_a_user_counts_once_a_period_from_their_first_day_in_it(engine):
    # ann's second day would have a return, her first has none; bob is the other way round
    acts = [act(4), act(7), act(8), act(4, "bob"), act(5, "bob"), act(8, "bob")]
    computed = found(engine, returns(rows_of(acts), FIRST, LAST, (1, 1)))
    week = computed["week", day(4), *ALL]
    assert (week["numerator"], week["denominator"]) == (1.0, 2.0)
    assert [computed["day", day(n), *ALL]["numerator"] for n in (4, 5, 7, 8)] == [1.0, 0.0, 1.0, 0.0]


def test_only_entries_whose_days_to_return_are_over_count_returned_or_not(engine):
    acts = [act(30), act(29, "bob"), act(31), act(31, "bob")]
    computed = found(engine, returns(rows_of(acts), FIRST, LAST, (1, 2)))
    assert computed["day", day(30), *ALL]["users"] == 0
    assert (computed["day", day(29), *ALL]["users"], computed["day", day(29), *ALL]["estimate"]) == (1, 1.0)
    assert computed["month", FIRST, *ALL]["denominator"] == 1.0
    assert [computed["day", day(n), *ALL]["complete"] for n in (29, 30)] == [True, False]
    assert not computed["month", FIRST, *ALL]["complete"]


def test_a_return_counts_whatever_its_dimensions_and_an_entry_by_its_own(engine):
    acts = [act(1, device="app"), act(2, device="web"), act(1, "bob", device="app")]
    computed = found(engine, returns(rows_of(acts, by=["device"]), FIRST, LAST, (1, 1), ["device"]))
    assert computed["day", day(1), "device", "app"]["estimate"] == 0.5
    assert computed["day", day(1), "device", "web"]["users"] == 0


# --- periods and dimensions -------------------------------------------------------------------------------------------


def test_every_period_has_a_row_and_says_whether_it_is_complete(engine):
    first, last = dt.date(2023, 12, 30), dt.date(2024, 2, 28)
    computed = found(engine, totals(rows_of([]), first, last))
    assert {row["estimate"] for row in computed.values()} == {0.0}
    days = [place[1] for place in computed if place[0] == "day"]
    assert (len(days), min(days), max(days)) == (61, first, last)
    assert all(row["complete"] for place, row in computed.items() if place[0] == "day")
    told = {place[:2]: row["complete"] for place, row in computed.items()}
    # 25 December and 26 February are Mondays; 2024 is a leap year
    assert told["week", dt.date(2023, 12, 25)] is False
    assert told["week", dt.date(2024, 1, 1)] is True
    assert told["week", dt.date(2024, 2, 26)] is False
    months = {place[1]: complete for place, complete in told.items() if place[0] == "month"}
    assert months == {dt.date(2023, 12, 1): False, dt.date(2024, 1, 1): True, dt.date(2024, 2, 1): False}


@pytest.mark.slow
def test_what_is_divided_by_nothing_is_null(engine):
    for computed in (
        means(rows_of([]), FIRST, LAST),
        ratios(rows_of([act(2)]), rows_of([]), FIRST, LAST),
        proportions(rows_of([act(2)]), rows_of([]), FIRST, LAST),
        returns(rows_of([]), FIRST, LAST),
    ):
        told = found(engine, computed).values()
        assert {(row["denominator"], row["estimate"], row["low"], row["high"]) for row in told} == {
            (0.0, None, None, None)
        }
    assert {row["estimate"] for row in found(engine, quantiles(rows_of([]), FIRST, LAST)).values()} == {None}


def test_days_outside_count_in_nothing(engine):
    acts = [act(1), act(2), act(3)]
    assert estimates(engine, totals(rows_of(acts), day(2), day(2)), "month") == {1: 1}
    assert estimates(engine, quantiles(rows_of([act(2, n=5), act(3, n=9)], "n"), day(2), day(2)), "month") == {1: 5}


def test_each_value_that_occurs_has_a_row_in_every_period_and_what_is_missing_is_unknown(engine):
    acts = [act(1, device="app"), act(1), act(2, device="app")]
    computed = found(engine, totals(rows_of(acts, by=["device"]), FIRST, LAST, ["device"]))
    assert {place[2:] for place in computed} == {ALL, ("device", "app"), ("device", "(unknown)")}
    assert computed["day", day(2), "device", "(unknown)"]["estimate"] == 0
    assert computed["month", FIRST, "device", "app"]["estimate"] == 2
    assert computed["month", FIRST, *ALL]["estimate"] == 3


# --- how sure it is ---------------------------------------------------------------------------------------------------


def delta(pairs: Iterable[tuple[float, float]]) -> tuple[float, float]:
    """Compute the delta method's interval as the formula is written."""
    m, d = np.array(list(pairs), dtype=float).T
    r = m.sum() / d.sum()
    cov = np.cov(m, d, ddof=1)
    variance = (cov[0, 0] - 2 * r * cov[0, 1] + r**2 * cov[1, 1]) / (len(m) * d.mean() ** 2)
    width = statistics.NormalDist().inv_cdf(0.975) * math.sqrt(max(variance, 0))
    return r - width, r + width


def wilson(hits: float, n: float) -> tuple[float, float]:
    """Solve Wilson's equation (p - x)^2 = z^2 x (1 - x) / n."""
    z2 = statistics.NormalDist().inv_cdf(0.975) ** 2
    low, high = sorted(np.roots([1 + z2 / n, -2 * hits / n - z2 / n, (hits / n) ** 2]).real)
    return low, high


def test_the_interval_of_a_ratio_is_the_delta_methods_over_users(engine):
    generator = np.random.default_rng(3)
    drawn = [(f"u{i}", float(m), int(d)) for i, m, d in zip(range(200), *_drawn(generator, 200), strict=True)]
    # a user's rows belong together: two of each count as one
    above = [act(1 + n, user, net=m / 2) for user, m, _ in drawn for n in (0, 1)]
    below = [act(1, user, n=d) for user, _, d in drawn]
    whole = month(engine, ratios(rows_of(above, "net"), rows_of(below, "n"), FIRST, LAST))
    low, high = delta((m, d) for _, m, d in drawn)
    assert (whole["low"], whole["high"]) == (pytest.approx(low, rel=1e-8), pytest.approx(high, rel=1e-8))


def _drawn(generator: np.random.Generator, n: int) -> tuple[Any, Any]:
    d = generator.poisson(2, n) + 1
    return np.round(d * 10 + generator.normal(0, 3, n), 2), d


@pytest.mark.parametrize(
    "acts", [[act(1, n=3), act(1, n=4)], [], [act(1, None, n=4), act(1, "bob", n=4)]], ids=["one", "none", "nobody"]
)
def test_one_user_has_no_interval(engine, acts):
    whole = month(engine, means(rows_of(acts, "n"), FIRST, LAST))
    assert (whole["low"], whole["high"]) == (None, None)


@pytest.mark.slow
def test_users_who_are_all_alike_leave_no_doubt(engine):
    acts = [act(1, f"u{i}", time=0.1 * i) for i in range(1, 9)]
    computed = ratios(rows_of(acts, "time"), rows_of(acts, "time"), FIRST, LAST)
    assert {month(engine, computed)[name] for name in ("estimate", "low", "high")} == {1.0}


@pytest.mark.parametrize(("hits", "n"), [(0, 1), (1, 1), (0, 20), (20, 20), (3, 7), (50, 100)])
def test_the_interval_of_a_proportion_is_wilsons(engine, hits, n):
    users = [act(1, f"u{i}") for i in range(n)]
    whole = month(engine, proportions(rows_of(users[:hits]), rows_of(users), FIRST, LAST))
    low, high = wilson(hits, n)
    assert (whole["low"], whole["high"]) == (pytest.approx(low, abs=1e-9), pytest.approx(high, abs=1e-9))
    assert 0 <= whole["low"] <= whole["estimate"] <= whole["high"] <= 1


# --- against plain Python ---------------------------------------------------------------------------------------------

DAYS = [dt.date(2023, 12, 29), dt.date(2023, 12, 31), dt.date(2024, 1, 1), dt.date(2024, 1, 2), dt.date(2024, 1, 31)]
DAYS += [dt.date(2024, 2, 1)]
BEGUN, OVER = dt.date(2023, 12, 30), dt.date(2024, 2, 1)
some = st.sampled_from
acts_of_any = st.lists(
    st.fixed_dictionaries(
        {
            "day": some(DAYS),
            "user_id": some(["ann", "bob", "cat", None]),
            "device": some(["app", "web", None]),
            "net": st.none() | st.decimals(-5, 100, places=4),
            "n": st.integers(0, 9),
            "time": st.floats(0.001, 1000),
        }
    ),
    max_size=14,
)
values = some([None, "net", "n", "time"])


def naive_periods(when: dt.date) -> list[tuple[str, dt.date]]:
    year, week, _ = when.isocalendar()
    return [("day", when), ("week", dt.date.fromisocalendar(year, week, 1)), ("month", when.replace(day=1))]


def naive_complete(interval: str, start: dt.date, over: dt.date) -> bool:
    lengths = {"day": 1, "week": 7, "month": calendar.monthrange(start.year, start.month)[1]}
    return start >= BEGUN and start + dt.timedelta(days=lengths[interval] - 1) <= over


def naive_amounts(acts: Sequence[Row], value: str | None, cap: float | None = None) -> list[Row]:
    counted = [{**a, "amount": 1 if value is None else a[value]} for a in acts if value is None or a[value] is not None]
    if cap is not None:
        counted = [{**a, "amount": min(a["amount"], type(a["amount"])(cap))} for a in counted]
    return [{**a, "device": a["device"] or "(unknown)"} for a in counted if BEGUN <= a["day"] <= OVER]


def naive_places(*rows: Sequence[Row]) -> dict[Place, tuple[list[Row], ...]]:
    every = [BEGUN + dt.timedelta(days=n) for n in range((OVER - BEGUN).days + 1)]
    named = [ALL, *(("device", a["device"]) for acts in rows for a in acts)]
    return {
        (*period, *what): tuple(
            [a for a in acts if period in naive_periods(a["day"]) and what in (ALL, ("device", a["device"]))]
            for acts in rows
        )
        for date in every
        for period in naive_periods(date)
        for what in named
    }


def check(engine: Engine, computed: Table, expected: dict[Place, Row], over: dt.date = OVER) -> None:
    told = found(engine, computed)
    assert told.keys() == expected.keys()
    for place, row in expected.items():
        assert told[place]["complete"] == naive_complete(*place[:2], over)
        # the ends of an interval have nine digits of the larger of its middle and its width
        digit = 1e-8 * max([abs(float(row[name])) for name in ("low", "high") if row.get(name) is not None], default=0)
        for name, value in row.items():
            close = None if value is None else pytest.approx(float(value), rel=1e-8, abs=max(digit, 1e-9))
            assert told[place][name] == close, (place, name)
        if told[place]["low"] is not None:
            assert told[place]["low"] <= told[place]["estimate"] <= told[place]["high"]


def of_users(acts: Iterable[Row]) -> list[Row]:
    return [a for a in acts if a["user_id"] is not None]


def nobody(*rows: Sequence[Row]) -> int:
    return sum(a["user_id"] is None for acts in rows for a in acts)


def users(acts: Iterable[Row]) -> set[str]:
    return {a["user_id"] for a in of_users(acts)}


@pytest.mark.slow
@settings(max_examples=12, deadline=None)
@given(acts_of_any, values, some([None, 2.5, 4]))
def test_totals_and_unique_users_are_what_plain_python_counts(engine, acts, value, cap):
    capped = cap if value in {"net", "time"} else None
    places = naive_places(naive_amounts(acts, value, capped))
    rows = rows_of(acts, value, ["device"], capped)
    expected = {
        place: {"estimate": sum(a["amount"] for a in inside), "users": len(users(inside)), "nobody": nobody(inside)}
        for place, (inside,) in places.items()
    }
    check(engine, totals(rows, BEGUN, OVER, ["device"]), expected)
    expected = {place: {"estimate": len(users(inside))} for place, (inside,) in places.items()}
    check(engine, unique(rows, BEGUN, OVER, ["device"]), expected)


def naive_ratio(above: Sequence[Row], below: Sequence[Row], *, rows: int) -> Row:
    who = sorted(users(above) | users(below))
    m, d = ([float(sum(a["amount"] for a in acts if a["user_id"] == u)) for u in who] for acts in (above, below))
    row: Row = {"users": len(who), "nobody": rows, "numerator": sum(m), "denominator": sum(d), "estimate": None}
    if abs(sum(d)) > 1e-9:
        row["estimate"] = sum(m) / sum(d)
        if len(who) > 1:
            row["low"], row["high"] = delta(zip(m, d, strict=True))
    return row


def near_nothing(row: Row) -> bool:
    """Say whether the interval is so small that the formula as it is written has no digits left."""
    return "low" in row and row["high"] - row["low"] < 1e-5 * max(abs(row["estimate"]), 1e-9)


@pytest.mark.slow
@settings(max_examples=12, deadline=None)
@given(acts_of_any, acts_of_any, values, some([None, "n", "time"]))
def test_ratios_and_means_are_what_plain_python_divides(engine, above, below, value, divisor):
    over, under = naive_amounts(above, value), naive_amounts(below, divisor)
    expected = {place: naive_ratio(m, d, rows=nobody(m, d)) for place, (m, d) in naive_places(over, under).items()}
    for row in expected.values():
        if near_nothing(row):
            del row["low"], row["high"]
    computed = ratios(rows_of(above, value, ["device"]), rows_of(below, divisor, ["device"]), BEGUN, OVER, ["device"])
    check(engine, computed, expected)
    expected = {
        place: naive_ratio(m, [{**a, "amount": 1} for a in m], rows=nobody(m))
        for place, (m,) in naive_places(over).items()
    }
    for row in expected.values():
        if near_nothing(row):
            del row["low"], row["high"]
    check(engine, means(rows_of(above, value, ["device"]), BEGUN, OVER, ["device"]), expected)


@pytest.mark.slow
@settings(max_examples=12, deadline=None)
@given(acts_of_any, acts_of_any)
def test_proportions_are_what_plain_python_shares(engine, above, below):
    expected: dict[Place, Row] = {}
    for place, (hits, asked) in naive_places(naive_amounts(above, None), naive_amounts(below, None)).items():
        n, k = len(users(asked)), len(users(asked) & users(hits))
        low, high = wilson(k, n) if n else (None, None)
        expected[place] = {"users": n, "denominator": n, "numerator": k, "estimate": k / n if n else None}
        expected[place] |= {"low": low, "high": high, "nobody": nobody(hits, asked)}
    check(
        engine,
        proportions(rows_of(above, None, ["device"]), rows_of(below, None, ["device"]), BEGUN, OVER, ["device"]),
        expected,
    )


@pytest.mark.slow
@settings(max_examples=12, deadline=None)
@given(acts_of_any, some([(1, 1), (1, 7), (2, 30), (29, 31)]))
def test_returns_are_what_plain_python_sees(engine, acts, after):
    seen = naive_amounts(acts, None)
    active = {(a["user_id"], a["day"]) for a in seen}
    expected: dict[Place, Row] = {}
    over = OVER - dt.timedelta(days=after[1])
    for place, (inside,) in naive_places(seen).items():
        entered = {u: min(a["day"] for a in inside if a["user_id"] == u) for u in users(inside)}
        matured = {u: when for u, when in entered.items() if when <= over}
        back = [
            any((u, when + dt.timedelta(days=n)) in active for n in range(after[0], after[1] + 1))
            for u, when in matured.items()
        ]
        expected[place] = {"users": len(matured), "numerator": sum(back), "nobody": nobody(inside)}
        expected[place]["estimate"] = sum(back) / len(back) if back else None
    check(engine, returns(rows_of(acts, None, ["device"]), BEGUN, OVER, after, ["device"]), expected, over)


@pytest.mark.slow
@settings(max_examples=10, deadline=None)
@given(acts_of_any, some(["net", "n", "time"]), some([0.1, 0.5, 0.95]))
def test_quantiles_are_what_numpy_ranks(engine, acts, value, quantile):
    expected = {}
    for place, (inside,) in naive_places(naive_amounts(acts, value)).items():
        amounts = [float(a["amount"]) for a in of_users(inside)]
        told = float(np.quantile(amounts, quantile)) if amounts else None
        expected[place] = {"estimate": told, "users": len(users(inside)), "nobody": nobody(inside)}
    check(engine, quantiles(rows_of(acts, value, ["device"]), BEGUN, OVER, quantile, ["device"]), expected)


@pytest.mark.parametrize("compute", [totals, means, quantiles], ids=lambda function: function.__name__)
def test_the_order_of_rows_changes_nothing(engine, compute: Callable[..., Table]):
    generator = np.random.default_rng(5)
    acts = [
        act(int(n), f"u{u}", time=float(t))
        for n, u, t in zip(
            generator.integers(1, 20, 3000),
            generator.integers(0, 300, 3000),
            generator.lognormal(0, 6, 3000),
            strict=True,
        )
    ]
    told = found(engine, compute(rows_of(acts, "time"), FIRST, LAST))
    for _ in range(3):
        generator.shuffle(acts)
        assert found(engine, compute(rows_of(acts, "time"), FIRST, LAST)) == told


def test_numbers_are_rounded_by_the_size_of_another(engine):
    said = {"x": "float64", "scale": "float64"}
    rows = table(said, {"x": 1 / 3, "scale": 1.0}, {"x": 1 / 3, "scale": 1e6}, {"x": 5.0, "scale": 0.0}, {"scale": 1.0})
    rounded = engine.rows(rows.select(x=metrics.rounded(rows.x, rows.scale)))
    assert [row["x"] for row in rounded] == [0.33333333, 0.33, 5.0, None]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_not_rounded(engine, bad):
    rows = table({"x": "float64", "scale": "float64"}, {"x": bad, "scale": 1.0}, {"x": 1.0, "scale": bad})
    rounded = engine.rows(rows.select(x=metrics.rounded(rows.x, rows.scale)))
    assert [repr(row["x"]) for row in rounded] == [repr(bad), "1.0"]


def test_decimals_are_not_turned_into_floats_before_they_are_added_up(engine):
    acts = [act(1, f"u{i}", net=Decimal("0.1")) for i in range(1000)]
    assert month(engine, totals(rows_of(acts, "net"), FIRST, LAST))["estimate"] == 100.0


@pytest.mark.slow
def test_dimensions_that_a_user_has_one_value_of_may_be_told_and_change_nothing(engine: Engine) -> None:
    homes = {"ann": "phone", "bob": "desktop", "eve": None, None: None}
    noise = np.random.default_rng(3)
    acts = [
        act(int(n), user, device=homes[user], net=Decimal(int(net)), time=float(net), n=int(net) % 3)
        for n, user, net in zip(
            noise.integers(1, 31, 60), noise.choice([*homes], 60), noise.integers(-5, 50, 60), strict=True
        )
    ]
    rows, dear = rows_of(acts, "net", ["device"]), rows_of([a for a in acts if a["n"]], "time", ["device"])
    days, by = (FIRST, LAST), {"by": ["device"]}
    asked: list[Callable[..., Table]] = [
        lambda **own: totals(rows, *days, **by, **own),
        lambda **own: unique(rows, *days, **by, **own),
        lambda **own: means(rows, *days, **by, **own),
        lambda **own: ratios(dear, rows, *days, **by, **own),
        lambda **own: proportions(dear, rows, *days, **by, **own),
        lambda **own: returns(rows, *days, **by, **own),
        lambda **own: quantiles(rows, *days, **by, **own),
    ]
    for answer in asked:
        assert found(engine, answer(own=["device"])) == found(engine, answer())
