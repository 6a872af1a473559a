"""A sandbox's life: creation, connection, time, information, pausing, end."""

import asyncio
import datetime
import time
import uuid

import pytest
from e2b import (
    NotFoundException, SandboxException, SandboxNotFoundException, SandboxNotRunningException,
    TimeoutException,
)

from sdk import until

UNKNOWN = "i00000000000000000000"


def seconds_left(info):
    return (info.end_at - datetime.datetime.now(datetime.timezone.utc)).total_seconds()


async def test_a_created_sandbox_runs(box):
    assert await box.is_running() is True


async def test_an_id_is_letters_and_digits(box):
    assert box.sandbox_id.isalnum() and box.sandbox_id == box.sandbox_id.lower()


async def test_each_sandbox_has_an_id_of_its_own(box, more):
    assert (await more()).sandbox_id != box.sandbox_id


async def test_a_sandbox_lives_five_minutes_by_default(sdk):
    box = await sdk.Sandbox.create()
    left = seconds_left(await box.get_info())
    await box.kill()
    assert 285 < left <= 300


async def test_a_sandbox_lives_as_long_as_asked_for(more):
    assert 590 < seconds_left(await (await more(timeout=600)).get_info()) <= 600


async def test_metadata_comes_back(more):
    labels = {"run": "r-1", "any key": "any välue & more=1"}
    assert (await (await more(metadata=labels)).get_info()).metadata == labels


async def test_the_default_template_is_base(box):
    assert (await box.get_info()).name == "base"


async def test_a_template_can_be_named(more):
    assert (await (await more(template="base")).get_info()).name == "base"


async def test_an_unknown_template_is_refused(sdk):
    with pytest.raises(SandboxException) as raised:
        await sdk.Sandbox.create(template="no-such-template-anywhere")
    assert raised.value.status_code == 404


@pytest.mark.parametrize("timeout", [0, -5, 10**8])
async def test_a_life_that_cannot_be_is_refused(sdk, timeout):
    with pytest.raises(SandboxException) as raised:
        await sdk.Sandbox.create(timeout=timeout)
    assert raised.value.status_code == 400


async def test_one_idempotency_key_makes_one_sandbox(sdk):
    key = uuid.uuid4().hex
    first = await sdk.Sandbox.create(timeout=60, idempotency_key=key)
    second = await sdk.Sandbox.create(timeout=60, idempotency_key=key)
    await first.kill()
    assert first.sandbox_id == second.sandbox_id


async def test_an_idempotency_key_is_for_one_request_only(sdk):
    key = uuid.uuid4().hex
    first = await sdk.Sandbox.create(timeout=60, idempotency_key=key)
    with pytest.raises(SandboxException) as raised:
        await sdk.Sandbox.create(timeout=61, idempotency_key=key)
    await first.kill()
    assert raised.value.status_code == 422


async def test_many_sandboxes_can_be_created_at_once(more):
    made = await asyncio.gather(*(more() for _ in range(8)))
    assert len({one.sandbox_id for one in made}) == 8
    done = await asyncio.gather(*(one.commands.run("echo $E2B_SANDBOX_ID") for one in made))
    assert [one.stdout.strip() for one in done] == [one.sandbox_id for one in made]


async def test_information_names_the_sandbox(box):
    info = await box.get_info()
    assert (info.sandbox_id, info.state.value) == (box.sandbox_id, "running")


async def test_information_by_id_is_the_same(sdk, box):
    assert await sdk.Sandbox.get_info(box.sandbox_id) == await box.get_info()


async def test_information_tells_the_start(box):
    age = datetime.datetime.now(datetime.timezone.utc) - (await box.get_info()).started_at
    assert 0 <= age.total_seconds() < 30


async def test_information_tells_processors_and_memory(box):
    info = await box.get_info()
    assert info.cpu_count >= 1 and info.memory_mb >= 128


async def test_information_tells_envds_version(box):
    assert tuple(int(n) for n in (await box.get_info()).envd_version.split(".")) >= (0, 6, 12)


async def test_information_about_an_unknown_sandbox_is_not_found(sdk):
    with pytest.raises(SandboxNotFoundException):
        await sdk.Sandbox.get_info(UNKNOWN)


async def test_information_tells_what_happens_at_the_end(more):
    box = await more(lifecycle={"on_timeout": "pause"})
    assert (await box.get_info()).lifecycle["on_timeout"] == "pause"


async def test_a_sandbox_ends_at_its_time(more):
    box = await more(timeout=1)
    async def ended():
        return not await box.is_running()
    await until(ended, "the sandbox's end")


async def test_setting_the_time_prolongs(box):
    await box.set_timeout(1000)
    assert 980 < seconds_left(await box.get_info()) <= 1000


async def test_setting_the_time_shortens(box):
    await box.set_timeout(30)
    assert 10 < seconds_left(await box.get_info()) <= 30


async def test_setting_the_time_by_id(sdk, box):
    await sdk.Sandbox.set_timeout(box.sandbox_id, 700)
    assert 680 < seconds_left(await box.get_info()) <= 700


async def test_a_shortened_sandbox_ends(box):
    await box.set_timeout(1)
    async def ended():
        return not await box.is_running()
    await until(ended, "the sandbox's end")


async def test_setting_the_time_of_an_unknown_sandbox_is_not_found(sdk):
    with pytest.raises(SandboxNotFoundException):
        await sdk.Sandbox.set_timeout(UNKNOWN, 10)


async def test_connecting_gives_the_same_sandbox(sdk, box):
    await box.files.write("f", "x")
    again = await sdk.Sandbox.connect(box.sandbox_id)
    assert (again.sandbox_id, await again.files.read("f")) == (box.sandbox_id, "x")


async def test_connecting_does_not_shorten(sdk, box):
    before = (await box.get_info()).end_at
    await sdk.Sandbox.connect(box.sandbox_id, timeout=5)
    assert (await box.get_info()).end_at >= before


async def test_connecting_prolongs(sdk, box):
    await sdk.Sandbox.connect(box.sandbox_id, timeout=900)
    assert 880 < seconds_left(await box.get_info()) <= 900


async def test_connecting_on_a_handle_prolongs(box):
    await box.connect(timeout=800)
    assert 780 < seconds_left(await box.get_info()) <= 800


async def test_connecting_to_an_unknown_sandbox_is_not_found(sdk):
    with pytest.raises(SandboxNotFoundException):
        await sdk.Sandbox.connect(UNKNOWN)


async def test_connecting_to_a_killed_sandbox_is_not_found(sdk, more):
    box = await more()
    await box.kill()
    with pytest.raises(NotFoundException):
        await sdk.Sandbox.connect(box.sandbox_id)


async def test_killing_says_that_it_did(more):
    assert await (await more()).kill() is True


async def test_killing_again_is_false(more):
    box = await more()
    await box.kill()
    assert await box.kill() is False


async def test_killing_by_id(sdk, more):
    box = await more()
    assert await sdk.Sandbox.kill(box.sandbox_id) is True
    assert await box.is_running() is False


async def test_killing_an_unknown_sandbox_is_false(sdk):
    assert await sdk.Sandbox.kill(UNKNOWN) is False


async def test_a_killed_sandbox_does_not_run(more):
    box = await more()
    await box.kill()
    assert await box.is_running() is False


async def test_a_killed_sandbox_is_not_found(sdk, more):
    box = await more()
    await box.kill()
    with pytest.raises(SandboxNotFoundException):
        await sdk.Sandbox.get_info(box.sandbox_id)


async def test_a_command_in_a_killed_sandbox_is_refused(more):
    box = await more()
    await box.kill()
    with pytest.raises(SandboxNotRunningException):
        await box.commands.run("true")


async def test_a_file_in_a_killed_sandbox_is_refused(more):
    box = await more()
    await box.kill()
    with pytest.raises(SandboxNotRunningException):
        await box.files.read("f")


async def test_a_listing_in_a_killed_sandbox_is_refused(more):
    box = await more()
    await box.kill()
    with pytest.raises(SandboxNotRunningException):
        await box.files.list("/")


async def test_killing_during_a_command_raises_where_it_is_waited_for(more):
    box = await more()
    handle = await box.commands.run("sleep 60", background=True)
    waiting = asyncio.ensure_future(handle.wait())
    await asyncio.sleep(0.3)
    await box.kill()
    with pytest.raises(SandboxNotRunningException):
        await asyncio.wait_for(waiting, 15)


async def test_the_end_of_time_during_a_command_raises(more):
    box = await more(timeout=2)
    with pytest.raises(TimeoutException):
        await box.commands.run("sleep 60", timeout=0)


async def test_killing_ends_every_process_at_once(more):
    box = await more()
    await box.commands.run("for n in 1 2 3 4 5; do setsid sleep 600 & done; sleep 600",
                           background=True)
    began = time.monotonic()
    assert await box.kill() is True
    assert time.monotonic() - began < 5


async def test_a_paused_sandbox_keeps_files_and_processes(sdk, more):
    box = await more()
    await box.files.write("f", "kept")
    handle = await box.commands.run("sleep 300", background=True)
    assert await box.pause() is True
    again = await sdk.Sandbox.connect(box.sandbox_id)
    assert await again.files.read("f") == "kept"
    assert [one.pid for one in await again.commands.list()] == [handle.pid]


async def test_pausing_is_told_by_the_information(more):
    box = await more()
    await box.pause()
    assert (await box.get_info()).state.value == "paused"


async def test_pausing_again_is_false(more):
    box = await more()
    await box.pause()
    assert await box.pause() is False


async def test_a_paused_sandbox_does_not_run(more):
    box = await more()
    await box.pause()
    assert await box.is_running() is False


async def test_a_paused_sandbox_can_be_killed(sdk, more):
    box = await more()
    await box.pause()
    assert await box.kill() is True
    with pytest.raises(SandboxNotFoundException):
        await sdk.Sandbox.get_info(box.sandbox_id)


async def test_pausing_an_unknown_sandbox_is_not_found(sdk):
    with pytest.raises(SandboxNotFoundException):
        await sdk.Sandbox.pause(UNKNOWN)


async def test_a_sandbox_can_pause_at_its_end(more):
    box = await more(timeout=1, lifecycle={"on_timeout": "pause"})
    async def paused():
        return (await box.get_info()).state.value == "paused"
    await until(paused, "the pause")


async def test_metrics_tell_processors_memory_and_disk(box):
    async def measured():
        return await box.get_metrics()
    one = (await until(measured, "a measurement", seconds=20))[0]
    assert one.cpu_count >= 1 and 0 < one.mem_used <= one.mem_total
    assert 0 <= one.disk_used <= one.disk_total and one.disk_total > 0


async def test_metrics_by_id(sdk, box):
    async def measured():
        return await sdk.Sandbox.get_metrics(box.sandbox_id)
    assert (await until(measured, "a measurement", seconds=20))[0].mem_total > 0


async def test_metrics_of_the_future_are_none(box):
    start = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)
    assert await box.get_metrics(start=start, end=start + datetime.timedelta(hours=1)) == []


async def test_metrics_of_an_unknown_sandbox_are_not_found(sdk):
    with pytest.raises(SandboxNotFoundException):
        await sdk.Sandbox.get_metrics(UNKNOWN)
