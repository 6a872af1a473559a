"""Finding sandboxes: labels, states, pages, order."""

import datetime
import uuid

import pytest
from e2b import AuthenticationException, SandboxException, SandboxQuery, SandboxState


async def everything(paginator):
    found = []
    while paginator.has_next:
        found += await paginator.next_items()
    return found


async def ids(sdk, **query):
    options = {name: query.pop(name) for name in ("limit", "order") if name in query}
    paginator = await sdk.Sandbox.list(query=SandboxQuery(**query), **options)
    return [one.sandbox_id for one in await everything(paginator)]


@pytest.fixture
def label():
    return {"test": uuid.uuid4().hex}


async def test_a_sandbox_is_listed(sdk, box):
    paginator = await sdk.Sandbox.list()
    assert box.sandbox_id in [one.sandbox_id for one in await everything(paginator)]


async def test_a_listed_sandbox_tells_about_itself(sdk, more, label):
    box = await more(metadata=label)
    [one] = await everything(await sdk.Sandbox.list(query=SandboxQuery(metadata=label)))
    info = await box.get_info()
    assert (one.sandbox_id, one.metadata, one.state, one.started_at, one.end_at) == (
        box.sandbox_id, label, SandboxState.RUNNING, info.started_at, info.end_at)


async def test_a_killed_sandbox_is_not_listed(sdk, more, label):
    box = await more(metadata=label)
    await box.kill()
    assert await ids(sdk, metadata=label) == []


async def test_labels_find_a_sandbox(sdk, more, label):
    box = await more(metadata=label)
    await more(metadata={"test": "another"})
    assert await ids(sdk, metadata=label) == [box.sandbox_id]


async def test_all_labels_must_fit(sdk, more, label):
    both = await more(metadata={**label, "n": "1"})
    await more(metadata={**label, "n": "2"})
    assert await ids(sdk, metadata={**label, "n": "1"}) == [both.sandbox_id]


async def test_some_of_its_labels_find_a_sandbox(sdk, more, label):
    box = await more(metadata={**label, "further": "x"})
    assert await ids(sdk, metadata=label) == [box.sandbox_id]


async def test_unknown_labels_find_nothing(sdk, box):
    assert await ids(sdk, metadata={"no": uuid.uuid4().hex}) == []


@pytest.mark.parametrize("key, value", [
    ("with space", "a b"), ("amp&ersand", "x&y=z"), ("ünï", "日本 🦀"), ("per%20cent", "100%"),
    ("plus+", "a+b"), ("slash/", "a/b?c#d"),
])
async def test_any_label_finds_its_sandbox(sdk, more, label, key, value):
    box = await more(metadata={**label, key: value})
    assert await ids(sdk, metadata={**label, key: value}) == [box.sandbox_id]


async def test_pages_have_the_size_asked_for(sdk, more, label):
    for _ in range(3):
        await more(metadata=label)
    paginator = await sdk.Sandbox.list(query=SandboxQuery(metadata=label), limit=2)
    assert [len(await paginator.next_items()), len(await paginator.next_items())] == [2, 1]


async def test_pages_together_are_everything_once(sdk, more, label):
    made = {(await more(metadata=label)).sandbox_id for _ in range(5)}
    found = await ids(sdk, metadata=label, limit=2)
    assert len(found) == 5 and set(found) == made


async def test_the_last_page_says_that_it_is(sdk, more, label):
    await more(metadata=label)
    paginator = await sdk.Sandbox.list(query=SandboxQuery(metadata=label), limit=1)
    assert paginator.has_next is True
    await paginator.next_items()
    assert (paginator.has_next, paginator.next_token) == (False, None)


async def test_a_token_goes_on_where_a_page_ended(sdk, more, label):
    made = {(await more(metadata=label)).sandbox_id for _ in range(2)}
    query = SandboxQuery(metadata=label)
    first = await sdk.Sandbox.list(query=query, limit=1)
    [one] = await first.next_items()
    second = await sdk.Sandbox.list(query=query, limit=1, next_token=first.next_token)
    [two] = await second.next_items()
    assert {one.sandbox_id, two.sandbox_id} == made


async def test_a_page_beyond_the_last_raises(sdk, more, label):
    paginator = await sdk.Sandbox.list(query=SandboxQuery(metadata=label))
    await paginator.next_items()
    with pytest.raises(Exception, match="No more items"):
        await paginator.next_items()


async def test_a_token_that_is_none_is_refused(sdk):
    paginator = await sdk.Sandbox.list(next_token="not-a-token")
    with pytest.raises(SandboxException) as raised:
        await paginator.next_items()
    assert raised.value.status_code == 400


async def test_a_page_of_more_than_a_hundred_is_refused(sdk):
    paginator = await sdk.Sandbox.list(limit=101)
    with pytest.raises(SandboxException) as raised:
        await paginator.next_items()
    assert raised.value.status_code == 400


async def test_the_newest_comes_first(sdk, more, label):
    made = [(await more(metadata=label)).sandbox_id for _ in range(3)]
    assert await ids(sdk, metadata=label) == made[::-1]


async def test_the_oldest_can_come_first(sdk, more, label):
    made = [(await more(metadata=label)).sandbox_id for _ in range(3)]
    assert await ids(sdk, metadata=label, order="asc", limit=2) == made


async def test_running_sandboxes_can_be_asked_for(sdk, more, label):
    running = await more(metadata=label)
    await (await more(metadata=label)).pause()
    assert await ids(sdk, metadata=label, state=[SandboxState.RUNNING]) == [running.sandbox_id]


async def test_paused_sandboxes_can_be_asked_for(sdk, more, label):
    await more(metadata=label)
    paused = await more(metadata=label)
    await paused.pause()
    assert await ids(sdk, metadata=label, state=[SandboxState.PAUSED]) == [paused.sandbox_id]


async def test_both_states_are_listed_by_default(sdk, more, label):
    running, paused = await more(metadata=label), await more(metadata=label)
    await paused.pause()
    assert set(await ids(sdk, metadata=label)) == {running.sandbox_id, paused.sandbox_id}


async def test_templates_can_be_asked_for(sdk, more, label):
    box = await more(metadata=label)
    assert await ids(sdk, metadata=label, template="base") == [box.sandbox_id]
    assert await ids(sdk, metadata=label, template="another") == []


async def test_those_started_after_a_time_can_be_asked_for(sdk, more, label):
    box = await more(metadata=label)
    started = (await box.get_info()).started_at
    minute = datetime.timedelta(minutes=1)
    assert await ids(sdk, metadata=label, started_after=started - minute) == [box.sandbox_id]
    assert await ids(sdk, metadata=label, started_after=started + minute) == []


async def test_a_wrong_key_lists_nothing(sdk):
    paginator = await sdk.Sandbox.list(api_key="e2b_" + "f" * 40)
    with pytest.raises(AuthenticationException):
        await paginator.next_items()
