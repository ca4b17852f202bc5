import { assertEquals, assertRejects } from "@std/assert";
import { ConnectionLostError, StreamFormatError } from "../../src/errors.ts";
import { PACKAGE_MAX, readPackage } from "../../src/control/package.ts";
import { ByteReader } from "../../src/wire/byte_reader.ts";
import { ByteWriter } from "../../src/wire/byte_writer.ts";
import { Command, type ReceivedCommand } from "../../src/wire/command.ts";

function command(length: number): ReceivedCommand {
  const payload = ByteReader.of(new ByteWriter(4).be32(length).take());
  return { command: Command.PACKAGED, length: 4, payload };
}

Deno.test("readPackage() reads exactly the package, of any size", async () => {
  for (const length of [0, 1, 5000, 1024 ** 2, 1024 ** 2 + 1, 5 * 1024 ** 2 + 77]) {
    const bytes = Uint8Array.from({ length: length + 3 }, (_, i) => i * 7);
    const reader = ByteReader.of(bytes, 100);
    const packed = await readPackage(command(length), reader);
    assertEquals([packed.position, packed.source.available, reader.position], [
      ...[100, length, 100 + length],
    ]);
    if (length > 0) {
      const last = new Uint8Array(1);
      packed.source.peek(last, length - 1);
      assertEquals(last[0], bytes[length - 1]);
    }
  }
});

Deno.test("readPackage() takes no memory for what does not come", async () => {
  const short = ByteReader.of(new Uint8Array(10));
  await assertRejects(() => readPackage(command(PACKAGE_MAX), short), ConnectionLostError);
  const refused = () => readPackage(command(PACKAGE_MAX + 1), short);
  await assertRejects(refused, StreamFormatError, "at most");
});
