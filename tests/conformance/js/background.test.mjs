// Commands that run on: handles, standard input, listing, connecting, killing.
import assert from 'node:assert/strict'

import { CommandExitError, NotFoundError, SandboxError, TimeoutError } from 'e2b'

import { NO_PID, behaviour, refused, sleep, until } from './support.mjs'

const start = (box, cmd, options) => box.commands.run(cmd, { background: true, ...options })
const pids = async (box) => (await box.commands.list()).map((one) => one.pid)
const gone = (box, pid) => until(async () => !(await pids(box)).includes(pid), `end of ${pid}`)

behaviour('a background command returns at once', async (box) => {
  const began = Date.now()
  assert.ok((await start(box, 'sleep 20')).pid > 0)
  assert.ok(Date.now() - began < 10_000)
})

behaviour('waiting gives the result of a background command', async (box) => {
  const done = await (await start(box, 'sleep 0.3; echo done; echo e >&2')).wait()
  assert.deepEqual([done.exitCode, done.stdout, done.stderr], [0, 'done\n', 'e\n'])
})

behaviour('waiting throws for the exit code of a background command', async (box) => {
  const handle = await start(box, 'echo partly; exit 5')
  const error = await refused(CommandExitError, () => handle.wait())
  assert.deepEqual([error.exitCode, error.stdout], [5, 'partly\n'])
})

behaviour('a handle has no exit code while the command runs', async (box) => {
  const handle = await start(box, 'sleep 0.5')
  assert.equal(handle.exitCode, undefined)
  await handle.wait()
  assert.equal(handle.exitCode, 0)
})

behaviour('a handle shows output as it comes', async (box) => {
  const handle = await start(box, 'echo first; echo err >&2; sleep 30')
  await until(() => handle.stdout === 'first\n' && handle.stderr === 'err\n', 'the output')
})

behaviour('a handle has callbacks', async (box) => {
  let seen = ''
  await (await start(box, 'seq 1 50', { onStdout: (part) => { seen += part } })).wait()
  assert.equal(seen.trim().split('\n').length, 50)
})

behaviour('the pid of a handle is that of the shell', async (box) => {
  const handle = await start(box, 'echo $$; exec sleep 0.1')
  assert.equal((await handle.wait()).stdout, `${handle.pid}\n`)
})

behaviour('the timeout of a background command ends it', async (box) => {
  const handle = await start(box, 'exec sleep 30', { timeoutMs: 1000 })
  await refused(TimeoutError, () => handle.wait())
  await gone(box, handle.pid)
})

behaviour('a handle kills its command', async (box) => {
  const handle = await start(box, 'exec sleep 30')
  assert.equal(await handle.kill(), true)
  const error = await refused(CommandExitError, () => handle.wait())
  assert.deepEqual([error.exitCode, error.error], [-1, 'signal: killed'])
})

behaviour('killing by pid says that it did', async (box) => {
  const handle = await start(box, 'exec sleep 30')
  assert.equal(await box.commands.kill(handle.pid), true)
  await gone(box, handle.pid)
})

behaviour('killing an unknown pid is false', async (box) => {
  assert.equal(await box.commands.kill(NO_PID), false)
})

behaviour('killing twice is false the second time', async (box) => {
  const handle = await start(box, 'exec sleep 30')
  await handle.kill()
  await gone(box, handle.pid)
  assert.equal(await handle.kill(), false)
})

behaviour('a command that ignores termination is killed', async (box) => {
  const handle = await start(box, "trap '' TERM INT; while :; do sleep 0.1; done")
  assert.equal(await handle.kill(), true)
  await refused(CommandExitError, () => handle.wait())
})

behaviour('the output of a killed command is kept', async (box) => {
  const handle = await start(box, 'echo before; exec sleep 30')
  await until(() => handle.stdout, 'output')
  await handle.kill()
  assert.equal((await refused(CommandExitError, () => handle.wait())).stdout, 'before\n')
})

behaviour('running commands are listed', async (box) => {
  const first = await start(box, 'sleep 30')
  const second = await start(box, 'sleep 30')
  assert.deepEqual((await pids(box)).sort(), [first.pid, second.pid].sort())
})

behaviour('nothing runs in a fresh sandbox', async (box) => {
  assert.deepEqual(await box.commands.list(), [])
})

behaviour('ended commands are not listed', async (box) => {
  const handle = await start(box, 'true')
  await handle.wait()
  await gone(box, handle.pid)
})

behaviour('the list tells the command line', async (box) => {
  await start(box, 'sleep 31')
  const [one] = await box.commands.list()
  assert.deepEqual([one.cmd, one.args], ['/bin/bash', ['-l', '-c', 'sleep 31']])
})

behaviour('the list tells environment and directory', async (box) => {
  await start(box, 'sleep 30', { envs: { A: 'b' }, cwd: '/tmp' })
  const [one] = await box.commands.list()
  assert.deepEqual([one.envs.A, one.cwd, one.tag], ['b', '/tmp', undefined])
})

behaviour('a command survives the one who started it', async (box) => {
  await (await start(box, 'sleep 1; echo lived > /tmp/lived')).disconnect()
  await until(() => box.files.exists('/tmp/lived'), 'the file')
})

behaviour('no callback comes after disconnecting', async (box) => {
  let seen = ''
  const handle = await start(box, 'sleep 0.5; echo late', { onStdout: (part) => { seen += part } })
  await handle.disconnect()
  await sleep(1000)
  assert.equal(seen, '')
})

behaviour('connecting by pid gives what comes and the end', async (box) => {
  const handle = await start(box, 'sleep 1; echo later; exit 4')
  const second = await box.commands.connect(handle.pid)
  handle.wait().catch(() => {})
  const error = await refused(CommandExitError, () => second.wait())
  assert.deepEqual([second.pid, error.exitCode, error.stdout], [handle.pid, 4, 'later\n'])
})

behaviour('connecting after disconnecting goes on', async (box) => {
  const handle = await start(box, 'sleep 1; echo after')
  await handle.disconnect()
  assert.equal((await (await box.commands.connect(handle.pid)).wait()).stdout, 'after\n')
})

behaviour('connecting to an unknown pid is not found', async (box) => {
  await refused(NotFoundError, () => box.commands.connect(NO_PID))
})

behaviour('connecting just after the end still gives the exit code', async (box) => {
  const handle = await start(box, 'exit 6')
  await refused(CommandExitError, () => handle.wait())
  const again = await box.commands.connect(handle.pid)
  assert.equal((await refused(CommandExitError, () => again.wait())).exitCode, 6)
})

behaviour('the timeout of a connection does not kill the command', async (box) => {
  const handle = await start(box, 'sleep 30', { timeoutMs: 0 })
  const second = await box.commands.connect(handle.pid, { timeoutMs: 1000 })
  await refused(TimeoutError, () => second.wait())
  assert.ok((await pids(box)).includes(handle.pid))
})

behaviour('two followers see the same', async (box) => {
  const handle = await start(box, 'sleep 1; seq 1 500')
  const second = await box.commands.connect(handle.pid)
  const [one, two] = await Promise.all([handle.wait(), second.wait()])
  assert.equal(one.stdout, two.stdout)
  assert.match(one.stdout, /\n500\n$/)
})

behaviour('standard input reaches the command', async (box) => {
  const handle = await start(box, 'read line; echo got $line', { stdin: true })
  await box.commands.sendStdin(handle.pid, 'hello\n')
  assert.equal((await handle.wait()).stdout, 'got hello\n')
})

behaviour('a handle sends standard input in order', async (box) => {
  const handle = await start(box, 'cat', { stdin: true })
  for (let n = 0; n < 20; n++) await handle.sendStdin(`${n},`)
  await handle.closeStdin()
  assert.equal((await handle.wait()).stdout, Array.from({ length: 20 }, (_, n) => `${n},`).join(''))
})

behaviour('standard input may be bytes', async (box) => {
  const handle = await start(box, 'od -An -tx1', { stdin: true })
  await handle.sendStdin(new Uint8Array([0, 255, 16]))
  await handle.closeStdin()
  assert.equal((await handle.wait()).stdout.trim(), '00 ff 10')
})

behaviour('standard input may be text of any script', async (box) => {
  const handle = await start(box, 'head -1', { stdin: true })
  await handle.sendStdin('日本🦀\n')
  assert.equal((await handle.wait()).stdout, '日本🦀\n')
})

behaviour('closing standard input is the end of the file', async (box) => {
  const handle = await start(box, 'wc -c', { stdin: true })
  await handle.sendStdin('12345')
  await box.commands.closeStdin(handle.pid)
  assert.equal((await handle.wait()).stdout.trim(), '5')
})

behaviour('input after closing is refused', async (box) => {
  const handle = await start(box, 'sleep 20', { stdin: true })
  await handle.closeStdin()
  await refused(SandboxError, () => handle.sendStdin('late'))
})

behaviour('input to a command without standard input is refused', async (box) => {
  const handle = await start(box, 'sleep 20')
  await refused(SandboxError, () => handle.sendStdin('x'))
})

behaviour('input to an unknown pid is not found', async (box) => {
  await refused(NotFoundError, () => box.commands.sendStdin(NO_PID, 'x'))
})

behaviour('a dialogue is possible', async (box) => {
  const handle = await start(box, 'read a; echo first $a; read b; echo second $b', { stdin: true })
  await handle.sendStdin('1\n')
  await until(() => handle.stdout === 'first 1\n', 'the first answer')
  await handle.sendStdin('2\n')
  assert.equal((await handle.wait()).stdout, 'first 1\nsecond 2\n')
})
