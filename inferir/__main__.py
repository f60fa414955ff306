"""`python -m inferir`: the `inferir` command."""

from inferir.cli import main

if __name__ == "__main__":
    main()
