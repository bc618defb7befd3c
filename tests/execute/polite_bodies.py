"""An evaluation that looks whether it should end, and saves what it has when it should."""

import time
from collections.abc import Mapping

from archsmith.run import DeadlineReached, Run
from archsmith.trial import Proposal


def polite(proposal: Proposal, run: Run) -> Mapping[str, float]:
    """Count for a minute, from where the last run of the trial stopped; be done at once where it did."""
    assert run.folder is not None
    saved = run.folder / "saved"
    if saved.exists():
        return {"accuracy": 1.0, "step": float(saved.read_text())}
    (run.folder / "begun").touch()
    step = 0
    while step < 6000:
        if run.interrupted():
            saved.write_text(str(step))
            raise DeadlineReached("saved")
        step += 1
        time.sleep(0.01)
    return {"accuracy": 0.0, "step": float(step)}
