"""One program for each rule: arguments in, one library call. Run as `python -m programs.NAME`."""
