from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import ibis
import ibis.expr.operations as ops
import pytest
import sqlglot
from hypothesis import given, settings
from hypothesis import strategies as st
from ibis.expr.types import Table

from analytics_assets.contracts.audit import (
    MAX_SAMPLES,
    Audit,
    Finding,
    audit_expression,
    distinct_expressions,
    read_audit,
    sample_expressions,
)
from analytics_assets.contracts.model import (
    Accepted,
    Column,
    Contract,
    Identity,
    InRange,
    MinimumRows,
    NoLookalikes,
    Quiet,
    Reference,
)
from analytics_assets.lake.engine import Engine
from analytics_assets_tests.making import day, table

AMOUNT = "decimal(18, 4)"
LINES = Contract(
    table="fact_lines",
    grain="one row an order line",
    columns=(
        Column("day", "date", "its day", nullable=False),
        Column("order", "string", "its order", nullable=False),
        Column("line", "string", "its place"),
        Column("user", "string", "who"),
        Column("is_anonymous", "boolean", "whether nobody knows who"),
        Column("excluded_as", "string", "why it does not count"),
        Column("status", "string", "its state"),
        Column("pieces", "int64", "how many"),
        Column("gross", AMOUNT, "before discount"),
        Column("discount", AMOUNT, "discount"),
        Column("tax", AMOUNT, "tax"),
        Column("net", AMOUNT, "after discount"),
    ),
    key=("order", "line"),
    day="day",
    references=(Reference("user", "dim_users", "id", unless=("is_anonymous", "excluded_as")),),
    rules=(
        Accepted("status", ("open", "closed")),
        InRange("pieces", 1, 9),
        Identity("net", plus=("gross", "tax"), minus=("discount",)),
        NoLookalikes("user"),
        MinimumRows(3),
    ),
)
USERS = {"id": "string"}
KEY = "order, line names one row"


def audited(engine: Engine, contract: Contract, rows: Table, **referenced: Table) -> Audit:
    return read_audit(engine.rows(audit_expression(rows, contract, referenced)), contract, referenced)


def lines(*records: Mapping[str, Any]) -> Table:
    """Make lines that are fine but for what they say."""
    return table(LINES, *({"day": day(1), "order": "o", "line": str(n), **r} for n, r in enumerate(records, 1)))


def broken(engine: Engine, *records: Mapping[str, Any], **referenced: Table) -> dict[str, int]:
    found = audited(engine, LINES, lines(*records, {}, {}, {}), **referenced).findings
    return {finding.rule: finding.violations for finding in found if not finding.holds}


def only(*rules: Any, **changes: Any) -> Contract:
    """Promise but these rules, of a table without days."""
    columns = (Column("id", "string", "id"), Column("value", "int64", "value"))
    return Contract("things", "one row a thing", columns, (), rules=rules, **changes)


def test_rows_that_keep_every_promise_break_no_rule(engine):
    assert broken(engine, {"status": "open", "pieces": 9, "gross": 2, "net": 2, "user": "u"}) == {}


def test_a_key_that_names_two_rows_of_a_day_is_counted_once(engine):
    assert broken(engine, {"line": "a"}, {"line": "a"}, {"line": "b"}) == {KEY: 1}


def test_a_key_may_come_again_on_another_day(engine):
    assert broken(engine, {"line": "a"}, {"line": "a", "day": day(2)}) == {}


def test_two_keys_with_the_same_part_missing_are_one_key(engine):
    assert broken(engine, {"line": None}, {"line": None}) == {KEY: 1}


def test_a_missing_key_of_one_column_is_absent_and_no_duplicate(engine):
    contract = Contract("users", "a user", (Column("id", "string", "id", nullable=False),), ("id",))
    findings = audited(engine, contract, table(contract, {"id": None}, {"id": None}, {"id": "a"}, {"id": "a"})).findings
    assert {finding.rule: finding.violations for finding in findings} == {"id names one row": 1, "id is present": 2}


def test_a_required_value_that_is_missing_is_counted(engine):
    assert broken(engine, {"order": None}) == {"order is present": 1}


@pytest.mark.parametrize(("status", "count"), [("open", 0), (None, 0), ("Open", 1), ("", 1)])
def test_a_value_outside_of_the_list_is_counted_and_a_missing_one_is_not(engine, status, count):
    assert broken(engine, {"status": status}).get("status is one of open, closed", 0) == count


@pytest.mark.parametrize(("pieces", "count"), [(0, 1), (1, 0), (9, 0), (10, 1), (None, 0)])
def test_both_ends_of_a_range_belong_to_it(engine, pieces, count):
    assert broken(engine, {"pieces": pieces}).get("1 <= pieces <= 9", 0) == count


@pytest.mark.parametrize(("rule", "count"), [(InRange("value", minimum=2), 1), (InRange("value", maximum=2), 2)])
def test_a_range_may_be_open_at_one_end(engine, rule, count):
    rows = table(only(), {"value": 1}, {"value": 2}, {"value": 3}, {"value": 4})
    assert audited(engine, only(rule), rows).findings[0].violations == count


@pytest.mark.parametrize(
    ("gross", "tax", "discount", "net", "count"),
    [
        ("10", "1", "2", "9", 0),
        ("10", "1", "2", "9.0001", 1),
        ("10", None, "2", "8", 0),
        ("10", "1", None, "11", 0),
        (None, None, "2", "-2", 0),
        (None, None, None, "1", 1),
        ("10", "1", "2", None, 0),
        ("0.1", "0.2", None, "0.3", 0),
        ("99999999999999.9999", "0", "99999999999999.9998", "0.0001", 0),
    ],
)
def test_an_amount_is_the_exact_sum_of_its_parts_and_a_missing_part_is_nothing(
    engine, gross, tax, discount, net, count
):
    found = broken(engine, {"gross": gross, "tax": tax, "discount": discount, "net": net})
    assert found.get("net = gross + tax - discount", 0) == count


def test_a_reference_without_a_match_is_counted_by_row_and_by_value(engine):
    rows = lines({"user": "a"}, {"user": "x"}, {"user": "x"}, {"user": "y"}, {"user": None})
    users = table(USERS, {"id": "a"}, {"id": None})
    assert audited(engine, LINES, rows, dim_users=users).findings[-2].violations == 3
    distinct = distinct_expressions(rows, LINES, {"dim_users": users})
    assert engine.rows(distinct["user is in dim_users"].name("n").as_table()) == [{"n": 2}]


def test_a_dimension_that_repeats_a_key_does_not_multiply_rows(engine):
    users = table(USERS, {"id": "a"}, {"id": "a"})
    audit = audited(engine, LINES, lines({"user": "a"}, {"user": "a"}, {}), dim_users=users)
    assert (audit.rows, [finding.rule for finding in audit.findings if not finding.holds]) == (3, [])


@pytest.mark.parametrize(
    ("says", "count"),
    [
        ({"is_anonymous": True}, 0),
        ({"is_anonymous": False}, 1),
        ({}, 1),
        ({"excluded_as": "bot"}, 0),
        ({"is_anonymous": False, "excluded_as": "bot"}, 0),
    ],
)
def test_a_reference_does_not_hold_rows_that_it_excuses(engine, says, count):
    found = broken(engine, {"user": "x", **says}, dim_users=table(USERS))
    assert found.get("user is in dim_users", 0) == count


def test_a_reference_to_a_table_that_the_project_lacks_is_not_judged(engine):
    rows = lines({"user": "x"})
    assert "user is in dim_users" not in [finding.rule for finding in audited(engine, LINES, rows).findings]
    assert distinct_expressions(rows, LINES, {}) == {}
    assert "user is in dim_users" not in sample_expressions(rows, LINES, {})


def test_ids_that_differ_only_in_case_or_spaces_are_counted(engine):
    rule = "no two user differ only in case or spaces"
    assert broken(engine, {"user": "Ann"}, {"user": " ann "}, {"user": "ANN"}, {"user": "bob"}, {"user": "bob"}) == {
        rule: 2
    }


def test_fewer_rows_than_expected_are_counted_over_all_days(engine):
    rule = LINES.rules[-1].name
    two = audited(engine, LINES, lines({}, {"day": day(2)}))
    assert [f.violations for f in two.findings if f.rule == rule] == [1]
    none = audited(engine, LINES, table(LINES))
    assert ([f.violations for f in none.findings if f.rule == rule], none.rows, none.rows_by_day) == ([3], 0, {})


def test_an_empty_table_without_days_has_no_rows_and_breaks_nothing_else(engine):
    contract = only(InRange("value", minimum=1), MinimumRows())
    audit = audited(engine, contract, table(contract))
    assert (audit.rows, audit.kept, dict(audit.rows_by_day)) == (0, 0, {})
    assert [finding.violations for finding in audit.findings] == [0, 1]


def test_each_finding_names_its_days_and_the_audit_counts_rows_by_day(engine):
    rows = lines({"day": day(3), "pieces": 0}, {"day": day(1), "pieces": 0}, {"day": day(2)}, {"day": day(1)})
    audit = audited(engine, LINES, rows)
    found = next(finding for finding in audit.findings if finding.rule == "1 <= pieces <= 9")
    assert found.days == (day(1), day(3))
    assert audit.rows_by_day == {day(1): 2, day(2): 1, day(3): 1}


def test_rows_of_no_day_are_counted_too(engine):
    audit = audited(engine, LINES, lines({"day": None}, {"day": None, "pieces": 0}, {}))
    assert audit.rows_by_day == {None: 2, day(1): 1}
    assert {finding.rule: finding.violations for finding in audit.findings if not finding.holds} == {
        "day is present": 2,
        "1 <= pieces <= 9": 1,
    }


def test_the_findings_of_a_table_without_days_have_none(engine):
    audit = audited(engine, only(InRange("value", minimum=1)), table(only(), {"value": 0}))
    assert (audit.findings[0].violations, audit.findings[0].days, audit.rows_by_day) == (1, (), {None: 1})


def test_a_staged_table_counts_the_rows_that_are_not_rejected(engine):
    contract = Contract("staged_x", "a row", (Column("rejected", "array<string>", "why not"),), ())
    rows = table(contract, {"rejected": []}, {"rejected": ["duplicate"]}, {"rejected": ["a", "b"]})
    audit = audited(engine, contract, rows)
    assert (audit.rows, audit.kept) == (3, 1)


def test_every_rule_is_audited_by_one_aggregate_query_over_one_read_of_the_table(engine):
    rows = lines({"user": "a"})
    expression = audit_expression(rows, LINES, {"dim_users": table(USERS, {"id": "a"})})
    assert len(expression.op().find(ops.Aggregate)) == 1
    sql = str(ibis.to_sql(expression, dialect="duckdb"))
    assert len(sqlglot.parse(sql, read="duckdb")) == 1
    assert sql.count(f'"{rows.get_name()}"') == 1
    assert len(engine.rows(expression)) == 1


@pytest.mark.parametrize(
    ("rule", "records"),
    [
        (KEY, [{"line": str(n // 2)} for n in range(14)]),
        ("order is present", [{"order": None}] * 7),
        ("status is one of open, closed", [{"status": "lost"}] * 7),
        ("1 <= pieces <= 9", [{"pieces": 0}] * 7),
        ("net = gross + tax - discount", [{"net": 1}] * 7),
        ("user is in dim_users", [{"user": "x"}] * 7),
        ("no two user differ only in case or spaces", [{"user": u} for n in range(7) for u in (f"a{n}", f"A{n}")]),
    ],
)
def test_a_broken_rule_shows_five_rows_at_most(engine, rule, records):
    samples = sample_expressions(lines(*records), LINES, {"dim_users": table(USERS)})
    assert len(engine.rows(samples[rule])) == MAX_SAMPLES == 5


def test_samples_name_the_key_and_the_values_that_break_the_rule(engine):
    rows = lines({"line": "b", "pieces": 0}, {"line": "a", "pieces": 10}, {"line": "c", "pieces": 5})
    samples = sample_expressions(rows, LINES, {})
    assert engine.rows(samples["1 <= pieces <= 9"]) == [
        {"order": "o", "line": "a", "pieces": 10},
        {"order": "o", "line": "b", "pieces": 0},
    ]


def test_samples_of_a_repeated_key_say_on_which_day_and_how_often(engine):
    rows = lines({"line": "a"}, {"line": "a"}, {"line": "a"}, {"line": "b"}, {"line": "b", "day": day(2)})
    assert engine.rows(sample_expressions(rows, LINES, {})[KEY]) == [
        {"order": "o", "line": "a", "day": day(1), "times": 3}
    ]


def test_samples_of_ids_alike_show_their_spellings(engine):
    rows = lines({"user": "b "}, {"user": "B"}, {"user": "c"}, {"user": "c"})
    (found,) = engine.rows(sample_expressions(rows, LINES, {})["no two user differ only in case or spaces"])
    assert sorted(found["spellings"].split(" | ")) == ["B", "b "]


def test_a_finding_tells_rule_count_days_and_samples():
    finding = Finding("values", "1 <= pieces", "error", 1_200, 3, tuple(map(day, range(1, 8))), ("order=a", "order=b"))
    told = str(finding)
    assert "1 <= pieces: broken by 1,200 rows (3 different values), on 2024-03-01, " in told
    assert told.endswith("2024-03-05 ...; such as order=a; order=b")
    assert str(Finding("values", "1 <= pieces", "error", 1)) == "1 <= pieces: broken by 1 row"


def test_an_audit_tells_errors_from_warnings(engine):
    contract = only(InRange("value", minimum=1), InRange("value", maximum=0, severity="warning"))
    audit = audited(engine, contract, table(contract, {"value": 0}, {"value": 1}))
    assert [finding.rule for finding in audit.broken("error")] == ["1 <= value"]
    assert [finding.rule for finding in audit.broken("warning")] == ["value <= 0"]


def naive(records: list[dict[str, Any]], users: set[str]) -> Iterator[tuple[str, str, dt.date, int]]:
    """Count, day by day and in plain Python, how often each rule is broken."""
    for date in sorted({record["day"] for record in records}):
        of_day = [record for record in records if record["day"] == date]
        keys = {(record["order"], record["line"]) for record in of_day}
        yield "keys", KEY, date, len(of_day) - len(keys)
        ids = {record["user"] for record in of_day} - {None}
        looks = {user.strip().lower() for user in ids}
        yield "keys", "no two user differ only in case or spaces", date, len(ids) - len(looks)
        for record in of_day:
            net, parts = record["net"], [record[name] or 0 for name in ("gross", "tax", "discount")]
            yield "values", "day is present", date, 0
            yield "values", "order is present", date, record["order"] is None
            yield "values", "status is one of open, closed", date, record["status"] not in {"open", "closed", None}
            yield "values", "1 <= pieces <= 9", date, record["pieces"] is not None and not 1 <= record["pieces"] <= 9
            wrong = net is not None and net != parts[0] + parts[1] - parts[2]
            yield "identities", "net = gross + tax - discount", date, wrong
            excused = record["is_anonymous"] or record["excluded_as"] is not None
            unknown = record["user"] is not None and record["user"] not in users
            yield "references", "user is in dim_users", date, unknown and not excused


few = st.sampled_from([None, Decimal(0), Decimal(1), Decimal("1.0001")])
spelt = st.sampled_from([None, "a", "A", " a", "b", "b ", "c"])
records = st.lists(
    st.fixed_dictionaries(
        {
            "day": st.sampled_from([day(1), day(2), day(3)]),
            "order": st.sampled_from([None, "o", "p"]),
            "line": st.sampled_from([None, "1", "2"]),
            "user": spelt,
            "is_anonymous": st.sampled_from([None, True, False]),
            "excluded_as": st.sampled_from([None, None, "bot"]),
            "status": st.sampled_from([None, "open", "closed", "lost"]),
            "pieces": st.sampled_from([None, 0, 1, 9, 10]),
            **dict.fromkeys(("gross", "discount", "tax", "net"), few),
        }
    ),
    max_size=12,
)


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(records, st.lists(spelt, max_size=4))
def test_the_audit_counts_what_plain_python_counts(engine, rows, users):
    audit = audited(engine, LINES, table(LINES, *rows), dim_users=table(USERS, *({"id": user} for user in users)))
    counts: Counter[tuple[str, str]] = Counter()
    days: dict[str, set[dt.date]] = {}
    for check, rule, date, count in naive(rows, set(users) - {None}):
        counts[check, rule] += count
        days.setdefault(rule, set()).update([date] if count else [])
    judged = [finding for finding in audit.findings if finding.check != "volume"]
    assert {(f.check, f.rule): f.violations for f in judged if f.violations} == {k: v for k, v in counts.items() if v}
    assert {f.rule: set(f.days) for f in judged if f.days} == {rule: found for rule, found in days.items() if found}
    assert audit.rows_by_day == Counter(row["day"] for row in rows)
    assert (audit.rows, audit.kept) == (len(rows), len(rows))


# --- what stands out --------------------------------------------------------------------------------------------------

ODD = Contract(
    table="odd_days",
    grain="one row a day that stands out",
    columns=(
        Column("day", "date", "the day", nullable=False),
        Column("kind", "string", "about what"),
        Column("accepted", "string", "why it is accepted"),
        Column("reason", "string", "in words"),
    ),
    key=("day", "kind"),
    rules=tuple(
        Quiet(check, (("kind", (check, "both")),), unless="accepted", says="reason", severity=severity)
        for check, severity in (("nulls", "error"), ("volume", "warning"))
    ),
)


def odd_days(engine: Engine, contract: Contract, *records: Mapping[str, Any]) -> dict[str, int]:
    found = audited(engine, contract, table(ODD, *records))
    return {finding.check: finding.violations for finding in found.findings if finding.check in {"nulls", "volume"}}


def test_what_stands_out_fails_its_check_unless_it_is_accepted(engine):
    told = [
        {"day": day(1), "kind": "nulls"},
        {"day": day(2), "kind": "both"},
        {"day": day(3), "kind": "volume", "accepted": "a sale"},
        {"day": day(3), "kind": "neither"},
    ]
    assert odd_days(engine, ODD, *told) == {"nulls": 2, "volume": 1}
    found = audited(engine, ODD, table(ODD, *told))
    assert [finding.check for finding in found.broken("error")] == ["nulls"]
    assert [finding.check for finding in found.broken("warning")] == ["volume"]


def test_a_run_answers_for_what_stands_out_on_its_own_days(engine):
    told = [{"day": day(n), "kind": "nulls"} for n in range(1, 6)]
    assert odd_days(engine, ODD.of_run(day(2), day(3)), *told) == {"nulls": 2, "volume": 0}
    assert odd_days(engine, ODD.of_run(day(6), day(9)), *told) == {"nulls": 0, "volume": 0}
    found = audited(engine, ODD.of_run(day(2), day(3)), table(ODD, *told, told[1] | {"kind": "both"}))
    assert {finding.check: finding.days for finding in found.findings if not finding.holds} == {
        "nulls": (day(2), day(3)),
        "volume": (day(2),),
    }


def test_what_stands_out_is_shown_by_key_and_in_words(engine):
    told = [{"day": day(n), "kind": "nulls", "reason": f"reason {n}"} for n in (1, 2)]
    rows = table(ODD, *told)
    samples = sample_expressions(rows, ODD.of_run(day(2), day(2)), {})
    (name,) = (rule.name for rule in ODD.rules if isinstance(rule, Quiet) and rule.check == "nulls")
    assert engine.rows(samples[name]) == [{"day": day(2), "kind": "nulls", "reason": "reason 2"}]
