"""Runs in the process of the code server, and whether that still has them.

Belongs here: asking the code server about a run. Does not belong here: what becomes of a run that is gone (Dagster's
run monitoring calls it failed and begins it anew, as `dagster.yaml` says), and runs that the command line started,
whose mark of life lies in the lake (`sensors`).

Dagster's own launcher cannot say whether a run is alive: when the code server was started anew, the runs that it had
would be under way for ever, and hold up the queue.
"""

from __future__ import annotations

from dagster import DagsterRun, DefaultRunLauncher
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.launcher import CheckRunHealthResult, WorkerStatus
from dagster._grpc.types import CanCancelExecutionRequest, CanCancelExecutionResult
from dagster._serdes import deserialize_value


class CodeServerRunLauncher(DefaultRunLauncher):
    """Start runs in the code server, and ask it whether it has them."""

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Say that this launcher can be asked."""
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """Say that a run is gone where the code server answers and does not have it.

        A server that does not answer says nothing about its runs: it may be starting, or busy.
        """
        client = self._get_grpc_client_for_termination(run.run_id)  # type: ignore[no-untyped-call]
        if client is None:
            return CheckRunHealthResult(WorkerStatus.RUNNING, "not started by a code server")
        try:
            answer = client.can_cancel_execution(CanCancelExecutionRequest(run_id=run.run_id), timeout=10)
        except DagsterUserCodeUnreachableError:
            return CheckRunHealthResult(WorkerStatus.RUNNING, "the code server does not answer")
        if deserialize_value(answer, CanCancelExecutionResult).can_cancel:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(
            WorkerStatus.NOT_FOUND, "the code server was started anew and does not have the run"
        )
