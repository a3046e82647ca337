"""A run is gone where the code server answers and does not have it, and nowhere else."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.launcher import WorkerStatus
from dagster._grpc.types import CanCancelExecutionRequest, CanCancelExecutionResult
from dagster._serdes import serialize_value

from analytics_assets.automation.launching import CodeServerRunLauncher


def launcher(monkeypatch: pytest.MonkeyPatch, instance: dg.DagsterInstance, answer: Any) -> CodeServerRunLauncher:
    """Make a launcher whose code server answers so."""

    def can_cancel_execution(request: CanCancelExecutionRequest, timeout: int) -> str:
        if isinstance(answer, Exception):
            raise answer
        return serialize_value(CanCancelExecutionResult(can_cancel=answer))

    made = CodeServerRunLauncher()
    made.register_instance(instance)
    client = SimpleNamespace(can_cancel_execution=can_cancel_execution)
    monkeypatch.setattr("dagster._grpc.client.DagsterGrpcClient", lambda **_: client)
    return made


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (True, WorkerStatus.RUNNING),
        (False, WorkerStatus.NOT_FOUND),
        (DagsterUserCodeUnreachableError("starting"), WorkerStatus.RUNNING),
    ],
    ids=["it has the run", "it does not", "it does not answer"],
)
def test_the_code_server_is_asked(monkeypatch: pytest.MonkeyPatch, answer: Any, status: WorkerStatus) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        tags = {".dagster/grpc_info": json.dumps({"host": "code", "port": 4000})}
        run = instance.add_run(dg.DagsterRun("daily", status=dg.DagsterRunStatus.STARTED, tags=tags))
        asked = launcher(monkeypatch, instance, answer)
        assert asked.supports_check_run_worker_health
        assert asked.check_run_worker_health(run).status == status


def test_a_run_of_the_command_line_is_none_of_the_code_server(monkeypatch: pytest.MonkeyPatch) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        run = instance.add_run(dg.DagsterRun("daily", status=dg.DagsterRunStatus.STARTED))
        asked = launcher(monkeypatch, instance, answer=False)
        assert asked.check_run_worker_health(run).status == WorkerStatus.RUNNING
