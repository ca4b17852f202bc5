/**
 * What RAM holds in the comparison with QEMU: the same bytes on both sides, made by the same code.
 *
 * @module
 */

/** The kinds of content. */
export const CONTENTS = ["untouched", "incompressible", "text", "mixed"] as const;
/** One of {@linkcode CONTENTS}. */
export type Content = typeof CONTENTS[number];

const PAGE = 4096;
/** Content repeats after so many bytes, far beyond what a compressor looks back. */
const TILE = 64 * 1024 ** 2;
/** What `crypto.getRandomValues()` gives at once. */
const RANDOM_MAX = 65536;
/** The longest stretch of pages of one kind in mixed content. */
const STRETCH_MAX = 16;

/**
 * Fills RAM.
 * @param bytes All of it, zeros so far; whole tiles.
 * @param content `untouched` leaves it alone; `incompressible` is random; `text` is a server's log;
 * in `mixed` stretches of 1 to 16 pages alternate between random and zero.
 */
export function fillWith(bytes: Uint8Array, content: Content): void {
  if (content === "untouched") return;
  const tile = content === "text" ? logText(TILE) : randomBytes(TILE);
  const random = new Random(1);
  for (let at = 0; at < bytes.length; at += TILE) {
    const length = Math.min(TILE, bytes.length - at);
    if (content !== "mixed") {
      bytes.set(tile.subarray(0, length), at);
      continue;
    }
    for (let page = 0; page < length;) {
      const stretch = Math.min(PAGE * (1 + random.below(STRETCH_MAX)), length - page);
      bytes.set(tile.subarray(page, page + stretch), at + page);
      page += stretch + PAGE * (1 + random.below(STRETCH_MAX));
    }
  }
}

function randomBytes(length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at += RANDOM_MAX) {
    crypto.getRandomValues(bytes.subarray(at, at + RANDOM_MAX));
  }
  return bytes;
}

const MESSAGES = [
  "sshd[1234]: Accepted publickey for deploy from 10.0.3.17 port 52144 ssh2: RSA SHA256:Qm9vdHN0cmFwIGtleSBmb3IgZGVwbG95",
  "systemd[1]: Started Session of user deploy.",
  "kernel: [UFW BLOCK] IN=eth0 OUT= MAC=52:54:00:12:34:56:52:55:0a:00:02:02:08:00 SRC=10.0.2.2 DST=10.0.2.15 LEN=60 TOS=0x00 PREC=0x00 TTL=64",
  'nginx: 10.0.3.21 - - "GET /api/v1/items?limit=100&offset=0 HTTP/1.1" 200 15320 "-" "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"',
  "postgres[881]: LOG:  checkpoint complete: wrote 43 buffers (0.3%); 0 WAL file(s) added, 0 removed, 1 recycled",
  "app[77]: INFO  request completed method=GET path=/api/v1/items status=200 duration_ms=",
];

/** A log as servers write it: zstd at level 1 makes it some 17 times smaller. */
function logText(length: number): Uint8Array {
  const random = new Random(7);
  const lines: string[] = [];
  const two = (number: number) => String(number).padStart(2, "0");
  let time = 0;
  for (let written = 0; written < length;) {
    time += random.below(40);
    const second = Math.floor(time / 1000);
    const clock = [second / 3600 % 24, second / 60 % 60, second % 60].map(Math.floor).map(two);
    const extra = random.below(3) === 0 ? String(random.below(500)) : "";
    const line = `Nov 21 ${clock.join(":")}.${String(time % 1000).padStart(3, "0")} host-` +
      `${random.below(4)} ${MESSAGES[random.below(MESSAGES.length)]}${extra}\n`;
    lines.push(line);
    written += line.length;
  }
  return new TextEncoder().encode(lines.join("")).subarray(0, length);
}

/** The same numbers in every run. */
class Random {
  constructor(private state: number) {}

  below(limit: number): number {
    this.state = (Math.imul(this.state, 1664525) + 1013904223) >>> 0;
    return (this.state >>> 8) % limit;
  }
}
