"""The private interfaces of Snakemake that the workflow uses are still there."""

import inspect

import pytest
import snakemake.cli  # noqa: F401, before its modules, which import each other
from snakemake import exceptions, logging, modules, path_modifier, workflow
from snakemake.scheduling import job_scheduler
from snakemake.settings import types
from snakemake.shell import shell

import snakemake_internals


def test_settings_and_prefix():
    fields = types.DAGSettings.__dataclass_fields__
    assert {"rerun_triggers", "forceall", "forcerun", "forcetargets", "targets"} <= set(fields)
    assert "replace_workflow_config" in types.ConfigSettings.__dataclass_fields__
    storage = types.StorageSettings.__dataclass_fields__
    assert {"default_storage_provider", "default_storage_prefix"} <= set(storage)
    assert hasattr(shell, "_process_prefix")


@pytest.mark.parametrize(
    ("owner", "names"),
    [
        (workflow.DAG, ["needrun_jobs"]),
        (path_modifier.PathModifier, ["replace_prefix"]),
        (modules.WorkflowModifier, ["modify_rulename"]),
        (workflow.Workflow, ["modifier", "scheduler", "dag", "local_exec", "is_main_process"]),
    ],
)
def test_attributes(owner, names):
    source = inspect.getsource(owner)
    for name in names:
        assert hasattr(owner, name) or f"self.{name} =" in source or f"self._{name}" in source, name


def test_attributes_that_are_set_when_a_run_begins():
    assert "skip_configfile" in inspect.getsource(modules.WorkflowModifier)
    source = inspect.getsource(job_scheduler)
    assert "job_rate_limiter" in source and "_executor" in source


def test_a_missing_target_is_named_in_the_log():
    message = str(exceptions.MissingRuleException("results/x"))
    record = logging.logging.LogRecord("snakemake", 40, "", 0, message, (), None)
    assert snakemake_internals.missing_target(record) == ""
    record.exception = "MissingRuleException"
    assert snakemake_internals.missing_target(record) == "results/x"


def test_the_output_of_a_run_can_be_replaced():
    fields = set(types.OutputSettings.__dataclass_fields__)
    assert {"dryrun", "verbose", "printshellcmds", "debug_dag", "quiet"} <= fields
    handler = logging.LoggerManager._default_streamhandler
    assert f'"{snakemake_internals.STREAM_HANDLER}"' in inspect.getsource(handler)
    assert {"decorate", "format", "filter", "emit"} <= set(dir(logging.ColorizingTextHandler))
