from __future__ import annotations

import csv
from decimal import Decimal
from pathlib import Path

import pytest

from analytics_assets.contracts.model import Column, Contract
from analytics_assets.lake.engine import Engine
from analytics_assets.lake.errors import LakeError
from analytics_assets.lake.releases import Computed, Release, commit_release, latest_release
from analytics_assets.lake.tables import Lake
from analytics_assets.outlets.files import write_csv
from analytics_assets_tests.making import NOON, at, day, table

THINGS = Contract(
    table="things",
    grain="one row a thing",
    columns=(
        Column("id", "string", "the thing"),
        Column("amount", "decimal(18, 4)", "how much"),
        Column("share", "float64", "of all"),
        Column("on", "date", "when"),
        Column("at", "timestamp('UTC', 6)", "when exactly"),
        Column("good", "boolean", "whether"),
    ),
    key=("id",),
)
AWKWARD = 'says "no", then\r\nyes ☕'


@pytest.fixture
def lake(engine: Engine, tmp_path: Path) -> Lake:
    lake = Lake(str(tmp_path / "lake"), engine)
    first = {"amount": "10.5000", "share": 0.1, "on": day(1), "at": at("01 09:00:00"), "good": True}
    publish(lake, {"id": AWKWARD, **first}, {"id": "a"})
    return lake


def publish(lake: Lake, *records: dict[str, object]) -> None:
    published = lake.publish(lake.stage(THINGS, table(THINGS, *records)), "run")
    commit_release(lake, "run", {"things": Computed(published.version)}, NOON)


def written(lake: Lake, folder: Path, release: Release | None = None) -> list[list[str]]:
    files = write_csv(lake, release or latest_release(lake), {"things": THINGS}, ["things", "absent"], folder)
    assert files == {"things": folder / "things.csv"}
    with files["things"].open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_a_table_is_written_by_key_with_its_values_as_they_are(lake: Lake, tmp_path: Path) -> None:
    assert written(lake, tmp_path / "out") == [
        ["id", "amount", "share", "on", "at", "good"],
        ["a", "", "", "", "", ""],
        [AWKWARD, "10.5000", "0.1", "2024-03-01", "2024-03-01T09:00:00+00:00", "true"],
    ]


def test_a_file_shows_the_release_and_is_replaced_as_a_whole(lake: Lake, tmp_path: Path) -> None:
    before = latest_release(lake)
    publish(lake, {"id": "b", "amount": Decimal(-1)})
    assert [row[:2] for row in written(lake, tmp_path)[1:]] == [["b", "-1.0000"]]
    assert [row[0] for row in written(lake, tmp_path, before)[1:]] == ["a", AWKWARD]
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["things.csv"]


def test_a_folder_that_cannot_be_written_is_named_with_what_to_do(lake: Lake, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(LakeError, match=r"taken/things.csv cannot be written: .* ANALYTICS_EXPORTS"):
        written(lake, tmp_path / "taken")
