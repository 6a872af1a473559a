"""Labels that an upload keeps with its file."""

import pytest
from e2b import InvalidArgumentException


async def test_metadata_is_returned_by_the_upload(box):
    written = await box.files.write("m", "x", metadata={"origin": "test", "n": "1"})
    assert written.metadata == {"origin": "test", "n": "1"}


async def test_metadata_is_kept_with_the_file(box):
    await box.files.write("m", "x", metadata={"origin": "test"})
    assert (await box.files.get_info("m")).metadata == {"origin": "test"}


async def test_metadata_is_in_listings(box):
    await box.files.write("/tmp/meta/m", "x", metadata={"k": "v"})
    assert [one.metadata for one in await box.files.list("/tmp/meta")] == [{"k": "v"}]


async def test_metadata_keys_become_lower_case(box):
    await box.files.write("m", "x", metadata={"MixedCase": "V"})
    assert (await box.files.get_info("m")).metadata == {"mixedcase": "V"}


async def test_a_new_upload_replaces_all_metadata(box):
    await box.files.write("m", "x", metadata={"a": "1", "b": "2"})
    await box.files.write("m", "y", metadata={"b": "3"})
    assert (await box.files.get_info("m")).metadata == {"b": "3"}


async def test_a_file_without_metadata_has_none(box):
    written = await box.files.write("m", "x")
    assert (written.metadata, (await box.files.get_info("m")).metadata) == (None, None)


async def test_metadata_moves_with_the_file(box):
    await box.files.write("m", "x", metadata={"k": "v"})
    assert (await box.files.rename("m", "moved")).metadata == {"k": "v"}


async def test_metadata_goes_on_each_of_many_files(box):
    written = await box.files.write_files(
        [{"path": "m1", "data": "1"}, {"path": "m2", "data": "2"}], metadata={"k": "v"})
    assert [one.metadata for one in written] == [{"k": "v"}] * 2


async def test_metadata_goes_with_a_compressed_upload(box):
    await box.files.write("m", "x", gzip=True, metadata={"k": "v"})
    assert (await box.files.get_info("m")).metadata == {"k": "v"}


@pytest.mark.parametrize("bad", [{"": "v"}, {"a b": "v"}, {"k": "ü"}, {"k": "a\nb"}])
async def test_metadata_that_no_header_can_carry_is_refused(box, bad):
    with pytest.raises(InvalidArgumentException):
        await box.files.write("m", "x", metadata=bad)


async def test_too_much_metadata_is_refused(box):
    with pytest.raises(InvalidArgumentException):
        await box.files.write("m", "x", metadata={f"k{n}": "v" * 900 for n in range(6)})
