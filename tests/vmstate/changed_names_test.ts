import { assertEquals } from "@std/assert";
import { otherSectionName, sameName } from "../../src/vmstate/changed_names.ts";

Deno.test("sameName() knows a field by its old and its new name, whichever comes first", () => {
  assertEquals(sameName("e1000", "dev", "parent_obj"), true);
  assertEquals(sameName("e1000", "parent_obj", "dev"), true);
  assertEquals(sameName("piix4_pm", "gpe", "ar.gpe"), true);
  assertEquals(sameName("any", "a", "a"), true);
});

Deno.test("sameName() knows it in its description only, and no other name", () => {
  assertEquals(sameName("serial", "dev", "parent_obj"), false);
  assertEquals(sameName("e1000", "dev", "pci_dev"), false);
  assertEquals(sameName("piix4_pm", "gpe", "ar.pm1.cnt.cnt"), false, "names of two other fields");
  // Descriptions have no names that an object's own members would give them.
  assertEquals(sameName("constructor", "a", "b"), false);
});

Deno.test("otherSectionName() is the name that a kind of device had or has", () => {
  assertEquals(otherSectionName("e1000-82540em"), "e1000");
  assertEquals(otherSectionName("e1000"), "e1000-82540em");
  assertEquals(otherSectionName("serial"), undefined);
});
