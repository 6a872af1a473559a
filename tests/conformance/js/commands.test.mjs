// Commands that are waited for: exit codes, output, environment, directory, user, time.
import assert from 'node:assert/strict'

import { AuthenticationError, CommandExitError, InvalidArgumentError, TimeoutError } from 'e2b'

import { behaviour, each, refused } from './support.mjs'

const out = async (box, cmd, options) => (await box.commands.run(cmd, options)).stdout
const failed = (box, cmd, options) => refused(CommandExitError, () => box.commands.run(cmd, options))

behaviour('run gives standard output', async (box) => {
  assert.equal(await out(box, 'echo hello'), 'hello\n')
})

behaviour('run gives standard error apart', async (box) => {
  const done = await box.commands.run('echo out; echo err >&2')
  assert.deepEqual([done.stdout, done.stderr], ['out\n', 'err\n'])
})

behaviour('success is exit code zero without an error', async (box) => {
  const done = await box.commands.run('true')
  assert.deepEqual([done.exitCode, done.error], [0, undefined])
})

each([1, 42, 255], 'another exit code throws with that code', async (box, code) => {
  assert.equal((await failed(box, `exit ${code}`)).exitCode, code)
})

behaviour('the output of a failing command is in the error', async (box) => {
  const error = await failed(box, 'echo out; echo err >&2; exit 3')
  assert.deepEqual([error.stdout, error.stderr, error.error], ['out\n', 'err\n', 'exit status 3'])
})

behaviour('an unknown program is exit 127', async (box) => {
  const error = await failed(box, 'no-such-program-at-all')
  assert.equal(error.exitCode, 127)
  assert.match(error.stderr, /no-such-program-at-all/)
})

behaviour('a command that a signal killed has exit code -1', async (box) => {
  const error = await failed(box, 'kill -9 $$')
  assert.deepEqual([error.exitCode, error.error], [-1, 'signal: killed'])
})

behaviour('a shell reports the signal of its child as 128 plus n', async (box) => {
  assert.equal((await failed(box, "bash -c 'kill -TERM $$'; exit $?")).exitCode, 143)
})

each(['ünïcödé', '日本語', '🦀🚀', '\\n no line', '$HOME "x"'], 'text comes back as it was',
  async (box, value) => assert.equal(await out(box, `printf %s '${value}'`), value))

behaviour('bytes that are no text become replacement characters', async (box) => {
  assert.equal(await out(box, String.raw`printf 'a\xff\xfeb'`), 'a\ufffd\ufffdb')
})

behaviour('a character cut between two writes is whole', async (box) => {
  assert.equal(await out(box, String.raw`printf '\xe2\x82'; sleep 0.3; printf '\xac'`), '€')
})

behaviour('a character cut for good is replaced', async (box) => {
  assert.equal(await out(box, String.raw`printf 'x\xe2\x82'`), 'x\ufffd')
})

behaviour('no output is an empty string', async (box) => {
  const done = await box.commands.run('true')
  assert.deepEqual([done.stdout, done.stderr], ['', ''])
})

behaviour('megabytes of output are complete', async (box) => {
  const got = await out(box, "head -c 5000000 /dev/zero | tr '\\0' x")
  assert.equal(got.length, 5_000_000)
  assert.match(got, /^x+$/)
})

behaviour('lines keep their order', async (box) => {
  const wanted = Array.from({ length: 20_000 }, (_, n) => `${n + 1}\n`).join('')
  assert.equal(await out(box, 'seq 1 20000'), wanted)
})

behaviour('a long command line is taken', async (box) => {
  const value = 'y'.repeat(60_000)
  assert.equal(await out(box, `printf %s ${value}`), value)
})

behaviour('a command of several lines runs whole', async (box) => {
  assert.equal(await out(box, 'a=1\nb=2\necho $((a + b))'), '3\n')
})

behaviour('the shell is a login bash', async (box) => {
  await box.files.write('/home/user/.bash_profile', 'export FROM_PROFILE=yes\n')
  assert.equal(await out(box, 'echo ${BASH_VERSION:+bash} $FROM_PROFILE'), 'bash yes\n')
})

behaviour('standard input is empty by default', async (box) => {
  assert.equal(await out(box, 'cat; echo end'), 'end\n')
})

behaviour('commands share files but no shell state', async (box) => {
  await box.commands.run('export A=1; cd /tmp; echo kept > /tmp/kept')
  assert.equal(await out(box, 'echo "[$A]"; pwd; cat /tmp/kept'), '[]\n/home/user\nkept\n')
})

behaviour('envs reach the command', async (box) => {
  assert.equal(await out(box, 'echo $FOO $BAR', { envs: { FOO: 'one', BAR: 'two' } }), 'one two\n')
})

behaviour('a value of envs is not interpreted', async (box) => {
  const V = 'a b\n$HOME `id` "q" \'r\' ü'
  assert.equal(await out(box, 'printf %s "$V"', { envs: { V } }), V)
})

behaviour('an empty value is set', async (box) => {
  assert.equal(await out(box, 'echo ${E+set}${E}', { envs: { E: '' } }), 'set\n')
})

behaviour('envs are for one command only', async (box) => {
  await box.commands.run('true', { envs: { ONCE: 'x' } })
  assert.equal(await out(box, 'echo "[$ONCE]"'), '[]\n')
})

behaviour('envs of the sandbox reach every command', async (_, more) => {
  const box = await more({ envs: { GLOBAL: 'yes' } })
  assert.equal(await out(box, 'echo $GLOBAL'), 'yes\n')
})

behaviour('envs of the command win over those of the sandbox', async (_, more) => {
  const box = await more({ envs: { WHO: 'sandbox', OTHER: 'stays' } })
  assert.equal(await out(box, 'echo $WHO $OTHER', { envs: { WHO: 'command' } }), 'command stays\n')
})

behaviour('the sandbox says that it is one', async (box) => {
  assert.equal(await out(box, 'echo $E2B_SANDBOX $E2B_SANDBOX_ID'), `true ${box.sandboxId}\n`)
})

behaviour('the default directory is the home', async (box) => {
  assert.equal(await out(box, 'pwd'), '/home/user\n')
})

behaviour('cwd is where the command runs', async (box) => {
  assert.equal(await out(box, 'pwd', { cwd: '/tmp' }), '/tmp\n')
})

behaviour('a relative cwd is under the home', async (box) => {
  await box.files.makeDir('work/deep')
  assert.equal(await out(box, 'pwd', { cwd: 'work/deep' }), '/home/user/work/deep\n')
})

behaviour('a missing cwd is an invalid argument', async (box) => {
  await refused(InvalidArgumentError, () => box.commands.run('pwd', { cwd: '/no/such/dir' }))
})

behaviour('the default user is user', async (box) => {
  assert.equal(await out(box, 'whoami; echo $USER $LOGNAME $HOME'), 'user\nuser user /home/user\n')
})

behaviour('a command can run as root', async (box) => {
  assert.equal(await out(box, 'id -u; echo $HOME', { user: 'root' }), '0\n/root\n')
})

behaviour('an unknown user is refused', async (box) => {
  await refused(AuthenticationError, () => box.commands.run('true', { user: 'nobody-so-named' }))
})

behaviour('users do not see the private files of others', async (box) => {
  await box.commands.run('echo secret > /root/private && chmod 600 /root/private', { user: 'root' })
  assert.match((await failed(box, 'cat /root/private')).stderr, /Permission denied/)
})

behaviour('sudo without a password gives root', async (box) => {
  assert.equal(await out(box, 'sudo id -u'), '0\n')
})

behaviour('a command over its timeout throws', async (box) => {
  const began = Date.now()
  await refused(TimeoutError, () => box.commands.run('sleep 30', { timeoutMs: 1000 }))
  assert.ok(Date.now() - began < 10_000)
})

behaviour('a command over its timeout is killed', async (box) => {
  await refused(TimeoutError, () => box.commands.run('exec sleep 1234', { timeoutMs: 500 }))
  assert.equal(await out(box, "ps -eo args | grep -c '^sleep 1234' || true"), '0\n')
})

behaviour('a timeout of zero does not limit', async (box) => {
  assert.equal(await out(box, 'sleep 1.5; echo done', { timeoutMs: 0 }), 'done\n')
})

behaviour('output reaches the callback as it is written', async (box) => {
  const seen = []
  await box.commands.run('echo a; sleep 1; echo b', {
    onStdout: (part) => { seen.push([Date.now(), part]) },
  })
  assert.equal(seen.map(([, part]) => part).join(''), 'a\nb\n')
  assert.ok(seen.at(-1)[0] - seen[0][0] > 700)
})

behaviour('standard error has a callback of its own', async (box) => {
  let stdout = ''
  let stderr = ''
  await box.commands.run('echo o; echo e >&2', {
    onStdout: (part) => { stdout += part },
    onStderr: (part) => { stderr += part },
  })
  assert.deepEqual([stdout, stderr], ['o\n', 'e\n'])
})

behaviour('what callbacks saw is also in the result', async (box) => {
  let seen = ''
  const got = await out(box, 'seq 1 3000', { onStdout: (part) => { seen += part } })
  assert.equal(seen, got)
})

behaviour('commands run at the same time', async (box) => {
  const began = Date.now()
  const numbers = [0, 1, 2, 3, 4, 5, 6, 7]
  const got = await Promise.all(numbers.map((n) => out(box, `sleep 1; echo ${n}`)))
  assert.deepEqual(got, numbers.map((n) => `${n}\n`))
  assert.ok(Date.now() - began < 6000)
})

behaviour('a command ends only when its output is closed', async (box) => {
  assert.equal(await out(box, '(sleep 1; echo late) & echo early'), 'early\nlate\n')
})

behaviour('an aborted run throws', async (box) => {
  await assert.rejects(box.commands.run('sleep 30', { signal: AbortSignal.timeout(500) }))
})

behaviour('the programs of the base template are there', async (box) => {
  assert.equal(await out(box, 'command -v bash git curl python3 sed awk | wc -l'), '6\n')
})

behaviour('each sandbox has files and processes of its own', async (box, more) => {
  const other = await more()
  await box.commands.run('echo mine > /tmp/mine')
  await box.commands.run('exec sleep 4321', { background: true })
  const got = await out(other, "ls /tmp/mine 2>&1; ps -eo args | grep -c '^sleep 4321'; true")
  assert.match(got, /No such file[^]*\n0\n$/)
})
