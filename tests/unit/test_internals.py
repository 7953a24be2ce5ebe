"""The private interfaces of Snakemake that the workflow uses are still there."""

import inspect
from importlib import import_module

import pytest

# Its modules import each other, in an order that this one knows.
import_module("snakemake.cli")
modules, path_modifier, workflow, job_scheduler, types = (
    import_module(f"snakemake.{name}")
    for name in (
        "modules",
        "path_modifier",
        "workflow",
        "scheduling.job_scheduler",
        "settings.types",
    )
)


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ("DAGSettings", ["rerun_triggers", "forceall", "forcerun", "forcetargets", "targets"]),
        ("ConfigSettings", ["replace_workflow_config", "config"]),
        ("StorageSettings", ["default_storage_provider", "default_storage_prefix"]),
    ],
)
def test_settings(settings, names):
    assert set(names) <= set(getattr(types, settings).__dataclass_fields__)


@pytest.mark.parametrize(
    ("owner", "names"),
    [
        (workflow.DAG, ["needrun_jobs"]),
        (path_modifier.PathModifier, ["replace_prefix"]),
        (modules.WorkflowModifier, ["modify_rulename"]),
        (workflow.Workflow, ["modifier", "local_exec", "is_main_process"]),
        (import_module("snakemake.shell").shell, ["_process_prefix"]),
    ],
)
def test_attributes(owner, names):
    assert not [name for name in names if not hasattr(owner, name)]


@pytest.mark.parametrize(
    ("owner", "names"),
    [
        (modules.WorkflowModifier, ["skip_configfile", "path_modifier"]),
        (job_scheduler.JobScheduler, ["job_rate_limiter", "_executor"]),
        (workflow.Workflow, ["dag_settings", "storage_settings", "config_settings", "scheduler"]),
    ],
)
def test_attributes_that_an_object_gets_when_it_is_made(owner, names):
    source = inspect.getsource(owner)
    fields = getattr(owner, "__dataclass_fields__", {})
    assert not [name for name in names if f"self.{name}" not in source and name not in fields]
