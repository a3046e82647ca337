from __future__ import annotations

import pandas as pd
import pytest

from analytics_assets.charts.customers import lorenz, migration, rfm
from analytics_assets_tests.charts.told import ABOUT, labels, title

NO_CELLS = pd.DataFrame({"recency_days": [], "monetary": [], "customers": [], "segment": []})
SCORES = pd.DataFrame({"r_score": [5, 1], "f_score": [5, 1], "customers": [10, 0], "revenue": [900.0, 0.0]})


def segments(*revenue: float) -> pd.DataFrame:
    names = ["Champions", "New", "Lost"]
    return pd.DataFrame({"segment": names, "place": [1, 2, 3], "customers": [10, 30, 60], "revenue": revenue})


@pytest.mark.parametrize(
    ("revenue", "told"),
    [
        ((600.0, 300.0, 100.0), "Champions: 10 % of customers, who bring 60 % of revenue"),
        ((100.0, 200.0, 700.0), "Lost: 60 % of customers, who bring 70 % of revenue"),
        ((0.0, 0.0, 0.0), "Champions: 10 % of customers"),
    ],
)
def test_the_segment_that_brings_most_is_named(revenue: tuple[float, ...], told: str) -> None:
    assert title(rfm(ABOUT, segments(*revenue), SCORES, NO_CELLS)) == told


def test_a_score_that_nobody_has_is_there_with_zero() -> None:
    figure = rfm(ABOUT, segments(6, 3, 1), SCORES, NO_CELLS)
    assert "0" in labels(figure)
    assert {"10", "900"} <= set(labels(figure))


def test_of_many_segments_those_with_most_revenue_are_kept_and_the_others_summed_up() -> None:
    many = pd.DataFrame(
        {"segment": [f"s{n}" for n in range(30)], "place": range(30), "customers": 1, "revenue": [*range(29), 1000]}
    )
    figure = rfm(ABOUT, many, SCORES, NO_CELLS)
    assert title(figure).startswith("s29: ")
    named = [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
    assert (len(named), named[-2:]) == (9, ["s29", "22 more"])
    assert "22 (73.3 %)" in labels(figure)


def moves(*rows: tuple[str, str, int]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["from_segment", "to_segment", "customers"])
    return frame.assign(month=pd.Timestamp("2025-03-01"))


PLACES = pd.DataFrame({"segment": ["Lost", "Champions"], "place": [7, 1]})


def test_the_largest_move_is_told_of_those_who_were_there_and_not_of_new_customers() -> None:
    told = moves(("(none)", "Champions", 500), ("Champions", "Lost", 30), ("Champions", "Champions", 70))
    figure = migration(ABOUT, told, PLACES)
    assert title(figure) == "March 2025: 30 customers went from Champions to Lost, 30 % of those who were there"
    assert [tick.get_text() for tick in figure.axes[0].get_xticklabels()] == ["Champions", "Lost"]
    assert "570 (+470)" in labels(figure)
    assert "30 (+30)" in labels(figure)


def test_where_nobody_moved_it_is_said() -> None:
    figure = migration(ABOUT, moves(("Champions", "Champions", 70), ("Lost", "Lost", 5)), PLACES)
    assert title(figure) == "Nobody changed the segment in March 2025"


def test_moves_of_an_earlier_month_are_not_mixed_in() -> None:
    earlier = moves(("Champions", "Lost", 90)).assign(month=pd.Timestamp("2025-02-01"))
    figure = migration(ABOUT, pd.concat([earlier, moves(("Champions", "Champions", 7))]), PLACES)
    assert title(figure) == "Nobody changed the segment in March 2025"


def concentration(half: float, top: float, negative: float = 0) -> pd.DataFrame:
    row = {"customers": 1000, "revenue": 5e6, "negative": negative, "gini": 0.42}
    return pd.DataFrame([row | {"top_decile_share": top, "half_of_revenue": half}])


def test_concentration_is_told_as_the_table_has_it() -> None:
    curve = pd.DataFrame({"percent": range(101), "share": [(n / 100) ** 2 for n in range(101)]})
    figure = lorenz(ABOUT, curve, concentration(0.29, 0.19, negative=3))
    assert title(figure) == "29 % of customers bring half of the revenue; the top 10 % bring 19 %"
    assert {"Gini 0.42", "75 %", "36 %", "2.0 %"} <= set(labels(figure))  # the top 50, 20 and 1 % of a parabola
