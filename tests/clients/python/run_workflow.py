"""A Python workflow that schedules one of Airlock's activities, as a user's own would.

    run_workflow.py ADDRESS ACTIVITY INPUT_JSON

Hosts the workflow on a task queue of its own, runs it once, and prints one JSON document:
{"result": ...} or {"failure": {"type", "message", "nonRetryable", "details"}}.
"""

import asyncio
import json
import sys
import uuid
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.client import Client, WorkflowFailureError
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError
from temporalio.worker import Worker


@workflow.defn(name="runAnActivity")
class RunAnActivity:
    """Schedules the named activity on Airlock's task queue."""

    @workflow.run
    async def run(self, activity: str, value: dict[str, Any]) -> Any:
        return await workflow.execute_activity(
            activity,
            value,
            task_queue="airlock",
            start_to_close_timeout=timedelta(minutes=5),
            heartbeat_timeout=timedelta(seconds=20),
            retry_policy=RetryPolicy(maximum_attempts=5),
        )


def failure_of(error: BaseException | None) -> dict[str, Any]:
    while isinstance(error, ActivityError) and error.cause is not None:
        error = error.cause
    if isinstance(error, ApplicationError):
        return {
            "type": error.type,
            "message": error.message,
            "nonRetryable": error.non_retryable,
            "details": list(error.details),
        }
    return {"type": type(error).__name__, "message": str(error)}


async def main() -> None:
    address, activity, value = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    client = await Client.connect(address)
    queue = f"python-{uuid.uuid4()}"
    async with Worker(client, task_queue=queue, workflows=[RunAnActivity]):
        try:
            result = await client.execute_workflow(
                RunAnActivity.run, args=[activity, value], id=queue, task_queue=queue
            )
            print(json.dumps({"result": result}))
        except WorkflowFailureError as error:
            print(json.dumps({"failure": failure_of(error.cause)}))


if __name__ == "__main__":
    asyncio.run(main())
