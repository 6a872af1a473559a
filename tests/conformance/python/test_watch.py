"""Watching directories."""

import asyncio

import pytest
from e2b import FileNotFoundException, InvalidArgumentException, SandboxException

from sdk import until


@pytest.fixture
async def watched(sdk, box):
    await box.files.make_dir("w/sub")
    return "/home/user/w"


async def test_a_new_file_is_an_event(sdk, box, watched):
    watch = await sdk.watch(box, watched)
    await box.files.write("w/new", "x")
    await watch.event("new", "create")


async def test_writing_is_an_event(sdk, box, watched):
    await box.files.write("w/f", "x")
    watch = await sdk.watch(box, watched)
    await box.files.write("w/f", "y")
    await watch.event("f", "write")


async def test_removing_is_an_event(sdk, box, watched):
    await box.files.write("w/f", "x")
    watch = await sdk.watch(box, watched)
    await box.files.remove("w/f")
    await watch.event("f", "remove")


async def test_renaming_is_an_event_of_the_old_name(sdk, box, watched):
    await box.files.write("w/f", "x")
    watch = await sdk.watch(box, watched)
    await box.files.rename("w/f", "w/g")
    await watch.event("f", "rename")


async def test_renaming_creates_the_new_name(sdk, box, watched):
    await box.files.write("w/f", "x")
    watch = await sdk.watch(box, watched)
    await box.files.rename("w/f", "w/g")
    await watch.event("g", "create")


async def test_changing_permissions_is_an_event(sdk, box, watched):
    await box.files.write("w/f", "x")
    watch = await sdk.watch(box, watched)
    await box.commands.run("chmod 600 w/f")
    await watch.event("f", "chmod")


async def test_what_commands_do_is_seen(sdk, box, watched):
    watch = await sdk.watch(box, watched)
    await box.commands.run("echo x > w/by-command")
    await watch.event("by-command", "create")


async def test_a_new_directory_is_an_event(sdk, box, watched):
    watch = await sdk.watch(box, watched)
    await box.files.make_dir("w/dir")
    await watch.event("dir", "create")


async def test_below_is_not_seen_unless_asked_for(sdk, box, watched):
    watch = await sdk.watch(box, watched)
    await box.files.write("w/sub/deep", "x")
    await box.files.write("w/last", "x")
    await watch.event("last", "create")
    assert [e.name for e in await watch.events() if "deep" in e.name] == []


async def test_a_recursive_watch_sees_below(sdk, box, watched):
    watch = await sdk.watch(box, watched, recursive=True)
    await box.files.write("w/sub/deep", "x")
    await watch.event("sub/deep", "create")


async def test_a_recursive_watch_sees_into_new_directories(sdk, box, watched):
    watch = await sdk.watch(box, watched, recursive=True)
    await box.files.make_dir("w/fresh")
    await watch.event("fresh", "create")
    await asyncio.sleep(0.3)
    await box.files.write("w/fresh/f", "x")
    await watch.event("fresh/f", "create")


async def test_events_can_carry_the_entry(sdk, box, watched):
    watch = await sdk.watch(box, watched, include_entry=True)
    await box.files.write("w/f", "12345")
    event = await watch.event("f", "write")
    assert (event.entry.name, event.entry.path) == ("f", "/home/user/w/f")


async def test_events_carry_no_entry_unless_asked_for(sdk, box, watched):
    watch = await sdk.watch(box, watched)
    await box.files.write("w/f", "x")
    assert (await watch.event("f", "create")).entry is None


async def test_a_removed_entry_is_not_carried(sdk, box, watched):
    await box.files.write("w/f", "x")
    watch = await sdk.watch(box, watched, include_entry=True)
    await box.files.remove("w/f")
    assert (await watch.event("f", "remove")).entry is None


async def test_nothing_comes_after_stopping(sdk, box, watched):
    watch = await sdk.watch(box, watched)
    await watch.stop()
    await box.files.write("w/late", "x")
    await asyncio.sleep(0.5)
    if watch.polls:
        with pytest.raises(SandboxException):
            await watch.handle.get_new_events()
    assert watch.seen == []


async def test_two_watches_see_the_same(sdk, box, watched):
    first, second = await sdk.watch(box, watched), await sdk.watch(box, watched)
    await box.files.write("w/both", "x")
    await first.event("both", "create")
    await second.event("both", "create")


async def test_watching_a_missing_directory_is_not_found(sdk, box):
    with pytest.raises(FileNotFoundException):
        await sdk.watch(box, "/no/such/dir")


async def test_watching_a_file_is_an_invalid_argument(sdk, box):
    await box.files.write("f", "x")
    with pytest.raises(InvalidArgumentException):
        await sdk.watch(box, "f")


async def test_a_watch_ends_with_its_sandbox(sdk, more):
    box = await more()
    watch = await sdk.watch(box, "/home/user")
    await box.kill()
    if watch.polls:
        with pytest.raises(SandboxException):
            await watch.handle.get_new_events()
    else:
        await until(lambda: watch.exits, "the end of the watch")
        assert isinstance(watch.exits[0], Exception)
