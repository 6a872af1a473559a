"""Both flavours of E2B's Python SDK behind one face.

Every call on a `Uniform` is awaited. A blocking SDK's call runs in a thread, so a test can start one
thing while another goes on, in either flavour.
"""

import asyncio
import inspect
import time

import e2b

WRAPPED = (
    "Sandbox", "AsyncSandbox", "Commands", "CommandHandle", "AsyncCommandHandle", "Filesystem",
    "Pty", "Git", "WatchHandle", "AsyncWatchHandle", "SandboxPaginator", "AsyncSandboxPaginator",
)


def wrap(value):
    if inspect.isclass(value) or type(value).__name__ not in WRAPPED:
        return value
    return Uniform(value)


class Uniform:
    """An object of the SDK whose methods are awaited, whichever flavour it is of."""

    def __init__(self, target):
        self.target = target

    def __getattr__(self, name):
        value = getattr(self.target, name)
        if not callable(value) or type(value).__name__ in WRAPPED:
            return wrap(value)

        async def call(*arguments, **named):
            if inspect.iscoroutinefunction(value):
                return wrap(await value(*arguments, **named))
            answer = await asyncio.to_thread(value, *arguments, **named) if self.blocks else value(
                *arguments, **named)
            return wrap(await answer if inspect.isawaitable(answer) else answer)

        return call

    @property
    def blocks(self):
        """Whether this is of the flavour that blocks."""
        kind = self.target if inspect.isclass(self.target) else type(self.target)
        return "sandbox_async" not in kind.__module__


class Sdk:
    """One flavour."""

    def __init__(self, flavour):
        self.flavour = flavour
        self.is_async = flavour == "async"
        self.Sandbox = Uniform(e2b.AsyncSandbox if self.is_async else e2b.Sandbox)

    async def watch(self, box, path, **options):
        return await Watch.start(self, box, path, options)

    async def terminal(self, box, rows=24, cols=80, **options):
        return await Terminal.start(self, box, e2b.PtySize(rows=rows, cols=cols), options)


async def until(check, what, seconds=10):
    """Waits for `check()` to be true, and fails naming `what` if it never is."""
    end = time.monotonic() + seconds
    while True:
        found = check()
        if inspect.isawaitable(found):
            found = await found
        if found:
            return found
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        await asyncio.sleep(0.02)


class Watch:
    """Events of a directory, gathered the way the flavour gives them."""

    @classmethod
    async def start(cls, sdk, box, path, options):
        self = cls()
        self.seen, self.exits = [], []
        self.polls = not sdk.is_async
        if not self.polls:
            options = {"on_event": self.seen.append, "on_exit": self.exits.append, **options}
        self.handle = await box.files.watch_dir(path, **options)
        return self

    async def events(self):
        if self.polls:
            self.seen += await self.handle.get_new_events()
        return self.seen

    async def event(self, name, kind):
        """The first event of that name and kind, once it is there."""
        async def found():
            return [e for e in await self.events() if e.name == name and e.type.value == kind]
        return (await until(found, f"{kind} of {name}"))[0]

    async def stop(self):
        await self.handle.stop()


class Terminal:
    """A terminal whose output is gathered while it runs."""

    @classmethod
    async def start(cls, sdk, box, size, options):
        self = cls()
        self.box, self.output = box, bytearray()
        if sdk.is_async:
            self.handle = await box.pty.create(size, self.output.extend, **options)
            self.ended = asyncio.ensure_future(self.handle.wait())
        else:
            self.handle = await box.pty.create(size, **options)
            self.ended = asyncio.ensure_future(self.handle.wait(on_pty=self.output.extend))
        self.ended.add_done_callback(lambda done: done.cancelled() or done.exception())
        return self

    @property
    def pid(self):
        return self.handle.pid

    async def send(self, text):
        await self.box.pty.send_stdin(self.pid, text.encode())

    async def shows(self, text):
        """Waits until the terminal has shown `text`."""
        return await until(lambda: text.encode() in self.output, f"{text!r} on the terminal")

    async def kill(self):
        return await self.box.pty.kill(self.pid)
