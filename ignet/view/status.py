"""The state of a call of the workflow as plain values for the page."""

import time
from pathlib import Path
from typing import Any

from ignet.errors import IgnetError
from ignet.report.html.charts import chart, curve_charts, run_styles
from ignet.report.html.costs import duration
from ignet.view.curves import CurveReader
from ignet.workflow.costs import read_rates
from ignet.workflow.experiment import load_experiment
from ignet.workflow.facts import Facts, data_facts
from ignet.workflow.progress import DONE, RUNNING, STOPPED, Progress, look
from ignet.workflow.schedule import Schedule, read_schedule

_POINTS = 300


class Status:
    """Reads the state again each time it is asked; the workflow may be started anew meanwhile."""

    def __init__(self, results: Path) -> None:
        self.results = results
        self._rates = read_rates()
        self._reader = CurveReader()

    def read(self) -> dict[str, Any]:
        """Stages, running jobs, time that is left."""
        schedule, progress = self._look()
        jobs = progress.jobs
        needed = [found for found in jobs if found.job.needed]
        stages = []
        for rule in dict.fromkeys(found.job.rule for found in jobs):
            own = [found for found in jobs if found.job.rule == rule]
            states = [found.state for found in own]
            seconds = [found.seconds for found in own if found.state == DONE and found.seconds is not None]
            spent = duration(sum(seconds)) if seconds else ""
            stages.append(
                {
                    "rule": rule,
                    "jobs": len(own),
                    "done": states.count(DONE),
                    "running": states.count(RUNNING),
                    "time": spent,
                }
            )
        running = [
            {
                "name": found.job.name,
                "state": found.state,
                "share": found.share,
                "time": duration(found.seconds or 0),
                "left": "" if found.left is None else duration(found.left),
                "words": found.words,
            }
            for found in jobs
            if found.state in (RUNNING, STOPPED)
        ]
        return {
            "alive": progress.alive,
            "jobs": len(jobs),
            "needed": len(needed),
            "done": sum(found.state == DONE for found in jobs),
            "share": sum(found.share if found.state != DONE else 1.0 for found in jobs) / max(len(jobs), 1),
            "started": time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(schedule.started)),
            "left": None if progress.left is None else duration(progress.left),
            "guessed": list(progress.guessed),
            "stages": stages,
            "running": running,
            "report": (self.results / "report" / "index.html").exists(),
        }

    def curves(self) -> list[dict[str, Any]]:
        """Charts of all trainings so far, by kind of network."""
        schedule, progress = self._look()
        groups = self._reader.read(progress.jobs, Path(schedule.directory))
        found = []
        for title, curves in groups.items():
            styles = run_styles(list(curves))
            charts = {name: chart(figure) for name, figure in curve_charts(curves, styles, _POINTS).items()}
            found.append({"title": title, "runs": [(run, styles[run][0]) for run in curves], "charts": charts})
        return found

    def _look(self) -> tuple[Schedule, Progress]:
        schedule = read_schedule(self.results)
        experiment = load_experiment(schedule.experiment, str(self.results))
        facts: Facts | None
        try:
            facts = data_facts(experiment)
        except IgnetError:
            facts = None
        return schedule, look(schedule, self.results, self._rates, facts, experiment, time.time())
