// Contents of files: reading, writing, many at once, streams, compression, metadata, links.
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'

import {
  AuthenticationError, FileNotFoundError, InvalidArgumentError, NotFoundError, getSignature,
} from 'e2b'

import { behaviour, each, refused } from './support.mjs'

const BINARY = Buffer.from(Array.from({ length: 256 * 40 }, (_, n) => n % 256))
const buffer = (data) => new Uint8Array(data).buffer
const bytes = async (box, path, options) =>
  Buffer.from(await box.files.read(path, { format: 'bytes', ...options }))
const stream = (parts) => ReadableStream.from(parts.map((part) => Buffer.from(part)))

each(['hello', '', 'ünïcödé 日本語 🦀', 'a\r\nb\rc\n', '\n\n'], 'text is read as it was written',
  async (box, value) => {
    await box.files.write('text.txt', value)
    assert.equal(await box.files.read('text.txt'), value)
  })

behaviour('bytes are read as they were written', async (box) => {
  await box.files.write('blob', buffer(BINARY))
  assert.deepEqual(await bytes(box, 'blob'), BINARY)
})

behaviour('a blob is read as it was written', async (box) => {
  await box.files.write('blob', new Blob([BINARY]))
  const got = await box.files.read('blob', { format: 'blob' })
  assert.deepEqual(Buffer.from(await got.arrayBuffer()), BINARY)
})

behaviour('a stream is written as it comes', async (box) => {
  await box.files.write('streamed', stream(['one,', 'two,', 'three']))
  assert.equal(await box.files.read('streamed'), 'one,two,three')
})

behaviour('a file can be read as a stream', async (box) => {
  await box.files.write('s', buffer(Buffer.concat(Array(50).fill(BINARY))))
  const parts = []
  for await (const part of await box.files.read('s', { format: 'stream' })) parts.push(part)
  assert.deepEqual(Buffer.concat(parts), Buffer.concat(Array(50).fill(BINARY)))
})

behaviour('writing tells name, kind and path', async (box) => {
  const { name, type, path } = await box.files.write('/home/user/a/name.txt', 'x')
  assert.deepEqual({ name, type, path },
    { name: 'name.txt', type: 'file', path: '/home/user/a/name.txt' })
})

behaviour('writing again replaces the whole file', async (box) => {
  await box.files.write('f', 'a long text')
  await box.files.write('f', 'short')
  assert.equal(await box.files.read('f'), 'short')
})

behaviour('writing makes the directories on the way, for the user', async (box) => {
  await box.files.write('one/two/three.txt', 'deep')
  assert.equal(await box.files.read('/home/user/one/two/three.txt'), 'deep')
  assert.equal((await box.files.getInfo('one/two')).owner, 'user')
})

behaviour('a relative path is under the home', async (box) => {
  assert.equal((await box.files.write('relative.txt', 'x')).path, '/home/user/relative.txt')
})

each(['with space', 'ü.txt', 'a&b=c', '100%', 'a+b', '#1', 'q?x'], 'any name can be used',
  async (box, name) => {
    await box.files.write(`/tmp/${name}`, name)
    assert.equal(await box.files.read(`/tmp/${name}`), name)
    assert.equal((await box.files.list('/tmp')).filter((one) => one.name === name).length, 1)
  })

behaviour('a written file belongs to the user', async (box) => {
  await box.files.write('owned', 'x')
  assert.equal((await box.commands.run('stat -c %U:%a owned')).stdout, 'user:644\n')
})

behaviour('a file can be written as root', async (box) => {
  assert.equal((await box.files.write('here', 'x', { user: 'root' })).path, '/root/here')
  assert.equal((await box.files.getInfo('/root/here', { user: 'root' })).owner, 'root')
})

behaviour('an unknown user is refused', async (box) => {
  await refused(AuthenticationError, () => box.files.read('/etc/hostname', { user: 'no-such-user' }))
})

behaviour('commands see written files and files of commands are read', async (box) => {
  await box.files.write('/tmp/in', 'from outside')
  await box.commands.run('cat /tmp/in /tmp/in > /tmp/out')
  assert.equal(await box.files.read('/tmp/out'), 'from outsidefrom outside')
})

behaviour('reading a missing file is not found', async (box) => {
  const error = await refused(FileNotFoundError, () => box.files.read('/no/such/file'))
  assert.ok(error instanceof NotFoundError)
  assert.match(error.message, /\/no\/such\/file/)
})

behaviour('reading a directory is an invalid argument', async (box) => {
  await refused(InvalidArgumentError, () => box.files.read('/home/user'))
})

behaviour('writing to a directory is an invalid argument', async (box) => {
  await box.files.makeDir('folder')
  await refused(InvalidArgumentError, () => box.files.write('folder', 'x'))
})

each(['text', 'bytes', 'blob', 'stream'], 'an empty file is empty', async (box, format) => {
  await box.files.write('empty', '')
  const got = await box.files.read('empty', { format })
  const size = { text: () => got.length, bytes: () => got.length, blob: () => got.size,
    stream: async () => (await new Response(got).arrayBuffer()).byteLength }[format]
  assert.equal(await size(), 0)
})

behaviour('a large file is exact', async (box) => {
  const data = randomBytes(8 << 20)
  await box.files.write('/tmp/large', buffer(data))
  const sum = (await box.commands.run('sha256sum < /tmp/large')).stdout.split(' ')[0]
  assert.equal(sum, createHash('sha256').update(data).digest('hex'))
  assert.ok((await bytes(box, '/tmp/large')).equals(data))
})

each([true, false], 'both ways of uploading give the same', async (box, useOctetStream) => {
  await box.files.write('/tmp/way', buffer(BINARY), { useOctetStream })
  assert.deepEqual(await bytes(box, '/tmp/way'), BINARY)
})

behaviour('a compressed upload is stored plain', async (box) => {
  await box.files.write('packed', 'text '.repeat(5000), { gzip: true })
  assert.equal((await box.commands.run('wc -c < packed')).stdout.trim(), '25000')
})

behaviour('a compressed download is the same', async (box) => {
  await box.files.write('plain', buffer(BINARY))
  assert.deepEqual(await bytes(box, 'plain', { gzip: true }), BINARY)
})

behaviour('many files are written at once', async (box) => {
  const files = Array.from({ length: 25 }, (_, n) => ({ path: `/tmp/many/${n}.txt`, data: `n${n}` }))
  const written = await box.files.write(files)
  assert.deepEqual(written.map((one) => one.path), files.map((one) => one.path))
  for (const n of [0, 7, 24]) assert.equal(await box.files.read(`/tmp/many/${n}.txt`), `n${n}`)
})

behaviour('many files may be of many kinds', async (box) => {
  await box.files.writeFiles([
    { path: 't', data: 'text' }, { path: 'b', data: buffer(BINARY) },
    { path: 'x/blob', data: new Blob(['blob']) }, { path: '/tmp/y/s', data: stream(['stream']) },
  ])
  assert.deepEqual(await bytes(box, 'b'), BINARY)
  assert.equal((await box.commands.run('cat t x/blob /tmp/y/s')).stdout, 'textblobstream')
})

behaviour('no files at all are no error', async (box) => {
  assert.deepEqual(await box.files.write([]), [])
})

behaviour('the same target twice is refused', async (box) => {
  await refused(InvalidArgumentError, () =>
    box.files.write([{ path: 'twin', data: '1' }, { path: 'twin', data: '2' }]))
})

behaviour('writers at the same time do not disturb each other', async (box) => {
  const numbers = Array.from({ length: 16 }, (_, n) => n)
  await Promise.all(numbers.map((n) => box.files.write(`/tmp/at-once/${n}`, `${n}`.repeat(1000))))
  const got = await Promise.all(numbers.map((n) => box.files.read(`/tmp/at-once/${n}`)))
  assert.deepEqual(got, numbers.map((n) => `${n}`.repeat(1000)))
})

behaviour('metadata is returned by the upload', async (box) => {
  const { metadata } = await box.files.write('m', 'x', { metadata: { origin: 'test', n: '1' } })
  assert.deepEqual(metadata, { origin: 'test', n: '1' })
})

behaviour('metadata is kept with the file', async (box) => {
  await box.files.write('m', 'x', { metadata: { MixedCase: 'V' } })
  assert.deepEqual((await box.files.getInfo('m')).metadata, { mixedcase: 'V' })
})

behaviour('metadata is in listings', async (box) => {
  await box.files.write('/tmp/meta/m', 'x', { metadata: { k: 'v' } })
  assert.deepEqual((await box.files.list('/tmp/meta')).map((one) => one.metadata), [{ k: 'v' }])
})

behaviour('a new upload replaces all metadata', async (box) => {
  await box.files.write('m', 'x', { metadata: { a: '1', b: '2' } })
  await box.files.write('m', 'y', { metadata: { b: '3' } })
  assert.deepEqual((await box.files.getInfo('m')).metadata, { b: '3' })
})

behaviour('metadata moves with the file', async (box) => {
  await box.files.write('m', 'x', { metadata: { k: 'v' } })
  assert.deepEqual((await box.files.rename('m', 'moved')).metadata, { k: 'v' })
})

behaviour('a file without metadata has none', async (box) => {
  assert.equal((await box.files.write('m', 'x')).metadata, undefined)
  assert.equal((await box.files.getInfo('m')).metadata, undefined)
})

each([{ '': 'v' }, { 'a b': 'v' }, { k: 'ü' }, { k: 'a\nb' }], 'metadata for no header is refused',
  async (box, metadata) => {
    await refused(InvalidArgumentError, () => box.files.write('m', 'x', { metadata }))
  })

const form = (content) => {
  const body = new FormData()
  body.append('file', new Blob([content]), 'f')
  return { method: 'POST', body }
}

behaviour('a signed link downloads without a token', async (box) => {
  await box.files.write('signed.txt', 'by link')
  const answer = await fetch(await box.downloadUrl('signed.txt'))
  assert.deepEqual([answer.status, await answer.text()], [200, 'by link'])
})

behaviour('a signed link uploads without a token', async (box) => {
  assert.equal((await fetch(await box.uploadUrl('up.txt'), form('uploaded'))).status, 200)
  assert.equal(await box.files.read('up.txt'), 'uploaded')
})

behaviour('a signed link is for one path', async (box) => {
  await box.files.write('b', '2')
  const url = (await box.downloadUrl('a')).replace('path=a', 'path=b')
  assert.equal((await fetch(url)).status, 401)
})

behaviour('a signed link for reading does not write', async (box) => {
  const headers = { 'Content-Type': 'application/octet-stream' }
  const answer = await fetch(await box.downloadUrl('a'), { method: 'POST', headers, body: 'x' })
  assert.equal(answer.status, 401)
})

behaviour('a signed link within its time works', async (box) => {
  await box.files.write('signed.txt', 'in time')
  const url = await box.downloadUrl('signed.txt', { useSignatureExpiration: 60 })
  assert.equal(await (await fetch(url)).text(), 'in time')
})

behaviour('an expired link is refused', async (box) => {
  await box.files.write('signed.txt', 'late')
  const answer = await fetch(await box.downloadUrl('signed.txt', { useSignatureExpiration: -10 }))
  assert.equal(answer.status, 401)
  assert.match(await answer.text(), /expired/)
})

behaviour('the time of a link cannot be changed', async (box) => {
  const url = new URL(await box.downloadUrl('signed.txt', { useSignatureExpiration: 5 }))
  const later = Number(url.searchParams.get('signature_expiration')) + 3600
  url.searchParams.set('signature_expiration', `${later}`)
  assert.equal((await fetch(url)).status, 401)
})

behaviour('a signature made by hand opens the file', async (box) => {
  await box.files.write('signed.txt', 'by hand')
  const { signature } = await getSignature({ path: 'signed.txt', operation: 'read',
    user: undefined, envdAccessToken: box.envdAccessToken })
  const url = new URL('/files', process.env.E2B_SANDBOX_URL)
  url.search = new URLSearchParams({ path: 'signed.txt', signature })
  assert.equal(await (await fetch(url)).text(), 'by hand')
})
