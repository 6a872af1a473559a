"""Terminals."""

import asyncio

import pytest
from e2b import CommandExitException, NotFoundException, PtySize, SandboxException

from sdk import until


async def test_a_terminal_answers_what_is_typed(sdk, box):
    terminal = await sdk.terminal(box)
    await terminal.send("echo $((6 * 7))\n")
    await terminal.shows("42")


async def test_a_terminal_is_a_terminal(sdk, box):
    terminal = await sdk.terminal(box)
    await terminal.send("test -t 0 && test -t 1 && echo is-$((1 + 1))-tty\n")
    await terminal.shows("is-2-tty")


async def test_a_terminal_has_the_size_asked_for(sdk, box):
    terminal = await sdk.terminal(box, rows=33, cols=121)
    await terminal.send("stty size\n")
    await terminal.shows("33 121")


async def test_a_terminal_can_be_resized(sdk, box):
    terminal = await sdk.terminal(box)
    await box.pty.resize(terminal.pid, PtySize(rows=50, cols=99))
    await terminal.send("stty size\n")
    await terminal.shows("50 99")


async def test_a_terminal_has_its_usual_environment(sdk, box):
    terminal = await sdk.terminal(box)
    await terminal.send("echo \"<$TERM|$LANG>\"\n")
    await terminal.shows("<xterm-256color|C.UTF-8>")


async def test_envs_reach_a_terminal(sdk, box):
    terminal = await sdk.terminal(box, envs={"FOO": "b" + "ar"})
    await terminal.send("echo \"<$FOO>\"\n")
    await terminal.shows("<bar>")


async def test_a_terminal_starts_in_cwd(sdk, box):
    terminal = await sdk.terminal(box, cwd="/tmp")
    await terminal.send("echo \"<$PWD>\"\n")
    await terminal.shows("</tmp>")


async def test_a_terminal_can_be_another_users(sdk, box):
    terminal = await sdk.terminal(box, user="root")
    await terminal.send("echo \"<$(id -u)>\"\n")
    await terminal.shows("<0>")


async def test_leaving_a_terminal_ends_it_with_that_code(sdk, box):
    terminal = await sdk.terminal(box)
    await terminal.send("exit 7\n")
    with pytest.raises(CommandExitException) as raised:
        await asyncio.wait_for(terminal.ended, 10)
    assert raised.value.exit_code == 7


async def test_the_end_of_file_leaves_a_terminal(sdk, box):
    terminal = await sdk.terminal(box)
    await terminal.send("echo $((40 + 2))\n")
    await terminal.shows("42")
    await terminal.send("\x04")
    assert (await asyncio.wait_for(terminal.ended, 10)).exit_code == 0


async def test_control_c_interrupts_what_runs_in_a_terminal(sdk, box):
    terminal = await sdk.terminal(box)
    await terminal.send("echo $((20 + 1)); sleep 60\n")
    await terminal.shows("21")
    await asyncio.sleep(0.3)
    await terminal.send("\x03")
    await terminal.send("echo \"<$?>\"\n")
    await terminal.shows("<130>")


async def test_a_terminal_is_listed_and_killed(sdk, box):
    terminal = await sdk.terminal(box)
    assert [(one.pid, one.args) for one in await box.commands.list()] == [
        (terminal.pid, ["-i", "-l"])]
    assert await terminal.kill() is True
    async def gone():
        return await box.commands.list() == []
    await until(gone, "the terminal's end")


async def test_killing_an_unknown_terminal_is_false(box):
    assert await box.pty.kill(4_000_000) is False


async def test_input_to_an_unknown_terminal_is_not_found(box):
    with pytest.raises(NotFoundException):
        await box.pty.send_stdin(4_000_000, b"x")


async def test_resizing_an_unknown_terminal_is_not_found(box):
    with pytest.raises(NotFoundException):
        await box.pty.resize(4_000_000, PtySize(rows=1, cols=1))


async def test_a_terminal_takes_no_standard_input(sdk, box):
    terminal = await sdk.terminal(box)
    with pytest.raises(SandboxException):
        await box.commands.send_stdin(terminal.pid, "x")


async def test_a_terminal_can_be_followed_by_another(sdk, box):
    terminal = await sdk.terminal(box)
    output = bytearray()
    if sdk.is_async:
        handle = await box.pty.connect(terminal.pid, output.extend)
        waiting = asyncio.ensure_future(handle.wait())
    else:
        handle = await box.pty.connect(terminal.pid)
        waiting = asyncio.ensure_future(handle.wait(on_pty=output.extend))
    await asyncio.sleep(0.3)
    await terminal.send("echo $((6 * 7)); exit\n")
    assert (await asyncio.wait_for(waiting, 10)).exit_code == 0
    assert b"42" in output


async def test_any_script_passes_a_terminal(sdk, box):
    terminal = await sdk.terminal(box)
    await terminal.send("printf '<%s>' ü日🦀\n")
    await terminal.shows("<ü日🦀>")
