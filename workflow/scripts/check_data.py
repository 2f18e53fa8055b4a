"""Merge the checked sequences into one manifest: a CSV file with one row for each frame."""

from pathlib import Path

from ignet.config.dataset import DatasetConfig
from ignet.data.manifest import write_manifest
from ignet.stage import Stage, command


@command
def main() -> None:
    stage = Stage("dataset", DatasetConfig, __doc__)
    stage.add("--sequences", type=Path, nargs="+", required=True, help="JSON files of check_sequence.py")
    stage.add("--out", type=Path, required=True, help="the manifest, a CSV file")
    args, _ = stage.start()
    write_manifest(args.out, args.sequences)
    stage.write_settings(args.out.with_suffix(".settings.json"))


if __name__ == "__main__":
    main()
