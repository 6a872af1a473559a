"""Who may do what, and what a sandbox without the internet reaches."""

import e2b
import pytest
from e2b import AuthenticationException


async def test_a_wrong_key_is_refused(sdk):
    with pytest.raises(AuthenticationException):
        await sdk.Sandbox.create(api_key="e2b_" + "f" * 40)


async def test_a_wrong_key_sees_no_sandbox(sdk, box):
    with pytest.raises(AuthenticationException):
        await sdk.Sandbox.get_info(box.sandbox_id, api_key="e2b_" + "f" * 40)


async def test_a_wrong_key_kills_no_sandbox(sdk, box):
    with pytest.raises(AuthenticationException):
        await sdk.Sandbox.kill(box.sandbox_id, api_key="e2b_" + "f" * 40)
    assert await box.is_running() is True


@pytest.mark.parametrize("what", ["run", "read", "list"])
async def test_one_sandboxes_token_opens_no_other(sdk, box, more, what):
    stranger = as_stranger(sdk, box, (await more()).target._envd_access_token)
    with pytest.raises(AuthenticationException):
        await {"run": lambda: stranger.commands.run("true"),
               "read": lambda: stranger.files.read("/etc/hostname"),
               "list": lambda: stranger.files.list("/")}[what]()


async def test_no_token_opens_no_sandbox(sdk, box):
    with pytest.raises(AuthenticationException):
        await as_stranger(sdk, box, None).commands.run("true")


def as_stranger(sdk, box, token):
    """The same sandbox in the hands of one who holds another token, or none."""
    headers = {"E2b-Sandbox-Id": box.sandbox_id, "E2b-Sandbox-Port": "49983"}
    if token:
        headers["X-Access-Token"] = token
    kind = sdk.Sandbox.target
    return type(box)(kind(
        sandbox_id=box.sandbox_id, sandbox_domain=None, envd_access_token=token,
        envd_version=box.target._envd_version,
        connection_config=e2b.ConnectionConfig(extra_sandbox_headers=headers)))


async def test_without_the_internet_nothing_is_reached(more):
    box = await more(allow_internet_access=False)
    done = await box.commands.run("curl -sS -m 4 http://1.1.1.1/ 2>&1 || echo failed")
    assert done.stdout.endswith("failed\n")


async def test_without_the_internet_no_name_is_found(more):
    box = await more(allow_internet_access=False)
    done = await box.commands.run("curl -sS -m 4 http://example.com/ 2>&1 || echo failed")
    assert done.stdout.endswith("failed\n")


async def test_without_the_internet_loopback_still_works(more):
    box = await more(allow_internet_access=False)
    await box.files.write("served.txt", "by loopback")
    await box.commands.run("exec python3 -m http.server 8123", background=True)
    done = await box.commands.run(
        "curl -sS --retry 20 --retry-connrefused --retry-delay 1 http://127.0.0.1:8123/served.txt")
    assert done.stdout == "by loopback"


async def test_information_tells_that_the_internet_is_off(more):
    box = await more(allow_internet_access=False)
    assert (await box.get_info()).allow_internet_access is False


async def test_the_hosts_own_ports_are_not_reached(more):
    box = await more(allow_internet_access=False)
    port = e2b.ConnectionConfig().api_url.rsplit(":", 1)[1]
    done = await box.commands.run(f"curl -sS -m 4 http://127.0.0.1:{port}/health && echo in || echo out")
    assert done.stdout.endswith("out\n")


async def test_information_does_not_tell_of_the_internet_unless_asked_for(box):
    assert (await box.get_info()).allow_internet_access is None
