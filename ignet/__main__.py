"""``python -m ignet``."""

from ignet.cli.main import main

if __name__ == "__main__":
    main()
