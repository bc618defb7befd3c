"""What is known of a run beside its log survives, and what is damaged is done again."""

import json

import pytest

from archsmith.pipeline.clock import Clock
from archsmith.pipeline.conduct import _spent
from archsmith.pipeline.journal import Journal
from archsmith.pipeline.pause import Interrupted, Pause


def test_what_was_recorded_comes_back(tmp_path):
    journal = Journal.of(tmp_path)
    assert journal.get("measure") is None and journal.state["status"] == "new"
    journal.put("measure", {"threads": 2})
    journal.save(status="running", phase="search", elapsed_s=3.0)
    again = Journal.of(tmp_path)
    assert again.get("measure") == {"threads": 2}
    assert (again.state["status"], again.state["phase"], again.state["elapsed_s"]) == ("running", "search", 3.0)


@pytest.mark.parametrize("damage", ["", "{", "[1]", "\x00\x00"])
def test_a_damaged_record_means_that_its_phase_is_done_again(damage, tmp_path):
    journal = Journal.of(tmp_path)
    journal.put("searched", {"ended": "nothing is left to try"})
    (path,) = journal.folder.glob("*searched.json")
    path.write_text(damage)
    assert Journal.of(tmp_path).get("searched") is None


def test_another_round_has_phases_of_its_own_and_one_measurement(tmp_path):
    journal = Journal.of(tmp_path)
    journal.put("measure", {"threads": 2})
    journal.put("final", {"count": 1})
    journal.save(round=2)
    assert journal.get("measure") is not None and journal.get("final") is None


def test_the_time_of_a_killed_process_counts_for_the_phase_it_was_in(tmp_path):
    journal = Journal.of(tmp_path)
    journal.save(phase="search", elapsed_s=5.0, spent={"check the data": 5.0})
    journal.beat(12.0)
    again = Journal.of(tmp_path)
    assert again.state["elapsed_s"] == 12.0
    assert _spent(again) == {"check the data": 5.0, "search": 7.0}


def test_the_clock_goes_on_where_the_last_process_stopped():
    assert 50.0 <= Clock(100.0, before=50.0).elapsed() < 51.0


def test_a_wish_to_stop_waits_only_where_something_can_be_saved():
    pause = Pause()
    with pytest.raises(Interrupted) as caught:
        pause.ask(143)
    assert caught.value.code == 143 and pause()
    gentle = Pause()
    reached = []
    with gentle.gently():
        gentle.ask()
        reached.append(gentle())
    assert reached == [True]
    with pytest.raises(Interrupted):
        gentle.check()
    with pytest.raises(Interrupted), gentle.gently():
        reached.append(False)
    assert reached == [True]


def test_the_state_is_plain_json(tmp_path):
    journal = Journal.of(tmp_path)
    journal.save(status="paused")
    assert json.loads((journal.folder / "state.json").read_text())["status"] == "paused"
