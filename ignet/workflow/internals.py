"""What the workflow uses of Snakemake's private attributes, where no public way exists: look here when it is updated.

Beside these, `ignet.workflow.persistence` overrides the methods by which Snakemake's backends of records are made.
"""

from collections.abc import Callable, Iterable
from typing import Any


def after_planning(workflow: Any, check: Callable[[Any], None]) -> None:
    """Call ``check`` with Snakemake's graph of jobs as soon as it exists.

    Also in dry-runs, in a scheduler's jobs and where nothing is to do, in none of which ``onstart`` comes.
    """
    build = workflow._build_dag

    def build_and_check() -> None:
        build()
        check(workflow.dag)

    workflow._build_dag = build_and_check


def start_after(dag: Any, job: Any, other: Any) -> None:
    """Let a job of the graph wait for another one.

    This edge has no file, so that it is an order and no reason to run; an input would be both.
    """
    if other not in dag.dependencies[job]:
        dag.dependencies[job][other] = set()
        dag.depending[other][job] = set()
        dag._n_until_ready[job] += 1


def remove_benchmarks(workflow: Any, rules: Iterable[str]) -> None:
    """Take the benchmark from rules that have one.

    Snakemake refuses to cache a rule with a benchmark, for there is none of a job that did not run, and the setter of
    ``Rule.benchmark`` takes no None.
    """
    for rule in rules:
        workflow.get_rule(rule)._benchmark = None
