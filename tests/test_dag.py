"""Snakemake's plan as data: the order of jobs, and the request for it."""

from itertools import permutations
from types import SimpleNamespace

import pytest
from snakemake.cli import parse_config

from ignet.workflow.dag import Request, request_setting, take_request
from ignet.workflow.schedule import in_order


class Job(SimpleNamespace):
    """What is read of a job; equal jobs are different ones, as Snakemake's are."""

    __hash__ = object.__hash__  # type: ignore[assignment]
    __eq__ = object.__eq__


def make_job(rule: str, **wildcards: str) -> Job:
    return Job(rule=SimpleNamespace(name=rule), wildcards_dict=wildcards)


def test_jobs_come_after_what_they_wait_for_in_an_order_that_is_always_the_same() -> None:
    first, second, late, target = make_job("b", n="1"), make_job("b", n="2"), make_job("a"), make_job("all")
    dependencies = {first: [], second: [], late: [second], target: [late, first]}
    for jobs in permutations(dependencies):
        assert in_order(SimpleNamespace(jobs=jobs, dependencies=dependencies)) == [second, late, first]


@pytest.mark.parametrize("without_data", [False, True])
def test_a_request_arrives_through_snakemake_and_is_no_part_of_the_configuration(without_data: bool) -> None:
    request = Request('/plans/a "b": {ü}/plan.json', without_data)
    config = parse_config(["results=results/x", request_setting(request)])
    assert take_request(config) == request
    assert config == {"results": "results/x"} and take_request(config) is None
