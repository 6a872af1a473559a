// The SDK's git module, which works by running git in the sandbox.
import assert from 'node:assert/strict'

import { behaviour } from './support.mjs'

const REPOSITORY = '/home/user/repo'

/** A behaviour with a repository that has one commit on `main`. */
function committed(name, check) {
  behaviour(name, async (box) => {
    await box.git.configureUser('A Tester', 'tester@example.com')
    await box.git.init(REPOSITORY, { initialBranch: 'main' })
    await box.files.write(`${REPOSITORY}/first.txt`, '1\n')
    await box.git.add(REPOSITORY)
    await box.git.commit(REPOSITORY, 'first')
    await check(box.git, box)
  })
}

committed('a commit has the configured author', async (_, box) => {
  const { stdout } = await box.commands.run("git log --format='%an <%ae> %s'", { cwd: REPOSITORY })
  assert.equal(stdout, 'A Tester <tester@example.com> first\n')
})

committed('the status of a committed repository is clean', async (git) => {
  const { currentBranch, isClean } = await git.status(REPOSITORY)
  assert.deepEqual([currentBranch, isClean], ['main', true])
})

committed('the status tells new and changed files', async (git, box) => {
  await box.files.write(`${REPOSITORY}/first.txt`, '2\n')
  await box.files.write(`${REPOSITORY}/new.txt`, 'x')
  const { fileStatus } = await git.status(REPOSITORY)
  assert.deepEqual(fileStatus.map((one) => [one.name, one.status]).sort(),
    [['first.txt', 'modified'], ['new.txt', 'untracked']])
})

committed('adding stages', async (git, box) => {
  await box.files.write(`${REPOSITORY}/new.txt`, 'x')
  await git.add(REPOSITORY, { files: ['new.txt'] })
  const { fileStatus } = await git.status(REPOSITORY)
  assert.deepEqual(fileStatus.map((one) => [one.name, one.staged]), [['new.txt', true]])
})

committed('branches are made, checked out and deleted', async (git) => {
  await git.createBranch(REPOSITORY, 'feature')
  const made = await git.branches(REPOSITORY)
  assert.deepEqual([made.branches.sort(), made.currentBranch], [['feature', 'main'], 'feature'])
  await git.checkoutBranch(REPOSITORY, 'main')
  await git.deleteBranch(REPOSITORY, 'feature')
  const left = await git.branches(REPOSITORY)
  assert.deepEqual([left.branches, left.currentBranch], [['main'], 'main'])
})

committed('restoring takes a change back', async (git, box) => {
  await box.files.write(`${REPOSITORY}/first.txt`, '2\n')
  await git.restore(REPOSITORY, { paths: ['first.txt'] })
  assert.equal(await box.files.read(`${REPOSITORY}/first.txt`), '1\n')
})

committed('a hard reset takes everything back', async (git, box) => {
  await box.files.write(`${REPOSITORY}/first.txt`, '2\n')
  await git.add(REPOSITORY)
  await git.reset(REPOSITORY, { mode: 'hard', target: 'HEAD' })
  assert.equal((await git.status(REPOSITORY)).isClean, true)
})

committed('a remote is added and told', async (git) => {
  assert.equal(await git.remoteGet(REPOSITORY, 'origin'), undefined)
  await git.remoteAdd(REPOSITORY, 'origin', 'https://example.com/a.git')
  assert.equal(await git.remoteGet(REPOSITORY, 'origin'), 'https://example.com/a.git')
})

committed('pushing reaches a repository that others clone', async (git, box) => {
  await git.init('/home/user/bare.git', { bare: true, initialBranch: 'main' })
  await git.remoteAdd(REPOSITORY, 'origin', '/home/user/bare.git')
  await git.push(REPOSITORY, { remote: 'origin', branch: 'main' })
  await git.clone('/home/user/bare.git', { path: '/home/user/copy' })
  assert.equal(await box.files.read('/home/user/copy/first.txt'), '1\n')
})

committed('configuration is kept', async (git) => {
  await git.setConfig('core.editor', 'ed')
  assert.equal(await git.getConfig('core.editor'), 'ed')
})
