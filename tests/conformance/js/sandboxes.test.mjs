// A sandbox's life: creation, connection, time, information, pausing, end; access; network.
import assert from 'node:assert/strict'

import { AuthenticationError, Sandbox, SandboxError, SandboxNotFoundError, TimeoutError } from 'e2b'

import { UNKNOWN, WRONG_KEY, behaviour, each, refused, sleep, until } from './support.mjs'

const secondsLeft = async (box) => ((await box.getInfo()).endAt - Date.now()) / 1000

const between = (value, low, high) => assert.ok(value > low && value <= high, `${value} s`)

behaviour('a created sandbox runs', async (box) => {
  assert.equal(await box.isRunning(), true)
})

behaviour('an id is letters and digits, each sandbox its own', async (box, more) => {
  assert.match(box.sandboxId, /^[a-z0-9]+$/)
  assert.notEqual((await more()).sandboxId, box.sandboxId)
})

behaviour('a sandbox lives five minutes by default', async (_, more) => {
  between(await secondsLeft(await more({ timeoutMs: undefined })), 285, 300)
})

behaviour('a sandbox lives as long as asked for', async (_, more) => {
  between(await secondsLeft(await more({ timeoutMs: 600_000 })), 590, 600)
})

behaviour('metadata comes back', async (_, more) => {
  const metadata = { run: 'r-1', 'any key': 'any välue & more=1' }
  assert.deepEqual((await (await more({ metadata })).getInfo()).metadata, metadata)
})

behaviour('a template can be named and base is the default', async (box, more) => {
  assert.equal((await box.getInfo()).name, 'base')
  assert.equal((await (await more({ template: 'base' })).getInfo()).name, 'base')
})

behaviour('an unknown template is refused', async () => {
  const error = await refused(SandboxError, () => Sandbox.create('no-such-template-anywhere'))
  assert.equal(error.statusCode, 404)
})

each([-5000, 1e11], 'a life that cannot be is refused', async (_, timeoutMs) => {
  assert.equal((await refused(SandboxError, () => Sandbox.create({ timeoutMs }))).statusCode, 400)
})

behaviour('many sandboxes can be created at once', async (_, more) => {
  const made = await Promise.all(Array.from({ length: 8 }, () => more()))
  const ids = await Promise.all(made.map((one) => one.commands.run('printf $E2B_SANDBOX_ID')))
  assert.deepEqual(ids.map((one) => one.stdout), made.map((one) => one.sandboxId))
})

behaviour('information names the sandbox and tells its state', async (box) => {
  const info = await box.getInfo()
  assert.deepEqual([info.sandboxId, info.state], [box.sandboxId, 'running'])
  assert.deepEqual(await Sandbox.getInfo(box.sandboxId), info)
})

behaviour('information tells the start', async (box) => {
  const age = Date.now() - (await box.getInfo()).startedAt
  assert.ok(age >= 0 && age < 30_000, `${age} ms`)
})

behaviour('information tells processors, memory and version', async (box) => {
  const info = await box.getInfo()
  assert.ok(info.cpuCount >= 1 && info.memoryMB >= 128)
  assert.match(info.envdVersion, /^0\.6\.1[2-9]$/)
})

behaviour('information tells what happens at the end', async (_, more) => {
  const box = await more({ lifecycle: { onTimeout: 'pause' } })
  assert.equal((await box.getInfo()).lifecycle.onTimeout, 'pause')
})

each(['getInfo', 'connect', 'pause', 'getMetrics'], 'an unknown sandbox is not found',
  async (_, method) => {
    await refused(SandboxNotFoundError, () => Sandbox[method](UNKNOWN))
  })

behaviour('setting the time of an unknown sandbox is not found', async () => {
  await refused(SandboxNotFoundError, () => Sandbox.setTimeout(UNKNOWN, 10_000))
})

behaviour('a sandbox ends at its time', async (_, more) => {
  const box = await more({ timeoutMs: 1000 })
  await until(async () => !(await box.isRunning()), 'the end')
  await refused(SandboxNotFoundError, () => box.getInfo())
})

behaviour('setting the time prolongs and shortens', async (box) => {
  await box.setTimeout(1_000_000)
  between(await secondsLeft(box), 980, 1000)
  await box.setTimeout(30_000)
  between(await secondsLeft(box), 10, 30)
})

behaviour('setting the time by id', async (box) => {
  await Sandbox.setTimeout(box.sandboxId, 700_000)
  between(await secondsLeft(box), 680, 700)
})

behaviour('connecting gives the same sandbox', async (box) => {
  await box.files.write('f', 'x')
  const again = await Sandbox.connect(box.sandboxId)
  assert.deepEqual([again.sandboxId, await again.files.read('f')], [box.sandboxId, 'x'])
})

behaviour('connecting does not shorten', async (box) => {
  const before = (await box.getInfo()).endAt
  await Sandbox.connect(box.sandboxId, { timeoutMs: 5000 })
  assert.ok((await box.getInfo()).endAt >= before)
})

behaviour('connecting prolongs', async (box) => {
  await box.connect({ timeoutMs: 900_000 })
  between(await secondsLeft(box), 880, 900)
})

behaviour('killing says whether it did', async (box) => {
  assert.deepEqual([await box.kill(), await box.kill()], [true, false])
})

behaviour('killing by id', async (box) => {
  assert.equal(await Sandbox.kill(box.sandboxId), true)
  assert.equal(await box.isRunning(), false)
  assert.equal(await Sandbox.kill(UNKNOWN), false)
})

behaviour('a killed sandbox is not found', async (box) => {
  await box.kill()
  await refused(SandboxNotFoundError, () => Sandbox.getInfo(box.sandboxId))
  await refused(SandboxNotFoundError, () => Sandbox.connect(box.sandboxId))
})

behaviour('a command in a killed sandbox is refused', async (box) => {
  await box.kill()
  await refused(SandboxNotFoundError, () => box.commands.run('true'))
})

behaviour('a file in a killed sandbox is refused', async (box) => {
  await box.kill()
  await refused(TimeoutError, () => box.files.read('f'))
})

behaviour('killing during a command throws where it is waited for', async (box) => {
  const handle = await box.commands.run('sleep 60', { background: true })
  const waiting = refused(TimeoutError, () => handle.wait())
  await sleep(300)
  await box.kill()
  assert.match((await waiting).message, /killed or reached its end of life/)
})

behaviour('the end of time during a command throws', async (_, more) => {
  const box = await more({ timeoutMs: 2000 })
  await refused(TimeoutError, () => box.commands.run('sleep 60', { timeoutMs: 0 }))
})

behaviour('a paused sandbox keeps files and processes', async (box) => {
  await box.files.write('f', 'kept')
  const { pid } = await box.commands.run('sleep 300', { background: true })
  assert.equal(await box.pause(), true)
  assert.equal(await box.isRunning(), false)
  const again = await Sandbox.connect(box.sandboxId)
  assert.equal(await again.files.read('f'), 'kept')
  assert.deepEqual((await again.commands.list()).map((one) => one.pid), [pid])
})

behaviour('pausing is told and done once', async (box) => {
  await box.pause()
  assert.equal((await box.getInfo()).state, 'paused')
  assert.equal(await box.pause(), false)
})

behaviour('a paused sandbox can be killed', async (box) => {
  await box.pause()
  assert.equal(await box.kill(), true)
  await refused(SandboxNotFoundError, () => box.getInfo())
})

behaviour('a sandbox can pause at its end', async (_, more) => {
  const box = await more({ timeoutMs: 1000, lifecycle: { onTimeout: 'pause' } })
  await until(async () => (await box.getInfo()).state === 'paused', 'the pause')
})

behaviour('metrics tell processors, memory and disk', async (box) => {
  const measured = async () => (await box.getMetrics())[0]
  const one = await until(measured, 'a measurement', 20)
  assert.ok(one.cpuCount >= 1 && one.memUsed > 0 && one.memUsed <= one.memTotal)
  assert.ok(one.diskTotal > 0 && one.diskUsed <= one.diskTotal)
})

behaviour('metrics of the future are none', async (box) => {
  const start = new Date(Date.now() + 3_600_000)
  assert.deepEqual(await box.getMetrics({ start, end: new Date(+start + 3_600_000) }), [])
})

behaviour('a wrong key is refused', async (box) => {
  const apiKey = WRONG_KEY
  await refused(AuthenticationError, () => Sandbox.create({ apiKey }))
  await refused(AuthenticationError, () => Sandbox.getInfo(box.sandboxId, { apiKey }))
  await refused(AuthenticationError, () => Sandbox.kill(box.sandboxId, { apiKey }))
  assert.equal(await box.isRunning(), true)
})

const stranger = (box, envdAccessToken) => new Sandbox({
  sandboxId: box.sandboxId, envdVersion: '0.6.13', envdAccessToken,
})

each(['run', 'read', 'list'], "another sandbox's token opens nothing", async (box, what, more) => {
  const other = stranger(box, (await more()).envdAccessToken)
  await refused(AuthenticationError, {
    run: () => other.commands.run('true'),
    read: () => other.files.read('/etc/hostname'),
    list: () => other.files.list('/'),
  }[what])
})

behaviour('no token opens no sandbox', async (box) => {
  await refused(AuthenticationError, () => stranger(box, undefined).commands.run('true'))
})

each(['http://1.1.1.1/', 'http://example.com/', process.env.E2B_API_URL],
  'without the internet nothing is reached', async (_, url, more) => {
    const box = await more({ allowInternetAccess: false })
    const { stdout } = await box.commands.run(`curl -sS -m 4 ${url} 2>&1 || echo failed`)
    assert.match(stdout, /failed\n$/)
  })

behaviour('without the internet loopback still works', async (_, more) => {
  const box = await more({ allowInternetAccess: false })
  await box.files.write('served.txt', 'by loopback')
  await box.commands.run('exec python3 -m http.server 8123', { background: true })
  const { stdout } = await box.commands.run(
    'curl -sS --retry 20 --retry-connrefused --retry-delay 1 http://127.0.0.1:8123/served.txt')
  assert.equal(stdout, 'by loopback')
})

behaviour('information tells that the internet is off', async (_, more) => {
  const box = await more({ allowInternetAccess: false })
  assert.equal((await box.getInfo()).allowInternetAccess, false)
})

behaviour('information does not tell of the internet unless asked for', async (box) => {
  assert.ok(((await box.getInfo()).allowInternetAccess ?? undefined) === undefined)
})
