"""Signed links, which need no token."""

import asyncio
import urllib.error
import urllib.parse
import urllib.request


def fetch(url, data=None, **headers):
    request = urllib.request.Request(url, data=data, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read()


def form(content):
    body = (b'--xyz\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n'
            + content + b"\r\n--xyz--\r\n")
    return body, {"Content-Type": "multipart/form-data; boundary=xyz"}


async def test_a_signed_link_downloads_without_a_token(box):
    await box.files.write("signed.txt", "by link")
    url = await box.download_url("signed.txt")
    assert await asyncio.to_thread(fetch, url) == (200, b"by link")


async def test_a_signed_link_uploads_without_a_token(box):
    body, headers = form(b"uploaded")
    url = await box.upload_url("up.txt")
    status, _ = await asyncio.to_thread(lambda: fetch(url, body, **headers))
    assert status == 200
    assert await box.files.read("up.txt") == "uploaded"


async def test_a_signed_link_is_for_one_path(box):
    await box.files.write("a", "1")
    await box.files.write("b", "2")
    url = (await box.download_url("a")).replace("path=a", "path=b")
    assert (await asyncio.to_thread(fetch, url))[0] == 401


async def test_a_signed_link_for_reading_does_not_write(box):
    body, headers = form(b"x")
    url = await box.download_url("a")
    assert (await asyncio.to_thread(lambda: fetch(url, body, **headers)))[0] == 401


async def test_a_signed_link_within_its_time_works(box):
    await box.files.write("signed.txt", "in time")
    url = await box.download_url("signed.txt", use_signature_expiration=60)
    assert await asyncio.to_thread(fetch, url) == (200, b"in time")


async def test_an_expired_link_is_refused(box):
    await box.files.write("signed.txt", "late")
    url = await box.download_url("signed.txt", use_signature_expiration=-10)
    status, body = await asyncio.to_thread(fetch, url)
    assert status == 401 and b"expired" in body


async def test_the_time_of_a_link_cannot_be_changed(box):
    await box.files.write("signed.txt", "x")
    url = await box.download_url("signed.txt", use_signature_expiration=5)
    until = urllib.parse.parse_qs(urllib.parse.urlsplit(url).query)["signature_expiration"][0]
    later = url.replace(until, str(int(until) + 3600))
    assert (await asyncio.to_thread(fetch, later))[0] == 401


async def test_a_link_can_be_for_a_user(box):
    await box.files.write("/root/r", "root's", user="root")
    url = await box.download_url("r", user="root")
    assert await asyncio.to_thread(fetch, url) == (200, b"root's")


async def test_a_link_without_its_signature_is_refused(box, more):
    await more()
    await box.files.write("signed.txt", "x")
    url = (await box.download_url("signed.txt")).split("&signature=")[0]
    assert (await asyncio.to_thread(fetch, url))[0] in (400, 401)


async def test_a_link_dies_with_its_sandbox(more):
    box = await more()
    await box.files.write("signed.txt", "x")
    url = await box.download_url("signed.txt")
    await box.kill()
    assert (await asyncio.to_thread(fetch, url))[0] >= 400
