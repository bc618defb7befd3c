"""``python -m archsmith`` is the command line."""

from archsmith.cli import main

__all__: list[str] = []

if __name__ == "__main__":
    main()
