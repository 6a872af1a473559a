"""Each test runs with the blocking and with the async SDK, against the host of E2B_API_URL."""

import json
import os
import pathlib

import pytest
import pytest_asyncio

from sdk import Sdk

EXPECTED = json.loads(
    (pathlib.Path(__file__).parent.parent / "expected-failures.json").read_text())["python"]


def pytest_configure(config):
    missing = [n for n in ("E2B_API_URL", "E2B_SANDBOX_URL", "E2B_API_KEY") if n not in os.environ]
    if missing:
        raise pytest.UsageError(f"{', '.join(missing)} must be set; scripts/conformance.py does it")


def pytest_collection_modifyitems(config, items):
    """What the host cannot do yet must fail, and is named with a reason."""
    unused = set(EXPECTED)
    for item in items:
        for name in (item.name, item.originalname):
            if name in EXPECTED:
                item.add_marker(pytest.mark.xfail(reason=EXPECTED[name], strict=True))
                unused.discard(name)
    everything = not config.option.keyword and config.args_source.name != "ARGS"
    if unused and everything:
        raise pytest.UsageError(f"expected-failures.json names no test: {', '.join(sorted(unused))}")


@pytest.fixture(params=["sync", "async"], scope="session")
def sdk(request):
    return Sdk(request.param)


@pytest_asyncio.fixture(loop_scope="session")
async def box(sdk):
    """A sandbox of the test's own."""
    made = await sdk.Sandbox.create(timeout=120)
    yield made
    await made.kill()


@pytest_asyncio.fixture(loop_scope="session")
async def more(sdk):
    """Makes further sandboxes and ends them with the test."""
    made = []

    async def create(**options):
        made.append(await sdk.Sandbox.create(**{"timeout": 120, **options}))
        return made[-1]

    yield create
    for one in made:
        await one.kill()
