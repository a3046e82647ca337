"""A report is replaced as a whole, and two weeks of dated copies stay."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from analytics_assets.lake.errors import LakeError
from analytics_assets.outlets import reports
from analytics_assets.outlets.reports import KEPT, write_report

FIRST = dt.date(2024, 3, 1)


def test_each_form_is_written_under_its_name_and_under_its_day(tmp_path: Path) -> None:
    told = {"md": "# Report", "txt": "Report", "html": "<h1>Bericht für März</h1>"}
    written = write_report(told, FIRST, tmp_path / "new" / "folder")
    assert {form: path.read_text(encoding="utf-8") for form, path in written.items()} == told
    assert sorted(path.name for path in (tmp_path / "new" / "folder").iterdir()) == sorted(
        f"executive_report{dated}.{form}" for form in told for dated in ("", "_2024-03-01")
    )


def test_the_days_of_two_weeks_stay_and_other_files_are_left_alone(tmp_path: Path) -> None:
    other = tmp_path / "executive_report_of_ours.md"
    other.write_text("ours")
    for n in range(KEPT + 3):
        write_report({"md": f"day {n}", "txt": f"day {n}"}, FIRST + dt.timedelta(days=n), tmp_path)
    days = sorted(path.stem.removeprefix("executive_report_") for path in tmp_path.glob("*_2024-*.md"))
    assert days == [str(FIRST + dt.timedelta(days=n)) for n in range(3, KEPT + 3)]
    assert len(list(tmp_path.glob("*_2024-*.txt"))) == KEPT
    assert (tmp_path / "executive_report.md").read_text() == f"day {KEPT + 2}"
    assert other.read_text() == "ours"


def test_a_day_that_is_reported_again_replaces_its_copy(tmp_path: Path) -> None:
    write_report({"md": "old"}, FIRST, tmp_path)
    write_report({"md": "new"}, FIRST, tmp_path)
    assert (tmp_path / "executive_report_2024-03-01.md").read_text() == "new"
    assert len(list(tmp_path.iterdir())) == 2


def test_a_writer_that_is_stopped_leaves_the_last_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_report({"md": "good"}, FIRST, tmp_path)

    def stopped(path: Path, text: str, **_: object) -> None:
        path.write_bytes(text.encode()[:2])
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(reports.Path, "write_text", stopped)
    with pytest.raises(
        LakeError, match=r"cannot be written: No space left on device\. Name another folder in ANALYTICS_REP"
    ):
        write_report({"md": "better"}, FIRST, tmp_path)
    assert (tmp_path / "executive_report.md").read_bytes() == b"good"


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LakeError, match="reports cannot be written: Not a directory"):
        write_report({"md": "x"}, FIRST, tmp_path / "file" / "reports")
