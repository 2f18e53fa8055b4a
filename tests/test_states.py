"""States of finished trainings go when their results are recorded, and never before."""

import logging
import os
from pathlib import Path

from filelock import FileLock

from ignet.train.outputs import NOTE, note_outputs
from ignet.workflow.states import FinishedJobs, remove_booked_states


def finished_training(root: Path, identity: str = "a") -> tuple[Path, Path]:
    """A state and the result that it names."""
    state, out = root / "state/train_3d" / identity, root / f"train_3d/{identity}/model.safetensors"
    for path in (state / "checkpoint.pt", state / "lock", out):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("weights")
    note_outputs(state, [out])
    return state, out


def test_a_state_goes_when_its_results_are_recorded(tmp_path: Path) -> None:
    state, out = finished_training(tmp_path)
    other, _ = finished_training(tmp_path, "b")
    assert remove_booked_states([tmp_path], set()) == []
    assert remove_booked_states([tmp_path, tmp_path], {str(out), "/x"}) == [state]
    assert not state.exists() and out.exists() and other.exists()


def test_a_moved_tree_is_known(tmp_path: Path) -> None:
    _, out = finished_training(tmp_path / "a")
    (tmp_path / "a").rename(tmp_path / "b")
    (moved,) = (tmp_path / "b/state/train_3d").iterdir()
    assert remove_booked_states([tmp_path / "b"], {str(tmp_path / "b" / out.relative_to(tmp_path / "a"))}) == [moved]


def test_a_state_stays_where_its_results_do_not_count(tmp_path: Path) -> None:
    def stays(state: Path, out: Path) -> bool:
        return not remove_booked_states([tmp_path], {str(out)}) and (state / "checkpoint.pt").exists()

    state, out = finished_training(tmp_path)
    out.write_text("of other settings")
    assert stays(state, out)
    out.unlink()
    assert stays(state, out)
    out.write_text("weights")
    with FileLock(state / "lock"):  # a training writes the results again
        assert stays(state, out)
    (state / NOTE).write_text("[")
    assert stays(state, out)
    (state / NOTE).unlink()  # it is not finished
    assert stays(state, out)


def test_results_that_were_set_aside_stay(tmp_path: Path) -> None:
    state, out = finished_training(tmp_path)
    (state / "finished").mkdir()
    (state / "finished/model.safetensors").write_text("the only copy")
    assert remove_booked_states([tmp_path], {str(out)}) == [state]
    assert sorted(os.listdir(state)) == ["finished", "lock"]
    assert (state / "finished/model.safetensors").read_text() == "the only copy"


def test_results_that_were_set_aside_and_are_in_their_place_again_go(tmp_path: Path) -> None:
    state, out = finished_training(tmp_path)
    (state / "finished").mkdir()
    os.link(out, state / "finished/model.safetensors")
    assert remove_booked_states([tmp_path], {str(out)}) == [state]
    assert not state.exists() and out.exists()


def test_finished_jobs_are_heard_of() -> None:
    from snakemake_interface_logger_plugins.common import LogEvent

    log, heard = logging.Logger("of Snakemake"), []
    log.addHandler(FinishedJobs(heard.append))
    log.info("Finished jobid: 7", extra={"event": LogEvent.JOB_FINISHED, "job_id": 7})
    log.info(None, extra={"event": LogEvent.JOB_STARTED, "jobs": [8]})
    log.info("something else")
    assert heard == [7]
