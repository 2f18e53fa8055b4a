"""Tables of 2D networks on target images, of the experiment's own and of several experiments."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ignet.errors import IgnetError
from ignet.files.atomic import read_json
from ignet.report.runs import OCCURRING
from ignet.report.tables import Cell, Table, make_table, spread

SUPERVISION = {
    "source": "synthetic source images only",
    "none": "adapted without target labels",
    "scribbles": "adapted with projected scribbles",
    "dense": "adapted with projected dense labels: a ceiling",
}
"""In words: how a 2D network was trained."""

NETWORKS_NOTE = f"{OCCURRING}: at the pixels that labelled points project to, over the 2D classes that these have"
HELD_OUT_NOTE = "source on source images that its training did not see: mIoU (classes that occur)"
PROBE_NOTE = (
    "probe: the LiDAR's classes, read from the network's features by a small classifier that is fitted to the "
    "projected scribbles of the training images; other rows: the network's own Cityscapes classes, so that the two "
    "kinds cannot be compared"
)

_PROBE = " (probe)"

Metrics = Mapping[str, Any]
"""What ``evaluate_2d`` wrote of one network."""


def split_probes(metrics: Mapping[str, Metrics]) -> dict[str, Metrics]:
    """One entry for the classes that a network names itself, if any, and one, ``NAME (probe)``, for its probe's."""
    entries = {}
    for name, found in metrics.items():
        if "miou_occurring" in found:
            entries[name] = found
        if "probe" in found:
            entries[name + _PROBE] = found["probe"]
    return entries


def training_words(kind: str) -> str:
    """In words: how a 2D network was trained. ``dense:10``: with dense labels of 10 % of the frames."""
    supervision, _, share = kind.partition(":")
    if not share:
        return SUPERVISION.get(kind, kind)
    return (
        f"adapted with projected {'scribbles' if supervision == 'scribbles' else 'dense labels'} of {share} % of "
        "the frames"
    )


def network_table(
    metrics: Mapping[str, Metrics],
    supervision: Mapping[str, str] | None = None,
    held_out: Mapping[str, Any] | None = None,
) -> Table:
    """How each 2D network was trained, its mIoU and accuracy on the target images; rows as of `split_probes`.

    Args:
        metrics: by the network's name.
        supervision: of ``training_words``, by the network's name; where it is not given, the column is left out.
        held_out: what ``pretrain_2d`` wrote of the source images that it held out. Low values on target images may be
            the distance between the two domains; low ones here say that the pretraining itself failed.
    """
    words = {name: training_words(kind) for name, kind in (supervision or {}).items()}
    words |= {name + _PROBE: text for name, text in words.items()}
    found = split_probes(metrics)
    rows = tuple((name, words.get(name), 100 * m["miou_occurring"], 100 * m["accuracy"]) for name, m in found.items())
    notes = _notes(found)
    if held_out:
        notes.append(f"{HELD_OUT_NOTE} {100 * held_out['miou_occurring']:.1f}")
    columns = ("network", "training", OCCURRING, "accuracy")
    table = make_table("2D networks on the target images of the validation sequences, %", columns, rows, notes)
    return table if words else table.only({name: name for name in ("network", OCCURRING, "accuracy")})


def _notes(names: Iterable[str]) -> list[str]:
    """Of a table with rows of these names."""
    probes = [PROBE_NOTE] if any(name.endswith(_PROBE) for name in names) else []
    return [NETWORKS_NOTE, "one network each: no interval", *probes]


def probe_table(metrics: Mapping[str, Metrics], classes: Sequence[str]) -> Table | None:
    """IoU of each network's probe on the target images, one row for each LiDAR class; None without a probe."""
    probes = {name: found["probe"] for name, found in metrics.items() if "probe" in found}
    if not probes:
        return None
    first = next(iter(probes.values()))
    rows = [
        (name, first["count"][name], *(_percent(probe["iou"][name]) for probe in probes.values())) for name in classes
    ]
    rows.append((OCCURRING, None, *(100 * probe["miou_occurring"] for probe in probes.values())))
    notes = (PROBE_NOTE.partition(";")[0], "one network each: no interval")
    return make_table(
        "Probes of 2D networks: IoU of each class on target images, %", ("class", "points", *probes), rows, notes
    )


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


def read_networks(experiments: Mapping[str, Path]) -> dict[str, dict[str, dict[str, Any]]]:
    """What ``evaluate_2d`` wrote, by experiment and 2D network; nothing of an experiment without."""
    paths = {name: _network_files(results) for name, results in experiments.items()}
    # the pretrained network comes first, as in the experiments' own tables
    return {
        name: {
            key: _metrics(files[key], experiments[name])
            for key in sorted(files, key=lambda key: (key != "source", key))
        }
        for name, files in paths.items()
    }


def _metrics(path: Path, results: Path) -> dict[str, Any]:
    """Metrics of a 2D network.

    Those of a version that called the mean over the classes that occur ``miou`` would be read wrongly.
    """
    metrics: dict[str, Any] = read_json(path)
    if "miou_occurring" not in metrics and "probe" not in metrics:
        raise IgnetError(
            f"{path}: found no 'miou_occurring', expected it; an earlier version wrote this file: "
            f"{how_to_finish(results)}"
        )
    return metrics


def how_to_finish(results: Path) -> str:
    """The command that finishes the experiment of a folder of results."""
    return f"finish it with: snakemake --cores all --configfile <the experiment file whose key results is {results}>"


def _network_files(results: Path) -> dict[str, Path]:
    """By 2D network; links to shared results win over what an earlier run left in the experiment's own folder."""
    files = [*results.glob("evaluate_2d/*/metrics.json"), *results.glob("shared/evaluate_2d/*/metrics.json")]
    return {path.parent.name: path for path in files}


def read_held_out(experiments: Mapping[str, Path]) -> dict[str, float]:
    """mIoU (0 to 1, classes that occur) of the pretrained 2D network on held-out source images, by experiment.

    An experiment without it has no entry.
    """
    # links to shared results win, as with the evaluations
    places = ("shared/pretrain_2d/metrics.json", "pretrain_2d/metrics.json")
    paths = {name: [results / place for place in places] for name, results in experiments.items()}
    first = {name: next(filter(Path.is_file, files), None) for name, files in paths.items()}
    return {name: _metrics(path, experiments[name])["miou_occurring"] for name, path in first.items() if path}


def networks_table(
    networks: Mapping[str, Mapping[str, Metrics]], folds: bool, held_out: Mapping[str, float] | None = None
) -> Table:
    """mIoU over the classes that occur, one column an experiment, of folds the mean, too; rows as of `split_probes`.

    ``held_out`` is that of ``read_held_out``.
    """
    networks = {name: split_probes(metrics) for name, metrics in networks.items()}
    names = dict.fromkeys(network for metrics in networks.values() for network in metrics)
    rows: list[tuple[Cell, ...]] = []
    for network in names:
        all_metrics = [metrics.get(network) for metrics in networks.values()]
        values = [100 * metrics["miou_occurring"] if metrics else None for metrics in all_metrics]
        rows.append((network, *values, *([spread(values)] if folds else [])))
    notes = _notes(names)
    notes += ["± is the sample standard deviation over the folds"] if folds else []
    if held_out:
        notes.append(f"{HELD_OUT_NOTE} {', '.join(f'{name} {100 * miou:.1f}' for name, miou in held_out.items())}")
    columns = ("network", *networks, *(["mean of the folds"] if folds else []))
    return make_table(
        f"2D networks on the target images of the validation sequences, {OCCURRING} in %",
        columns,
        rows,
        notes,
    )
