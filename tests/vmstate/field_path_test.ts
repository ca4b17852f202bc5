import { assertEquals } from "@std/assert";
import { FieldPath } from "../../src/vmstate/field_path.ts";

Deno.test("FieldPath is names, indices and subsections one after the other", () => {
  const path = new FieldPath();
  path.enter("players");
  path.enter(".positions");
  path.enter(3);
  path.enter("/extra");
  path.enter(".x");
  assertEquals(`${path}`, "players.positions[3]/extra.x");
  path.leave();
  path.leave();
  assertEquals(`${path}`, "players.positions[3]");
});
