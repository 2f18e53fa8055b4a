"""Make the source set of the embedded world: images of the game, with dense labels, in GTA-V's layout.

The images are a function of the section `world` alone.
"""

from ignet.config.world import WorldConfig
from ignet.stage.script import Stage, command
from ignet.world.files import write_source


@command
def main() -> None:
    stage = Stage("world", WorldConfig, __doc__)
    stage.add_common(out="folder to make, with images/ and labels/")
    args, settings = stage.start()

    write_source(settings, args.out)
    stage.write_settings(args.out.with_suffix(".settings.json"))


if __name__ == "__main__":
    main()
