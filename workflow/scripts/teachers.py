"""A frozen teacher: reads the published weights of an image network, and writes them as all other stages read them.

Where a head is asked for, it is trained on the projected scribbles of the training images; the network below stays as
it is.
"""

from pathlib import Path

from ignet.config.teachers import teacher_config
from ignet.data.images.target import open_target
from ignet.log import log
from ignet.models.teachers.registry import build_teacher, save_teacher
from ignet.stage.script import Stage, command
from ignet.train.head import train_head


@command
def main() -> None:
    stage = Stage("teachers", teacher_config, __doc__, variants="teachers")
    stage.add_common("dataset", "projection", "label-set", out="weights to write (safetensors)")
    stage.add("--sequences", nargs="*", default=[], help="training sequences of a head")
    stage.add(
        "--scribbles", type=Path, help="folder whose sequences/NN/scribbles a head learns; default: the dataset's"
    )
    args, settings = stage.start()

    network = build_teacher(settings)
    size = sum(parameter.numel() for parameter in network.parameters())
    log.info("%s: %d channels every %g pixels, %d parameters", settings.kind, network.channels, network.stride, size)
    if settings.head is None:
        save_teacher(args.out, network)
    else:
        files = {sequence: args.projection / f"{sequence}.h5" for sequence in args.sequences}
        scribbles, share = args.scribbles or args.dataset, settings.head.labelled_frames
        frames = open_target(args.dataset, files, "scribbles", share, label_set=args.label_set, scribbles=scribbles)
        save_teacher(args.out, train_head(network, frames, settings.head, args.device))
    # a file of this project says where it comes from by its own settings
    stage.write_settings(args.out.with_suffix(".settings.json"), origin=getattr(network, "origin", None))


if __name__ == "__main__":
    main()
