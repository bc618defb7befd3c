import pytest
from hypothesis import given
from hypothesis import strategies as st

from archsmith.errors import UsageError
from archsmith.quantities import parse_bytes, parse_count, parse_duration, parse_latency_ms


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("30m", 1800),
        ("1h30m", 5400),
        ("1h 30m 5s", 5405),
        ("1.5h", 5400),
        ("90", 90),
        (90, 90),
        (" 2 min ", 120),
        ("1d", 86400),
        ("500ms", 0.5),
    ],
)
def test_durations(text: str | float, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(("text", "ms"), [("5ms", 5), ("200us", 0.2), ("200µs", 0.2), ("0.5", 0.5), ("1s", 1000)])
def test_latencies(text: str, ms: float) -> None:
    assert parse_latency_ms(text) == pytest.approx(ms)


@pytest.mark.parametrize(
    ("text", "count"), [("500k", 500_000), ("1.5M", 1_500_000), ("70_000", 70_000), ("2e6", 2_000_000), (12, 12)]
)
def test_counts(text: str | float, count: int) -> None:
    assert parse_count(text) == count


@pytest.mark.parametrize(("text", "size"), [("64MB", 64_000_000), ("2MiB", 2_097_152), ("512kB", 512_000), ("7", 7)])
def test_sizes(text: str, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize(
    "text", ["", "fast", "-5s", "0s", "5 parsecs", "1h30", "30m1h", "1,5h", "1.2.3s", "nan", "inf", "9e999s"]
)
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match=r"--budget.*(1h30m|90s)"):
        parse_duration(text, "--budget")


@pytest.mark.parametrize("text", ["1.5", "500q", "k", "0", "1k2M"])
def test_what_is_no_count_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="500k"):
        parse_count(text)


def test_a_truth_value_is_no_quantity() -> None:
    with pytest.raises(UsageError):
        parse_duration(True)


@given(st.integers(0, 48), st.integers(0, 59), st.integers(1, 59))
def test_parts_add_up(hours: int, minutes: int, seconds: int) -> None:
    assert parse_duration(f"{hours}h{minutes}m{seconds}s") == hours * 3600 + minutes * 60 + seconds


@given(st.text())
def test_any_text_is_read_or_refused_in_words(text: str) -> None:
    try:
        assert parse_duration(text) > 0
    except UsageError as error:
        assert "for example" in str(error)
