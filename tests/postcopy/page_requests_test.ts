import { assertEquals } from "@std/assert";
import { GuestRam } from "../../src/machine/guest_ram.ts";
import { PageRequests } from "../../src/postcopy/page_requests.ts";
import { ByteReader } from "../../src/wire/byte_reader.ts";
import { readReturnPathMessage } from "../../src/wire/return_path.ts";

async function decode(messages: Uint8Array | undefined): Promise<unknown[]> {
  const decoded: unknown[] = [];
  const reader = ByteReader.of(messages ?? new Uint8Array());
  for (let next; (next = await readReturnPathMessage(reader)) !== undefined;) decoded.push(next);
  return decoded;
}

const ram = GuestRam.create(
  [{ name: "a", length: 64 * 1024 }, { name: "b", length: 64 * 1024 }],
  { pageSize: 1024 },
);
const [a, b] = ram.blocks;

Deno.test("PageRequests name a block when it is another one, and ask for a page of the host", async () => {
  const requests = new PageRequests(1024);
  assertEquals(requests.take(), undefined);
  requests.add(a!, 4);
  requests.add(a!, 8);
  requests.add(b!, 0);
  requests.add(a!, 12);
  const request = (block: string | undefined, page: number) => ({
    ...{ type: "REQ_PAGES", block, start: page * 1024, length: 4096 },
  });
  assertEquals(await decode(requests.take()), [
    ...[request("a", 4), request(undefined, 8), request("b", 0), request("a", 12)],
  ]);
  requests.add(a!, 16);
  assertEquals(await decode(requests.take()), [request(undefined, 16)]);
  assertEquals(requests.take(), undefined);
});

Deno.test("PageRequests ask again for what was asked for and has not come, by name", async () => {
  const requests = new PageRequests(1024);
  requests.add(b!, 4);
  for (const page of [4, 8, 60]) b!.requested.add(page);
  b!.received.fill(8, 4, true);
  requests.addOutstanding(ram);
  const messages = await decode(requests.take()) as { block?: string; start: number }[];
  assertEquals(messages.map(({ block, start }) => [block, start / 1024]), [["b", 4], [
    ...[undefined, 60],
  ]]);
});
