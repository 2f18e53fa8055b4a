"""Pack a run's predictions on the test sequences as the benchmark's zip file, and check it by the benchmark's rules.

The file appears under its name only if nothing is wrong with it.
"""

from pathlib import Path

from ignet.config.evaluation import SubmissionConfig
from ignet.evaluate.submission import RefusedError, list_scans, write_submission
from ignet.log import log
from ignet.stage.script import Stage, command


@command
def main() -> None:
    stage = Stage("submission", SubmissionConfig, __doc__)
    stage.add_common("dataset", "sequences", "label-set", out="zip file to write")
    stage.add("--predictions", type=Path, required=True, help="folder that holds sequences/NN/predictions")
    stage.add("--benchmark", action="store_true", help="the sequences are the benchmark's, which must be complete")
    args, settings = stage.start()

    scans = list_scans(args.dataset, None if args.benchmark else args.sequences)
    description = Path(settings.description) if settings.description else None
    try:
        write_submission(args.out, args.predictions, scans, args.label_set, description)
    except RefusedError as error:
        for fault in error.faults:
            log.error("%s", fault)
        raise
    log.info("%s: ready, %d scans of sequences %s", args.out, sum(map(len, scans.values())), " ".join(scans))


if __name__ == "__main__":
    main()
