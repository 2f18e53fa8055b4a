"""Options of Snakemake's command line that name the experiment."""

from collections.abc import Sequence

from ignet.errors import IgnetError

_SPELLINGS = {"--config": "--config", "-C": "--config", "--configfile": "--configfile", "--configfiles": "--configfile"}


def refuse_repeated(arguments: Sequence[str]) -> None:
    """Refuse a command line on which an option that takes several values stands twice.

    Snakemake takes the last of them only, so that a setting, or a whole experiment file, would be lost in silence.

    Args:
        arguments: Snakemake's command line, such as ``sys.argv[1:]``.

    Raises:
        IgnetError: ``--config`` or ``--configfile`` stands on it more than once, in whatever spelling.
    """
    end = arguments.index("--") if "--" in arguments else len(arguments)
    options = [
        _SPELLINGS[name] for name in (argument.partition("=")[0] for argument in arguments[:end]) if name in _SPELLINGS
    ]
    for option in dict.fromkeys(options):
        if (times := options.count(option)) > 1:
            raise IgnetError(
                f"{option}: found {times} times, expected once, for Snakemake takes the last one only; write all "
                f"values after one {option}"
            )
