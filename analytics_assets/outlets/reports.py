"""The executive report as files: the last one, and one a day of those before.

Belongs here: that a reader sees a whole file, always, and how many are kept. Does not belong here: what a report says
(`report`).
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from pathlib import Path

from analytics_assets.lake.errors import LakeError

NAME = "executive_report"
KEPT = 14
"""How many days keep a copy of theirs: those of the last two weeks that were reported."""
_DATED = re.compile(rf"{NAME}_(?P<day>\d{{4}}-\d{{2}}-\d{{2}})\.\w+")


def write_report(forms: Mapping[str, str], as_of: dt.date, folder: Path) -> dict[str, Path]:
    """Write a report into a folder, in each form as executive_report.FORM and as executive_report_DAY.FORM.

    Each file is replaced as a whole. Of dated copies the newest days stay.

    Args:
        forms: The text of each form: md, txt, html.
        as_of: The last day that it knows.
        folder: Where it is written.

    Returns:
        The file of each form, without its day.

    Raises:
        LakeError: Where the folder or a file cannot be written.
    """
    written = {}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for form, text in forms.items():
            _replace(folder / f"{NAME}_{as_of}.{form}", text)
            written[form] = _replace(folder / f"{NAME}.{form}", text)
        _forget(folder)
    except OSError as error:
        where = error.filename or folder
        told = f"{where} cannot be written: {error.strerror}. Name another folder in ANALYTICS_REPORTS."
        raise LakeError(told) from error
    return written


def _replace(path: Path, text: str) -> Path:
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)
    return path


def _forget(folder: Path) -> None:
    """Remove the copies of days that are too old to be kept."""
    dated = {path: found["day"] for path in folder.iterdir() if (found := _DATED.fullmatch(path.name))}
    keep = set(sorted(set(dated.values()))[-KEPT:])
    for path, day in dated.items():
        if day not in keep:
            path.unlink()
