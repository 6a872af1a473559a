"""The SDK's git module, which works by running git in the sandbox."""

import pytest

REPOSITORY = "/home/user/repo"


@pytest.fixture
async def git(box):
    """A repository with one commit on `main`."""
    await box.git.configure_user("A Tester", "tester@example.com")
    await box.git.init(REPOSITORY, initial_branch="main")
    await box.files.write(f"{REPOSITORY}/first.txt", "1\n")
    await box.git.add(REPOSITORY)
    await box.git.commit(REPOSITORY, "first")
    return box.git


async def log(box, path=REPOSITORY):
    return (await box.commands.run("git log --format='%an <%ae> %s'", cwd=path)).stdout


async def test_a_commit_has_the_configured_author(box, git):
    assert await log(box) == "A Tester <tester@example.com> first\n"


async def test_a_commit_can_have_an_author_of_its_own(box, git):
    await git.commit(REPOSITORY, "second", author_name="Other", author_email="o@example.com",
                     allow_empty=True)
    assert (await log(box)).splitlines()[0] == "Other <o@example.com> second"


async def test_a_fresh_clone_is_clean(git):
    status = await git.status(REPOSITORY)
    assert (status.current_branch, status.is_clean, status.detached) == ("main", True, False)


async def test_the_status_tells_new_and_changed_files(box, git):
    await box.files.write(f"{REPOSITORY}/first.txt", "2\n")
    await box.files.write(f"{REPOSITORY}/new.txt", "x")
    status = await git.status(REPOSITORY)
    assert {one.name: one.status for one in status.file_status} == {
        "first.txt": "modified", "new.txt": "untracked"}


async def test_adding_stages(box, git):
    await box.files.write(f"{REPOSITORY}/new.txt", "x")
    await git.add(REPOSITORY, files=["new.txt"])
    status = await git.status(REPOSITORY)
    assert [(one.name, one.staged) for one in status.file_status] == [("new.txt", True)]


async def test_branches_are_made_and_listed(git):
    await git.create_branch(REPOSITORY, "feature")
    branches = await git.branches(REPOSITORY)
    assert (sorted(branches.branches), branches.current_branch) == (["feature", "main"], "feature")


async def test_a_branch_is_checked_out(git):
    await git.create_branch(REPOSITORY, "feature")
    await git.checkout_branch(REPOSITORY, "main")
    assert (await git.branches(REPOSITORY)).current_branch == "main"


async def test_a_branch_is_deleted(git):
    await git.create_branch(REPOSITORY, "feature")
    await git.checkout_branch(REPOSITORY, "main")
    await git.delete_branch(REPOSITORY, "feature")
    assert (await git.branches(REPOSITORY)).branches == ["main"]


async def test_restoring_takes_a_change_back(box, git):
    await box.files.write(f"{REPOSITORY}/first.txt", "2\n")
    await git.restore(REPOSITORY, paths=["first.txt"])
    assert await box.files.read(f"{REPOSITORY}/first.txt") == "1\n"


async def test_a_hard_reset_takes_everything_back(box, git):
    await box.files.write(f"{REPOSITORY}/first.txt", "2\n")
    await git.add(REPOSITORY)
    await git.reset(REPOSITORY, mode="hard", target="HEAD")
    assert (await git.status(REPOSITORY)).is_clean


async def test_a_remote_is_added_and_told(git):
    await git.remote_add(REPOSITORY, "origin", "https://example.com/a.git")
    assert await git.remote_get(REPOSITORY, "origin") == "https://example.com/a.git"


async def test_an_unknown_remote_is_none(git):
    assert await git.remote_get(REPOSITORY, "origin") is None


async def test_pushing_reaches_a_repository_that_others_clone(box, git):
    await git.init("/home/user/bare.git", bare=True, initial_branch="main")
    await git.remote_add(REPOSITORY, "origin", "/home/user/bare.git")
    await git.push(REPOSITORY, remote="origin", branch="main")
    await git.clone("/home/user/bare.git", path="/home/user/copy")
    assert await box.files.read("/home/user/copy/first.txt") == "1\n"


async def test_pulling_brings_what_others_pushed(box, git):
    await git.clone(REPOSITORY, path="/home/user/copy")
    await box.files.write(f"{REPOSITORY}/second.txt", "2\n")
    await git.add(REPOSITORY)
    await git.commit(REPOSITORY, "second")
    await git.pull("/home/user/copy")
    assert await box.files.read("/home/user/copy/second.txt") == "2\n"


async def test_configuration_is_kept(git):
    await git.set_config("core.editor", "ed")
    assert await git.get_config("core.editor") == "ed"
