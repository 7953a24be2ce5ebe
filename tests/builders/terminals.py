"""Commands on a terminal."""

import os
import pty
import subprocess


def printed_on_terminal(command: list[str], **options) -> str:
    """What a command that succeeds prints on a terminal. options: of `subprocess.Popen`."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(command, stdout=theirs, stderr=theirs, **options)
    os.close(theirs)
    printed = b""
    # Linux reports the end of a terminal as an error.
    try:
        while part := os.read(ours, 4096):
            printed += part
    except OSError:
        pass
    os.close(ours)
    assert process.wait(60) == 0
    return printed.decode()
