// Finding sandboxes: labels, states, pages, order.
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'

import { AuthenticationError, Sandbox, SandboxError } from 'e2b'

import { WRONG_KEY, behaviour, each, refused } from './support.mjs'

async function ids(query, options) {
  const pages = Sandbox.list({ query, ...options })
  const found = []
  while (pages.hasNext) found.push(...await pages.nextItems())
  return found.map((one) => one.sandboxId)
}

const label = () => ({ test: randomUUID() })

behaviour('a listed sandbox tells about itself', async (_, more) => {
  const metadata = label()
  const box = await more({ metadata })
  const [one] = await Sandbox.list({ query: { metadata } }).nextItems()
  const { startedAt, endAt } = await box.getInfo()
  assert.deepEqual([one.sandboxId, one.metadata, one.state, one.startedAt, one.endAt],
    [box.sandboxId, metadata, 'running', startedAt, endAt])
})

behaviour('a sandbox is listed without a query', async (box) => {
  assert.ok((await ids()).includes(box.sandboxId))
})

behaviour('a killed sandbox is not listed', async (_, more) => {
  const metadata = label()
  await (await more({ metadata })).kill()
  assert.deepEqual(await ids({ metadata }), [])
})

behaviour('all labels asked for must fit, others may be there', async (_, more) => {
  const metadata = label()
  const box = await more({ metadata: { ...metadata, n: '1', further: 'x' } })
  await more({ metadata: { ...metadata, n: '2' } })
  assert.deepEqual(await ids({ metadata: { ...metadata, n: '1' } }), [box.sandboxId])
})

each([['with space', 'a b'], ['amp&ersand', 'x&y=z'], ['ünï', '日本 🦀'], ['per%20cent', '100%'],
  ['plus+', 'a+b'], ['slash/', 'a/b?c#d']], 'any label finds its sandbox',
async (_, [key, value], more) => {
  const metadata = { ...label(), [key]: value }
  const box = await more({ metadata })
  assert.deepEqual(await ids({ metadata }), [box.sandboxId])
})

behaviour('pages have the size asked for and the last says so', async (_, more) => {
  const metadata = label()
  for (let n = 0; n < 3; n++) await more({ metadata })
  const pages = Sandbox.list({ query: { metadata }, limit: 2 })
  assert.equal((await pages.nextItems()).length, 2)
  assert.equal(pages.hasNext, true)
  assert.equal((await pages.nextItems()).length, 1)
  assert.deepEqual([pages.hasNext, pages.nextToken], [false, undefined])
  await assert.rejects(pages.nextItems(), /No more items/)
})

behaviour('a token goes on where a page ended', async (_, more) => {
  const metadata = label()
  const made = [(await more({ metadata })).sandboxId, (await more({ metadata })).sandboxId]
  const first = Sandbox.list({ query: { metadata }, limit: 1 })
  const [one] = await first.nextItems()
  const second = Sandbox.list({ query: { metadata }, limit: 1, nextToken: first.nextToken })
  const [two] = await second.nextItems()
  assert.deepEqual([two.sandboxId, one.sandboxId], made)
})

behaviour('a token that is none is refused', async () => {
  const pages = Sandbox.list({ nextToken: 'not-a-token' })
  assert.equal((await refused(SandboxError, () => pages.nextItems())).statusCode, 400)
})

behaviour('a page of more than a hundred is refused', async () => {
  const pages = Sandbox.list({ limit: 101 })
  assert.equal((await refused(SandboxError, () => pages.nextItems())).statusCode, 400)
})

behaviour('the newest comes first, or the oldest', async (_, more) => {
  const metadata = label()
  const made = []
  for (let n = 0; n < 3; n++) made.push((await more({ metadata })).sandboxId)
  assert.deepEqual(await ids({ metadata }, { order: 'asc', limit: 2 }), made)
  assert.deepEqual(await ids({ metadata }), made.reverse())
})

behaviour('states can be asked for', async (_, more) => {
  const metadata = label()
  const running = (await more({ metadata })).sandboxId
  const box = await more({ metadata })
  await box.pause()
  assert.deepEqual(await ids({ metadata, state: ['running'] }), [running])
  assert.deepEqual(await ids({ metadata, state: ['paused'] }), [box.sandboxId])
  assert.equal((await ids({ metadata })).length, 2)
})

behaviour('templates can be asked for', async (_, more) => {
  const metadata = label()
  const box = await more({ metadata })
  assert.deepEqual(await ids({ metadata, template: 'base' }), [box.sandboxId])
  assert.deepEqual(await ids({ metadata, template: 'another' }), [])
})

behaviour('those started after a time can be asked for', async (_, more) => {
  const metadata = label()
  const box = await more({ metadata })
  const started = +(await box.getInfo()).startedAt
  assert.deepEqual(await ids({ metadata, startedAfter: new Date(started - 60_000) }),
    [box.sandboxId])
  assert.deepEqual(await ids({ metadata, startedAfter: new Date(started + 60_000) }), [])
})

behaviour('a wrong key lists nothing', async () => {
  await refused(AuthenticationError, () => Sandbox.list({ apiKey: WRONG_KEY }).nextItems())
})
