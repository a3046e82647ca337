"""What happens in a visit, and who is said to have come: what is true of any shop."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings

from analytics_assets.project.shop import DEVICES
from analytics_assets.sources.shop.vocabulary import COUNTRIES, FEATURES
from analytics_assets_tests.sources.shop.readings import DAILY, LISTS, Reading, day_of, number, readings, tiny

FUNNEL = ("view_product", "add_to_cart", "begin_checkout", "purchase")


def sessions(events: pd.DataFrame, kind: str, what: str) -> pd.Series:
    """Give, by session, the first or last place and time of events of a kind."""
    of_kind = events[events["event_type"] == kind].groupby("session_id")
    return of_kind["place"].agg(what), of_kind["at"].agg(what)


def check_events_of_a_session_come_in_a_sensible_order(reading):
    events = reading.whole("events").copy()
    events["place"] = number(events["event_id"])
    # places of added page views tell nothing: their originals stand where they belong
    events = events[events["place"] % 10_000_000 < 9_000_000].sort_values("place")
    assert (events.groupby("session_id")["at"].diff().dropna() >= pd.Timedelta(0)).all()
    for before, after in (("view_product", "add_to_cart"), ("add_to_cart", "begin_checkout"),
                          ("begin_checkout", "purchase")):  # fmt: skip
        for first, then in zip(sessions(events, before, "min"), sessions(events, after, "min"), strict=True):
            assert set(then.index) <= set(first.index)
            assert (first.reindex(then.index) <= then).all()
    for last, bought in zip(sessions(events, "search", "max"), sessions(events, "purchase", "min"), strict=True):
        assert (last.reindex(bought.index).dropna() <= bought.reindex(last.index).dropna()).all()
    ends = events.groupby("session_id")["place"].max()
    purchases = events[events["event_type"] == "purchase"].set_index("session_id")
    assert (ends.reindex(purchases.index) == purchases["place"]).all()
    assert purchases.index.is_unique
    counts = [events.loc[events["event_type"] == kind, "session_id"].nunique() for kind in FUNNEL]
    assert counts == sorted(counts, reverse=True)
    alike = ["user_id", "anonymous_id", "device", "country", "campaign_id", "on", "agent"]
    assert (events.groupby("session_id")[alike].nunique(dropna=False) == 1).all(axis=None)


def check_every_event_is_within_its_day_and_says_what_it_should(reading):
    events = reading.clean("events")
    assert (events["on"] == day_of(events["event_id"])).all()
    assert (events["on"] == day_of(events["session_id"])).all()
    assert (events["day"] - events["on"]).between(0, 3).all()
    late = events[events["day"] > events["on"]]
    assert late["event_type"].isin(["page_view", "search", "use_feature"]).all()
    assert events["event_id"].is_unique
    kind = events["event_type"]
    assert set(kind) <= {"page_view", "search", "use_feature", *FUNNEL}
    assert (events["product_id"].notna() == kind.isin(["view_product", "add_to_cart"])).all()
    assert (events["feature"].notna() == (kind == "use_feature")).all()
    assert set(events["feature"].dropna()) <= set(FEATURES)
    for name in ("amount", "order_id"):
        assert (events[name].notna() == (kind == "purchase")).all()
    assert set(events["device"]) <= set(DEVICES)
    assert set(events["country"]) <= {country.code for country in COUNTRIES}
    crawlers = events["anonymous_id"].str.startswith("crawler-", na=False)
    assert ((events["agent"] == "crawler") == crawlers).all()
    assert (events["user_id"].isna() == events["anonymous_id"].notna()).all()


def check_nobody_acts_under_a_user_id_before_the_sign_up(reading):
    events = reading.whole("events")
    users = reading.clean("users").set_index("user_id")
    ours = events[events["user_id"].notna()]
    assert ours["user_id"].isin(users.index).all()
    assert (ours["at"].to_numpy() >= users.loc[ours["user_id"], "at"].to_numpy()).all()
    # who signed up is heard of from that moment on
    assert set(users.index[users["on"] < reading.days - 3]) <= set(ours["user_id"])


def check_earlier_visits_carry_the_id_that_identities_map_to_the_user(reading):
    events, identities = reading.clean("events"), reading.clean("identities")
    users = reading.clean("users").set_index("user_id")
    known = identities.set_index("anonymous_id")
    assert known.index.is_unique
    assert identities["user_id"].is_unique
    assert (known["at"].to_numpy() == users.loc[known["user_id"], "at"].to_numpy()).all()
    anonymous = events[events["anonymous_id"].str.startswith("a", na=False)]
    # who signs up after the last delivery is not known yet
    settled = anonymous[anonymous["on"] < reading.days - 7]
    assert settled["anonymous_id"].isin(known.index).all()
    mapped = anonymous[anonymous["anonymous_id"].isin(known.index)]
    until = known.loc[mapped["anonymous_id"]]
    ahead = until["on"].to_numpy() - mapped["on"].to_numpy()
    assert ((ahead >= 1) & (ahead <= 7)).all()
    assert set(known.index) == set(mapped["anonymous_id"])
    assert set(anonymous["event_type"]) <= {"page_view", "search"}
    if reading.shop.visits.earlier == 0:
        assert anonymous.empty
    visitors = events[events["anonymous_id"].str.startswith("v", na=False)]
    assert visitors.groupby("anonymous_id")["session_id"].nunique().max() == 1 or visitors.empty
    assert visitors.empty or reading.shop.visits.visitors


def check_what_events_refer_to_exists(reading):
    events = reading.clean("events")
    launched = pd.to_datetime(
        reading.all("products").drop_duplicates("product_id").set_index("product_id")["launched_on"]
    )
    seen = events[events["product_id"].notna()]
    on = pd.Timestamp(reading.opened.first_day) + pd.to_timedelta(seen["on"], unit="D")
    assert (launched.loc[seen["product_id"]].to_numpy() <= on.to_numpy()).all()
    campaigns = reading.all("campaigns").set_index("campaign_id")
    assert list(campaigns.index) == list(reading.shop.campaigns)
    came = events[events["campaign_id"].notna()]
    told = campaigns.loc[came["campaign_id"]]
    on = pd.Timestamp(reading.opened.first_day) + pd.to_timedelta(came["on"], unit="D")
    assert (pd.to_datetime(told["starts_on"]).to_numpy() <= on.to_numpy()).all()
    assert (on.to_numpy() <= pd.to_datetime(told["ends_on"]).to_numpy()).all()
    # nobody comes through a campaign from a region from which it is withheld
    regions = reading.clean("users").set_index("user_id")["region"]
    mine = came[came["user_id"].notna()]
    withheld = campaigns["withheld"].str.split(";").map(set)
    for region, campaign in zip(regions.loc[mine["user_id"]], mine["campaign_id"], strict=True):
        assert region not in withheld[campaign]
    spend = reading.clean("campaign_spend")
    assert not spend["duplicate"].any()
    running = sum(len(pd.date_range(row.starts_on, row.ends_on)) for row in campaigns.itertuples())
    days = pd.to_datetime(spend["spent_on"])
    assert (days == pd.to_datetime(spend["file_day"])).all()
    if reading.days > 2 * reading.shop.days + 1:
        assert len(spend) == running
    # every visit through a campaign was a click
    sessions = came.drop_duplicates("session_id").groupby(["campaign_id", "on"]).size()
    clicks = spend.set_index(["campaign_id", "day"])["clicks"].astype(int)
    whole = sessions[sessions.index.get_level_values("on") < reading.days]
    assert (clicks.reindex(whole.index) >= whole).all()
    assert (clicks <= spend.set_index(["campaign_id", "day"])["impressions"].astype(int)).all()


def check(reading: Reading) -> None:
    check_events_of_a_session_come_in_a_sensible_order(reading)
    check_every_event_is_within_its_day_and_says_what_it_should(reading)
    check_nobody_acts_under_a_user_id_before_the_sign_up(reading)
    check_earlier_visits_carry_the_id_that_identities_map_to_the_user(reading)
    check_what_events_refer_to_exists(reading)


@pytest.mark.slow
@settings(max_examples=8, deadline=None)
@given(readings())
def test_any_shop(reading):
    check(reading)


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(readings())
def test_many_shops(reading):
    check(reading)


def test_a_visit_has_pages_and_every_named_feature_is_used():
    events = Reading(tiny(users=3000), 10).whole("events")
    assert set(events["feature"].dropna()) == set(FEATURES)
    assert set(events["event_type"]) == {"page_view", "search", "use_feature", *FUNNEL}
    assert (events.groupby("session_id")["event_type"].agg(lambda kinds: "page_view" in set(kinds))).all()


def test_a_funnel_that_nobody_enters_and_one_that_nobody_leaves():
    sure = {"view_product": 1, "add_to_cart": 1, "begin_checkout": 1, "search": 1, "pricing_page": 1,
            "purchase": {"mobile": 1, "desktop": 1, "tablet": 1}}  # fmt: skip
    never = {**dict.fromkeys(sure, 0), "purchase": {"mobile": 0, "desktop": 0, "tablet": 0}}
    events = Reading(tiny(funnel=sure, preset="plain"), 10).clean("events")
    ours = events[events["user_id"].notna()]
    for kind in (*FUNNEL, "search"):
        assert ours.loc[ours["event_type"] == kind, "session_id"].nunique() == ours["session_id"].nunique()
    nothing = Reading(tiny(funnel=never), 10)
    assert set(nothing.clean("events")["event_type"]) == {"page_view", "use_feature"}
    assert nothing.clean("order_lines").empty
    assert nothing.clean("returns").empty


@settings(max_examples=4, deadline=None)
@given(readings(users=1, products=1, days=1))
def test_the_smallest_shop_delivers_every_table(reading):
    for table in (*DAILY, *LISTS):
        rows = reading.all(table)
        assert np.isfinite(rows["row_number"]).all()
    assert len(reading.clean("users")) == reading.days == reading.clean("users")["day"].nunique() or reading.days > 1
