"""Tables follow contracts that grow, show a commit or nothing, and never mix two writers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import ibis
import pytest
from deltalake import DeltaTable

from analytics_assets.automation.runtime import open_lake
from analytics_assets.contracts.model import Column, Contract, InRange, Reference
from analytics_assets.contracts.star import FACT_SALES
from analytics_assets.lake.days import Days
from analytics_assets.lake.engine import Engine
from analytics_assets.lake.errors import LakeError
from analytics_assets.lake.releases import Computed, commit_release
from analytics_assets.lake.tables import Lake, Published
from analytics_assets_tests.conftest import ORDERS, Workshop, orders
from analytics_assets_tests.making import NOON, day, table

THINGS = Contract(
    table="things",
    grain="one row a thing",
    columns=(
        Column("day", "date", "the day", nullable=False),
        Column("id", "string", "the thing", nullable=False),
        Column("pieces", "int32", "how many"),
        Column("amount", "decimal(16, 2)", "what for"),
        Column("weight", "float32", "how heavy"),
    ),
    key=("id",),
    day="day",
    rules=(InRange("pieces", minimum=0),),
)
FIRST, SECOND = (Days(day(number), day(number)) for number in (1, 2))
BOTH = Days(day(1), day(2))


def thing(number: int, key: str, pieces: int | None = 1) -> dict[str, Any]:
    return {"day": day(number), "id": key, "pieces": pieces, "amount": Decimal("1.25"), "weight": 0.5}


A, B = thing(1, "a"), thing(2, "b")


@pytest.fixture
def lake(tmp_path: Path, engine: Engine) -> Lake:
    return Lake(str(tmp_path / "lake"), engine)


def publish(lake: Lake, contract: Contract, days: Days, *records: Mapping[str, Any], run: str = "a run") -> Published:
    return lake.publish(lake.stage(contract, table(contract, *records), days), run)


def rows(lake: Lake, contract: Contract, version: int | None = None) -> list[dict[str, Any]]:
    found = lake.read(contract, version=version)
    return lake.engine.rows(found.order_by(list(contract.key)))


def ids(lake: Lake, contract: Contract = THINGS) -> list[str]:
    return [row["id"] for row in rows(lake, contract)]


def changed(contract: Contract, **types: str) -> Contract:
    """Give some columns another type; a column that the contract does not have is added, an empty type removes one."""
    new = [Column(name, kind, "new") for name, kind in types.items() if name not in {c.name for c in contract.columns}]
    kept = [replace(c, type=types.get(c.name, c.type)) for c in contract.columns if types.get(c.name) != ""]
    return replace(contract, columns=(*kept, *new), rules=())


# days


def test_a_publication_replaces_its_days_and_no_other(lake: Lake) -> None:
    publish(lake, THINGS, BOTH, A, B)
    publish(lake, THINGS, SECOND, thing(2, "c"))
    assert ids(lake) == ["a", "c"]
    publish(lake, THINGS, FIRST)
    assert ids(lake) == ["c"]


def test_rows_of_other_days_than_those_written_are_left_out(lake: Lake) -> None:
    publish(lake, THINGS, FIRST, A, B)
    assert ids(lake) == ["a"]


def test_a_table_that_does_not_exist_or_is_empty_has_no_rows_and_one_fingerprint(lake: Lake) -> None:
    assert rows(lake, THINGS) == []
    before = lake.fingerprint(THINGS)
    publish(lake, THINGS, BOTH)
    assert rows(lake, THINGS) == []
    assert lake.fingerprint(THINGS) == before


def test_a_fingerprint_depends_on_rows_and_not_on_how_they_were_written(lake: Lake, tmp_path: Path) -> None:
    publish(lake, THINGS, BOTH, A, B, thing(1, "c"))
    other = Lake(str(tmp_path / "other"), lake.engine)
    publish(other, THINGS, SECOND, B)
    publish(other, THINGS, FIRST, thing(1, "c"), A)
    assert lake.fingerprint(THINGS) == other.fingerprint(THINGS)
    publish(other, THINGS, FIRST, thing(1, "c", pieces=2), A)
    assert lake.fingerprint(THINGS) != other.fingerprint(THINGS)


def test_a_commit_says_which_run_made_it(lake: Lake) -> None:
    publish(lake, THINGS, FIRST, A, run="run one")
    publish(lake, THINGS, SECOND, B, run="run two")
    newest, before, *_ = DeltaTable(lake.uri("things")).history()
    assert (before["run_id"], newest["run_id"]) == ("run one", "run two")


# a contract that grew


@pytest.mark.parametrize(
    ("types", "says"),
    [
        ({"note": "string"}, "gained note"),
        ({"pieces": "int64"}, "widened pieces from int32 to int64"),
        ({"pieces": "decimal(18, 4)"}, "widened pieces from int32 to decimal128(18, 4)"),
        ({"amount": "decimal(18, 4)"}, "widened amount from decimal128(16, 2) to decimal128(18, 4)"),
        ({"weight": "float64"}, "widened weight from float to double"),
        ({"note": "string", "pieces": "int64"}, "gained note, widened pieces from int32 to int64"),
    ],
)
def test_a_contract_that_grew_is_followed_in_place_with_a_message(lake: Lake, types: dict[str, str], says: str) -> None:
    before = publish(lake, THINGS, FIRST, A)
    grown = changed(THINGS, **types)
    added = {**B, "note": "new"} if "note" in types else B
    assert rows(lake, grown) == [{"note": None} | A if "note" in types else A]
    published = publish(lake, grown, SECOND, added)
    assert published.evolved == f"things followed its contract: {says}"
    note = {"note": None} if "note" in types else {}
    assert rows(lake, grown) == [A | note, added]
    assert rows(lake, grown, version=before.version) == [A | note]
    assert publish(lake, grown, SECOND, added).evolved == ""


@pytest.mark.parametrize(
    ("contract", "says"),
    [
        (changed(THINGS, pieces="int16"), "pieces is int32, the contract wants int16"),
        (changed(THINGS, pieces="string"), "pieces is int32, the contract wants string"),
        (changed(THINGS, id="int64"), "id is string, the contract wants int64"),
        (changed(THINGS, amount="decimal(16, 4)"), "amount is decimal128(16, 2), the contract wants decimal128(16, 4)"),
        (changed(THINGS, weight=""), "the contract has no column weight"),
        (replace(THINGS, day=None), "it is kept by day, the contract wants no day"),
    ],
    ids=["narrowed", "retyped", "retyped key", "fewer digits", "removed", "without days"],
)
def test_any_other_change_of_a_contract_is_refused_with_what_to_do(lake: Lake, contract: Contract, says: str) -> None:
    publish(lake, THINGS, FIRST, A)
    with pytest.raises(LakeError) as refused:
        publish(lake, contract, SECOND)
    assert f"table things in the lake does not fit its contract: {says}" in str(refused.value)
    assert f"move {lake.uri('things')} away, then run all its days again" in str(refused.value)
    assert rows(lake, THINGS) == [A]


@pytest.mark.slow
def test_a_run_says_how_a_table_of_an_older_lake_followed_its_contract(workshop: Workshop) -> None:
    deliver_orders(workshop)
    older = replace(FACT_SALES, columns=tuple(c for c in FACT_SALES.columns if c.name != "payment_method"))
    with open_lake(workshop.settings, "workshop") as lake:
        version = publish(lake, older, Days(dt.date(2024, 3, 4), dt.date(2024, 3, 4)), sale("old"))
        commit_release(lake, "an older run", {"fact_sales": Computed(version.version)}, NOON)
    ran = workshop.run("03-01", "03-02", select="+fact_sales")
    assert ran.report("fact_sales").message == "fact_sales followed its contract: gained payment_method"
    assert workshop.rows("fact_sales", "order_id", "payment_method") == [("o1", None), ("o2", None), ("old", None)]


@pytest.mark.slow
def test_a_run_on_a_lake_that_does_not_fit_fails_with_what_to_do(workshop: Workshop) -> None:
    deliver_orders(workshop)
    older = replace(FACT_SALES, columns=(*FACT_SALES.columns, Column("bonus", "string", "a column that was dropped")))
    with open_lake(workshop.settings, "workshop") as lake:
        version = publish(lake, older, Days(dt.date(2024, 3, 4), dt.date(2024, 3, 4)), sale("old"))
        commit_release(lake, "an older run", {"fact_sales": Computed(version.version)}, NOON)
    ran = workshop.run()
    assert not ran.succeeded
    assert "table fact_sales in the lake does not fit its contract: the contract has no column bonus" in ran.message
    assert f"move {workshop.lake}/fact_sales away" in ran.message
    assert ran.release == 1


def deliver_orders(workshop: Workshop, *more: str, **feed: str) -> None:
    workshop.source("orders", ORDERS, feeds=[{**ORDERS["feeds"][0], **feed}])
    good = ("o1,1,u1,p1,2024-03-01 10:00:00,2,9.99", "o2,1,u2,p1,2024-03-02 11:00:00,1,5")
    workshop.deliver("orders.csv", orders(*good, *more))


def sale(key: str) -> dict[str, Any]:
    amounts = dict.fromkeys(("unit_price", "gross", "discount", "net", "tax", "shipping"), Decimal(1))
    return {
        "day": dt.date(2024, 3, 4),
        "order_id": key,
        "line": "1",
        "product_id": "p1",
        "ordered_at": dt.datetime(2024, 3, 4, tzinfo=dt.UTC),
        "status": "completed",
        "quantity": 1,
        **amounts,
    }


# a rule that is broken


def test_an_audit_names_the_rule_the_count_and_five_samples(lake: Lake) -> None:
    staged = lake.stage(THINGS, table(THINGS, A, *(thing(1, f"bad{n}", pieces=-n) for n in range(1, 8))), FIRST)
    (finding,) = lake.audit(staged, {}).broken("error")
    assert str(finding) == (
        "0 <= pieces: broken by 7 rows, on 2024-03-01; such as id bad1, pieces -1; id bad2, pieces -2; "
        "id bad3, pieces -3; id bad4, pieces -4; id bad5, pieces -5"
    )


@pytest.mark.slow
def test_a_broken_error_rule_fails_the_run_and_leaves_the_version_before(workshop: Workshop) -> None:
    deliver_orders(workshop)
    first = workshop.run()
    before = workshop.fingerprints()
    repeated = [f"x{n},1,u1,p1,2024-03-01 10:00:00,1,1" for n in range(7)] * 2
    deliver_orders(workshop, *repeated, unique_by="row")
    ran = workshop.run()
    assert not ran.succeeded
    assert ran.report("fact_sales").version is None
    (finding,) = ran.broken("fact_sales", "error")
    assert (finding.rule, finding.violations, len(finding.samples)) == ("order_id, line names one row", 7, 5)
    assert "fact_sales is not published, its last good version stays: order_id, line names one row" in ran.message
    assert "broken by 7 rows, on 2024-03-01; such as order_id x0, line 1" in ran.message
    assert workshop.checks(ran)["fact_sales", "keys"] == "error"
    assert "fact_user_days" not in {report.table for report in ran.outcomes[0].reports}
    assert workshop.fingerprints() == before
    with open_lake(workshop.settings, "workshop") as lake:
        assert lake.version("fact_sales") == first.report("fact_sales").version
        shown = {Path(uri) for uri in DeltaTable(lake.uri("fact_sales")).file_uris()}
    assert set((workshop.lake / "fact_sales").rglob("*.parquet")) == shown


@pytest.mark.slow
def test_a_broken_warning_rule_is_recorded_and_the_table_is_published(workshop: Workshop) -> None:
    deliver_orders(workshop)
    feed = {"table": "products", "columns": {"product_id": "id"}}
    workshop.source("products", {"path": "data/products.csv", "format": "csv", "feeds": [feed]})
    workshop.deliver("products.csv", "id\np2\n")
    ran = workshop.run()
    assert ran.succeeded, ran.message
    assert "product_id is in dim_products: broken by 2 rows (1 different values)" in ran.warnings("fact_sales")
    assert "such as order_id o1, line 1, product_id p1; order_id o2" in ran.warnings("fact_sales")
    assert workshop.checks(ran)["fact_sales", "references"] == "warn"
    assert workshop.rows("fact_sales", "order_id") == ["o1", "o2"]


def test_a_reference_is_judged_against_the_table_it_names(lake: Lake) -> None:
    contract = replace(THINGS, references=(Reference("id", "owners", "id"),))
    staged = lake.stage(contract, table(contract, A, B, thing(1, "b")), BOTH)
    owners = table({"id": "string"}, {"id": "a"}, {"id": "a"})
    (finding,) = lake.audit(staged, {"owners": owners}).broken("warning")
    assert (finding.violations, finding.distinct, finding.days) == (2, 1, (day(1), day(2)))
    assert lake.audit(staged, {}).broken("warning") == ()


def test_a_lake_sees_what_another_publishes_and_keeps_what_a_version_showed(lake: Lake) -> None:
    other = Lake(lake.root, lake.engine)
    assert ids(lake) == [] == ids(other)
    publish(other, THINGS, FIRST, A)
    assert ids(lake) == ["a"]
    publish(other, THINGS, SECOND, B)
    assert (ids(lake), lake.version("things"), lake.extent("things").last_day) == (["a", "b"], 2, day(2))
    assert (lake.extent("things", 1).rows, [row["id"] for row in rows(lake, THINGS, 1)]) == (1, ["a"])
    other.undo("things", 1)
    assert ids(lake) == ["a"]


def test_what_columns_are_dropped_from_is_computed_once_however_often_it_is_used(engine: Engine) -> None:
    things = ibis.memtable({"a": [1, 1, 2], "b": [5, 6, 7]})
    told = {"n": ibis._.b.sum(), "low": ibis._.b.min(), "high": ibis._.b.max(), "rows": ibis._.count()}
    counted = things.group_by("a").aggregate(**told)
    fewer = counted.drop("rows")
    both = fewer.mutate(once=ibis.literal(True)).union(fewer.mutate(once=ibis.literal(False)))
    assert engine.backend.compile(both).count("SUM(") == 1  # type: ignore[attr-defined]
    assert sorted((row["a"], row["n"]) for row in engine.rows(both)) == [(1, 11), (1, 11), (2, 7), (2, 7)]


# two writers


def stale(lake: Lake, monkeypatch: pytest.MonkeyPatch, times: int = 1) -> Callable[[], int]:
    """Let the next writer begin with the table as it is now; return how often it looked."""
    handles, looks, newest = [lake.open("things") for _ in range(times)], 0, lake.open

    def opened(name: str, version: int | None = None) -> DeltaTable | None:
        nonlocal looks
        looks += 1
        return handles.pop() if handles else newest(name, version)

    monkeypatch.setattr(lake, "open", opened)
    return lambda: looks


@pytest.mark.parametrize(
    ("quick", "late", "expected"),
    [
        ([thing(1, "q1"), thing(1, "q2")], [thing(2, "l")], ["l", "q1", "q2"]),
        ([thing(1, "q1"), thing(1, "q2")], [thing(1, "l")], ["l"]),
        ([thing(1, "q1"), thing(2, "q2")], [thing(2, "l2"), thing(3, "l3")], ["l2", "l3", "q1"]),
        ([thing(2, "q1"), thing(2, "q2")], [thing(2, "l")], ["a", "l"]),
        ([thing(2, "q1"), thing(2, "q2")], [], ["a"]),
        ([], [thing(1, "l")], ["l"]),
    ],
    ids=["another day", "the same day", "days that overlap", "the same new day", "nothing after", "nothing before"],
)
def test_a_writer_whose_table_changed_meanwhile_replaces_its_days_whole(
    lake: Lake,
    monkeypatch: pytest.MonkeyPatch,
    quick: list[dict[str, Any]],
    late: list[dict[str, Any]],
    expected: list[str],
) -> None:
    publish(lake, THINGS, FIRST, A)
    second = Lake(lake.root, lake.engine)
    looks = stale(second, monkeypatch)
    publish(lake, THINGS, days_of(quick, FIRST), *quick)
    published = publish(second, THINGS, days_of(late, SECOND), *late)
    assert looks() == 2
    assert published.version == lake.version("things") == 3
    assert ids(lake) == expected


def days_of(records: list[dict[str, Any]], otherwise: Days) -> Days:
    days = [record["day"] for record in records]
    return Days(min(days), max(days)) if days else otherwise


def test_two_writers_that_both_find_no_table_make_one(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    late = Lake(lake.root, lake.engine)
    stale(late, monkeypatch)
    publish(lake, THINGS, FIRST, A)
    publish(late, THINGS, SECOND, B)
    assert ids(lake) == ["a", "b"]


def test_a_writer_that_always_comes_second_says_so(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(lake, THINGS, FIRST, A)
    late = Lake(lake.root, lake.engine)
    stale(late, monkeypatch, times=100)
    publish(lake, THINGS, FIRST, thing(1, "first"))
    with pytest.raises(LakeError, match="cannot publish things: other runs won 20 times in a row"):
        publish(late, THINGS, FIRST, thing(1, "late"))
    assert ids(lake) == ["first"]


def test_a_table_that_is_damaged_is_named(lake: Lake) -> None:
    publish(lake, THINGS, FIRST, A)
    for log in Path(lake.uri("things"), "_delta_log").glob("*.json"):
        log.write_text("{ no json")
    with pytest.raises(LakeError, match=r"cannot read table things in .*lake"):
        lake.read(THINGS)
