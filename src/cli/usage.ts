/**
 * What `--help` says.
 *
 * @module
 */

/** The command line's grammar and what each word of it is for. */
export const USAGE = `Ferry moves running machines, and speaks QEMU's migration protocol.

  deno task migrate                              the same as demo
  deno task migrate demo                         move a running machine to another process, prove every page
  deno task migrate send URI --guest SPEC        a machine that runs here goes there
  deno task migrate send URI --from IMAGE        a saved machine goes there (to a stock QEMU, too)
  deno task migrate receive URI --guest SPEC     a machine arrives and runs here
  deno task migrate receive URI --save IMAGE     a machine arrives and is kept (from a stock QEMU, too)
  deno task migrate receive URI --discard        a machine arrives and is thrown away: for measuring
  deno task migrate analyze IMAGE                what is in a saved machine (of a stock QEMU, too)
  deno task migrate analyze IMAGE IMAGE          what differs between two
  deno task migrate analyze --check DUMP DUMP    what breaks between two programs' -dump-vmstate files
  deno task migrate shell unix:PATH|tcp:H:PORT   talk QMP, to a Ferry or a QEMU

Migration options
  -c, --capability NAME[=on|off]   QMP's capabilities, such as multifd (repeat)
  -p, --parameter NAME=VALUE       QMP's parameters, such as multifd-channels=4 (repeat)
  --postcopy-after DURATION        run there after so long (0: at once), pages follow; needs -c postcopy-ram
                                   on both sides (demo sees to that)
  --recover URI                    send, receive: where to meet again if a postcopy's connection is lost
                                   (the same URI as before)
  --qmp unix:PATH|tcp:HOST:PORT    serve QMP until \`quit\`; without a URI, wait for its commands.
                                   Of demo it is the source's, as long as demo runs
  --json                           stdout is JSON lines: QMP's events, at last the query-migrate object
  --quiet                          no progress and no table
  --public-api                     use only public interfaces of Deno: slower, the same bytes
Machine options
  --ram SIZE         how much RAM (256M)
  --dirty-rate SIZE  how much a built-in guest writes a second
  --seed N           what the guest stress makes its pages from
  --dirty-log KIND   insist on kernel, barrier or hash to learn which pages were written
  --host-page BLOCK=SIZE  send --from with postcopy: the destination's huge pages, 2M at most (repeat)
  --resume           send --from with postcopy: an earlier send of this image ended in the middle; go on
  --run DURATION     receive --guest: end after so long instead of at Ctrl-C
  --format FORMAT    receive --save: stream (for any QEMU), or mapped-ram (QEMU 9.0 and newer)
Analyze options (IMAGE: a file, file:PATH,offset=N, or - for the standard input)
  -d, --dump state|desc   QEMU's analyze-migration.py: devices' state, or their description, as JSON
  -m, --memory            every page, too
  -x, --extract DIR       write RAM blocks, desc.json and state.json there
  --forward, --strict     --check: only what breaks first to second; lengths and added fields, too

URI   tcp:HOST:PORT (port 0: any)  unix:PATH  exec:COMMAND  fd:N  file:PATH[,offset=N]
SPEC  beat | stress | a .wasm, .ts or .js file, then ,key=value as needed
SIZE  4096, 512M, 1.5G             DURATION  0, 500ms, 2s

Exit status: 0 completed, 1 failed, 2 usage, 130 interrupted (the source's machine was not lost)
`;
