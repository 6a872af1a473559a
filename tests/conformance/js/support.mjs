// What all files share: a sandbox for each behaviour, and the list of what must still fail.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'

import { Sandbox } from 'e2b'

for (const name of ['E2B_API_URL', 'E2B_SANDBOX_URL', 'E2B_API_KEY']) {
  assert.ok(process.env[name], `${name} must be set; scripts/conformance.py does it`)
}

const list = new URL('../expected-failures.json', import.meta.url)
export const expectedFailures = JSON.parse(readFileSync(list, 'utf8')).js

export const UNKNOWN = 'i00000000000000000000'
export const NO_PID = 4_000_000
export const WRONG_KEY = `e2b_${'f'.repeat(40)}`

/** One behaviour, with `box`, a sandbox of its own, and `more`, which makes further ones. */
export function behaviour(name, check) {
  const reason = expectedFailures[name]
  const title = reason ? `${name} [expected failure: ${reason}]` : name
  test(title, { timeout: 60_000 }, async () => {
    const made = []
    const more = async (options = {}) => {
      made.push(await Sandbox.create({ timeoutMs: 120_000, ...options }))
      return made.at(-1)
    }
    try {
      const box = await more()
      if (reason === undefined) return await check(box, more)
      await assert.rejects(async () => await check(box, more), undefined,
        'this works now: take it from expected-failures.json')
    } finally {
      await Promise.all(made.map((box) => box.kill()))
    }
  })
}

/** The same behaviour for each of several values. */
export function each(values, name, check) {
  for (const value of values) {
    behaviour(`${name}: ${JSON.stringify(value)}`, (box, more) => check(box, value, more))
  }
}

/** Runs `call`, which must throw an error of `kind`, and gives that error. */
export async function refused(kind, call) {
  let error
  await assert.rejects(async () => await call(), (raised) => {
    error = raised
    return true
  })
  assert.ok(error instanceof kind, `${kind.name} expected, not ${error?.name}: ${error?.message}`)
  return error
}

/** Waits for `check` to give something true. */
export async function until(check, what, seconds = 10) {
  const end = Date.now() + seconds * 1000
  for (;;) {
    const found = await check()
    if (found) return found
    assert.ok(Date.now() < end, `not within ${seconds} s: ${what}`)
    await sleep(20)
  }
}

export const sleep = (ms) => new Promise((done) => setTimeout(done, ms))
export const text = (parts) => Buffer.concat(parts).toString()
