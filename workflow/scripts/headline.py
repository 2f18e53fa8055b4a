"""Put the headline rows of several finished experiments side by side: full supervision, the baseline and the method.

    python workflow/scripts/headline.py --experiment first=results/first --experiment second=results/second --out
    results/headline

With --pool the experiments are the folds of one cross-validation: their scans are pooled, seed by seed, and gains by
slice come too.
"""

import argparse
from pathlib import Path

from ignet.config.base import validate
from ignet.config.evaluation import CompareConfig
from ignet.errors import IgnetError
from ignet.files.atomic import write_json, write_text
from ignet.log import log, start_logging
from ignet.report.ablation import gain_figure
from ignet.report.arguments import name_and_path
from ignet.report.figures import save_figure
from ignet.report.headline import (
    POOLED,
    compare_all,
    find_confusions,
    headline_figure,
    headline_table,
    ordering,
)
from ignet.report.networks_2d import networks_table, read_held_out, read_networks
from ignet.report.runs import class_gain_table, class_table, gain_table, slice_table
from ignet.report.summary import as_text, headline_columns
from ignet.report.tables import write_table
from ignet.stage.script import command


@command
def main() -> None:
    args = arguments()
    start_logging()
    names = validate(
        CompareConfig,
        {key: getattr(args, key) for key in ("reference", "baseline", "method", "bootstrap_samples")},
        "arguments",
    )
    folders = experiment_folders(args.experiment)
    experiments = compare_all({name: find_confusions(path, names) for name, path in folders.items()}, names, args.pool)

    headline, words = headline_table(experiments, names), ordering(experiments, names)
    networks = networks_table(read_networks(folders), args.pool, read_held_out(folders))
    tables = {"headline": headline, "networks_2d": networks}
    if args.pool:
        pooled = experiments[POOLED]
        tables |= {"gains": gain_table(pooled, names), "gains_per_class": class_gain_table(pooled, names)}
        tables |= {"per_class": class_table(pooled), "slices": slice_table(pooled)}
        save_figure(args.out / "gains.png", gain_figure(pooled, names))
    for name, table in tables.items():
        write_table(args.out, name, table)
    save_figure(args.out / "headline.png", headline_figure(experiments, names))

    summary = as_text([headline.only(headline_columns(names)), networks], "\n".join(words))
    write_text(args.out / "summary.txt", summary)
    write_json(args.out / "settings.json", {"experiments": folders, "pool": args.pool, **names.model_dump(mode="json")})
    log.info("headline of %d experiments in %s", len(folders), args.out)
    print(summary)


def arguments() -> argparse.Namespace:
    """The command line."""
    defaults = CompareConfig()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--experiment",
        nargs="+",
        action="extend",
        required=True,
        metavar="NAME=RESULTS",
        help="folders of finished experiments",
    )
    parser.add_argument("--pool", action="store_true", help="the experiments are the folds of one cross-validation")
    parser.add_argument("--out", type=Path, required=True, help="folder of the tables and plots")
    for key in ("reference", "baseline", "method"):
        parser.add_argument(
            f"--{key}", default=getattr(defaults, key), help=f"name of the run (default: {getattr(defaults, key)})"
        )
    parser.add_argument(
        "--bootstrap-samples",
        type=int,
        default=defaults.bootstrap_samples,
        help=f"default: {defaults.bootstrap_samples}",
    )
    return parser.parse_args()


def experiment_folders(texts: list[str]) -> dict[str, Path]:
    """Folders by the experiments' names, each given once."""
    folders: dict[str, Path] = {}
    for name, path in map(name_and_path, texts):
        if name in folders or name == POOLED:
            raise IgnetError(
                f"'{name}': found this experiment's name twice, expected each once and none '{POOLED}'; rename one"
            )
        folders[name] = path
    return folders


if __name__ == "__main__":
    main()
