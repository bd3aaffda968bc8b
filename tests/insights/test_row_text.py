from __future__ import annotations

import csv
import io
import json

from hypothesis import given

from insights.row_text import CSV_HEADER, row_texts
from insights.schema import CSV_COLUMNS, Insight
from tests.insights.insight_strategies import INSIGHTS


@given(INSIGHTS)
def test_both_lines_are_what_the_libraries_write(insight: Insight) -> None:
    table = io.StringIO()
    writer = csv.DictWriter(table, CSV_COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerow(insight.to_csv())
    line, row = row_texts(insight)
    assert line == json.dumps(insight.to_json(), separators=(",", ":"))
    assert f"{CSV_HEADER}\n{row}\n" == table.getvalue()
