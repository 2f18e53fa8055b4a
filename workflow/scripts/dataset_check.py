"""Check one sequence of the target dataset: every scan, label, scribble, image and the calibration.

Every fault is printed as one line with the file, what was found, what was expected and what to do; nothing is written
then. A doubt, what is strange and may yet be right, is printed like it and stops nothing.
"""

import argparse
import sys

from ignet.config.dataset import DatasetConfig
from ignet.data.check.faults import count_phrase, format_faults
from ignet.data.check.sequence import check_sequence
from ignet.data.check.wanted import may_lack, present_kinds
from ignet.data.formats import kitti
from ignet.errors import IgnetError
from ignet.files.atomic import write_json
from ignet.log import log
from ignet.stage.script import Stage, command

_ROLES = (
    "val and test need what is evaluated on, train what its scribbles come from, and of other what is there beside the "
    "scans must be whole"
)


def _without_labels(args: argparse.Namespace, settings: DatasetConfig) -> str:
    """What is to be said beside the faults where scribbles are to be simulated and there is nothing to do it from."""
    folder = kitti.sequence_path(args.dataset, args.sequence) / "labels"
    if args.role != "train" or settings.scribbles != "simulated" or folder.is_dir():
        return ""
    return (
        ". Scribbles are simulated from dense labels, and there are none: draw some into sequences/NN/scribbles, and "
        "set dataset.scribbles to dataset"
    )


@command
def main() -> None:
    stage = Stage("dataset", DatasetConfig, __doc__)
    stage.add_common("dataset", "sequence", "label-set", out="JSON of the frames' facts")
    stage.add("--role", choices=("train", "val", "test", "other"), required=True, help=_ROLES)
    args, settings = stage.start()

    scribbled = settings.evaluate_on == "scribbles" if args.role != "train" else settings.scribbles == "dataset"
    wanted = {"scans", "images", "scribbles" if scribbled else "labels"}
    if args.role == "other":
        wanted = present_kinds(kitti.sequence_path(args.dataset, args.sequence), settings.cameras)
    report = check_sequence(
        args.dataset,
        args.sequence,
        wanted,
        settings.require_all_scans,
        True,
        args.threads or 1,
        settings.remission_scale,
        settings.cameras,
        may_lack(settings),
        label_set=args.label_set,
    )
    for line in format_faults(report.faults):
        print(line, file=sys.stderr)
    for note in report.tree.notes:
        log.info("%s", note)
    if report.faults:
        raise IgnetError(
            f"{args.dataset}: sequence {args.sequence} has {count_phrase(report.faults)}, each on its own line above; "
            f"fix them all{_without_labels(args, settings)}"
        )

    points = sum(facts.points for facts in report.frames)
    shares = f"{report.share('labelled'):.1%} labelled" + (
        f", {report.share('scribbled'):.1%} scribbled" if scribbled else ""
    )
    log.info("sequence %s: %d frames, %d points, %s", args.sequence, len(report.frames), points, shares)
    write_json(args.out, {"role": args.role, **report.as_json()})
    stage.write_settings(args.out.with_suffix(".settings.json"))


if __name__ == "__main__":
    main()
