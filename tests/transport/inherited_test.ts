import { assert, assertEquals, assertThrows } from "@std/assert";
import { TransportError } from "../../src/errors.ts";
import { claimInherited, inspectInherited } from "../../src/transport/inherited.ts";
import { openChannel } from "../../src/transport/open_channel.ts";
import { connectedEndpoints, temporaryDirectory } from "./connected.ts";
import { pattern } from "./pattern.ts";

Deno.test("inspectInherited() refuses a descriptor that is open, but only for this process", async () => {
  const [ours, peers] = await connectedEndpoints();
  const spec = ours.handOff();
  assert(spec.kind === "descriptor");
  assertThrows(
    () => inspectInherited(spec.fd),
    TransportError,
    `Cannot use fd:${spec.fd}: this process was not given that descriptor`,
  );
  openChannel(spec).close();
  await peers.close();
});

Deno.test("claimInherited() tells TCP from Unix sockets, and the connection lives on", async () => {
  using directory = temporaryDirectory();
  for (const uri of ["tcp:127.0.0.1:0", `unix:${directory.path}/s`]) {
    const [ours, peers] = await connectedEndpoints({}, uri);
    const spec = ours.handOff();
    assert(spec.kind === "descriptor");
    const claimed = claimInherited(spec.fd);
    assertEquals(claimed.transport, spec.transport);
    assertEquals(uri.startsWith(claimed.transport), true);
    const channel = openChannel({ ...spec, ...claimed });
    await channel.write(pattern(3));
    assertEquals(await peers.readHead(3), pattern(3));
    channel.close();
    await peers.close();
  }
});
