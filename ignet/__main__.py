"""``python -m ignet``."""

from ignet.cli import main

if __name__ == "__main__":
    main()
