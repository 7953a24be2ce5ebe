"""`python -m actadd`: the command line."""

from actadd.cli import main

if __name__ == "__main__":
    main()
