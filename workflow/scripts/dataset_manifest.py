"""Merge the checked sequences into one manifest: a CSV file with one row for each frame.

Beside it, what is strange about them.
"""

from pathlib import Path

from ignet.config.dataset import DatasetConfig
from ignet.data.check.manifest import write_manifest
from ignet.files.atomic import atomic
from ignet.log import log
from ignet.stage.script import Stage, command


@command
def main() -> None:
    stage = Stage("dataset", DatasetConfig, __doc__)
    stage.add_common("label-set", out="the manifest, a CSV file")
    stage.add("--sequences", type=Path, nargs="+", required=True, help="JSON files of dataset_check.py")
    stage.add(
        "--scribbles",
        type=Path,
        help="folder whose sequences/NN/scribbles trainings see; read where they are simulated",
    )
    stage.add(
        "--doubts", type=Path, help="text file: what is strange about the data, one line each; empty where nothing is"
    )
    args, settings = stage.start()
    simulated = args.scribbles if settings.scribbles == "simulated" else None
    doubts = write_manifest(args.out, args.sequences, simulated, label_set=args.label_set)
    for doubt in doubts:
        log.warning("%s", doubt)
    if args.doubts:
        with atomic(args.doubts) as temporary:
            temporary.write_text("".join(f"{doubt}\n" for doubt in doubts), encoding="utf-8")
    stage.write_settings(args.out.with_suffix(".settings.json"))


if __name__ == "__main__":
    main()
