"""The live table, drawn on a terminal that is only text."""

import io
from typing import Any

import pytest
from rich.console import Console

from archsmith.cli import progress
from archsmith.cli.tally import Tally


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    text = io.StringIO()
    monkeypatch.setattr(progress, "is_live", lambda stream: True)
    monkeypatch.setattr(progress, "console", lambda no_color: Console(file=text, force_terminal=True, width=80))
    return text


def test_the_table_says_phase_time_trials_and_best(screen: io.StringIO) -> None:
    with progress.showing("digits") as listen:
        listen({"type": "phase", "name": "search", "share_s": 30, "elapsed": 10, "budget": 90})
        listen(
            {"type": "trial", "number": 3, "state": "complete", "metrics": {}, "best": {"accuracy": 0.5, "params": 7}}
        )
        listen({"type": "note", "text": "a note that stays"})
    shown = screen.getvalue().replace("\u00a0", " ")
    for piece in (
        "search",
        "planned 30 s",
        "10 s of 90 s",
        "1 done, 0 running",
        "accuracy 50.00 %",
        "a note that stays",
    ):
        assert piece in shown, piece


def test_an_error_inside_leaves_the_terminal_as_it_was(screen: io.StringIO) -> None:
    with pytest.raises(RuntimeError), progress.showing("digits"):
        raise RuntimeError
    assert screen.getvalue().endswith("\x1b[?25h")  # the cursor is back


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"type": None},
        {"type": "phase"},
        {"type": "trial"},
        {"type": "trial", "number": 1, "best": 3},
        {"type": "trial", "number": 1, "best": {"accuracy": None, "note": "x"}},
        {"type": "note"},
    ],
)
def test_a_strange_event_stops_nothing(event: dict[str, Any]) -> None:
    tally = Tally("digits")
    tally.take(event)
    assert tally.counts and tally.clock and tally.standing


def test_the_bar_stays_within_its_ends() -> None:
    tally = Tally("digits")
    tally.take({"type": "phase", "name": "search", "elapsed": 500, "budget": 90})
    assert tally.share_done == 1.0
