import { assertEquals } from "@std/assert";
import { finalRows, layOut } from "../../src/cli/final_table.ts";
import { ACTIVE, channels } from "./fixtures/info.ts";

Deno.test("finalRows() says what a migration came to", () => {
  const { "expected-downtime": _, ...rest } = ACTIVE;
  assertEquals(finalRows({ ...rest, status: "completed", downtime: 12 }), [
    ["time", "2.00 s, of which setup 50 ms"],
    ["downtime", "12 ms"],
    ["RAM", "1.00 GiB in 3 rounds"],
    ["sent", "512 MiB at 256 MiB/s"],
    ["pages", "131,072 with content, 1,000 of zeros"],
    ["dirty log", "kernel"],
  ]);
  assertEquals(finalRows({ status: "failed" }), []);
  const arrived = { "postcopy-faults": "userfaultfd", "postcopy-blocktime": 12 };
  assertEquals(finalRows({ status: "completed", ...arrived }), [
    ["missing pages", "userfaultfd"],
    ["guest blocked", "12 ms"],
  ]);
});

Deno.test("finalRows() has a row for each channel", () => {
  assertEquals(finalRows(channels(5, 1500)).slice(-2), [
    [
      "multifd 0",
      "1.00 GiB in 2,048 packets, idle 5 ms, waited 1.50 s for the connection",
    ],
    [
      "multifd 1",
      "1.00 GiB in 2,048 packets, idle 5 ms, waited 1.50 s for the connection",
    ],
  ]);
});

Deno.test("layOut() puts labels in a column", () => {
  assertEquals(layOut([["a", "one"], ["long", "two"]]), ["  a     one", "  long  two"]);
  assertEquals(layOut([]), []);
});
