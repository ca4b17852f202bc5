"""Drives Ferrys with QEMU's own QMP client library, and prints what both sides say.

Two sources and two destinations wait for commands at four sockets. The first machine's migration is
cancelled, and then completes; the second one's goes to postcopy, is paused, and goes on over another socket.

    PYTHONPATH=.../python python3 qmp_client_library.py SOURCE DESTINATION SOURCE DESTINATION RECOVERY
"""

import asyncio
import json
import sys

from qemu.qmp import EventListener, ExecuteError, QMPClient

PATIENCE = 60  # seconds
SLOW = 64 * 1024  # bytes a second: nothing completes meanwhile


class End:
    """One side: a connection, and the statuses that it has told of."""

    def __init__(self, name):
        self.name = name
        self.client = QMPClient(name)
        self.events = EventListener()
        self.client.register_listener(self.events)

    async def connect(self, path):
        await self.client.connect(path)
        self.show("=", f"QMP of {json.dumps(self.client.greeting.QMP.version)}")
        await self.set_capabilities("events")

    def show(self, mark, text):
        print(f"{self.name:<11} {mark} {text}", flush=True)

    async def run(self, command, oob=False, **arguments):
        """Runs a command; one that is refused gives its error's words."""
        arguments = {name.replace("_", "-"): value for name, value in arguments.items()}
        self.show(">", f"{command} {json.dumps(arguments) if arguments else ''}".rstrip())
        try:
            answer = await self.client.execute(command, arguments, oob)
        except ExecuteError as error:
            self.show("<", f"{error.error_class}: {error}")
            return str(error)
        self.show("<", json.dumps(short(answer)))
        return answer

    async def set_capabilities(self, *names):
        capabilities = [{"capability": name, "state": True} for name in names]
        await self.run("migrate-set-capabilities", capabilities=capabilities)

    async def limit(self, **limits):
        await self.run("migrate-set-parameters", **limits)

    async def until(self, *statuses):
        """Waits for a status, and shows what comes before it."""
        async for event in self.events:
            self.show("!", f"{event['event']} {json.dumps(event.get('data', {}))}")
            if event["event"] == "MIGRATION" and event["data"]["status"] in statuses:
                return
        raise EOFError(f"{self.name} has gone")

    async def listen(self):
        """Waits for a machine. Returns where."""
        await self.run("migrate-incoming", uri="tcp:127.0.0.1:0", exit_on_error=False)
        [address] = (await self.run("query-migrate"))["socket-address"]
        return f"tcp:{address['host']}:{address['port']}"

    async def look(self):
        await self.run("query-migrate")
        await self.run("query-status")

    async def quit(self):
        await self.run("quit")
        await self.client.disconnect()


def short(answer):
    """Figures by the dozen hide what matters."""
    if not isinstance(answer, dict) or "ram" not in answer:
        return answer
    kept = {key: answer[key] for key in ("status", "error-desc") if key in answer}
    return {**kept, "ram": {key: answer["ram"][key] for key in ("total", "remaining")}}


def title(text):
    print(f"\n# {text}", flush=True)


async def cancel_and_complete(source, destination):
    title("Precopy, cancelled")
    await source.limit(max_bandwidth=SLOW)
    await source.run("migrate", uri=await destination.listen())
    await asyncio.gather(source.until("active"), destination.until("active"))
    await source.look()
    await source.run("migrate_cancel")
    await asyncio.gather(source.until("cancelled"), destination.until("failed"))
    await source.look()
    await destination.look()

    title("Precopy")
    await source.limit(max_bandwidth=0)
    await source.run("migrate", uri=await destination.listen())
    await asyncio.gather(source.until("completed"), destination.until("completed"))
    await source.look()
    await destination.look()


async def pause_and_recover(source, destination, recovery):
    title("Postcopy")
    for end in (source, destination):
        await end.set_capabilities("postcopy-ram")
    await source.limit(max_bandwidth=SLOW, max_postcopy_bandwidth=SLOW)
    await source.run("migrate", uri=await destination.listen())
    await source.until("active")
    await source.run("migrate-start-postcopy")
    await asyncio.gather(source.until("postcopy-active"), destination.until("postcopy-active"))
    await source.run("migrate_cancel")
    await source.look()

    title("Paused")
    await source.run("migrate-pause", oob=True)
    await asyncio.gather(source.until("postcopy-paused"), destination.until("postcopy-paused"))
    await source.look()

    title("Recovered")
    await destination.run("migrate-recover", oob=True, uri=recovery)
    await source.run("migrate", uri=recovery, resume=True)
    await asyncio.gather(source.until("postcopy-active"), destination.until("postcopy-active"))
    await source.limit(max_postcopy_bandwidth=0)
    await asyncio.gather(source.until("completed"), destination.until("completed"))
    await source.look()
    await destination.look()


async def main(paths, recovery):
    names = ("source", "destination")
    for scenario, pair in ((cancel_and_complete, paths[:2]), (pause_and_recover, paths[2:])):
        ends = [End(name) for name in names]
        for end, path in zip(ends, pair):
            await end.connect(path)
        more = [recovery] if scenario is pause_and_recover else []
        await scenario(*ends, *more)
        for end in ends:
            await end.quit()


asyncio.run(asyncio.wait_for(main(sys.argv[1:5], sys.argv[5]), PATIENCE))
