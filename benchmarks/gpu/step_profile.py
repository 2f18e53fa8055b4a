"""What the device does in a step of the 3D training: a table of operators and a trace."""

from cases import read_case


def main() -> None:
    """Profile."""
    case = read_case(__doc__)
    stages = case.stages("step_profile")
    # no term that reads features, which no part has made at this size
    command = stages.train_3d(stages.experiment.run("baseline"), 12, "profile")
    stages.run(command, "profile", case.out / "step")


if __name__ == "__main__":
    main()
