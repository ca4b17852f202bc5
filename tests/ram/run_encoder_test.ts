import { assert } from "@std/assert";
import { FileRecordEncoder } from "../../src/ram/file_record_encoder.ts";
import { RecordEncoder } from "../../src/ram/record_encoder.ts";
import { createRunEncoder } from "../../src/ram/run_encoder.ts";
import { withFolder } from "../image/fixtures.ts";
import { pageFile } from "./fixtures/page_file.ts";
import { patternedRam } from "./fixtures/patterned_ram.ts";

Deno.test("createRunEncoder() reads pages from where they are", () =>
  withFolder(async (folder) => {
    const ram = patternedRam(false);
    const io = new WebAssembly.Memory({ initial: 4, maximum: 4, shared: true });
    assert(createRunEncoder(ram, io, { detectZero: true }) instanceof RecordEncoder);
    const { pages, bare } = await pageFile(ram, `${folder}/file`);
    const encoder = createRunEncoder(bare, io, { detectZero: true, pages });
    assert(encoder instanceof FileRecordEncoder);
    encoder[Symbol.dispose]();
  }));
