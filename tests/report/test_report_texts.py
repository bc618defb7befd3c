"""Text from people is text everywhere: in HTML, in Markdown, in spreadsheets, in terminals."""

from __future__ import annotations

import csv
import html
import io
import math
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archsmith.report.text import (
    amount,
    brief,
    clean,
    csv_cell,
    duration,
    escape,
    markdown,
    mask,
    metric,
    moment,
    number,
    percent,
    shorten,
    size,
)

TEXT = st.text(st.characters(), max_size=60)
HOSTILE = ("\x1b]0;owned\x07", "\x1b[31mred\x1b[0m", "a\x00b\x07c", "\u202eevil\u202c", "\x9b31m", "\ud800", "\x1b")


@pytest.mark.parametrize("text", HOSTILE)
def test_terminal_and_direction_codes_are_stripped(text: str) -> None:
    kept = clean(text)
    assert not any(unicodedata.category(c) in ("Cc", "Cf", "Cs") for c in kept)
    assert "31m" not in clean("\x1b[31mred") and "owned" not in clean("\x1b]0;owned\x07")


@settings(deadline=None, max_examples=60)
@given(TEXT)
def test_clean_text_has_no_control_characters_and_stays_clean(text: str) -> None:
    kept = clean(text)
    assert not any(unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\t" for c in kept)
    assert clean(kept) == kept
    assert kept.encode("utf-8").decode("utf-8") == kept


@settings(deadline=None, max_examples=60)
@given(TEXT)
def test_escaped_text_is_that_text_to_a_browser_and_no_markup(text: str) -> None:
    written = escape(text)
    assert not set(written) & set("<>\"'")
    assert html.unescape(written) == clean(text)


@settings(deadline=None, max_examples=60)
@given(TEXT)
def test_markdown_is_one_line_without_markup(text: str) -> None:
    written = markdown(text)
    assert "\n" not in written and "<" not in written
    assert all(written[i - 1] == "\\" for i, c in enumerate(written) if c in "|`*_[]")


@settings(deadline=None, max_examples=60)
@given(
    st.one_of(TEXT, st.integers(), st.floats(allow_nan=False), st.sampled_from(["=cmd()", " =1+1", "@x", "-2+3", "+a"]))
)
def test_no_cell_is_a_formula(value: object) -> None:
    file = io.StringIO()
    csv.writer(file).writerow([csv_cell(value), "end"])
    (read, end), *rest = csv.reader(io.StringIO(file.getvalue()))
    assert end == "end" and not rest
    if read.lstrip()[:1] in ("=", "@", "+", "-"):
        assert math.isfinite(float(read)) or "inf" in read


@pytest.mark.parametrize("text", ["=cmd|' /C calc'!A0", "+1+1", "@SUM(A1)", "-1+1", "\t=1", "\uff1d1", " =1"])
def test_formulas_get_a_quote_in_front(text: str) -> None:
    assert str(csv_cell(text)).startswith("'")


def test_numbers_in_cells_stay_numbers() -> None:
    assert csv_cell(-0.5) == -0.5
    assert csv_cell("-0.5") == "-0.5"
    assert csv_cell(None) == ""


@settings(deadline=None, max_examples=60)
@given(st.floats(min_value=-1e12, max_value=1e12))
def test_a_written_number_is_near_the_number(value: float) -> None:
    read = float(number(value).replace(",", "").replace("\u2212", "-"))
    assert read == pytest.approx(value, rel=2e-2, abs=1e-300)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (percent(0.98333), "98.33 %"),
        (amount(70_122), "70.1 k"),
        (amount(999_999), "1.00 M"),
        (amount(12), "12"),
        (size(291_004), "291 kB"),
        (duration(0.42), "0.42 s"),
        (duration(900), "15 min"),
        (duration(872), "14 min 32 s"),
        (duration(7_500), "2 h 05 min"),
        (metric("latency_ms", 2.9), "2.90 ms"),
        (metric("accuracy", 1.0), "100.00 %"),
        (metric("rmse", 3.14159), "3.142"),
        (brief("latency_ms", 5.0), "5 ms"),
        (brief("params", 500_000), "500 k"),
        (brief("rmse", 0.25), "0.25"),
        (moment(0.0), "\u2013"),
        (number(math.nan), "\u2013"),
        (percent(-0.0012), "\u22120.12 %"),
        (shorten("a\nb " * 40, 10), "a b a b a\u2026"),
    ],
)
def test_numbers_as_people_write_them(written: str, expected: str) -> None:
    assert written.replace("\u00a0", " ") == expected


def test_secrets_are_hidden_by_name() -> None:
    lines = dict(mask({"db": {"password": "hunter2", "host": "here"}, "API_KEY": "x", "keyboard": "de"}))
    assert lines == {"db.password": "hidden", "db.host": "here", "API_KEY": "hidden", "keyboard": "de"}
