"""The command ``ignet completion``: what a shell needs to complete the commands, options and files of ``ignet``."""

import argparse
from pathlib import Path

SHELLS = ("bash", "zsh", "fish")


def add_completion(parser: argparse.ArgumentParser, whole: argparse.ArgumentParser) -> None:
    """Add the command's arguments; ``whole`` is the parser of all commands."""
    parser.add_argument(
        "shell", choices=SHELLS, help="whose script to print; docs/command-line.md says where to put it"
    )
    parser.set_defaults(run=lambda args: _print(whole, args.shell))


def script(whole: argparse.ArgumentParser, shell: str) -> str:
    """The shell's script; every argument that is a path is completed as one."""
    import shtab

    from ignet.data.importers.registry import LAYOUTS

    for action in _actions(whole):
        if action.type is Path:
            setattr(action, "complete", shtab.FILE)  # noqa: B010
        elif action.dest == "layout":
            action.choices = list(LAYOUTS)
    return shtab.complete(whole, shell)


def _actions(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """The arguments of a parser and of the commands below it."""
    actions = []
    for action in parser._actions:
        below = action.choices.values() if isinstance(action, argparse._SubParsersAction) else ()
        actions += [action, *(inner for command in below for inner in _actions(command))]
    return actions


def _print(whole: argparse.ArgumentParser, shell: str) -> int:
    print(script(whole, shell))
    return 0
