"""Rows as CSV for a spreadsheet, in which nothing from a stranger is run as a formula."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from typing import Any, TextIO

FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet takes a cell for that begins so


class Sheet:
    """A CSV file being written, row by row, with a heading of the given columns."""

    def __init__(self, file: TextIO, columns: Iterable[str]) -> None:
        self.columns = list(columns)
        self._writer = csv.writer(file)
        self._writer.writerow(map(_safe, self.columns))

    def write(self, row: Mapping[str, Any]) -> None:
        """One row; a column that it lacks stays empty."""
        self._writer.writerow([_safe(row.get(column, "")) for column in self.columns])


def as_csv(rows: Iterable[Mapping[str, Any]]) -> str:
    """All rows as one text; the columns are those of all rows, in the order in which they come up. Where there is more than
    ASCII in it, it begins with the mark by which Excel knows UTF-8."""
    rows, buffer = list(rows), io.StringIO()
    sheet = Sheet(buffer, dict.fromkeys(column for row in rows for column in row))
    for row in rows:
        sheet.write(row)
    return buffer.getvalue() if buffer.getvalue().isascii() else "\ufeff" + buffer.getvalue()


def _safe(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value
