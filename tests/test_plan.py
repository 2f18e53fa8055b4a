"""The plan: what an experiment costs, from settings and measured throughputs alone."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from snakemake_command import snakemake_command
from tiny_state import first_plans
from torch.utils.flop_counter import FlopCounterMode

from ignet.config.backbones import BackboneConfig, Cylinder3DConfig, LocalContextConfig, MinkUNetConfig, SPVCNNConfig
from ignet.config.execution import GPU_STAGES
from ignet.config.experiment import ExperimentConfig
from ignet.config.training_2d import Adapt2DConfig, Pretrain2DConfig, SegformerConfig
from ignet.config.training_3d import MeanTeacherConfig, Train3DConfig
from ignet.data.label_sets.label_set import SEMANTICKITTI
from ignet.errors import IgnetError
from ignet.models.backbones.registry import collate_for
from ignet.models.segmentor3d import build_network
from ignet.models.teachers.segformer import build_segmenter
from ignet.workflow.costs import GPUS, UTILISATION, Rate, cost, merge_rates, read_rates, write_rates
from ignet.workflow.dag import Plan as Jobs
from ignet.workflow.experiment import load_experiment
from ignet.workflow.facts import SEMANTICKITTI_FRAMES, data_facts
from ignet.workflow.plan import CPU, GPU, Plan, list_schedule, make_plan, paths
from ignet.workflow.plan_text import plan_text
from ignet.workflow.schedule import Scheduled
from ignet.workflow.sizes import (
    KITTI_CELLS,
    KITTI_VOXELS,
    counted,
    network_3d_parameters,
    network_3d_traffic,
    network_3d_work,
    occupied_cells,
    occupied_voxels,
    segformer_parameters,
    segformer_work,
)
from ignet.workflow.work import BACKWARD, Work, Workload, adapt_load, crop_pixels, pretrain_load, train_3d_load

ROOT = Path(__file__).parents[1]
CONFIGS = ("tiny", "demo", "ablation", "scribblekitti", "semantickitti-semi")
TRAIN = ("00", "01", "02", "03", "04", "05", "06", "07", "09", "10")


def experiment_of(name: str, **changes: object) -> ExperimentConfig:
    return load_experiment({**yaml.safe_load((ROOT / "config" / f"{name}.yaml").read_text()), **changes}, name)


def rate(stage: str, device: str = CPU, load: float = 1.0, seconds: float = 1.0, **rest: str) -> Rate:
    words = {
        "engine": "",
        "size": "one",
        "unit": "step",
        "clock": "wall",
        "machine": "m",
        "date": "2026-01-01",
        "command": "c",
        **rest,
    }
    return Rate(stage, device, load=load, seconds=seconds, start=0.0, **words)


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Jobs]:
    """All jobs of the shipped experiments, without their data."""
    wanted: dict[str, tuple[str, ...]] = {name: (name,) for name in CONFIGS}
    return first_plans(tmp_path_factory.mktemp("plans"), {**wanted, "fewer": ("tiny", "features={channels: 20}")})


def all_rates(jobs: list[Scheduled], experiment: ExperimentConfig, device: str) -> list[Rate]:
    """One second a unit, for each piece of work that the experiment has."""
    workload = Workload(experiment, data_facts(experiment))
    works = {work for job in jobs for work in workload.units(job)}
    return [rate(work.stage, device, work.load, size=str(number)) for number, work in enumerate(sorted(works, key=str))]


# --- the DAG ------------------------------------------------------------------


def snakemakes_jobs(folder: Path, config: Path, *changes: str) -> dict[str, int]:
    """Jobs by rule that Snakemake would run."""
    command = snakemake_command(folder, "--cores", "2", "--dry-run")
    command += ["--configfile", config, *(["--config", *changes] if changes else [])]
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-2000:]
    table = (result.stdout + result.stderr).split("Job stats:")[-1].split("\n\n")[0].splitlines()[3:]
    return {
        row.split()[0]: int(row.split()[1]) for row in table if row.split() and row.split()[0] not in ("total", "all")
    }


def by_rule(jobs: Jobs) -> dict[str, int]:
    return dict(Counter(job.rule for job in jobs.schedule))


def test_jobs_are_those_of_snakemake(tmp_path: Path, planned: dict[str, Jobs]) -> None:
    assert by_rule(planned["tiny"]) == snakemakes_jobs(tmp_path, ROOT / "config" / "tiny.yaml")
    assert by_rule(planned["fewer"]) == {**by_rule(planned["tiny"]), "features_pca": 2}


def test_an_evaluation_counts_the_scans_of_its_sequences() -> None:
    dataset = {"val_sequences": ["08"], "test_sequences": ["09", "10"]}
    values = {"results": "r", "runs": {"a": {}}, "dataset": dataset, "world": {"frames": 3}}
    experiment = load_experiment(values, "experiment.yaml")
    workload = Workload(experiment, data_facts(experiment))
    jobs = [Scheduled(rule, {}, True, [], "", "", []) for rule in ("evaluate", "evaluate_test")]
    works = [work for job in jobs for work in workload.units(job)]
    assert [(work.stage, work.units) for work in works] == [("evaluate", 3), ("evaluate", 6)]


@pytest.fixture(scope="module")
def full_size(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SemanticKITTI with ScribbleKITTI's labels, and GTA-V, at their full number of files, all empty: 179,389."""
    root = tmp_path_factory.mktemp("full")
    for sequence, frames in SEMANTICKITTI_FRAMES.items():
        kinds = {"velodyne": "bin", "image_2": "png"}
        kinds |= {"labels": "label"} if sequence < "11" else {}
        kinds |= {"scribbles": "label"} if sequence in TRAIN else {}
        for kind, suffix in kinds.items():
            make_empty(
                root / "semantickitti" / "sequences" / sequence / kind,
                [f"{number:06}.{suffix}" for number in range(frames)],
            )
        make_empty(root / "semantickitti" / "sequences" / sequence, ["calib.txt"])
    for kind in ("images", "labels"):
        make_empty(root / "gtav" / kind, [f"{number:05}.png" for number in range(1, 24967)])
    return root


def make_empty(folder: Path, names: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        os.close(os.open(f"{folder}/{name}", os.O_CREAT | os.O_WRONLY))


EACH_ONCE = dict.fromkeys(
    ("dataset_manifest", "figures_data", "figures_predictions", "compare", "report", "pretrain_2d"), 1
)
ALL_SEQUENCES = dict.fromkeys(("dataset_check", "projection", "figures_projection"), 11)
NETWORKS = {
    name: dict.fromkeys(("train_3d", "predict", "evaluate"), len(each.runs) * len(each.seeds))
    for name in ("scribblekitti", "semantickitti-semi")
    for each in [experiment_of(name)]
}
SCRIBBLEKITTI_JOBS = {
    **EACH_ONCE,
    **ALL_SEQUENCES,
    "adapt_2d": 3,
    "evaluate_2d": 4,
    "features_pca": 3,
    "features": 3 * 10,
    **NETWORKS["scribblekitti"],
}
SEMI_JOBS = {
    **EACH_ONCE,
    **ALL_SEQUENCES,
    "scribbles": 10,
    "adapt_2d": 4,
    "evaluate_2d": 5,
    "features_pca": 4,
    "features": 4 * 10,
    **NETWORKS["semantickitti-semi"],
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "expected"), [("scribblekitti", SCRIBBLEKITTI_JOBS), ("semantickitti-semi", SEMI_JOBS)]
)
def test_paper_scale_is_planned_on_a_tree_of_full_size(
    tmp_path: Path, full_size: Path, planned: dict[str, Jobs], name: str, expected: dict[str, int]
) -> None:
    target, source = full_size / "semantickitti", full_size / "gtav"
    changes = (f"dataset={{root: {target}}}", f"source={{root: {source}}}")
    assert snakemakes_jobs(tmp_path, ROOT / "config" / f"{name}.yaml", *changes) == expected
    assert by_rule(planned[name]) == expected, "without the data"

    values = yaml.safe_load((ROOT / "config" / f"{name}.yaml").read_text())
    values["dataset"]["root"], values["source"]["root"] = str(target), str(source)
    here, published = data_facts(load_experiment(values, name)), data_facts(experiment_of(name))
    assert (here.frames, here.source_images) == (published.frames, published.source_images)
    assert "empty files" in here.notes[0]


# --- what is counted ----------------------------------------------------------


def test_published_sizes() -> None:
    assert sum(SEMANTICKITTI_FRAMES.values()) == 43552
    assert sum(SEMANTICKITTI_FRAMES[sequence] for sequence in TRAIN) == 19130
    facts = data_facts(experiment_of("scribblekitti"))
    assert facts.count(TRAIN) == 19130 and facts.frames["08"] == 4071
    assert "is not there" in facts.notes[0] and "is not there" in facts.notes[1]


def test_data_on_disk_is_counted(tiny_tree: Path) -> None:
    data = {"root": str(tiny_tree), "train_sequences": ["00"], "val_sequences": ["08"]}
    facts = data_facts(experiment_of("demo", dataset=data))
    assert facts.frames == {"00": 2, "08": 2}
    assert facts.points == 400


def test_every_source_layout_has_a_size_of_its_own(tmp_path: Path) -> None:
    def source(layout: str, root: Path = tmp_path / "none") -> tuple[int, int]:
        facts = data_facts(experiment_of("demo", source={"root": str(root), "layout": layout}))
        return facts.source_images, facts.source_pixels

    assert source("gtav") == (24966, 1914 * 1052)
    assert source("synthia") == (9400, 1280 * 760)
    assert source("cityscapes") == (2975, 2048 * 1024)
    # what lies on disk is looked at; an empty file stands for one of the published size
    for folder in ("RGB", "GT/LABELS"):
        (tmp_path / "some" / folder).mkdir(parents=True)
        for name in ("1.png", "2.png"):
            (tmp_path / "some" / folder / name).touch()
    assert source("synthia", tmp_path / "some") == (2, 1280 * 760)
    Image.new("RGB", (30, 20)).save(tmp_path / "some/RGB/1.png")
    assert source("synthia", tmp_path / "some") == (2, 600)


def test_unknown_data_is_refused(tmp_path: Path) -> None:
    data = {"root": str(tmp_path / "none"), "train_sequences": ["00"], "val_sequences": ["77"]}
    with pytest.raises(IgnetError, match=r"none.*sequences 77 are none"):
        data_facts(experiment_of("demo", dataset=data))
    (tmp_path / "none" / "sequences").mkdir(parents=True)
    with pytest.raises(IgnetError, match=r"velodyne.*no scan"):
        data_facts(experiment_of("demo", dataset=data))


@pytest.mark.parametrize(
    "config", [SegformerConfig(), SegformerConfig(hidden_sizes=(16, 32, 40, 64), depths=(2, 1, 3, 1))]
)
def test_size_of_the_2d_network(config: SegformerConfig) -> None:
    network = build_segmenter(config).eval()
    assert segformer_parameters(config) == sum(p.numel() for p in network.parameters())
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(torch.rand(1, 3, 64, 128))
    assert segformer_work(config, 64 * 128) == pytest.approx(counter.get_total_flops() / 2, rel=0.03)


@pytest.mark.parametrize(
    "config",
    [MinkUNetConfig(), MinkUNetConfig(stem=32, encoder=(32, 48, 64, 80), blocks=2), SPVCNNConfig()],
)
def test_size_of_the_3d_network(config: BackboneConfig) -> None:
    kernels = [p for p in build_network(config, label_set=SEMANTICKITTI).parameters() if p.dim() > 1]
    assert network_3d_parameters(config, label_set=SEMANTICKITTI) == sum(
        p.numel() for p in build_network(config, label_set=SEMANTICKITTI).parameters()
    )
    # as many voxels at each level as points: each reaches all offsets of a kernel, but one of those between two levels
    once = sum(p.numel() // (8 if p.dim() == 3 and len(p) == 8 else 1) for p in kernels)
    assert network_3d_work(config, SEMANTICKITTI, 1000, {1.0: 1.0}) == pytest.approx(1000 * once)
    assert network_3d_work(config, SEMANTICKITTI, 1000, {0.3: 1.0, 0.6: 0.5}) < 0.8 * 1000 * once, (
        "coarser levels hold less"
    )


def test_traffic_counts_what_operators_read_and_write() -> None:
    layer, rows = torch.nn.Linear(3, 5, device="meta"), torch.empty(7, 3, device="meta")
    # the transposed weight is a view, and nothing is moved for it
    assert counted(lambda: layer(rows)) == (7 * 3 * 5, 4 * (7 * 3 + 3 * 5 + 5 + 7 * 5))


def test_traffic_of_a_sparse_network() -> None:
    narrow, wide = (MinkUNetConfig(stem=w, encoder=(w,) * 4, decoder=(w,) * 4) for w in (8, 64))
    one, other = (network_3d_traffic(each, SEMANTICKITTI, 1000, {1.0: 1.0}) for each in (narrow, wide))
    # a kernel of C x C gathers and adds 7 C numbers of 4 bytes for C * C multiply-adds; norms add theirs
    assert 0.8 * 7 * 4 / 8 < one < 2 * 7 * 4 / 8 and 0.8 * 7 * 4 / 64 < other < 2 * 7 * 4 / 64


def test_size_of_cylinder3d() -> None:
    config = Cylinder3DConfig(grid=(480, 360, 32), variant="as_drawn", width=4, local_context=LocalContextConfig())
    network = build_network(config, SEMANTICKITTI)
    assert network_3d_parameters(config, SEMANTICKITTI) == sum(p.numel() for p in network.parameters())
    # as many sites at each level as points; a strided kernel meets 27/8 or 27/4 of them from each finer site
    between = [conv.kernel.numel() for conv in network.backbone.down]
    between += [stage.inverse.kernel.numel() for stage in network.backbone.decoder][::-1]
    every = sum(p.numel() for p in network.parameters() if p.dim() > 1) - sum(between)
    strided = sum(number / step for number, step in zip(between, 2 * [8, 8, 4, 4], strict=True))
    assert network_3d_work(config, SEMANTICKITTI, 1000, {1.0: 5 * (1.0,)}) == pytest.approx(1000 * (every + strided))
    bottom = network_3d_work(config, SEMANTICKITTI, 1000, {1.0: (1.0, 1.0, 1.0, 1.0, 0.5)})
    before = network.backbone.decoder[0].before[0].kernel.numel()
    assert bottom == pytest.approx(1000 * (every + strided - before / 2))


def test_sites_of_cylinder3d_are_those_of_a_scan() -> None:
    """Of a grid between the measured ones: the means over nine real frames."""
    config = Cylinder3DConfig(grid=(336, 252, 22))
    counts = [occupied_cells(123681, config, level, KITTI_CELLS) for level in range(5)]
    assert counts == pytest.approx([29_272, 22_037, 8_426, 4_859, 1_752], rel=0.12)
    # a box of half the size with as many cells has cells of half the size
    half = config.model_copy(update={"radius": 25.0})
    assert occupied_cells(1e5, half, 0, KITTI_CELLS) > occupied_cells(1e5, config, 0, KITTI_CELLS)


def test_a_training_pass_costs_three_forward_passes() -> None:
    """Forward, and as much again for the gradients of the activations and for those of the weights: counted on the 3D
    network."""
    pretraining, adaptation, network = Pretrain2DConfig(batch=2), Adapt2DConfig(batch=3), Pretrain2DConfig().network
    assert pretrain_load(pretraining) == pytest.approx(2 * 3 * segformer_work(network, crop_pixels(pretraining)))
    # three images of each sample are learned from, and the teacher looks at one of them
    assert adapt_load(adaptation, network) == pytest.approx(
        3 * (3 * 3 + 1) * segformer_work(network, crop_pixels(adaptation))
    )

    supervised = Train3DConfig(batch=4, mean_teacher=MeanTeacherConfig(weight=0))
    shares = KITTI_VOXELS
    forward = network_3d_work(supervised.backbone, SEMANTICKITTI, 1e5, shares)
    assert train_3d_load(supervised, SEMANTICKITTI, 1e5, shares) == pytest.approx(4 * 3 * forward)
    assert train_3d_load(Train3DConfig(batch=4), SEMANTICKITTI, 1e5, shares) == pytest.approx(4 * (3 + 1) * forward)
    model, scan = (
        build_network(supervised.backbone, label_set=SEMANTICKITTI),
        np.random.default_rng(0).uniform(-8, 8, (2000, 4)).astype(np.float32),
    )
    batch, flops = collate_for(supervised.backbone, label_set=SEMANTICKITTI)([scan], None), []
    for learns in (False, True):
        with FlopCounterMode(display=False) as counter:
            logits, _ = model(batch, "torch")
            if learns:
                logits.sum().backward()
        flops.append(counter.get_total_flops())
    assert flops[1] / flops[0] == pytest.approx(BACKWARD, rel=0.1)


def test_occupied_voxels_fall_with_their_size() -> None:
    counts = [occupied_voxels(1e5, voxel, KITTI_VOXELS) for voxel in (0.05, 0.07, 0.1, 0.3, 2.0)]
    assert counts == sorted(counts, reverse=True)
    # not among the measured sizes that are interpolated: 25,331 of 123,681 points on the same frames
    assert occupied_voxels(123681, 0.3, KITTI_VOXELS) == pytest.approx(25331, rel=0.05)


# --- rates --------------------------------------------------------------------


def test_cost_says_what_it_rests_on() -> None:
    work = Work("train_3d", 10, 100.0, "auto")
    rows = [rate("train_3d", CPU, 100.0, 2.0, engine="torch"), rate("train_3d", CPU, 1000.0, 50.0, engine="torch")]
    assert (cost(work, rows, CPU).seconds, cost(work, rows, CPU).basis) == (20.0, "measured")
    scaled = cost(Work("train_3d", 10, 2000.0, "auto"), rows, CPU)
    assert (scaled.seconds, scaled.basis) == (1000.0, "scaled")
    guess = cost(work, rows, GPU)
    assert guess.basis == "estimate" and guess.rate is None
    assert guess.seconds == pytest.approx(10 * 2 * 100 / (GPUS["A100"].flops * UTILISATION["train_3d"][0]))
    assert cost(work, rows, GPU, "H100", best=True).seconds == pytest.approx(2000 / (989e12 * 0.3))
    other = cost(Work("count_labels", 3, 1.0), [rate("count_labels")], GPU)
    assert (other.seconds, other.basis) == (3.0, "measured"), "work of the CPU in a job that has a GPU"
    measured = [*rows, rate("train_3d", GPU, 100.0, 0.1, engine="torch")]
    assert (cost(work, measured, GPU).seconds, cost(work, measured, GPU).basis) == (pytest.approx(1.0), "measured")
    nothing = cost(Work("features", 10, 1.0), rows, CPU)
    assert (nothing.seconds, nothing.basis) == (None, "not measured")


def test_an_estimate_takes_computing_and_moving_of_memory() -> None:
    """At worst one after the other, in float32; at best at the same time, in bfloat16."""
    little, much = (Work("features", 3, 1e12, traffic=traffic) for traffic in (0.001, 1.0))
    computing, moving = 3 * 2e12 / 312e12, 3 * 1e12 / 2.039e12
    assert cost(little, [], GPU, "A100").seconds == pytest.approx(computing / 0.1 + 0.001 * moving / 0.3)
    assert cost(little, [], GPU, "A100", best=True).seconds == pytest.approx(computing / 0.4)
    assert cost(much, [], GPU, "A100", best=True).seconds == pytest.approx(moving / 2 / 0.8)


def test_the_named_engine_and_the_newest_row_win() -> None:
    rows = [rate("predict", CPU, 1.0, 1.0, engine="torch"), rate("predict", CPU, 1.0, 3.0, engine="minkowski")]
    assert cost(Work("predict", 1, 1.0, "minkowski"), rows, CPU).seconds == 3.0
    assert cost(Work("predict", 1, 1.0, "auto"), rows, CPU).seconds == 1.0
    newer = rate("predict", CPU, 1.0, 0.5, engine="torch", machine="other", date="2026-02-01")
    assert cost(Work("predict", 1, 1.0, "torch"), [*rows, newer], CPU).seconds == 0.5


def test_table_of_rates_survives_a_round_trip(tmp_path: Path) -> None:
    old, new = [rate("a", seconds=1.0), rate("b")], [rate("a", seconds=3.0), rate("a", GPU)]
    write_rates(merge_rates(old, new), tmp_path / "t.csv")
    found = {(row.stage, row.device, row.seconds) for row in read_rates(tmp_path / "t.csv")}
    assert found == {("a", CPU, 3.0), ("a", GPU, 1.0), ("b", CPU, 1.0)}
    text = (tmp_path / "t.csv").read_text()
    (tmp_path / "t.csv").write_text(text.replace(",3,", ",-3,"))
    with pytest.raises(IgnetError, match=r"t\.csv: line \d.*seconds '-3'"):
        read_rates(tmp_path / "t.csv")
    with pytest.raises(IgnetError, match=r"none\.csv: cannot be read"):
        read_rates(tmp_path / "none.csv")


def test_the_table_of_the_package_covers_the_costly_stages() -> None:
    rates = read_rates()
    # counted by the rates of predict, extract and adapt
    assert {*GPU_STAGES} - {"pseudo_label", "features_pca", "teachers"} <= {row.stage for row in rates}
    assert all(row.machine and row.date and row.command for row in rates)


# --- the schedule -------------------------------------------------------------

A, B, C, D, E = "abcde"
DIAMOND = {A: (), B: (A,), C: (A,), D: (B, C), E: ()}
SECONDS = {A: 1.0, B: 5.0, C: 3.0, D: 1.0, E: 4.0}


@pytest.mark.parametrize(("cores", "expected"), [(1, 14.0), (2, 8.0), (3, 7.0), (9, 7.0)])
def test_list_schedule(cores: int, expected: float) -> None:
    assert list_schedule(DIAMOND, SECONDS, dict.fromkeys(DIAMOND, CPU), {CPU: cores, GPU: 0}) == expected
    assert max(paths(DIAMOND, SECONDS).values()) == 7.0


def test_kinds_of_machines_do_not_stand_in_for_each_other() -> None:
    device = {A: CPU, B: GPU, C: GPU, D: CPU, E: GPU}
    assert list_schedule(DIAMOND, SECONDS, device, {CPU: 5, GPU: 1}) == 13.0  # E holds the GPU when B gets ready
    assert list_schedule(DIAMOND, SECONDS, device, {CPU: 1, GPU: 2}) == 8.0


def plan_of(jobs: Jobs, experiment: ExperimentConfig, rates: list[Rate], gpus: int, cores: int) -> Plan:
    return make_plan(jobs.schedule, experiment, data_facts(experiment), rates, gpus, cores)


def test_more_machines_never_beat_the_longest_path(planned: dict[str, Jobs]) -> None:
    for name in CONFIGS:
        experiment, jobs = experiment_of(name), planned[name]
        rates = all_rates(jobs.schedule, experiment, CPU)
        (one,), (many,) = (plan_of(jobs, experiment, rates, 0, cores).times for cores in (1, 1000))
        assert one.wall == pytest.approx(one.on(CPU)) and one.wall[0] == one.wall[1]
        assert many.wall == pytest.approx(many.longest_path)
        assert sum(stage.jobs for stage in one.stages) == len(jobs.schedule)


def test_hours_follow_the_settings(planned: dict[str, Jobs]) -> None:
    rates = [rate("train_3d", GPU, 1e9, engine="torch")]
    values = yaml.safe_load((ROOT / "config" / "scribblekitti.yaml").read_text())
    twice = {**values, "train_3d": {**values["train_3d"], "steps": 240000}}
    one, two = (
        {stage.rule: stage.seconds for stage in plan_of(planned["scribblekitti"], each, rates, 4, 8).stages}["train_3d"]
        for each in (load_experiment(values, "one"), load_experiment(twice, "two"))
    )
    assert two == pytest.approx((2 * one[0], 2 * one[1]))


def test_disk_of_the_features(planned: dict[str, Jobs]) -> None:
    jobs = planned["scribblekitti"]
    plan = plan_of(jobs, experiment_of("scribblekitti"), [], 1, 1)
    # three 2D networks, 19,130 scans, 18,760 visible points (the mean of 18 real frames), 96 int8 channels and an index
    assert plan.disk["features"] == pytest.approx(3 * 19130 * 18760 * (96 + 4), rel=1e-3)
    assert plan.disk["predictions"] == pytest.approx(SCRIBBLEKITTI_JOBS["predict"] * 4071 * 123681 * 4)
    for features, width in (({"dtype": "float32"}, 4 * 768), ({}, 768), ({"dtype": "float16", "channels": 64}, 2 * 64)):
        found = plan_of(jobs, experiment_of("scribblekitti", features=features), [], 1, 1).disk["features"]
        assert found == pytest.approx(3 * 19130 * 18760 * (width + 4), rel=1e-3)


# --- the command --------------------------------------------------------------


def test_hours_of_a_gpu_that_nobody_measured_are_an_estimate_for_each(planned: dict[str, Jobs]) -> None:
    jobs, experiment = planned["scribblekitti"], experiment_of("scribblekitti")
    rates = all_rates(jobs.schedule, experiment, CPU)
    without = plan_of(jobs, experiment, rates, 4, 8)
    assert set(without.rules("estimate")) == {*GPU_STAGES} - {"pseudo_label", "teachers"}
    found = without.as_json()
    assert "gpu_hours" not in found and set(found["estimated"]) == set(GPUS)
    (low, high), (faster, _) = (found["estimated"][gpu]["gpu_hours"] for gpu in ("A100", "H100"))
    assert 0 < faster < low < high
    text = plan_text(without, "x")
    assert found["networks_3d"] == ["minkunet"] and "\n  3D networks: minkunet\n" in text
    assert "ESTIMATE for A100" in text and all(f"  {gpu}: GPU" in text for gpu in GPUS)
    measured = plan_of(jobs, experiment, [*rates, *all_rates(jobs.schedule, experiment, GPU)], 4, 8)
    assert measured.as_json()["gpu_hours"] == pytest.approx(measured.times[0].on(GPU)[0] / 3600)
    assert "ESTIMATE" not in plan_text(measured, "x") and measured.as_json()["estimated"] == {}


def test_plan_is_a_command(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "ignet",
        "plan",
        "--configfile",
        str(ROOT / "config" / "scribblekitti.yaml"),
        "--gpus",
        "2",
        "--gpu",
        "rtx4090",
        "--json",
    ]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["jobs"] == SCRIBBLEKITTI_JOBS and found["gpus"] == 2
    assert list(found["estimated"]) == ["RTX 4090"]
    times = found["estimated"]["RTX 4090"]
    assert times["wall_hours"] >= times["longest_path_hours"] > [0]
    result = subprocess.run([*command, "--cores", "-1"], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert result.returncode == 1 and result.stderr.startswith("error: plan: ") and len(result.stderr.splitlines()) == 1
