import { assertEquals } from "@std/assert";
import { jsonText } from "../../src/vmstate/vmsd_json.ts";

Deno.test("jsonText() separates as QEMU does", () => {
  assertEquals(
    jsonText({
      page_size: 4096,
      devices: [
        { name: "a", instance_id: 0, vmsd_name: "a", version: 1, fields: [] },
        {
          name: "b",
          instance_id: 1,
          size: 2,
          fields: [{ name: "data", size: 2, type: "buffer" }],
        },
      ],
    }),
    '{"page_size": 4096, "devices": [' +
      '{"name": "a", "instance_id": 0, "vmsd_name": "a", "version": 1, "fields": []}, ' +
      '{"name": "b", "instance_id": 1, "size": 2, ' +
      '"fields": [{"name": "data", "size": 2, "type": "buffer"}]}]}',
  );
});

Deno.test("jsonText() escapes as QEMU does", () => {
  assertEquals(
    jsonText(['"\\\b\f\n\r\t', "\u0001\u007f", "é", "😀", "/"]),
    '["\\"\\\\\\b\\f\\n\\r\\t", "\\u0001\\u007F", "\\u00E9", "\\uD83D\\uDE00", "/"]',
  );
  assertEquals(jsonText("a\u001fb"), '"a\\u001Fb"');
});

Deno.test("jsonText() is JSON", () => {
  const value = { a: [1, -2, true, null, "x\u2028y"], b: { c: {} }, d: [] };
  assertEquals(JSON.parse(jsonText(value)), value);
});

Deno.test("jsonText() leaves out what is undefined", () => {
  assertEquals(jsonText({ a: undefined, b: 1 }), '{"b": 1}');
});
