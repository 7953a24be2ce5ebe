"""Secrets that may appear nowhere."""

from pathlib import Path

CANARIES = {
    "JUDGE_KEY": "sk-canary-of-the-judge",
    "HF_TOKEN": "hf_canaryofthehub",
    "PIP_INDEX_URL": "http://me:canary-of-the-index@127.0.0.1:9/simple",
}


def assert_no_secret(folder: Path, printed: str) -> None:
    """No canary in any file below a folder, nor in what was printed."""
    secrets = [*CANARIES.values(), "canary-of-the-index"]
    for secret in secrets:
        assert secret not in printed
    for path in folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert not any(secret.encode() in content for secret in secrets), path
