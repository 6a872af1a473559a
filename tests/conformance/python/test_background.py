"""Commands that run on: handles, standard input, listing, connecting, killing."""

import asyncio
import time

import pytest
from e2b import (
    CommandExitException, NotFoundException, SandboxException, TimeoutException,
)

from sdk import until


async def gone(box, pid):
    await until(lambda: is_gone(box, pid), f"process {pid} is gone")


async def is_gone(box, pid):
    return pid not in [one.pid for one in await box.commands.list()]


async def test_a_background_command_returns_at_once(box):
    began = time.monotonic()
    handle = await box.commands.run("sleep 20", background=True)
    assert handle.pid > 0
    assert time.monotonic() - began < 10


async def test_waiting_gives_a_background_commands_result(box):
    handle = await box.commands.run("sleep 0.3; echo done; echo e >&2", background=True)
    done = await handle.wait()
    assert (done.exit_code, done.stdout, done.stderr) == (0, "done\n", "e\n")


async def test_waiting_raises_for_a_background_commands_exit_code(box):
    handle = await box.commands.run("echo partly; exit 5", background=True)
    with pytest.raises(CommandExitException) as raised:
        await handle.wait()
    assert (raised.value.exit_code, raised.value.stdout) == (5, "partly\n")


async def test_the_handles_pid_is_the_shells(box):
    handle = await box.commands.run("echo $$; exec sleep 0.1", background=True)
    assert (await handle.wait()).stdout == f"{handle.pid}\n"


async def test_the_timeout_of_a_background_command_ends_it(box):
    handle = await box.commands.run("exec sleep 30", background=True, timeout=1)
    with pytest.raises(TimeoutException):
        await handle.wait()
    await gone(box, handle.pid)


async def test_a_handle_kills_its_command(box):
    handle = await box.commands.run("exec sleep 30", background=True)
    assert await handle.kill() is True
    with pytest.raises(CommandExitException) as raised:
        await handle.wait()
    assert (raised.value.exit_code, raised.value.error) == (-1, "signal: killed")


async def test_killing_by_pid_says_that_it_did(box):
    handle = await box.commands.run("exec sleep 30", background=True)
    assert await box.commands.kill(handle.pid) is True
    await gone(box, handle.pid)


async def test_killing_an_unknown_pid_is_false(box):
    assert await box.commands.kill(4_000_000) is False


async def test_killing_twice_is_false_the_second_time(box):
    handle = await box.commands.run("exec sleep 30", background=True)
    await box.commands.kill(handle.pid)
    await gone(box, handle.pid)
    assert await box.commands.kill(handle.pid) is False


async def test_a_command_that_ignores_termination_is_killed(box):
    handle = await box.commands.run("trap '' TERM INT; echo ready; while :; do sleep 0.1; done",
                                    background=True)
    assert await handle.kill() is True
    with pytest.raises(CommandExitException):
        await handle.wait()


async def test_a_waiting_command_can_be_killed_from_elsewhere(box):
    handle = await box.commands.run("exec sleep 30", background=True)
    waiting = asyncio.ensure_future(handle.wait())
    await asyncio.sleep(0.2)
    assert not waiting.done()
    await box.commands.kill(handle.pid)
    with pytest.raises(CommandExitException):
        await asyncio.wait_for(waiting, 10)


async def test_a_killed_commands_output_is_kept(box):
    handle = await box.commands.run("echo before; exec sleep 30", background=True)
    await asyncio.sleep(0.3)
    await handle.kill()
    with pytest.raises(CommandExitException) as raised:
        await handle.wait()
    assert raised.value.stdout == "before\n"


async def test_running_commands_are_listed(box):
    handle = await box.commands.run("sleep 30", background=True)
    assert handle.pid in [one.pid for one in await box.commands.list()]


async def test_nothing_runs_in_a_fresh_sandbox(box):
    assert await box.commands.list() == []


async def test_ended_commands_are_not_listed(box):
    handle = await box.commands.run("true", background=True)
    await handle.wait()
    await gone(box, handle.pid)


async def test_the_list_tells_the_command_line(box):
    await box.commands.run("sleep 31", background=True)
    [one] = await box.commands.list()
    assert (one.cmd, one.args) == ("/bin/bash", ["-l", "-c", "sleep 31"])


async def test_the_list_tells_environment_and_directory(box):
    await box.commands.run("sleep 30", background=True, envs={"A": "b"}, cwd="/tmp")
    [one] = await box.commands.list()
    assert (one.envs.get("A"), one.cwd, one.tag) == ("b", "/tmp", None)


async def test_several_commands_are_listed_each_once(box):
    pids = [(await box.commands.run("sleep 30", background=True)).pid for _ in range(3)]
    assert sorted(one.pid for one in await box.commands.list()) == sorted(pids)


async def test_a_command_survives_the_one_who_started_it(box):
    handle = await box.commands.run("sleep 1; echo lived > /tmp/lived", background=True)
    await handle.disconnect()
    async def lived():
        return await box.files.exists("/tmp/lived")
    await until(lived, "the command's file")


async def test_disconnecting_leaves_the_command_listed(box):
    handle = await box.commands.run("sleep 30", background=True)
    await handle.disconnect()
    assert not await is_gone(box, handle.pid)


async def test_connecting_by_pid_gives_what_comes_and_the_end(box):
    handle = await box.commands.run("sleep 1; echo later; exit 4", background=True)
    second = await box.commands.connect(handle.pid)
    with pytest.raises(CommandExitException) as raised:
        await second.wait()
    assert (raised.value.exit_code, raised.value.stdout) == (4, "later\n")


async def test_connecting_keeps_the_pid(box):
    handle = await box.commands.run("sleep 30", background=True)
    assert (await box.commands.connect(handle.pid)).pid == handle.pid


async def test_connecting_after_disconnecting_goes_on(box):
    handle = await box.commands.run("sleep 1; echo after", background=True)
    await handle.disconnect()
    assert (await (await box.commands.connect(handle.pid)).wait()).stdout == "after\n"


async def test_connecting_to_an_unknown_pid_is_not_found(box):
    with pytest.raises(NotFoundException):
        await box.commands.connect(4_000_000)


async def test_connecting_just_after_the_end_still_gives_the_exit_code(box):
    handle = await box.commands.run("exit 6", background=True)
    with pytest.raises(CommandExitException):
        await handle.wait()
    with pytest.raises(CommandExitException) as raised:
        await (await box.commands.connect(handle.pid)).wait()
    assert raised.value.exit_code == 6


async def test_a_connections_timeout_does_not_kill_the_command(box):
    handle = await box.commands.run("sleep 30", background=True, timeout=0)
    second = await box.commands.connect(handle.pid, timeout=1)
    with pytest.raises(TimeoutException):
        await second.wait()
    assert not await is_gone(box, handle.pid)


async def test_a_handle_from_connecting_kills_the_command(box):
    handle = await box.commands.run("exec sleep 30", background=True)
    assert await (await box.commands.connect(handle.pid)).kill() is True
    await gone(box, handle.pid)


async def test_two_followers_see_the_same(box):
    handle = await box.commands.run("sleep 1; seq 1 500", background=True)
    second = await box.commands.connect(handle.pid)
    first_done, second_done = await asyncio.gather(handle.wait(), second.wait())
    assert first_done.stdout == second_done.stdout
    assert first_done.stdout.splitlines()[-1] == "500"


async def test_standard_input_reaches_the_command(box):
    handle = await box.commands.run("read line; echo got $line", background=True, stdin=True)
    await box.commands.send_stdin(handle.pid, "hello\n")
    assert (await handle.wait()).stdout == "got hello\n"


async def test_a_handle_sends_standard_input(box):
    handle = await box.commands.run("read line; echo got $line", background=True, stdin=True)
    await handle.send_stdin("hi\n")
    assert (await handle.wait()).stdout == "got hi\n"


async def test_standard_input_keeps_its_order(box):
    handle = await box.commands.run("cat", background=True, stdin=True)
    for n in range(20):
        await handle.send_stdin(f"{n}\n")
    await handle.close_stdin()
    assert (await handle.wait()).stdout.split() == [str(n) for n in range(20)]


async def test_standard_input_may_be_bytes(box):
    handle = await box.commands.run("od -An -tx1", background=True, stdin=True)
    await handle.send_stdin(b"\x00\xff\x10")
    await handle.close_stdin()
    assert (await handle.wait()).stdout.split() == ["00", "ff", "10"]


async def test_standard_input_may_be_text_of_any_script(box):
    handle = await box.commands.run("head -1", background=True, stdin=True)
    await handle.send_stdin("日本🦀\n")
    assert (await handle.wait()).stdout == "日本🦀\n"


async def test_an_empty_input_changes_nothing(box):
    handle = await box.commands.run("cat", background=True, stdin=True)
    await handle.send_stdin("")
    await handle.send_stdin("x")
    await handle.close_stdin()
    assert (await handle.wait()).stdout == "x"


async def test_closing_standard_input_is_the_end_of_file(box):
    handle = await box.commands.run("wc -c", background=True, stdin=True)
    await handle.send_stdin("12345")
    await box.commands.close_stdin(handle.pid)
    assert (await handle.wait()).stdout.strip() == "5"


async def test_closing_standard_input_twice_is_no_error(box):
    handle = await box.commands.run("cat; sleep 1; echo end", background=True, stdin=True)
    await handle.close_stdin()
    await handle.close_stdin()
    assert (await handle.wait()).stdout == "end\n"


async def test_input_after_closing_is_refused(box):
    handle = await box.commands.run("sleep 20", background=True, stdin=True)
    await handle.close_stdin()
    with pytest.raises(SandboxException):
        await handle.send_stdin("late")


async def test_input_to_a_command_without_standard_input_is_refused(box):
    handle = await box.commands.run("sleep 20", background=True)
    with pytest.raises(SandboxException):
        await handle.send_stdin("x")


async def test_input_to_an_unknown_pid_is_not_found(box):
    with pytest.raises(NotFoundException):
        await box.commands.send_stdin(4_000_000, "x")


async def test_closing_standard_input_of_an_unknown_pid_is_not_found(box):
    with pytest.raises(NotFoundException):
        await box.commands.close_stdin(4_000_000)


async def test_a_megabyte_of_standard_input_arrives(box):
    handle = await box.commands.run("wc -c", background=True, stdin=True)
    for _ in range(16):
        await handle.send_stdin(b"z" * 65_536)
    await handle.close_stdin()
    assert (await handle.wait()).stdout.strip() == str(16 * 65_536)


async def test_input_can_be_streamed(sdk, box):
    handle = await box.commands.run("wc -l", background=True, stdin=True)
    await stream(sdk, box, handle.pid, [b"a\n", "b\n", b"c\n"])
    await handle.close_stdin()
    assert (await handle.wait()).stdout.strip() == "3"


async def test_streaming_to_an_unknown_pid_is_not_found(sdk, box):
    with pytest.raises(NotFoundException):
        await stream(sdk, box, 4_000_000, [b"a"])


async def test_a_dialogue_is_possible(box):
    asked = []
    handle = await box.commands.run("read a; echo first $a; read b; echo second $b",
                                    background=True, stdin=True)
    if hasattr(handle.target, "stdout"):
        waiting = asyncio.ensure_future(handle.wait())
    else:
        waiting = asyncio.ensure_future(handle.wait(on_stdout=asked.append))
    await handle.send_stdin("1\n")
    seen = (lambda: handle.stdout) if hasattr(handle.target, "stdout") else (lambda: "".join(asked))
    await until(lambda: seen() == "first 1\n", "the first answer")
    await handle.send_stdin("2\n")
    assert (await waiting).stdout == "first 1\nsecond 2\n"


async def stream(sdk, box, pid, parts):
    """Sends `parts` in one stream: an iterable for one flavour, an open handle for the other."""
    if not sdk.is_async:
        await box.commands.stream_input(pid, iter(parts))
        return
    async with box.target.commands.stream_input(pid) as handle:
        for part in parts:
            await handle.send(part)
