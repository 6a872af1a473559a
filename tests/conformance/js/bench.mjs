// What E2B's JavaScript SDK costs its own process, in CPU time: the same work as
// crates/e2b/benches/sandboxes.rs, printed the same way. scripts/bench-sandboxes.py runs both.
// Start-up and a warm-up are not in the figures.
import assert from 'node:assert/strict'

import { Sandbox } from 'e2b'

const COMMANDS = 500
const SANDBOXES = 50
const OUTPUT = 100_000_000
const AT_ONCE = 200
const ROUNDS = 5

const chosen = process.argv.slice(2)
const create = () => Sandbox.create({ timeoutMs: 300_000 })
const truth = async () => assert.equal((await box.commands.run('true')).exitCode, 0)

async function measure(work, count, run) {
  if (chosen.length > 0 && !chosen.includes(work)) return
  const [clock, before] = [process.hrtime.bigint(), process.cpuUsage()]
  await run()
  const wall = Number(process.hrtime.bigint() - clock) / 1e9
  const { user, system } = process.cpuUsage(before)
  console.log(JSON.stringify({ work, count, wall, cpu: (user + system) / 1e6 }))
}

const box = await create()
for (let n = 0; n < 20; n++) await truth()

await measure('commands', COMMANDS, async () => {
  for (let n = 0; n < COMMANDS; n++) await truth()
})

await measure('create', SANDBOXES, async () => {
  for (let n = 0; n < SANDBOXES; n++) await (await create()).kill()
})

await measure('output', 1, async () => {
  const { stdout } = await box.commands.run(`head -c ${OUTPUT} /dev/zero | tr '\\0' x`)
  assert.equal(stdout.length, OUTPUT)
})

await measure('concurrent', ROUNDS * AT_ONCE, async () => {
  for (let n = 0; n < ROUNDS; n++) await Promise.all(Array.from({ length: AT_ONCE }, truth))
})

await box.kill()
