"""Contents of files: reading, writing, many at once, streams, compression."""

import asyncio
import hashlib
import io
import os

import pytest
from e2b import (
    AuthenticationException, FileNotFoundException, InvalidArgumentException, NotFoundException,
    SandboxException,
)

BINARY = bytes(range(256)) * 40


@pytest.mark.parametrize("text", ["hello", "", "ünïcödé 日本語 🦀", "a\r\nb\rc\n", "\n\n"])
async def test_text_is_read_as_it_was_written(box, text):
    await box.files.write("text.txt", text)
    assert await box.files.read("text.txt") == text


async def test_bytes_are_read_as_they_were_written(box):
    await box.files.write("blob", BINARY)
    assert bytes(await box.files.read("blob", format="bytes")) == BINARY


async def test_writing_tells_name_kind_and_path(box):
    written = await box.files.write("/home/user/a/name.txt", "x")
    assert (written.name, written.type.value, written.path) == (
        "name.txt", "file", "/home/user/a/name.txt")


async def test_writing_again_replaces_the_whole_file(box):
    await box.files.write("f", "a long text")
    await box.files.write("f", "short")
    assert await box.files.read("f") == "short"


async def test_writing_makes_the_directories_on_the_way(box):
    await box.files.write("/home/user/one/two/three.txt", "deep")
    assert await box.files.read("/home/user/one/two/three.txt") == "deep"


async def test_directories_on_the_way_belong_to_the_user(box):
    await box.files.write("new/dir/file", "x")
    assert (await box.files.get_info("new/dir")).owner == "user"


async def test_a_relative_path_is_under_the_home(box):
    written = await box.files.write("relative.txt", "x")
    assert written.path == "/home/user/relative.txt"


async def test_a_tilde_is_the_home(box):
    await box.files.write("~/tilde.txt", "x")
    assert await box.files.read("/home/user/tilde.txt") == "x"


@pytest.mark.parametrize("name", ["with space", "ü.txt", "a&b=c", "100%", "a+b", "#1", "q?x", "日本"])
async def test_any_name_can_be_written_and_read(box, name):
    await box.files.write(f"/tmp/{name}", name)
    assert await box.files.read(f"/tmp/{name}") == name
    assert await box.files.exists(f"/tmp/{name}")


async def test_a_written_file_belongs_to_the_user(box):
    await box.files.write("owned", "x")
    assert (await box.commands.run("stat -c %U:%a owned")).stdout == "user:644\n"


async def test_a_file_can_be_written_as_root(box):
    await box.files.write("/root/owned", "x", user="root")
    done = await box.commands.run("stat -c %U /root/owned", user="root")
    assert done.stdout == "root\n"


async def test_a_relative_path_of_root_is_under_roots_home(box):
    written = await box.files.write("here", "x", user="root")
    assert written.path == "/root/here"


async def test_the_user_cannot_read_what_only_root_may(box):
    await box.files.write("/root/secret", "x", user="root")
    await box.commands.run("chmod 600 /root/secret; chmod 700 /root", user="root")
    with pytest.raises(SandboxException):
        await box.files.read("/root/secret", user="user")
    assert await box.files.read("/root/secret", user="root") == "x"


async def test_an_unknown_user_is_refused(box):
    with pytest.raises(AuthenticationException):
        await box.files.read("/etc/hostname", user="nobody-of-that-name")


async def test_commands_see_written_files(box):
    await box.files.write("/tmp/in", "from outside")
    assert (await box.commands.run("cat /tmp/in")).stdout == "from outside"


async def test_files_of_commands_are_read(box):
    await box.commands.run("echo from inside > /tmp/out")
    assert await box.files.read("/tmp/out") == "from inside\n"


async def test_reading_a_missing_file_is_not_found(box):
    with pytest.raises(FileNotFoundException) as raised:
        await box.files.read("/no/such/file")
    assert "/no/such/file" in str(raised.value)


async def test_a_missing_file_is_also_the_old_exception(box):
    with pytest.raises(NotFoundException):
        await box.files.read("missing")


async def test_reading_a_directory_is_an_invalid_argument(box):
    with pytest.raises(InvalidArgumentException):
        await box.files.read("/home/user")


async def test_writing_to_a_directory_is_an_invalid_argument(box):
    await box.files.make_dir("folder")
    with pytest.raises(InvalidArgumentException):
        await box.files.write("folder", "x")


async def test_an_empty_file_is_empty_bytes(box):
    await box.files.write("empty", b"")
    assert bytes(await box.files.read("empty", format="bytes")) == b""


async def test_a_large_file_is_exact(box):
    data = os.urandom(8 << 20)
    await box.files.write("/tmp/large", data)
    done = await box.commands.run("sha256sum < /tmp/large")
    assert done.stdout.split()[0] == hashlib.sha256(data).hexdigest()
    assert bytes(await box.files.read("/tmp/large", format="bytes")) == data


async def test_a_file_can_be_read_as_a_stream(sdk, box):
    await box.files.write("/tmp/s", BINARY * 50)
    got = b""
    stream = await box.files.read("/tmp/s", format="stream")
    if sdk.is_async:
        async for chunk in stream:
            got += chunk
    else:
        got = b"".join(stream)
    assert got == BINARY * 50


async def test_a_stream_of_a_missing_file_is_not_found(box):
    with pytest.raises(FileNotFoundException):
        await box.files.read("missing", format="stream")


async def test_an_open_file_can_be_written(box):
    await box.files.write("opened", io.BytesIO(BINARY))
    assert bytes(await box.files.read("opened", format="bytes")) == BINARY


async def test_an_open_text_file_can_be_written(box):
    await box.files.write("opened", io.StringIO("ünïcode"))
    assert await box.files.read("opened") == "ünïcode"


async def test_chunks_can_be_written_as_they_come(sdk, box):
    async def later():
        for n in range(30):
            yield f"{n},".encode()
    parts = later() if sdk.is_async else (f"{n},".encode() for n in range(30))
    await box.files.write("chunks", parts)
    assert await box.files.read("chunks") == "".join(f"{n}," for n in range(30))


@pytest.mark.parametrize("octets", [True, False])
async def test_both_ways_of_uploading_give_the_same(box, octets):
    written = await box.files.write("/tmp/way", BINARY, use_octet_stream=octets)
    assert written.path == "/tmp/way"
    assert bytes(await box.files.read("/tmp/way", format="bytes")) == BINARY


async def test_a_compressed_upload_is_stored_plain(box):
    await box.files.write("packed", "text " * 5000, gzip=True)
    assert (await box.commands.run("wc -c < packed")).stdout.strip() == "25000"


async def test_a_compressed_download_is_the_same_text(box):
    await box.files.write("plain", "text " * 5000)
    assert await box.files.read("plain", gzip=True) == "text " * 5000


async def test_compression_both_ways_keeps_bytes(box):
    await box.files.write("both", BINARY, gzip=True)
    assert bytes(await box.files.read("both", format="bytes", gzip=True)) == BINARY


async def test_many_files_are_written_at_once(box):
    files = [{"path": f"/tmp/many/{n}.txt", "data": f"number {n}"} for n in range(25)]
    written = await box.files.write_files(files)
    assert [one.path for one in written] == [one["path"] for one in files]
    for n in (0, 7, 24):
        assert await box.files.read(f"/tmp/many/{n}.txt") == f"number {n}"


async def test_many_files_may_mix_text_and_bytes(box):
    await box.files.write_files([{"path": "t", "data": "text"}, {"path": "b", "data": BINARY}])
    assert await box.files.read("t") == "text"
    assert bytes(await box.files.read("b", format="bytes")) == BINARY


async def test_many_files_may_lie_in_many_directories(box):
    await box.files.write_files([{"path": "x/1", "data": "1"}, {"path": "/tmp/y/2", "data": "2"}])
    assert (await box.commands.run("cat /home/user/x/1 /tmp/y/2")).stdout == "12"


async def test_no_files_at_all_is_no_error(box):
    assert await box.files.write_files([]) == []


async def test_the_same_target_twice_is_refused(box):
    with pytest.raises(InvalidArgumentException):
        await box.files.write_files([{"path": "twin", "data": "1"}, {"path": "twin", "data": "2"}])


async def test_many_files_can_be_compressed(box):
    await box.files.write_files(
        [{"path": f"z{n}", "data": f"{n}" * 2000} for n in range(4)], gzip=True)
    assert await box.files.read("z3") == "3" * 2000


async def test_many_files_can_be_written_as_root(box):
    await box.files.write_files([{"path": "r1", "data": "1"}, {"path": "r2", "data": "2"}],
                                user="root")
    assert (await box.files.get_info("/root/r2", user="root")).owner == "root"


async def test_writers_at_the_same_time_do_not_disturb_each_other(box):
    await asyncio.gather(*(box.files.write(f"/tmp/at-once/{n}", str(n) * 1000) for n in range(16)))
    assert [await box.files.read(f"/tmp/at-once/{n}") for n in range(16)] == [
        str(n) * 1000 for n in range(16)]
