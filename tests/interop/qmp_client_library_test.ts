/**
 * QEMU's own QMP client library and shell drive Ferry as they drive a QEMU.
 *
 * @module
 */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { type QemuLab, qemuTest } from "../support/qemu_lab.ts";
import { runWithQmpLibrary, WITHOUT_QMP_LIBRARY } from "../support/qmp_library.ts";

const PROGRAM = new URL("qmp_client_library.py", import.meta.url).pathname;

function libraryTest(name: string, fn: (lab: QemuLab) => Promise<void>): void {
  const skipped = WITHOUT_QMP_LIBRARY === undefined ? "" : ` (skipped: ${WITHOUT_QMP_LIBRARY})`;
  qemuTest(`${name}${skipped}`, { needs: [], ignore: skipped !== "" }, fn);
}

/** Starts a Ferry that waits for commands. @returns Where. */
async function driven(lab: QemuLab, name: string, ...args: string[]): Promise<string> {
  const ferry = lab.ferry([...args, "--guest", "stress", "--qmp", lab.unix(name)], { name });
  await ferry.said(`QMP on ${lab.unix(name)}`);
  return lab.path(name);
}

const source = (lab: QemuLab, name: string) =>
  driven(lab, name, "send", "--ram", "16M", "--dirty-rate", "8M");

/** The lines of one side in each part of a transcript, by the part's title. */
function partsOf(transcript: string, side: string): Record<string, string[]> {
  const begin = `${side.padEnd(11)} `;
  const parts = transcript.split(/^# /m).slice(1).map((part) => part.split("\n"));
  return Object.fromEntries(parts.map(([title = "", ...lines]) => [
    title,
    lines.filter((line) => line.startsWith(begin)).map((line) => line.slice(begin.length)),
  ]));
}

/** The statuses that a side told of. */
function statusesOf(lines: readonly string[]): string[] {
  return lines.flatMap((line) => /^! MIGRATION \{"status": "([^"]+)"/.exec(line)?.[1] ?? []);
}

libraryTest(
  "QEMU's QMP client library drives Ferry: precopy, cancel, postcopy, pause, recover",
  async (lab) => {
    const paths = [
      await source(lab, "source-1"),
      await driven(lab, "destination-1", "receive"),
      await source(lab, "source-2"),
      await driven(lab, "destination-2", "receive"),
    ];
    const { success, stdout, stderr } = await runWithQmpLibrary([
      PROGRAM,
      ...paths,
      lab.unix("recovery"),
    ]);
    assert(success, `${stdout}\n${stderr}`);
    const here = partsOf(stdout, "source");
    const there = partsOf(stdout, "destination");
    const expected: Record<string, readonly [string, string]> = {
      "Precopy, cancelled": ["setup active cancelling cancelled", "setup active failed"],
      Precopy: ["setup active device completed", "setup active completed"],
      Postcopy: [
        "setup active device postcopy-device postcopy-active",
        "setup active postcopy-device postcopy-active",
      ],
      Paused: ["postcopy-paused", "postcopy-paused"],
      Recovered: [
        "postcopy-recover-setup postcopy-recover postcopy-active completed",
        "postcopy-recover postcopy-active completed",
      ],
    };
    for (const [part, [left, arrived]] of Object.entries(expected)) {
      assertEquals(statusesOf(here[part]!), left.split(" "), stdout);
      assertEquals(statusesOf(there[part]!), arrived.split(" "), stdout);
    }
    const says = (lines: readonly string[] | undefined, text: string) =>
      assertStringIncludes(lines!.join("\n"), text);
    says(here["Precopy, cancelled"], '{"status": "running", "running": true}');
    says(there["Precopy, cancelled"], '{"status": "inmigrate", "running": false}');
    says(there["Precopy"], '{"status": "running", "running": true}');
    says(
      here["Postcopy"],
      "< GenericError: A migration that is postcopy-active cannot be cancelled",
    );
    says(here["Recovered"], '{"status": "postmigrate", "running": false}');
    says(there["Recovered"], '{"status": "running", "running": true}');
  },
);

libraryTest("QEMU's qmp-shell talks to Ferry", async (lab) => {
  const path = await source(lab, "source");
  const { success, stdout, stderr } = await runWithQmpLibrary(
    ["-m", "qemu.qmp.qmp_shell", path],
    "query-status\nmigrate-set-parameters max-bandwidth=4096\nnothing\nquery-migrate-parameters\n",
  );
  assert(success, stderr);
  assertStringIncludes(stdout, "Connected to QEMU 10.0.0");
  assertStringIncludes(stdout, '"running": true');
  assertStringIncludes(stdout, "The command nothing has not been found");
  assertStringIncludes(stdout, '"max-bandwidth": 4096');
});
