"""The command ``ignet predict``."""

import argparse
import json
import re
import statistics
from pathlib import Path
from typing import TYPE_CHECKING

from ignet.cli.data import positive
from ignet.errors import IgnetError
from ignet.log import start_logging

if TYPE_CHECKING:
    from ignet.predict.folder import Summary
    from ignet.predict.segmenter import Segmenter

FORMATS = ("label", "npy", "ply")


def add_predict(parser: argparse.ArgumentParser) -> None:
    """Add its options."""
    parser.add_argument(
        "scans",
        nargs="+",
        metavar="SCAN",
        help=".bin, .npy, .pcd or .ply file, pattern, folder of such, dataset, or a dataset's folder of a sequence",
    )
    parser.add_argument("--weights", type=Path, required=True, help="model.safetensors of a 3D network, or its folder")
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        help="folder of the predictions; or, for one scan, a .label, .npy or .ply file",
    )
    parser.add_argument(
        "--format", choices=FORMATS, help="label (raw ids), npy (and confidences) or ply (coloured) (default: label)"
    )
    parser.add_argument(
        "--remission-scale",
        type=positive,
        default=1.0,
        help="what stands for a remission of 1 in the scans, such as 255 (default: 1)",
    )
    parser.add_argument(
        "--remission-field",
        metavar="NAME",
        help="field of remissions in .pcd, .ply and .npy (default: the usual names)",
    )
    parser.add_argument("--overwrite", action="store_true", help="predict again what the folder has already")
    parser.add_argument(
        "--engine", default="auto", choices=["auto", "torch", "minkowski"], help="sparse engine (default: auto)"
    )
    parser.add_argument("--device", type=_device, default="auto", help="auto, cpu, cuda or cuda:N (default: auto)")
    parser.add_argument("--json", action="store_true", help="for scripts")
    parser.set_defaults(run=_predict)


def _device(text: str) -> str:
    from ignet.config.execution import DEVICE

    if not re.fullmatch(DEVICE, text):
        raise argparse.ArgumentTypeError(f"found {text}, expected auto, cpu, cuda or cuda:N")
    return text


def _predict(args: argparse.Namespace) -> int:
    from ignet.files.atomic import file_hash
    from ignet.predict.folder import Reading, predict_files, unfinished
    from ignet.predict.scans import find_scans
    from ignet.predict.segmenter import load, weights_file

    start_logging()
    one = args.out.suffix.removeprefix(".") in FORMATS and not args.out.is_dir()
    suffix = args.out.suffix if one else f".{args.format or 'label'}"
    if one and args.format and suffix != f".{args.format}":
        raise IgnetError(f"found --format {args.format}", suffix, "give one of the two", path=args.out)
    pairs = find_scans(args.scans, args.out.parent if one else args.out, suffix)
    if one and len(pairs) > 1:
        raise IgnetError(f"found {len(pairs)} scans for one file", "one", "name a folder with --out", path=args.out)
    reading = Reading(args.remission_scale, args.remission_field)
    if one:
        todo = [(pairs[0][0], args.out)]
        if todo[0][0].resolve() == args.out.resolve():
            raise IgnetError("is the scan", "another name for its prediction", "choose another --out", path=args.out)
    network = load(args.weights, args.device, args.engine)
    if not one:
        settings = {"weights": file_hash(weights_file(args.weights)), **vars(reading)}
        todo = unfinished(pairs, args.out, settings, args.overwrite)
    summary = predict_files(network, todo, reading)
    skipped = len(pairs) - len(todo)
    if args.json:
        print(json.dumps(_as_json(summary, network, args.out, skipped), indent=2, allow_nan=False))
    else:
        print(_as_text(summary, network, args.out, skipped))
    return 1 if summary.faults else 0


def _as_json(summary: "Summary", network: "Segmenter", out: Path, skipped: int) -> dict:
    returned = summary.points - summary.without_return
    return {
        "out": str(out),
        "scans": summary.scans,
        "skipped": skipped,
        "points": summary.points,
        "without_return": summary.without_return,
        "mean_confidence": summary.confidence / returned if returned else None,
        "classes": _classes(summary, network),
        "seconds_per_scan": statistics.median(summary.seconds) if summary.seconds else None,
        "scans_per_second": summary.scans / summary.elapsed if summary.scans else None,
        "faults": [
            {"file": str(each.path), "found": each.found, "expected": each.expected, "remedy": each.remedy}
            for each in summary.faults
        ],
    }


def _as_text(summary: "Summary", network: "Segmenter", out: Path, skipped: int) -> str:
    values = _as_json(summary, network, out, skipped)
    words = [f"{summary.scans} scans" if summary.scans != 1 else "1 scan"]
    words += [f"{skipped} predicted before"] * bool(skipped)
    words += [f"{len(summary.faults)} that cannot be predicted"] * bool(summary.faults)
    words += [f"{summary.points} points"] * bool(summary.points)
    words += [f"{summary.without_return} of them without a return"] * bool(summary.without_return)
    if summary.scans:
        words.append(f"mean confidence {values['mean_confidence']:.3f}")
        words.append(f"{values['scans_per_second']:.3g} scans per second")
    table = [f"  {name:<14}{count:>10}" for name, count in values["classes"].items()]
    return "\n".join([f"{out}: {', '.join(words)}", *table])


def _classes(summary: "Summary", network: "Segmenter") -> dict[str, int]:
    names = (each.name for each in network.classes)
    return {name: count for name, count in zip(names, summary.counts.tolist(), strict=True) if count}
