from __future__ import annotations

import ibis
import pytest

from analytics_assets.contracts import star
from analytics_assets.contracts.delivered import DELIVERED, Delivered
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

STAR = {contract.table: contract for contract in vars(star).values() if isinstance(contract, Contract)}
CONTRACTS = STAR | {
    made.table: made for delivered in DELIVERED.values() for made in (delivered.raw(), delivered.staged())
}
COLUMNS = (Column("id", "string", "id"), Column("day", "date", "day"))
PERSONAL = {"user_id", "anonymous_id", "email"}

every_contract = pytest.mark.parametrize("contract", CONTRACTS.values(), ids=CONTRACTS)
every_delivered = pytest.mark.parametrize("delivered", DELIVERED.values(), ids=DELIVERED)


@pytest.mark.parametrize(
    "speaks",
    [
        {"key": ("nonsense",)},
        {"clustered_by": ("nonsense",)},
        {"day": "delivery_day"},
        {"references": (Reference("nonsense", "dim_users", "user_id"),)},
        {"rules": (Accepted("nonsense", ("a",)),)},
        {"rules": (InRange("nonsense", 0),)},
        {"rules": (NoLookalikes("nonsense"),)},
        {"rules": (Identity("nonsense", plus=("id",)),)},
        {"rules": (Identity("id", plus=("nonsense",)),)},
        {"rules": (Identity("id", plus=("id",), minus=("nonsense",)),)},
        {"references": (Reference("id", "dim_users", "user_id", unless=("nonsense",)),)},
    ],
)
def test_a_contract_that_speaks_of_columns_that_it_lacks_is_refused(speaks):
    with pytest.raises(ValueError, match=r"contract of things speaks of .*\['(nonsense|delivery_day)'\]"):
        Contract(**{"table": "things", "grain": "a thing", "columns": COLUMNS, "key": ("id",), **speaks})


def test_a_contract_that_describes_a_column_twice_is_refused():
    with pytest.raises(ValueError, match="things describes a column twice"):
        Contract("things", "a thing", (*COLUMNS, COLUMNS[0]), ("id",))


def test_rules_are_named_in_words():
    assert InRange("age", 0, 150).name == "0 <= age <= 150"
    assert InRange("age", maximum=0.5).name == "age <= 0.5"
    assert Accepted("state", ("on", "off")).name == "state is one of on, off"
    assert Identity("net", ("gross", "tax"), ("discount",)).name == "net = gross + tax - discount"
    assert (MinimumRows().name, MinimumRows(2).name) == ("at least 1 row", "at least 2 rows")


def test_a_contract_asks_for_the_checks_that_its_rules_need():
    full = Contract(
        "fact_things",
        "a thing",
        COLUMNS,
        ("id",),
        references=(Reference("id", "dim_users", "user_id"),),
        rules=(Identity("id", plus=("id",)), MinimumRows()),
        accounts_for="staged_things",
    )
    assert full.checks() == ("keys", "references", "values", "identities", "volume", "accounting")
    assert Contract("things", "a thing", COLUMNS, ()).checks() == ("values",)
    assert "accounting" in Contract("staged_things", "a thing", COLUMNS, ()).checks()


def test_what_stands_out_asks_for_a_check_of_its_name_once():
    told = (("id", ("x",)),)
    rules = tuple(Quiet(check, told, "id", "id") for check in ("metrics", "volume", "metrics"))
    contract = Contract("things", "a thing", COLUMNS, (), rules=(*rules, MinimumRows()))
    assert contract.checks() == ("values", "volume", "metrics")
    assert rules[0].name == "nothing stands out: id x"
    with pytest.raises(ValueError, match="columns that it does not have: \\['nobody'\\]"):
        Contract("things", "a thing", COLUMNS, (), rules=(Quiet("metrics", told, "id", "nobody"),))


def test_a_snapshot_has_no_days_and_does_not_ask_for_one():
    snapshot = star.FACT_EVENTS.as_snapshot()
    assert (snapshot.day, snapshot.column("day").nullable) == (None, True)
    assert snapshot.key == star.FACT_EVENTS.key
    assert not snapshot.column("event_id").nullable


@every_contract
def test_every_column_has_a_type_that_ibis_knows_and_a_meaning(contract):
    for column in contract.columns:
        assert str(ibis.dtype(column.type))
        assert column.meaning.strip()
        assert "\n" not in column.meaning


@every_contract
def test_every_table_says_its_grain_and_its_key(contract):
    assert contract.grain.startswith("one row ")
    assert contract.key


@every_contract
def test_every_amount_has_a_unit(contract):
    typed = contract.table.startswith(("staged_", "fact_", "dim_"))
    assert [c.name for c in contract.columns if typed and c.type.startswith("decimal") and not c.unit] == []


@every_contract
def test_every_reference_names_the_key_of_another_table(contract):
    for reference in contract.references:
        assert STAR[reference.table].key == (reference.key,)
        assert contract.column(reference.column).type == STAR[reference.table].column(reference.key).type
        assert set(reference.unless) <= {column.name for column in contract.columns}


@every_contract
def test_every_table_that_accounts_for_another_has_its_columns_of_the_key(contract):
    if contract.accounts_for is not None:
        delivered = DELIVERED[contract.accounts_for.removeprefix("staged_")]
        dated = {delivered.time: "day"}
        assert {dated.get(name, name) for name in delivered.key} <= {*contract.key, "day"}


@every_contract
def test_rules_on_numbers_are_about_numbers(contract):
    for rule in contract.rules:
        match rule:
            case InRange(column=name):
                names = [name]
            case Identity(total=total, plus=plus, minus=minus):
                names = [total, *plus, *minus]
            case _:
                names = []
        assert all(ibis.dtype(contract.column(name).type).is_numeric() for name in names)


@every_contract
def test_what_identifies_a_person_is_marked_as_personal(contract):
    named = {column.name for column in contract.columns if column.personal}
    people = {"row_key"} | ({"name"} if contract.table.endswith("_users") else set())
    people |= {"session_id"} if contract.table.startswith("fact_") else set()  # made of the user's id
    assert named == {column.name for column in contract.columns} & (PERSONAL | people)


def test_every_table_that_is_kept_by_day_requires_its_day_or_says_when_there_is_none():
    without = [c.table for c in CONTRACTS.values() if c.day and c.column(c.day).nullable]
    assert without == ["fact_assignments"]
    assert "null where" in star.FACT_ASSIGNMENTS.column("day").meaning


@every_delivered
def test_a_delivered_table_speaks_of_its_own_columns(delivered: Delivered):
    names = {column.name for column in delivered.columns}
    spoken = {*delivered.key, *delivered.optional, *dict(delivered.defaults), *(r.column for r in delivered.refusals)}
    assert spoken <= names
    assert delivered.time is None or delivered.column(delivered.time).type.startswith("timestamp")
    assert set(delivered.optional) <= set(delivered.key)
    assert len({refusal.reason for refusal in delivered.refusals}) == len(delivered.refusals)


@every_delivered
def test_a_refusal_asks_one_thing_of_a_value_that_can_answer(delivered: Delivered):
    for refusal in delivered.refusals:
        asks = [refusal.below is not None, refusal.equals is not None, bool(refusal.outside)]
        assert sum(asks) == 1
        assert (delivered.column(refusal.column).type == "string") == bool(refusal.outside)


@every_delivered
def test_every_refusal_leaves_the_defaults_alone(delivered: Delivered):
    accepted = {refusal.column: refusal.outside for refusal in delivered.refusals if refusal.outside}
    assert all(default in accepted[name] for name, default in delivered.defaults if name in accepted)


@every_delivered
def test_raw_is_text_and_staged_is_typed_and_neither_requires_what_was_delivered(delivered: Delivered):
    raw, typed = delivered.raw(), delivered.staged()
    for column in delivered.columns:
        assert (raw.column(column.name).type, typed.column(column.name).type) == ("string", column.type)
        assert raw.column(column.name).nullable
        assert typed.column(column.name).nullable
    assert raw.key == typed.key == ("source", "file", "row_number", "feed")
    assert raw.day == typed.day == "delivery_day"
