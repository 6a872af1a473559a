"""Directories and entries: listing, information, existence, making, moving, removing."""

import datetime

import pytest
from e2b import FileNotFoundException, InvalidArgumentException, SandboxException


async def names(box, path, **options):
    return sorted(one.name for one in await box.files.list(path, **options))


async def test_a_directory_lists_its_entries(box):
    await box.files.write("d/one", "1")
    await box.files.make_dir("d/two")
    assert await names(box, "d") == ["one", "two"]


async def test_an_empty_directory_lists_nothing(box):
    await box.files.make_dir("empty")
    assert await box.files.list("empty") == []


async def test_a_listing_tells_files_from_directories(box):
    await box.files.write("d/file", "1")
    await box.files.make_dir("d/dir")
    kinds = {one.name: one.type.value for one in await box.files.list("d")}
    assert kinds == {"file": "file", "dir": "dir"}


async def test_hidden_files_are_listed(box):
    await box.files.write("d/.hidden", "1")
    assert await names(box, "d") == [".hidden"]


async def test_a_listing_gives_whole_paths(box):
    await box.files.write("/tmp/d/file", "1")
    assert [one.path for one in await box.files.list("/tmp/d")] == ["/tmp/d/file"]


async def test_a_listing_tells_sizes(box):
    await box.files.write("d/file", "12345")
    assert [one.size for one in await box.files.list("d")] == [5]


@pytest.mark.parametrize("depth, expected", [
    (None, ["a"]), (1, ["a"]), (2, ["a", "b", "f1"]), (3, ["a", "b", "f1", "f2"]),
    (9, ["a", "b", "f1", "f2"]),
])
async def test_depth_says_how_far_a_listing_goes(box, depth, expected):
    await box.files.write_files([{"path": "t/a/f1", "data": ""}, {"path": "t/a/b/f2", "data": ""}])
    options = {} if depth is None else {"depth": depth}
    assert await names(box, "t", **options) == expected


@pytest.mark.parametrize("depth", [0, -1])
async def test_a_depth_below_one_is_an_invalid_argument(box, depth):
    with pytest.raises(InvalidArgumentException):
        await box.files.list("/home/user", depth=depth)


async def test_listing_a_missing_directory_is_not_found(box):
    with pytest.raises(FileNotFoundException):
        await box.files.list("/no/such/dir")


async def test_listing_a_file_is_an_invalid_argument(box):
    await box.files.write("file", "x")
    with pytest.raises(InvalidArgumentException):
        await box.files.list("file")


async def test_listing_a_thousand_entries_is_complete(box):
    await box.commands.run("mkdir big && cd big && seq -f 'f%04g' 1 1000 | xargs touch")
    assert await names(box, "big") == [f"f{n:04}" for n in range(1, 1001)]


async def test_information_about_a_file(box):
    await box.files.write("/tmp/info.txt", "12345")
    info = await box.files.get_info("/tmp/info.txt")
    assert (info.name, info.type.value, info.path, info.size) == (
        "info.txt", "file", "/tmp/info.txt", 5)


async def test_information_tells_mode_and_permissions(box):
    await box.files.write("f", "x")
    await box.commands.run("chmod 754 f")
    info = await box.files.get_info("f")
    assert (info.mode, info.permissions) == (0o754, "-rwxr-xr--")


async def test_information_tells_owner_and_group_by_name(box):
    await box.files.write("f", "x")
    info = await box.files.get_info("f")
    assert (info.owner, info.group) == ("user", "user")


async def test_information_tells_roots_files_as_roots(box):
    info = await box.files.get_info("/etc/passwd")
    assert (info.owner, info.group) == ("root", "root")


async def test_information_tells_when_a_file_was_changed(box):
    await box.files.write("f", "x")
    await box.commands.run("touch -d '2020-02-03T04:05:06Z' f")
    expected = datetime.datetime(2020, 2, 3, 4, 5, 6, tzinfo=datetime.timezone.utc)
    assert (await box.files.get_info("f")).modified_time == expected


async def test_information_about_a_directory(box):
    await box.files.make_dir("/tmp/dir")
    info = await box.files.get_info("/tmp/dir")
    assert (info.name, info.type.value, info.permissions) == ("dir", "dir", "drwxr-xr-x")


async def test_information_about_a_missing_path_is_not_found(box):
    with pytest.raises(FileNotFoundException):
        await box.files.get_info("missing")


async def test_a_link_tells_its_target(box):
    await box.commands.run("echo x > target && ln -s target link")
    info = await box.files.get_info("link")
    assert (info.name, info.symlink_target) == ("link", "/home/user/target")


async def test_what_is_no_link_has_no_target(box):
    await box.files.write("f", "x")
    assert (await box.files.get_info("f")).symlink_target is None


async def test_a_listing_does_not_go_through_links(box):
    await box.commands.run("mkdir -p l/real && touch l/real/f && ln -s /home/user/l/real l/link")
    paths = sorted(one.path for one in await box.files.list("l", depth=3))
    assert paths == ["/home/user/l/link", "/home/user/l/real", "/home/user/l/real/f"]


async def test_reading_goes_through_a_link(box):
    await box.commands.run("echo x > target && ln -s target link")
    assert await box.files.read("link") == "x\n"


async def test_a_file_exists(box):
    await box.files.write("f", "x")
    assert await box.files.exists("f") is True


async def test_a_directory_exists(box):
    assert await box.files.exists("/home/user") is True


async def test_a_missing_path_does_not_exist(box):
    assert await box.files.exists("/no/such/path") is False


async def test_making_a_directory_says_that_it_was_made(box):
    assert await box.files.make_dir("made") is True
    assert (await box.files.get_info("made")).type.value == "dir"


async def test_making_a_directory_again_says_that_it_was_there(box):
    await box.files.make_dir("made")
    assert await box.files.make_dir("made") is False


async def test_making_a_directory_makes_those_above(box):
    await box.files.make_dir("/tmp/a/b/c")
    assert await box.files.exists("/tmp/a/b/c")


async def test_a_made_directory_belongs_to_its_maker(box):
    await box.files.make_dir("mine")
    await box.files.make_dir("/root/roots", user="root")
    assert (await box.files.get_info("mine")).owner == "user"
    assert (await box.files.get_info("/root/roots", user="root")).owner == "root"


async def test_making_a_directory_where_a_file_is_is_an_invalid_argument(box):
    await box.files.write("file", "x")
    with pytest.raises(InvalidArgumentException):
        await box.files.make_dir("file")


async def test_renaming_moves_the_content(box):
    await box.files.write("old", "content")
    await box.files.rename("old", "new")
    assert (await box.files.read("new"), await box.files.exists("old")) == ("content", False)


async def test_renaming_tells_the_new_entry(box):
    await box.files.write("/tmp/old", "x")
    info = await box.files.rename("/tmp/old", "/tmp/new")
    assert (info.name, info.path, info.type.value) == ("new", "/tmp/new", "file")


async def test_renaming_a_directory_takes_all_in_it(box):
    await box.files.write("dir/sub/f", "x")
    await box.files.rename("dir", "moved")
    assert await box.files.read("moved/sub/f") == "x"


async def test_renaming_makes_the_directories_on_the_way(box):
    await box.files.write("f", "x")
    await box.files.rename("f", "not/there/yet")
    assert await box.files.read("not/there/yet") == "x"


async def test_renaming_onto_a_file_replaces_it(box):
    await box.files.write_files([{"path": "a", "data": "new"}, {"path": "b", "data": "old"}])
    await box.files.rename("a", "b")
    assert await box.files.read("b") == "new"


async def test_renaming_a_missing_file_is_not_found(box):
    with pytest.raises(FileNotFoundException):
        await box.files.rename("missing", "new")


async def test_removing_a_file(box):
    await box.files.write("f", "x")
    await box.files.remove("f")
    assert await box.files.exists("f") is False


async def test_removing_a_directory_takes_all_in_it(box):
    await box.files.write("dir/sub/f", "x")
    await box.files.remove("dir")
    assert await box.files.exists("dir") is False


async def test_removing_a_missing_path_is_no_error(box):
    await box.files.remove("missing")
    assert await box.files.exists("missing") is False


async def test_removing_a_link_leaves_its_target(box):
    await box.commands.run("mkdir real && touch real/f && ln -s real link")
    await box.files.remove("link")
    assert await box.files.exists("link") is False
    assert await box.files.exists("real/f") is True


async def test_the_user_cannot_remove_roots_files(box):
    await box.commands.run("mkdir -m 755 /root/d && touch /root/d/f && chmod 755 /root", user="root")
    with pytest.raises(SandboxException):
        await box.files.remove("/root/d/f", user="user")
    assert await box.files.exists("/root/d/f", user="root") is True
