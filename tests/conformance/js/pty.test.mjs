// Terminals.
import assert from 'node:assert/strict'

import { CommandExitError, NotFoundError, SandboxError } from 'e2b'

import { NO_PID, behaviour, refused, sleep, text, until } from './support.mjs'

async function terminal(box, options) {
  const parts = []
  const handle = await box.pty.create({
    cols: 80, rows: 24, onData: (part) => { parts.push(part) }, ...options,
  })
  handle.wait().catch(() => {})
  return {
    handle,
    pid: handle.pid,
    type: (line) => box.pty.sendInput(handle.pid, new TextEncoder().encode(line)),
    shows: (wanted) => until(() => text(parts).includes(wanted), `${wanted} on the terminal`),
  }
}

/** What `line` writes between angle brackets in a terminal made with `options`. */
function answers(name, options, line, wanted) {
  behaviour(name, async (box) => {
    const { type, shows } = await terminal(box, options)
    await type(`${line}\n`)
    await shows(wanted)
  })
}

answers('a terminal answers what is typed', {}, 'echo $((6 * 7))', '42')
answers('a terminal is a terminal', {}, 'test -t 0 && echo is-$((1 + 1))-tty', 'is-2-tty')
answers('a terminal has the size asked for', { rows: 33, cols: 121 }, 'stty size', '33 121')
answers('a terminal has its usual environment', {}, 'echo "<$TERM|$LANG>"', '<xterm-256color|C.UTF-8>')
answers('envs reach a terminal', { envs: { FOO: 'bar' } }, 'echo "<$FOO>"', '<bar>')
answers('a terminal starts in cwd', { cwd: '/tmp' }, 'echo "<$PWD>"', '</tmp>')
answers('a terminal can belong to another user', { user: 'root' }, 'echo "<$(id -u)>"', '<0>')
answers('any script passes a terminal', {}, "printf '<%s>' ü日🦀", '<ü日🦀>')

behaviour('a terminal can be resized', async (box) => {
  const { pid, type, shows } = await terminal(box)
  await box.pty.resize(pid, { cols: 99, rows: 50 })
  await type('stty size\n')
  await shows('50 99')
})

behaviour('leaving a terminal ends it with that code', async (box) => {
  const { handle, type } = await terminal(box)
  await type('exit 7\n')
  assert.equal((await refused(CommandExitError, () => handle.wait())).exitCode, 7)
})

behaviour('the end of file leaves a terminal', async (box) => {
  const { handle, type, shows } = await terminal(box)
  await type('echo $((40 + 2))\n')
  await shows('42')
  await type('\x04')
  assert.equal((await handle.wait()).exitCode, 0)
})

behaviour('control-c interrupts what runs in a terminal', async (box) => {
  const { type, shows } = await terminal(box)
  await type('echo $((20 + 1)); sleep 60\n')
  await shows('21')
  await sleep(300)
  await type('\x03')
  await type('echo "<$?>"\n')
  await shows('<130>')
})

behaviour('a terminal is listed and killed', async (box) => {
  const { pid } = await terminal(box)
  const listed = (await box.commands.list()).map((one) => [one.pid, one.args])
  assert.deepEqual(listed, [[pid, ['-i', '-l']]])
  assert.equal(await box.pty.kill(pid), true)
  await until(async () => (await box.commands.list()).length === 0, 'the end of the terminal')
})

behaviour('killing an unknown terminal is false', async (box) => {
  assert.equal(await box.pty.kill(NO_PID), false)
})

behaviour('input to an unknown terminal is not found', async (box) => {
  await refused(NotFoundError, () => box.pty.sendInput(NO_PID, new Uint8Array([120])))
})

behaviour('a terminal takes no standard input', async (box) => {
  const { pid } = await terminal(box)
  await refused(SandboxError, () => box.commands.sendStdin(pid, 'x'))
})

behaviour('a terminal can be followed by another', async (box) => {
  const { pid, type } = await terminal(box)
  const parts = []
  const second = await box.pty.connect(pid, { onData: (part) => { parts.push(part) } })
  await type('echo $((6 * 7)); exit\n')
  assert.equal((await second.wait()).exitCode, 0)
  assert.match(text(parts), /42/)
})
