import { assertEquals } from "@std/assert";
import { libc } from "../../src/os/libc.ts";
import { socketPair } from "../../src/os/socket_pair.ts";
import { SocketChannel } from "../../src/transport/socket_channel.ts";
import "../support/load_libc.ts";

Deno.test({
  name: "socketPair() makes two ends of one connection",
  ignore: libc() === undefined,
  async fn() {
    const [here, there] = socketPair()!.map((fd) =>
      new SocketChannel({ kind: "descriptor", fd, peer: "", direction: "both", transport: "unix" })
    ) as [SocketChannel, SocketChannel];
    await here.write(new Uint8Array([1, 2, 3]));
    const bytes = new Uint8Array(8);
    assertEquals(await there.read(bytes), 3);
    assertEquals([...bytes.subarray(0, 3)], [1, 2, 3]);
    here.close();
    assertEquals(await there.read(bytes), 0);
    there.close();
  },
});
