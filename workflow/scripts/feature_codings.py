"""Put one run of several finished experiments side by side, which differ in how their features are stored.

    python workflow/scripts/feature_codings.py --run ignet float32=results/one int8=results/other --out table.md

The first experiment is what the others are compared with, over the seeds that both have, by a paired bootstrap over
seeds and scans.
"""

import argparse
from pathlib import Path

from ignet.errors import IgnetError
from ignet.files.atomic import write_text
from ignet.log import start_logging
from ignet.report.arguments import name_and_path
from ignet.report.comparison import Comparison, read_comparison
from ignet.stage.script import command


@command
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "experiments", nargs="+", metavar="CODING=RESULTS", help="folders of finished experiments, the reference first"
    )
    parser.add_argument("--run", default="ignet", help="the run that is compared")
    parser.add_argument("--bootstrap-samples", type=int, default=2000)
    parser.add_argument("--out", type=Path, required=True, help="table to write (Markdown)")
    args = parser.parse_args()
    start_logging()
    files = {coding: tensors(path, args.run) for coding, path in map(name_and_path, args.experiments)}
    text = table(read_comparison(files, args.bootstrap_samples, 0), list(files))
    write_text(args.out, text)
    print(text)


def tensors(results: Path, run: str) -> dict[int, Path]:
    """The confusions of each seed of a run."""
    files = {
        int(path.parent.name.removeprefix("seed")): path
        for path in sorted(results.glob(f"evaluate/{run}/seed*/confusion.h5"))
    }
    if not files:
        raise IgnetError(
            f"{results}: found no evaluated run '{run}', expected evaluate/{run}/seedN/confusion.h5; run this first"
        )
    return files


def table(comparison: Comparison, codings: list[str]) -> str:
    """mIoU of each coding, and its difference to the first one with a 95 % interval, in percent."""
    first = codings[0]
    lines = [f"| features | seeds | mIoU, % | minus {first} |", "|---|---:|---:|---:|"]
    for coding in codings:
        values = [value for value in comparison.miou(coding).values() if value is not None]
        gain = comparison.difference(coding, first) if coding != first else None
        words = f"{gain.value:+.2f} [{gain.low:+.2f}, {gain.high:+.2f}]" if gain else ""
        lines.append(f"| {coding} | {len(values)} | {sum(values) / max(len(values), 1):.2f} | {words} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
