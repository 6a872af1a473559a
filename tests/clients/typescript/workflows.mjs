// The workflow: schedules the named activity on Airlock's task queue, as a user's own would.
import { proxyActivities } from '@temporalio/workflow';

export async function runAnActivity(activity, value) {
  const airlock = proxyActivities({
    taskQueue: 'airlock',
    startToCloseTimeout: '5 minutes',
    heartbeatTimeout: '20 seconds',
    retry: { maximumAttempts: 5 },
  });
  return await airlock[activity](value);
}
