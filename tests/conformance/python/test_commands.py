"""Commands that are waited for: exit codes, output, environment, directory, user, time."""

import asyncio
import time

import pytest
from e2b import (
    AuthenticationException, CommandExitException, InvalidArgumentException, TimeoutException,
)


async def test_run_returns_standard_output(box):
    assert (await box.commands.run("echo hello")).stdout == "hello\n"


async def test_run_returns_standard_error_apart(box):
    done = await box.commands.run("echo out; echo err >&2")
    assert (done.stdout, done.stderr) == ("out\n", "err\n")


async def test_success_is_exit_code_zero_without_error(box):
    done = await box.commands.run("true")
    assert (done.exit_code, done.error) == (0, None)


@pytest.mark.parametrize("code", [1, 2, 42, 127, 255])
async def test_another_exit_code_raises_with_that_code(box, code):
    with pytest.raises(CommandExitException) as raised:
        await box.commands.run(f"exit {code}")
    assert raised.value.exit_code == code


async def test_a_failing_commands_output_is_in_the_exception(box):
    with pytest.raises(CommandExitException) as raised:
        await box.commands.run("echo out; echo err >&2; exit 3")
    assert (raised.value.stdout, raised.value.stderr) == ("out\n", "err\n")


async def test_a_failing_commands_error_names_the_status(box):
    with pytest.raises(CommandExitException) as raised:
        await box.commands.run("exit 3")
    assert raised.value.error == "exit status 3"


async def test_an_unknown_program_is_exit_127(box):
    with pytest.raises(CommandExitException) as raised:
        await box.commands.run("no-such-program-at-all")
    assert raised.value.exit_code == 127
    assert "no-such-program-at-all" in raised.value.stderr


async def test_a_syntax_error_is_an_exit_code(box):
    with pytest.raises(CommandExitException) as raised:
        await box.commands.run("if then")
    assert raised.value.exit_code == 2


async def test_a_command_killed_by_a_signal_has_exit_code_minus_one(box):
    with pytest.raises(CommandExitException) as raised:
        await box.commands.run("kill -9 $$")
    assert (raised.value.exit_code, raised.value.error) == (-1, "signal: killed")


async def test_a_shell_reports_the_signal_of_its_child_as_128_plus_n(box):
    with pytest.raises(CommandExitException) as raised:
        await box.commands.run("bash -c 'kill -TERM $$'; exit $?")
    assert raised.value.exit_code == 143


@pytest.mark.parametrize("text", ["ünïcödé", "日本語", "🦀🚀", "\\n not a line", "a'b\"c", "$HOME"])
async def test_text_comes_back_as_it_was(box, text):
    quoted = "'" + text.replace("'", "'\\''") + "'"
    assert (await box.commands.run(f"printf %s {quoted}")).stdout == text


async def test_bytes_that_are_no_text_become_replacement_characters(box):
    assert (await box.commands.run(r"printf 'a\xff\xfeb'")).stdout == "a\ufffd\ufffdb"


async def test_a_character_cut_between_two_writes_is_whole(box):
    done = await box.commands.run(r"printf '\xe2\x82'; sleep 0.3; printf '\xac'")
    assert done.stdout == "€"


async def test_a_character_cut_for_good_is_replaced(box):
    assert (await box.commands.run(r"printf 'x\xe2\x82'")).stdout == "x\ufffd"


async def test_no_output_is_an_empty_string(box):
    done = await box.commands.run("true")
    assert (done.stdout, done.stderr) == ("", "")


async def test_output_without_a_last_newline_is_kept_so(box):
    assert (await box.commands.run("printf no-newline")).stdout == "no-newline"


async def test_nul_bytes_are_kept(box):
    assert (await box.commands.run(r"printf 'a\0b'")).stdout == "a\0b"


async def test_megabytes_of_output_are_complete(box):
    done = await box.commands.run("head -c 5000000 /dev/zero | tr '\\0' x")
    assert len(done.stdout) == 5_000_000 and set(done.stdout) == {"x"}


async def test_lines_keep_their_order(box):
    done = await box.commands.run("seq 1 20000")
    assert done.stdout.split() == [str(n) for n in range(1, 20001)]


async def test_a_long_command_line_is_taken(box):
    text = "y" * 60_000
    assert (await box.commands.run(f"printf %s {text}")).stdout == text


async def test_a_command_of_several_lines_runs_whole(box):
    assert (await box.commands.run("a=1\nb=2\necho $((a + b))")).stdout == "3\n"


async def test_pipes_and_redirections_work(box):
    done = await box.commands.run("echo 'b\na' | sort > sorted && cat sorted")
    assert done.stdout == "a\nb\n"


async def test_the_shell_is_bash(box):
    assert (await box.commands.run('echo "${BASH_VERSION:+bash}"')).stdout == "bash\n"


async def test_the_shell_is_a_login_shell(box):
    await box.files.write("/home/user/.bash_profile", "export FROM_PROFILE=yes\n")
    assert (await box.commands.run("echo $FROM_PROFILE")).stdout == "yes\n"


async def test_standard_input_is_empty_by_default(box):
    assert (await box.commands.run("cat; echo end")).stdout == "end\n"


async def test_commands_share_files_but_not_shell_state(box):
    await box.commands.run("export A=1; cd /tmp; echo kept > /tmp/kept")
    done = await box.commands.run("echo \"[$A]\"; pwd; cat /tmp/kept")
    assert done.stdout == "[]\n/home/user\nkept\n"


async def test_envs_reach_the_command(box):
    done = await box.commands.run("echo $FOO $BAR", envs={"FOO": "one", "BAR": "two"})
    assert done.stdout == "one two\n"


async def test_a_value_of_envs_is_not_interpreted(box):
    value = "a b\n$HOME `id` \"q\" 'r' ü"
    assert (await box.commands.run('printf %s "$V"', envs={"V": value})).stdout == value


async def test_an_empty_value_is_set(box):
    assert (await box.commands.run("echo ${E+set}${E}", envs={"E": ""})).stdout == "set\n"


async def test_envs_are_for_one_command_only(box):
    await box.commands.run("true", envs={"ONCE": "x"})
    assert (await box.commands.run('echo "[$ONCE]"')).stdout == "[]\n"


async def test_envs_of_the_sandbox_reach_every_command(more):
    box = await more(envs={"GLOBAL": "yes"})
    assert (await box.commands.run("echo $GLOBAL")).stdout == "yes\n"


async def test_envs_of_the_command_win_over_the_sandboxes(more):
    box = await more(envs={"WHO": "sandbox", "OTHER": "stays"})
    done = await box.commands.run("echo $WHO $OTHER", envs={"WHO": "command"})
    assert done.stdout == "command stays\n"


async def test_the_sandbox_says_that_it_is_one(box):
    done = await box.commands.run("echo $E2B_SANDBOX $E2B_SANDBOX_ID")
    assert done.stdout == f"true {box.sandbox_id}\n"


async def test_internal_names_cannot_be_set_by_the_creator(more):
    box = await more(envs={"E2B_SANDBOX_ID": "forged"})
    assert (await box.commands.run("echo $E2B_SANDBOX_ID")).stdout == f"{box.sandbox_id}\n"


async def test_the_default_directory_is_the_home(box):
    assert (await box.commands.run("pwd")).stdout == "/home/user\n"


async def test_cwd_is_where_the_command_runs(box):
    assert (await box.commands.run("pwd", cwd="/tmp")).stdout == "/tmp\n"


async def test_a_relative_cwd_is_under_the_home(box):
    await box.files.make_dir("work/deep")
    assert (await box.commands.run("pwd", cwd="work/deep")).stdout == "/home/user/work/deep\n"


async def test_a_tilde_in_cwd_is_the_home(box):
    await box.files.make_dir("tilde")
    assert (await box.commands.run("pwd", cwd="~/tilde")).stdout == "/home/user/tilde\n"


async def test_a_missing_cwd_is_an_invalid_argument(box):
    with pytest.raises(InvalidArgumentException):
        await box.commands.run("pwd", cwd="/no/such/dir")


async def test_the_default_user_is_user(box):
    assert (await box.commands.run("whoami; echo $USER $LOGNAME $HOME")).stdout == (
        "user\nuser user /home/user\n")


async def test_a_command_can_run_as_root(box):
    done = await box.commands.run("id -u; echo $HOME", user="root")
    assert done.stdout == "0\n/root\n"


async def test_an_unknown_user_is_refused(box):
    with pytest.raises(AuthenticationException):
        await box.commands.run("true", user="nobody-of-that-name")


async def test_users_do_not_see_each_others_private_files(box):
    await box.commands.run("echo secret > /root/private && chmod 600 /root/private", user="root")
    with pytest.raises(CommandExitException) as raised:
        await box.commands.run("cat /root/private")
    assert "Permission denied" in raised.value.stderr


async def test_sudo_without_a_password_gives_root(box):
    assert (await box.commands.run("sudo id -u")).stdout == "0\n"


async def test_a_command_over_its_timeout_raises(box):
    began = time.monotonic()
    with pytest.raises(TimeoutException):
        await box.commands.run("sleep 30", timeout=1)
    assert time.monotonic() - began < 10


async def test_a_command_over_its_timeout_is_killed(box):
    with pytest.raises(TimeoutException):
        await box.commands.run("exec sleep 1234", timeout=0.5)
    done = await box.commands.run("ps -eo args | grep -c '^sleep 1234' || true")
    assert done.stdout == "0\n"


async def test_a_timeout_of_zero_does_not_limit(box):
    assert (await box.commands.run("sleep 1.5; echo done", timeout=0)).stdout == "done\n"


async def test_a_command_within_its_timeout_is_untouched(box):
    assert (await box.commands.run("sleep 0.5; echo done", timeout=20)).stdout == "done\n"


async def test_output_reaches_the_callback_as_it_is_written(box):
    times = []
    await box.commands.run("echo a; sleep 1; echo b",
                           on_stdout=lambda text: times.append((time.monotonic(), text)))
    assert "".join(text for _, text in times) == "a\nb\n"
    assert times[-1][0] - times[0][0] > 0.7


async def test_standard_error_has_a_callback_of_its_own(box):
    out, err = [], []
    await box.commands.run("echo o; echo e >&2", on_stdout=out.append, on_stderr=err.append)
    assert ("".join(out), "".join(err)) == ("o\n", "e\n")


async def test_what_callbacks_saw_is_also_in_the_result(box):
    out = []
    done = await box.commands.run("seq 1 3000", on_stdout=out.append)
    assert "".join(out) == done.stdout


async def test_output_that_is_not_retained_is_none(box):
    out = []
    done = await box.commands.run("echo x", on_stdout=out.append, retain_output=False)
    assert (done.stdout, "".join(out)) == (None, "x\n")


async def test_commands_run_at_the_same_time(box):
    began = time.monotonic()
    done = await asyncio.gather(*(box.commands.run(f"sleep 1; echo {n}") for n in range(8)))
    assert [one.stdout for one in done] == [f"{n}\n" for n in range(8)]
    assert time.monotonic() - began < 6


async def test_a_command_ends_only_when_its_output_is_closed(box):
    done = await box.commands.run("(sleep 1; echo late) & echo early")
    assert done.stdout == "early\nlate\n"


async def test_python_runs(box):
    assert (await box.commands.run("python3 -c 'print(6 * 7)'")).stdout == "42\n"


async def test_the_programs_of_the_base_template_are_there(box):
    done = await box.commands.run("command -v bash git curl python3 sed awk | wc -l")
    assert done.stdout == "6\n"


async def test_each_sandbox_has_files_and_processes_of_its_own(box, more):
    other = await more()
    await box.commands.run("echo mine > /tmp/mine")
    await box.commands.run("exec sleep 4321", background=True)
    done = await other.commands.run("ls /tmp/mine 2>&1; ps -eo args | grep -c '^sleep 4321'; true")
    assert "No such file" in done.stdout and done.stdout.endswith("\n0\n")
