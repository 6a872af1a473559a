// Directories and entries: listing, information, existence, making, moving, removing, watching.
import assert from 'node:assert/strict'

import { FileNotFoundError, InvalidArgumentError } from 'e2b'

import { behaviour, each, refused, sleep, until } from './support.mjs'

const names = async (box, path, options) =>
  (await box.files.list(path, options)).map((one) => one.name).sort()

behaviour('a listing tells names, kinds, paths and sizes', async (box) => {
  await box.files.write('/tmp/d/file', '12345')
  await box.files.makeDir('/tmp/d/dir')
  const found = (await box.files.list('/tmp/d')).map(({ name, type, path }) => [name, type, path])
  assert.deepEqual(found.sort(), [['dir', 'dir', '/tmp/d/dir'], ['file', 'file', '/tmp/d/file']])
  assert.equal((await box.files.list('/tmp/d')).find((one) => one.name === 'file').size, 5)
})

behaviour('an empty directory lists nothing', async (box) => {
  await box.files.makeDir('empty')
  assert.deepEqual(await box.files.list('empty'), [])
})

behaviour('hidden files are listed', async (box) => {
  await box.files.write('d/.hidden', '1')
  assert.deepEqual(await names(box, 'd'), ['.hidden'])
})

each([[undefined, ['a']], [1, ['a']], [2, ['a', 'b', 'f1']], [9, ['a', 'b', 'f1', 'f2']]],
  'depth says how far a listing goes', async (box, [depth, wanted]) => {
    await box.files.write([{ path: 't/a/f1', data: 'x' }, { path: 't/a/b/f2', data: 'x' }])
    assert.deepEqual(await names(box, 't', { depth }), wanted)
  })

each([0, -1], 'a depth below one is an invalid argument', async (box, depth) => {
  await refused(InvalidArgumentError, () => box.files.list('/home/user', { depth }))
})

behaviour('listing a missing directory is not found', async (box) => {
  await refused(FileNotFoundError, () => box.files.list('/no/such/dir'))
})

behaviour('listing a file is an invalid argument', async (box) => {
  await box.files.write('file', 'x')
  await refused(InvalidArgumentError, () => box.files.list('file'))
})

behaviour('listing a thousand entries is complete', async (box) => {
  await box.commands.run("mkdir big && cd big && seq -f 'f%04g' 1 1000 | xargs touch")
  const wanted = Array.from({ length: 1000 }, (_, n) => `f${String(n + 1).padStart(4, '0')}`)
  assert.deepEqual(await names(box, 'big'), wanted)
})

behaviour('information tells mode, permissions, owner and group', async (box) => {
  await box.files.write('f', 'x')
  await box.commands.run('chmod 754 f')
  const { mode, permissions, owner, group } = await box.files.getInfo('f')
  assert.deepEqual([mode, permissions, owner, group], [0o754, '-rwxr-xr--', 'user', 'user'])
})

behaviour('information tells when a file was changed', async (box) => {
  await box.files.write('f', 'x')
  await box.commands.run("touch -d '2020-02-03T04:05:06Z' f")
  const { modifiedTime } = await box.files.getInfo('f')
  assert.equal(modifiedTime.toISOString(), '2020-02-03T04:05:06.000Z')
})

behaviour('information about a directory', async (box) => {
  await box.files.makeDir('/tmp/dir')
  const { name, type, permissions } = await box.files.getInfo('/tmp/dir')
  assert.deepEqual([name, type, permissions], ['dir', 'dir', 'drwxr-xr-x'])
})

behaviour('information about a missing path is not found', async (box) => {
  await refused(FileNotFoundError, () => box.files.getInfo('missing'))
})

behaviour('a link tells its target', async (box) => {
  await box.commands.run('echo x > target && ln -s target link')
  assert.equal((await box.files.getInfo('link')).symlinkTarget, '/home/user/target')
  assert.equal((await box.files.getInfo('target')).symlinkTarget, undefined)
})

behaviour('a listing does not go through links', async (box) => {
  await box.commands.run('mkdir -p l/real && touch l/real/f && ln -s /home/user/l/real l/link')
  const paths = (await box.files.list('l', { depth: 3 })).map((one) => one.path).sort()
  assert.deepEqual(paths, ['/home/user/l/link', '/home/user/l/real', '/home/user/l/real/f'])
})

behaviour('a file and a directory exist, a missing path does not', async (box) => {
  await box.files.write('f', 'x')
  const found = await Promise.all(['f', '/home/user', '/no/path'].map((p) => box.files.exists(p)))
  assert.deepEqual(found, [true, true, false])
})

behaviour('making a directory says whether it was made', async (box) => {
  assert.equal(await box.files.makeDir('made'), true)
  assert.equal(await box.files.makeDir('made'), false)
})

behaviour('making a directory makes those above, for the user', async (box) => {
  await box.files.makeDir('/tmp/a/b/c')
  assert.equal((await box.files.getInfo('/tmp/a/b')).owner, 'user')
})

behaviour('making a directory where a file is is an invalid argument', async (box) => {
  await box.files.write('file', 'x')
  await refused(InvalidArgumentError, () => box.files.makeDir('file'))
})

behaviour('renaming moves the content and tells the new entry', async (box) => {
  await box.files.write('old', 'content')
  const { name, path, type } = await box.files.rename('old', 'new')
  assert.deepEqual([name, path, type], ['new', '/home/user/new', 'file'])
  assert.deepEqual([await box.files.read('new'), await box.files.exists('old')], ['content', false])
})

behaviour('renaming a directory takes all in it', async (box) => {
  await box.files.write('dir/sub/f', 'x')
  await box.files.rename('dir', 'moved')
  assert.equal(await box.files.read('moved/sub/f'), 'x')
})

behaviour('renaming makes the directories on the way', async (box) => {
  await box.files.write('f', 'x')
  await box.files.rename('f', 'not/there/yet')
  assert.equal(await box.files.read('not/there/yet'), 'x')
})

behaviour('renaming onto a file replaces it', async (box) => {
  await box.files.write([{ path: 'a', data: 'new' }, { path: 'b', data: 'old' }])
  await box.files.rename('a', 'b')
  assert.equal(await box.files.read('b'), 'new')
})

behaviour('renaming a missing file is not found', async (box) => {
  await refused(FileNotFoundError, () => box.files.rename('missing', 'new'))
})

behaviour('removing takes a file', async (box) => {
  await box.files.write('f', 'x')
  await box.files.remove('f')
  assert.equal(await box.files.exists('f'), false)
})

behaviour('removing a directory takes all in it', async (box) => {
  await box.files.write('dir/sub/f', 'x')
  await box.files.remove('dir')
  assert.equal(await box.files.exists('dir'), false)
})

behaviour('removing a missing path is no error', async (box) => {
  assert.equal(await box.files.remove('missing'), undefined)
})

behaviour('removing a link leaves its target', async (box) => {
  await box.commands.run('mkdir real && touch real/f && ln -s real link')
  await box.files.remove('link')
  assert.deepEqual([await box.files.exists('link'), await box.files.exists('real/f')], [false, true])
})

async function watch(box, options) {
  await box.files.makeDir('w/sub')
  const seen = []
  const handle = await box.files.watchDir('w', (event) => { seen.push(event) }, options)
  const event = (name, type) =>
    until(() => seen.find((one) => one.name === name && one.type === type), `${type} of ${name}`)
  return { seen, handle, event }
}

behaviour('a new file is created and written', async (box) => {
  const { event } = await watch(box)
  await box.files.write('w/new', 'x')
  await event('new', 'create')
  await event('new', 'write')
})

behaviour('removing is an event', async (box) => {
  await box.files.write('w/f', 'x')
  const { event } = await watch(box)
  await box.files.remove('w/f')
  await event('f', 'remove')
})

behaviour('renaming is an event of the old name and creates the new one', async (box) => {
  await box.files.write('w/f', 'x')
  const { event } = await watch(box)
  await box.files.rename('w/f', 'w/g')
  await event('f', 'rename')
  await event('g', 'create')
})

behaviour('changing permissions is an event', async (box) => {
  await box.files.write('w/f', 'x')
  const { event } = await watch(box)
  await box.commands.run('chmod 600 w/f')
  await event('f', 'chmod')
})

behaviour('below is not seen unless asked for', async (box) => {
  const { seen, event } = await watch(box)
  await box.files.write('w/sub/deep', 'x')
  await box.files.write('w/last', 'x')
  await event('last', 'create')
  assert.deepEqual(seen.filter((one) => one.name.includes('deep')), [])
})

behaviour('a recursive watch sees below', async (box) => {
  const { event } = await watch(box, { recursive: true })
  await box.files.write('w/sub/deep', 'x')
  await event('sub/deep', 'create')
})

behaviour('a recursive watch sees into new directories', async (box) => {
  const { event } = await watch(box, { recursive: true })
  await box.files.makeDir('w/fresh')
  await event('fresh', 'create')
  await sleep(300)
  await box.files.write('w/fresh/f', 'x')
  await event('fresh/f', 'create')
})

behaviour('events carry the entry only if asked for', async (box) => {
  const plain = await watch(box)
  const rich = await watch(box, { includeEntry: true })
  await box.files.write('w/f', 'x')
  assert.equal((await plain.event('f', 'write')).entry, undefined)
  assert.equal((await rich.event('f', 'write')).entry.path, '/home/user/w/f')
})

behaviour('nothing comes after stopping', async (box) => {
  let exits = 0
  const { seen, handle } = await watch(box, { onExit: () => { exits += 1 } })
  await handle.stop()
  await box.files.write('w/late', 'x')
  await until(() => exits === 1, 'the end')
  await sleep(300)
  assert.deepEqual(seen, [])
})

behaviour('a watch ends with its timeout', async (box) => {
  const exits = []
  await watch(box, { timeoutMs: 800, onExit: (error) => { exits.push(error) } })
  await until(() => exits.length === 1, 'the end')
})

behaviour('a watch ends with its sandbox', async (box) => {
  const exits = []
  await watch(box, { onExit: (error) => { exits.push(error) } })
  await box.kill()
  await until(() => exits.length === 1, 'the end')
  assert.ok(exits[0] instanceof Error)
})

behaviour('watching a missing directory is not found', async (box) => {
  await refused(FileNotFoundError, () => box.files.watchDir('/no/such/dir', () => {}))
})

behaviour('watching a file is an invalid argument', async (box) => {
  await box.files.write('f', 'x')
  await refused(InvalidArgumentError, () => box.files.watchDir('f', () => {}))
})
