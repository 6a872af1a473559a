// run-workflow.mjs ADDRESS ACTIVITY INPUT_JSON
//
// Hosts the workflow on a task queue of its own, runs it once, and prints one JSON document:
// {"result": ...} or {"failure": {"type", "message", "nonRetryable", "details"}}.
import { randomUUID } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { Client, Connection, WorkflowFailedError } from '@temporalio/client';
import { NativeConnection, Runtime, Worker } from '@temporalio/worker';

Runtime.install({ telemetryOptions: { logging: { forward: {}, filter: 'ERROR' } } });
const [address, activity, input] = process.argv.slice(2);
const taskQueue = `typescript-${randomUUID()}`;
const connection = await NativeConnection.connect({ address });
const worker = await Worker.create({
  connection,
  taskQueue,
  workflowsPath: fileURLToPath(new URL('./workflows.mjs', import.meta.url)),
});
const client = new Client({ connection: await Connection.connect({ address }) });

function failureOf(error) {
  let cause = error;
  while (cause?.cause && cause.type === undefined) cause = cause.cause;
  const { type, message, nonRetryable, details } = cause;
  return { type, message, nonRetryable, details };
}

const answer = await worker.runUntil(async () => {
  try {
    const result = await client.workflow.execute('runAnActivity', {
      taskQueue,
      workflowId: taskQueue,
      args: [activity, JSON.parse(input)],
    });
    return { result };
  } catch (error) {
    if (!(error instanceof WorkflowFailedError)) throw error;
    return { failure: failureOf(error.cause) };
  }
});
console.log(JSON.stringify(answer));
await connection.close();
