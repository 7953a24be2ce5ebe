"""Jobs of one workstation share its GPUs: real processes, made-up device numbers."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from actadd.base.errors import UserError
from actadd.base.files import write_json
from actadd.config.checks import checked
from actadd.pipeline import devices
from actadd.pipeline.graph import Graph
from actadd.pipeline.resources import Needs
from builders import tiny

# Takes devices and leaves a mark of each for as long as it has them: whoever finds one there
# already fails. Then it says what it has, and keeps it until its input ends.
JOB = """
import os, pathlib, sys, time
from actadd.pipeline.devices import reserve
count, name, marks, seconds = int(sys.argv[1]), sys.argv[2], pathlib.Path(sys.argv[3]), sys.argv[4]
with reserve(count, name) as held:
    assert held == os.environ["CUDA_VISIBLE_DEVICES"].split(",")
    for device in held:
        (marks / device).touch(exist_ok=False)
    print("has", *held, flush=True)
    time.sleep(float(seconds)) if seconds else sys.stdin.read()
    for device in held:
        (marks / device).unlink()
"""
NVIDIA_SMI = "#!/bin/sh\nprintf '0, GPU-aaaa\\n1, GPU-bbbb\\n'\n"


@pytest.fixture
def start(tmp_path):
    """Starts a job: start(count, name, visible devices, seconds, marks to be left in)."""
    started = []
    (tmp_path / "tmp").mkdir()

    def start_one(count, name, visible="0,1", seconds="", marks="marks"):
        (tmp_path / marks).mkdir(exist_ok=True)
        job = subprocess.Popen(
            [sys.executable, "-c", JOB, str(count), name, str(tmp_path / marks), str(seconds)],
            env={
                **os.environ,
                "PYTHONPATH": str(tiny.ROOT / "workflow"),
                "TMPDIR": str(tmp_path / "tmp"),
                "CUDA_VISIBLE_DEVICES": visible,
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(job)
        return job

    yield start_one
    for job in started:
        job.kill()
        job.communicate()


def finish(job) -> str:
    """Lets a job end; what it printed."""
    printed, errors = job.communicate(timeout=300)
    assert job.returncode == 0, errors
    return printed


# --- one device each ---


def test_five_jobs_on_two_devices_never_meet_and_all_finish(start):
    first = start(1, "first")
    assert first.stdout.readline() == "has 0\n"
    second = start(1, "second")
    # The second GPU is free while the first job runs.
    assert second.stdout.readline() == "has 1\n"
    others = [start(1, f"other {number}", seconds=0.2) for number in range(3)]
    waiting = others[0].stdout.readline()
    assert waiting == (
        f"waiting for 1 free of GPU 0 by process {first.pid} (first), "
        f"1 by process {second.pid} (second)\n"
    )
    finish(first), finish(second)
    assert finish(others[0]).splitlines() in (["has 0"], ["has 1"])
    for job in others[1:]:
        output = finish(job).splitlines()
        assert output[-1].startswith("has ") and len(output) <= 2, "it says once that it waits"


def test_a_killed_job_leaves_its_device_to_the_next(start, tmp_path):
    killed = start(1, "killed", "0")
    assert killed.stdout.readline() == "has 0\n"
    heir = start(1, "heir", "0", seconds=0.1, marks="other")
    assert f"process {killed.pid} (killed)" in heir.stdout.readline()
    killed.send_signal(signal.SIGKILL)
    assert finish(heir) == "has 0\n"
    assert (tmp_path / "marks/0").exists(), "nothing was cleaned up"


def test_jobs_with_two_devices_each_do_not_lock_each_other_out(start):
    # One names them the other way round, and jobs with one device come in between.
    jobs = [
        start(2, "pair", "0,1", seconds=0.2),
        start(2, "turned", "1,0", seconds=0.2),
        start(1, "alone", "0,1", seconds=0.2),
        start(2, "pair again", "0,1", seconds=0.2),
        start(1, "alone again", "1,0", seconds=0.2),
    ]
    output = [finish(job).splitlines()[-1].split()[1:] for job in jobs]
    assert [sorted(held) for held in output[:2]] == [["0", "1"]] * 2
    assert [len(held) for held in output] == [2, 2, 1, 2, 1]


def test_only_what_the_scheduler_gave_is_taken(start):
    holder = start(1, "holder", "3")
    assert holder.stdout.readline() == "has 3\n"
    waiter = start(1, "waiter", "3", seconds=0.1)
    assert "GPU 3 by process" in waiter.stdout.readline()
    # Another job's device is no concern of theirs.
    assert finish(start(1, "elsewhere", "2", seconds=0.1)) == "has 2\n"
    finish(holder)
    assert finish(waiter) == "has 3\n"


# --- in one process ---


@pytest.fixture
def alone(tmp_path, monkeypatch):
    """This process without any GPU's tools, its locks in a folder of its own."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.delenv("CUDA_DEVICE_ORDER", raising=False)
    return monkeypatch


def installed(folder: Path) -> None:
    (folder / "bin").mkdir()
    (folder / "bin/nvidia-smi").write_text(NVIDIA_SMI)
    (folder / "bin/nvidia-smi").chmod(0o755)


@pytest.mark.parametrize(
    ("variable", "names"),
    [
        (None, []),
        ("", []),
        ("-1", []),
        ("NoDevFiles", []),
        ("3", ["3"]),
        ("2, 0", ["2", "0"]),
        ("1,-1,2", ["1"]),
        ("GPU-8932f937,MIG-GPU-1/0/1", ["GPU-8932f937", "MIG-GPU-1/0/1"]),
    ],
)
def test_visible_devices_are_read_as_cuda_reads_them(alone, variable, names):
    if variable is not None:
        alone.setenv("CUDA_VISIBLE_DEVICES", variable)
    assert devices.visible() == names


def test_without_a_scheduler_all_installed_devices_are_visible(alone, tmp_path):
    installed(tmp_path)
    assert devices.visible() == ["0", "1"]
    with devices.reserve(2, "job") as held:
        assert held == ["0", "1"] and os.environ["CUDA_VISIBLE_DEVICES"] == "0,1"
        assert os.environ["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    assert "CUDA_VISIBLE_DEVICES" not in os.environ
    # Locked as the devices that they are, since a scheduler may number them anew for each job.
    locks = {path.name for path in tmp_path.glob("actadd-*/*.lock")}
    assert locks == {"choosing.lock", "GPU-aaaa.lock", "GPU-bbbb.lock"}


def test_what_was_visible_before_is_visible_after(alone):
    alone.setenv("CUDA_VISIBLE_DEVICES", "0,MIG-GPU-1/0/1")
    with pytest.raises(KeyError), devices.reserve(1, "job") as held:
        assert held == ["0"]
        with devices.reserve(0, "a job without any"):
            assert os.environ["CUDA_VISIBLE_DEVICES"] == "0"
        raise KeyError
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0,MIG-GPU-1/0/1"
    with devices.reserve(2, "next") as held:
        assert held == ["0", "MIG-GPU-1/0/1"]


def test_more_gpus_than_visible_are_refused(alone):
    alone.setenv("CUDA_VISIBLE_DEVICES", "3")
    with (
        pytest.raises(UserError, match=r"gpus: 2, but this job may use only 1: 3; write"),
        devices.reserve(2, "job"),
    ):
        pass


def test_without_a_device_nothing_changes(alone):
    with devices.reserve(1, "job") as held:
        assert held == [] and "CUDA_VISIBLE_DEVICES" not in os.environ


# --- in the workflow ---

PROGRAM = '''
"""A program that says what it may use."""
import os, sys
from actadd.pipeline.program import run

def work(spec, inputs, outputs, shard):
    assert "torch" not in sys.modules
    outputs["said"].write_text(os.environ["CUDA_VISIBLE_DEVICES"])

run(__doc__, work, outputs="said", options="shard?")
'''


@pytest.mark.parametrize(
    ("spec", "visible"),
    [
        ({"compute": {"device": "cuda"}}, "4"),
        ({"compute": {"device": "cuda", "gpus": 2}}, "4,5"),
        ({"scorer": {"compute": {"device": "cuda"}}}, "4"),
        ({"compute": {"device": "cpu", "gpus": 2}}, "4,5,6"),
        ({"compute": {"device": "cuda"}, "shard": "0/2"}, "4"),
        ({"compute": {"device": "cuda"}, "shard": "none"}, "4,5,6"),
        ({"scorer": {}}, "4,5,6"),
    ],
)
def test_a_program_sees_the_devices_that_its_job_needs(tmp_path, spec, visible):
    (tmp_path / "what.py").write_text(PROGRAM)
    write_json(tmp_path / "job.json", {"job": "0", "code": "0", "spec": spec, "inputs": {}})
    arguments = ["--job", tmp_path / "job.json", "--said", tmp_path / "said"]
    arguments += ["--shard", spec["shard"]] if "shard" in spec else []
    done = subprocess.run(
        [sys.executable, tmp_path / "what.py", *arguments, "--provenance", tmp_path / "record"],
        env={
            **os.environ,
            "PYTHONPATH": str(tiny.ROOT / "workflow"),
            "TMPDIR": str(tmp_path),
            "CUDA_VISIBLE_DEVICES": "4,5,6",
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "said").read_text() == visible


@pytest.mark.parametrize(("device", "expected"), [("cuda", (2, 1, 3, 1, 0)), ("cpu", (0,) * 5)])
def test_jobs_ask_snakemake_for_as_many_as_their_model_needs(
    tmp_path, monkeypatch, device, expected
):
    tiny.write_data(tmp_path)
    monkeypatch.chdir(tmp_path)
    settings = tiny.config(compute={"device": device})
    settings["models"]["judge"] = {**settings["models"]["tiny"], "gpus": 3}
    settings["models"]["tiny"]["gpus"] = 2
    settings["scorers"]["fluency"]["model"] = "judge"
    settings["scorers"]["near"] = {"kind": "similarity", "source": "tiny"}
    needs = Needs(Graph(checked(settings)))
    asked = [needs.gpus("tiny"), needs.gpus("a shape with random weights")]
    asked += map(needs.scorer_gpus, ("fluency", "near", "words"))
    assert tuple(asked) == expected
