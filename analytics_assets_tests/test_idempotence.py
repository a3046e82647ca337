"""The same deliveries end in the same tables, however the days were run."""

from __future__ import annotations

from collections.abc import Iterable

import dagster as dg
import pytest

from analytics_assets.automation import running
from analytics_assets_tests.conftest import ORDERS, STAR, Workshop, csv, day, orders
from analytics_assets_tests.deliveries import DAYS, FIRST, LAST, deliver, fill

pytestmark = pytest.mark.slow
FEW = 5
Tables = dict[str, str]


@pytest.fixture(scope="module")
def whole(shared_workshop: Workshop) -> Tables:
    """Give every table of all days that were run as one range, in the shared workshop."""
    fill(shared_workshop)
    assert shared_workshop.run().succeeded
    return shared_workshop.fingerprints()


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Tables:
    """Give the tables of a few days that were run as one range, without marts, which are made of them."""
    with dg.DagsterInstance.ephemeral() as instance:
        workshop = Workshop(tmp_path_factory.mktemp("few"), instance, selects=STAR)
        fill(workshop, FEW)
        assert workshop.run().succeeded
        return workshop.fingerprints()


def run_each(workshop: Workshop, days: Iterable[str]) -> None:
    """Run days one after the other, marts with the last alone: every run makes them of all days anew."""
    *before, last = days
    for each in before:
        ran = workshop.run(each, select=STAR)
        assert ran.succeeded, ran.message
    ran = workshop.run(last)
    assert ran.succeeded, ran.message


def test_the_deliveries_hold_what_makes_the_order_matter(workshop: Workshop) -> None:
    workshop.selects = STAR
    fill(workshop)
    ran = workshop.run()
    assert ran.succeeded, ran.message
    workshop.assert_nothing_lost()
    rejected = ran.report("staged_events").rejected
    assert {"duplicate", "too_late", "malformed"} <= rejected.keys()
    late = [row for row in workshop.rows("staged_events") if not row["rejected"] and row["day"] != row["delivery_day"]]
    assert {(row["delivery_day"] - row["day"]).days for row in late} == {1, 2}
    assert workshop.rows("map_identity", "anonymous_id", "user_id") == [
        ("v1", "u1"),
        ("v2", "u3"),
        ("v3", "u3"),
        ("v5", "u1"),
    ]
    assert {row["anonymous_id"] for row in workshop.rows("fact_events") if row["is_anonymous"]} == {
        "v4",
        "v6",
        "v7",
        "v8",
    }


def test_a_range_run_twice(shared_workshop: Workshop, whole: Tables) -> None:
    assert shared_workshop.run(FIRST, LAST).succeeded
    assert shared_workshop.fingerprints() == whole


def test_day_by_day(workshop: Workshop, whole: Tables) -> None:
    fill(workshop)
    run_each(workshop, DAYS)
    assert workshop.fingerprints() == whole


def test_backwards(workshop: Workshop, whole: Tables) -> None:
    fill(workshop)
    run_each(workshop, reversed(DAYS))
    assert workshop.fingerprints() == whole


@pytest.mark.parametrize("order", [[3, 1, 5, 2, 4], [4, 5, 2, 1, 3]], ids=str)
def test_in_any_order(workshop: Workshop, few: Tables, order: list[int]) -> None:
    workshop.selects = STAR
    fill(workshop, FEW)
    run_each(workshop, [DAYS[number - 1] for number in order])
    assert few.items() <= workshop.fingerprints().items()


def test_each_day_as_it_is_delivered(workshop: Workshop, few: Tables) -> None:
    workshop.selects = STAR
    fill(workshop, FEW)
    for path in (workshop.home / "data").iterdir():
        path.unlink()
    for number in range(1, FEW + 1):
        deliver(workshop, number)
        run_each(workshop, [DAYS[number - 1]])
    assert few.items() <= workshop.fingerprints().items()


def test_after_a_file_that_was_bad_is_mended(workshop: Workshop, few: Tables) -> None:
    workshop.selects = STAR
    fill(workshop, FEW)
    bad = workshop.home / "data" / f"orders_{day(DAYS[2])}.csv"
    good = bad.read_text()
    bad.write_text(good.replace("quantity", "pieces"))
    run_each(workshop, DAYS[:2])
    before = workshop.fingerprints()
    assert not workshop.run(DAYS[2]).succeeded
    assert workshop.fingerprints() == before
    bad.write_text(good)
    run_each(workshop, DAYS[2:FEW])
    assert few.items() <= workshop.fingerprints().items()


@pytest.mark.parametrize("path", ["data/orders_{day}.csv", "data/*.csv"], ids=["a file a day", "one dump"])
def test_a_key_that_comes_again_is_judged_alike_in_a_range_and_day_by_day(workshop: Workshop, path: str) -> None:
    workshop.selects = STAR
    workshop.declare(last_day=day("03-05"))
    workshop.source("orders", ORDERS, path=path, lateness=1 if "{day}" in path else 0, optional=True)
    for number in (1, 2, 5):
        workshop.deliver(f"orders_2024-03-0{number}.csv", orders(f"again,1,u1,p1,2024-03-0{number} 10:00:00,1,1"))
    assert workshop.run("03-01", "03-05").succeeded
    whole = workshop.rows("staged_order_lines", "delivery_day", "rejected")
    workshop.start_over()
    run_each(workshop, ["03-01", "03-02", "03-05"])
    assert workshop.rows("staged_order_lines", "delivery_day", "rejected") == whole


def test_a_file_with_other_columns_changes_no_row_of_another_file(workshop: Workshop) -> None:
    workshop.selects = STAR
    feed = {"table": "events", "columns": {"user_id": "user_id", "event_type": "type", "occurred_at": "at"}}
    workshop.source("clicks", {"path": "data/clicks_{day}.csv", "format": "csv", "feeds": [feed]})
    workshop.deliver("clicks_2024-03-01.csv", "user_id,type,at,page\nu1,click,2024-03-01 10:00:00,home\n")
    workshop.deliver("clicks_2024-03-02.csv", "page,at,type,user_id\nhome,2024-03-02 10:00:00,click,u1\n")
    workshop.deliver("clicks_2024-03-03.csv", "user_id,type,at,page,new\nu1,click,2024-03-03 10:00:00,home,x\n")
    assert workshop.run("03-01", "03-03").succeeded
    whole = workshop.fingerprints()
    workshop.start_over()
    run_each(workshop, ["03-01", "03-02", "03-03"])
    assert workshop.fingerprints() == whole


def test_a_run_that_ends_before_it_repeats_the_days_of_visitors_is_made_good_by_the_next(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    workshop.selects = STAR
    events, identities = ("event_id", "anonymous_id", "event_type", "occurred_at"), ("anonymous_id", "user_id")
    for name, columns in (("events", events), ("identities", identities)):
        feed = {"table": name, "columns": {column: column for column in columns}}
        workshop.source(name, {"path": f"data/{name}_{{day}}.csv", "format": "csv", "optional": True, "feeds": [feed]})
    workshop.deliver("events_2024-03-01.csv", csv(events, "e1,v1,view,2024-03-01 10:00:00"))
    workshop.deliver("events_2024-03-02.csv", csv(events, "e2,v1,view,2024-03-02 10:00:00"))
    workshop.deliver("identities_2024-03-02.csv", csv(identities, "v1,u1"))
    run_each(workshop, ["03-01", "03-02"])
    whole = workshop.fingerprints()
    workshop.start_over()
    run_each(workshop, ["03-01"])

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(running, "days_to_repeat", killed)
        with pytest.raises(KeyboardInterrupt):
            workshop.run("03-02")
    run_each(workshop, ["03-02"])
    assert workshop.rows("fact_events", "user_id") == ["u1", "u1"]
    assert workshop.fingerprints() == whole


def test_a_failed_run_leaves_no_half_of_its_days_in_the_next_release(workshop: Workshop) -> None:
    workshop.selects = STAR
    feed = {
        "table": "events",
        "columns": {"event_id": "id", "user_id": "user", "event_type": "type", "occurred_at": "at"},
    }
    workshop.source("events", {"path": "data/events_{day}.csv", "format": "csv", "feeds": [feed]})
    workshop.source("orders", ORDERS, path="data/orders_{day}.csv", feeds=[{**ORDERS["feeds"][0], "unique_by": "row"}])
    for number in (1, 2, 3):
        line = f"o{number},1,u1,p1,2024-03-0{number} 10:00:00,1,9.99"
        # a key that names two rows breaks the promise of fact_sales, when other tables of the day are published
        workshop.deliver(f"orders_2024-03-0{number}.csv", orders(*[line] * (2 if number == 2 else 1)))
        workshop.deliver(
            f"events_2024-03-0{number}.csv", f"id,user,type,at\ne{number},u1,view,2024-03-0{number} 10:00:00\n"
        )
    run_each(workshop, ["03-01"])
    ran = workshop.run("03-02")
    assert "fact_sales is not published" in ran.message
    assert "order_id, line names one row: broken by 1 row, on 2024-03-02; such as order_id o2, line 1" in ran.message
    run_each(workshop, ["03-03"])
    sold, seen = (set(workshop.rows(table, "day")) for table in ("fact_sales", "fact_events"))
    assert seen == sold == {day("03-01"), day("03-03")}


@pytest.mark.parametrize("at_first", ["without", "with"])
def test_a_day_that_is_delivered_anew_decides_again_what_is_a_duplicate_of_later_days(
    workshop: Workshop, at_first: str
) -> None:
    workshop.selects = STAR
    workshop.source("orders", ORDERS, path="data/orders_{day}.csv", lateness=1)
    again = "again,1,u1,p1,2024-03-02 10:00:00,1,1"
    own = {on: f"{on},1,u1,p1,{day(on)} 10:00:00,1,1" for on in ("03-01", "03-02", "03-03", "03-04")}
    second = {"without": orders(own["03-02"]), "with": orders(own["03-02"], again)}
    for on, row in own.items():
        workshop.deliver(f"orders_{day(on)}.csv", orders(row, *[again][: on == "03-03"]))
    workshop.deliver(f"orders_{day('03-02')}.csv", second.pop(at_first))
    assert workshop.run("03-01", "03-04").succeeded
    workshop.deliver(f"orders_{day('03-02')}.csv", *second.values())
    ran = workshop.run("03-02")
    assert ran.succeeded, ran.message
    mended = workshop.fingerprints()
    assert workshop.rows("fact_sales", "order_id").count("again") == 1
    workshop.start_over()
    assert workshop.run("03-01", "03-04").succeeded
    assert mended == workshop.fingerprints()
