"""Snakemake's own checks of the workflow, without the one that it fails on purpose: `make lint`."""

import re
import subprocess
import sys

ACCEPTED = re.compile(r"Shell command directly uses variable (?:PYTHON|PLACES) from outside of the rule")
"""Where folders and Python lie stands in the commands, so that they can be pasted, and not in params: a folder that
moves reruns nothing. Which of the folders a job is pointed to is in its param ``places``, and a test compares the
two."""


def main() -> None:
    """Print what is found and end with 1, or end with 0 where there is nothing but what is accepted."""
    done = subprocess.run([sys.executable, "-m", "snakemake", "--lint"], capture_output=True, text=True, check=False)
    titles = [line.strip(" *:") for line in (done.stdout + done.stderr).splitlines() if line.startswith("    * ")]
    faults = [title for title in titles if not ACCEPTED.fullmatch(title)]
    if faults or (done.returncode and not titles):
        sys.exit(
            "\n".join(["snakemake --lint, which says where and what to do, found:", *faults]) if faults else done.stderr
        )
    print("snakemake --lint: nothing but places in commands")


if __name__ == "__main__":
    main()
