"""Make one target sequence of the embedded world: scans, labels, scribbles, images and calibration.

Every sequence drives along a street of its own, drawn from the section `world` and the sequence's name alone.
"""

from ignet.config.world import WorldConfig
from ignet.stage.script import Stage, command
from ignet.world.files import write_sequence


@command
def main() -> None:
    stage = Stage("world", WorldConfig, __doc__)
    stage.add_common("sequence", out="folder of the sequence to make")
    args, settings = stage.start()

    write_sequence(settings, args.sequence, args.out)
    stage.write_settings(args.out.with_suffix(".settings.json"))


if __name__ == "__main__":
    main()
