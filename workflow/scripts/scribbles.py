"""Draw scribbles from the dense labels of one sequence, for a dataset that has none.

The result imitates ScribbleKITTI's layout, but it is a simulation: lines along objects and surfaces, drawn scan by
scan.
"""

import numpy as np

from ignet.config.dataset import ScribbleConfig
from ignet.data.formats import kitti
from ignet.data.label_sets.label_set import IGNORE
from ignet.data.scribbles.simulate import simulate_scribbles
from ignet.files.atomic import atomic, write_array
from ignet.log import log, progress
from ignet.stage.script import Stage, command


@command
def main() -> None:
    stage = Stage("scribbles", ScribbleConfig, __doc__)
    stage.add_common("dataset", "sequence", "label-set", out="folder of the .label files to make")
    args, settings = stage.start()

    drawn = total = 0
    with atomic(args.out) as temporary:
        temporary.mkdir()
        for frame in progress(kitti.frame_ids(args.dataset, args.sequence), f"scribbles of {args.sequence}"):
            path = kitti.label_path(args.dataset, args.sequence, frame)
            if not path.exists():  # as the check of the dataset allowed: no labels, no scribbles
                continue
            points = kitti.read_positions(kitti.scan_path(args.dataset, args.sequence, frame))
            raw = kitti.read_labels(path, len(points))
            # a frame's lines do not depend on which other frames there are; its name need not be a number
            rng = np.random.default_rng([settings.seed, *args.sequence.encode(), *frame.encode()])
            labels = args.label_set.to_train_ids(raw, str(path))
            scribbles = simulate_scribbles(
                points, labels, kitti.instance_ids(raw), settings.fraction, settings.margin, rng, args.label_set
            )
            write_array(temporary / f"{frame}.label", args.label_set.to_raw_ids(scribbles).astype("<u4"))
            drawn, total = drawn + int((scribbles != IGNORE).sum()), total + len(points)
    log.info("sequence %s: scribbles on %.1f %% of the points", args.sequence, 100 * drawn / max(total, 1))
    stage.write_settings(args.out.with_suffix(".settings.json"))


if __name__ == "__main__":
    main()
