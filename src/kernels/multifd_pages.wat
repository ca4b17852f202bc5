;; Multifd packets (wire-format §6.2), a packet a call: which pages have content, their offsets as the
;; header lists them, and the runs of pages that lie side by side, which are sent and received in one piece.
;; $ram is the memory of a block's segment, $io the thread's own buffers, $tables the page bitmaps.
(module
  (import "env" "ram" (memory $ram 1 65536 shared))
  (import "env" "io" (memory $io 1 65536 shared))
  (import "env" "tables" (memory $tables 1 65536 shared))

  ;; How many pages of each kind and how many runs the packet at hand has.
  (global $normal (export "normal_pages") (mut i32) (i32.const 0))
  (global $zero (export "zero_pages") (mut i32) (i32.const 0))
  (global $runs (export "runs") (mut i32) (i32.const 0))
  ;; Where the last run ends.
  (global $run_end (mut i32) (i32.const 0))
  ;; Where in $io the lists are: offsets of normal pages, offsets of zero pages, runs.
  (global $normal_list (mut i32) (i32.const 0))
  (global $zero_list (mut i32) (i32.const 0))
  (global $run_list (mut i32) (i32.const 0))

  ;; ── small helpers, as in ram_records.wat ──────────────────────────────────────────────────────
  (func $is_zero (param $at i32) (param $length i32) (result i32)
    (loop $next
      (if (v128.any_true
            (v128.or
              (v128.or
                (v128.or (v128.load $ram offset=0 (local.get $at)) (v128.load $ram offset=16 (local.get $at)))
                (v128.or (v128.load $ram offset=32 (local.get $at)) (v128.load $ram offset=48 (local.get $at))))
              (v128.or
                (v128.or (v128.load $ram offset=64 (local.get $at)) (v128.load $ram offset=80 (local.get $at)))
                (v128.or (v128.load $ram offset=96 (local.get $at)) (v128.load $ram offset=112 (local.get $at))))))
        (then (return (i32.const 0))))
      (local.set $at (i32.add (local.get $at) (i32.const 128)))
      (br_if $next (local.tee $length (i32.sub (local.get $length) (i32.const 128)))))
    (i32.const 1))

  (func $swap32 (param $value i32) (result i32)
    (i32.or
      (i32.rotr (i32.and (local.get $value) (i32.const 0x00ff00ff)) (i32.const 8))
      (i32.rotl (i32.and (local.get $value) (i32.const 0xff00ff00)) (i32.const 8))))

  (func $swap64 (param $value i64) (result i64)
    (local $v v128)
    (local.set $v (i64x2.splat (local.get $value)))
    (i64x2.extract_lane 0
      (i8x16.shuffle 7 6 5 4 3 2 1 0 15 14 13 12 11 10 9 8 (local.get $v) (local.get $v))))

  ;; The address in $tables of the bitmap word with a page's bit.
  (func $word (param $bitmap i32) (param $page i32) (result i32)
    (i32.add (local.get $bitmap) (i32.shl (i32.shr_u (local.get $page) (i32.const 5)) (i32.const 2))))

  (func $has (param $bitmap i32) (param $page i32) (result i32)
    (i32.and (i32.const 1)
      (i32.shr_u (i32.load $tables (call $word (local.get $bitmap) (local.get $page)))
        (i32.and (local.get $page) (i32.const 31)))))

  ;; The bits of a word for pages from `page` on, `count` of them or up to the word's end; see $width.
  (func $mask (param $page i32) (param $width i32) (result i32)
    (i32.shl
      (i32.shr_u (i32.const -1) (i32.sub (i32.const 32) (local.get $width)))
      (i32.and (local.get $page) (i32.const 31))))

  (func $width (param $page i32) (param $count i32) (result i32)
    (local $rest i32)
    (local.set $rest (i32.sub (i32.const 32) (i32.and (local.get $page) (i32.const 31))))
    (select (local.get $rest) (local.get $count) (i32.lt_u (local.get $rest) (local.get $count))))

  ;; ── sending ───────────────────────────────────────────────────────────────────────────────────
  ;; begin(where normal pages' offsets go, where zero pages' offsets go, where runs go)
  (func (export "begin") (param $normals i32) (param $zeros i32) (param $runs i32)
    (global.set $normal_list (local.get $normals))
    (global.set $zero_list (local.get $zeros))
    (global.set $run_list (local.get $runs))
    (global.set $normal (i32.const 0))
    (global.set $zero (i32.const 0))
    (global.set $runs (i32.const 0)))

  (func $add_run (param $at i32) (param $length i32)
    (local $last i32)
    (local.set $last
      (i32.add (global.get $run_list) (i32.shl (i32.sub (global.get $runs) (i32.const 1)) (i32.const 3))))
    (if (i32.and (i32.ne (global.get $runs) (i32.const 0)) (i32.eq (local.get $at) (global.get $run_end)))
      (then
        (i32.store $io offset=4 (local.get $last)
          (i32.add (i32.load $io offset=4 (local.get $last)) (local.get $length))))
      (else
        (i32.store $io offset=8 (local.get $last) (local.get $at))
        (i32.store $io offset=12 (local.get $last) (local.get $length))
        (global.set $runs (i32.add (global.get $runs) (i32.const 1)))))
    (global.set $run_end (i32.add (local.get $at) (local.get $length))))

  ;; sort(address, pages, page size, offset in the block of the first page, its page number,
  ;;      bitmap of untouched pages or -1, look for zeros?): adds pages of one row to the packet.
  (func (export "sort")
    (param $at i32) (param $pages i32) (param $size i32) (param $offset i64) (param $page i32)
    (param $untouched i32) (param $detect i32)
    (local $is_zero i32)
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $pages)))
        ;; A page that nobody ever touched is not read: reading would make the kernel map it.
        (local.set $is_zero (i32.const 0))
        (if (local.get $detect)
          (then
            (if (i32.ne (local.get $untouched) (i32.const -1))
              (then (local.set $is_zero (call $has (local.get $untouched) (local.get $page)))))
            (if (i32.eqz (local.get $is_zero))
              (then (local.set $is_zero (call $is_zero (local.get $at) (local.get $size)))))))
        (if (local.get $is_zero)
          (then
            (i64.store $io
              (i32.add (global.get $zero_list) (i32.shl (global.get $zero) (i32.const 3)))
              (call $swap64 (local.get $offset)))
            (global.set $zero (i32.add (global.get $zero) (i32.const 1))))
          (else
            (i64.store $io
              (i32.add (global.get $normal_list) (i32.shl (global.get $normal) (i32.const 3)))
              (call $swap64 (local.get $offset)))
            (global.set $normal (i32.add (global.get $normal) (i32.const 1)))
            (call $add_run (local.get $at) (local.get $size))))
        (local.set $at (i32.add (local.get $at) (local.get $size)))
        (local.set $offset (i64.add (local.get $offset) (i64.extend_i32_u (local.get $size))))
        (local.set $page (i32.add (local.get $page) (i32.const 1)))
        (local.set $pages (i32.sub (local.get $pages) (i32.const 1)))
        (br $next))))

  ;; gather(where in $io): copies the runs there, one behind the other; returns where they end.
  (func (export "gather") (param $out i32) (result i32)
    (local $run i32) (local $end i32) (local $length i32)
    (local.set $run (global.get $run_list))
    (local.set $end (i32.add (local.get $run) (i32.shl (global.get $runs) (i32.const 3))))
    (block $done
      (loop $next
        (br_if $done (i32.eq (local.get $run) (local.get $end)))
        (local.set $length (i32.load $io offset=4 (local.get $run)))
        (memory.copy $io $ram (local.get $out) (i32.load $io (local.get $run)) (local.get $length))
        (local.set $out (i32.add (local.get $out) (local.get $length)))
        (local.set $run (i32.add (local.get $run) (i32.const 8)))
        (br $next)))
    (local.get $out))

  ;; finish(header, how many offsets it has room for): writes the numbers of pages, and the zero pages'
  ;; offsets behind those of the normal pages; the rest is cleared.
  (func (export "finish") (param $header i32) (param $capacity i32)
    (local $at i32) (local $length i32)
    (i32.store $io offset=12 (local.get $header) (call $swap32 (local.get $capacity)))
    (i32.store $io offset=16 (local.get $header) (call $swap32 (global.get $normal)))
    (i32.store $io offset=32 (local.get $header) (call $swap32 (global.get $zero)))
    (local.set $at (i32.add (global.get $normal_list) (i32.shl (global.get $normal) (i32.const 3))))
    (local.set $length (i32.shl (global.get $zero) (i32.const 3)))
    (memory.copy $io $io (local.get $at) (global.get $zero_list) (local.get $length))
    (local.set $at (i32.add (local.get $at) (local.get $length)))
    (memory.fill $io (local.get $at) (i32.const 0)
      (i32.sub
        (i32.add (global.get $normal_list) (i32.shl (local.get $capacity) (i32.const 3)))
        (local.get $at))))

  ;; untouched_pages(bitmap of untouched pages, first page, count): how many pages from the first one on are
  ;; untouched in a row.
  (func (export "untouched_pages") (param $bitmap i32) (param $page i32) (param $count i32) (result i32)
    (local $width i32) (local $touched i32) (local $row i32)
    (block $done
      (loop $next
        (br_if $done (i32.eq (local.get $row) (local.get $count)))
        (local.set $width
          (call $width (local.get $page) (i32.sub (local.get $count) (local.get $row))))
        (local.set $touched
          (i32.and (call $mask (local.get $page) (local.get $width))
            (i32.xor (i32.const -1)
              (i32.load $tables (call $word (local.get $bitmap) (local.get $page))))))
        (if (local.get $touched)
          (then
            (return (i32.add (local.get $row)
              (i32.sub (i32.ctz (local.get $touched)) (i32.and (local.get $page) (i32.const 31)))))))
        (local.set $row (i32.add (local.get $row) (local.get $width)))
        (local.set $page (i32.add (local.get $page) (local.get $width)))
        (br $next)))
    (local.get $row))

  ;; zero_headers(where the first header begins, with all that headers have in common; where in a header
  ;;              offsets begin; how many offsets it has room for; how many headers; offset of the first
  ;;              page, page size, number of the first packet): makes packets full of zero pages.
  (func (export "zero_headers")
    (param $first i32) (param $offsets i32) (param $capacity i32) (param $headers i32)
    (param $offset i64) (param $size i64) (param $number i64)
    (local $at i32) (local $left i32)
    (i32.store $io offset=12 (local.get $first) (call $swap32 (local.get $capacity)))
    (i32.store $io offset=16 (local.get $first) (i32.const 0))
    (i32.store $io offset=20 (local.get $first) (i32.const 0))
    (i32.store $io offset=32 (local.get $first) (call $swap32 (local.get $capacity)))
    (local.set $at (local.get $first))
    (block $done
      (loop $next_header
        (br_if $done (i32.eqz (local.get $headers)))
        (memory.copy $io $io (local.get $at) (local.get $first) (local.get $offsets))
        (i64.store $io offset=24 (local.get $at) (call $swap64 (local.get $number)))
        (local.set $at (i32.add (local.get $at) (local.get $offsets)))
        (local.set $left (local.get $capacity))
        (loop $next_page
          (i64.store $io (local.get $at) (call $swap64 (local.get $offset)))
          (local.set $offset (i64.add (local.get $offset) (local.get $size)))
          (local.set $at (i32.add (local.get $at) (i32.const 8)))
          (br_if $next_page (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
        (local.set $number (i64.add (local.get $number) (i64.const 1)))
        (local.set $headers (i32.sub (local.get $headers) (i32.const 1)))
        (br $next_header))))

  ;; ── receiving ─────────────────────────────────────────────────────────────────────────────────
  ;; parse(offsets in $io, how many, log2 of the page size, the block's length, where runs go): turns
  ;; offsets into runs of first page and count. Returns how many runs there are, or -1 minus the index
  ;; of the first offset that is no page of the block.
  (func (export "parse")
    (param $at i32) (param $count i32) (param $shift i32) (param $length i64) (param $out i32)
    (result i32)
    (local $offset i64) (local $page i32) (local $next_page i32) (local $index i32) (local $runs i32)
    (local $run i32)
    (local.set $run (i32.sub (local.get $out) (i32.const 8)))
    (block $done
      (loop $next
        (br_if $done (i32.eq (local.get $index) (local.get $count)))
        (local.set $offset (call $swap64 (i64.load $io (local.get $at))))
        (if (i32.or
              (i64.ge_u (local.get $offset) (local.get $length))
              (i64.ne (i64.const 0)
                (i64.and (local.get $offset)
                  (i64.sub (i64.shl (i64.const 1) (i64.extend_i32_u (local.get $shift))) (i64.const 1)))))
          (then (return (i32.sub (i32.const -1) (local.get $index)))))
        (local.set $page
          (i32.wrap_i64 (i64.shr_u (local.get $offset) (i64.extend_i32_u (local.get $shift)))))
        (if (i32.and
              (i32.ne (local.get $runs) (i32.const 0))
              (i32.eq (local.get $page) (local.get $next_page)))
          (then
            (i32.store $io offset=4 (local.get $run)
              (i32.add (i32.load $io offset=4 (local.get $run)) (i32.const 1))))
          (else
            (local.set $run (i32.add (local.get $run) (i32.const 8)))
            (i32.store $io (local.get $run) (local.get $page))
            (i32.store $io offset=4 (local.get $run) (i32.const 1))
            (local.set $runs (i32.add (local.get $runs) (i32.const 1)))))
        (local.set $next_page (i32.add (local.get $page) (i32.const 1)))
        (local.set $at (i32.add (local.get $at) (i32.const 8)))
        (local.set $index (i32.add (local.get $index) (i32.const 1)))
        (br $next)))
    (local.get $runs))

  ;; mark(bitmaps: received, untouched, first page, count): the pages have content now.
  (func $mark (export "mark")
    (param $received i32) (param $untouched i32) (param $page i32) (param $count i32)
    (local $width i32) (local $bits i32)
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $count)))
        (local.set $width (call $width (local.get $page) (local.get $count)))
        (local.set $bits (call $mask (local.get $page) (local.get $width)))
        (drop (i32.atomic.rmw.and $tables
          (call $word (local.get $untouched) (local.get $page))
          (i32.xor (local.get $bits) (i32.const -1))))
        (drop (i32.atomic.rmw.or $tables
          (call $word (local.get $received) (local.get $page)) (local.get $bits)))
        (local.set $page (i32.add (local.get $page) (local.get $width)))
        (local.set $count (i32.sub (local.get $count) (local.get $width)))
        (br $next))))

  ;; scatter(runs, how many, where in $io their content is, log2 of the page size, a segment's address
  ;;         minus its offset in the block, its first page, the page behind its last, bitmaps): copies
  ;; content to its pages and marks them. Stops before a run that is not in the segment as a whole, and
  ;; returns how many runs it did.
  (func (export "scatter")
    (param $run i32) (param $count i32) (param $from i32) (param $shift i32)
    (param $base i64) (param $first i32) (param $end i32)
    (param $received i32) (param $untouched i32)
    (result i32)
    (local $page i32) (local $pages i32) (local $length i32) (local $done_runs i32)
    (block $done
      (loop $next
        (br_if $done (i32.eq (local.get $done_runs) (local.get $count)))
        (local.set $page (i32.load $io (local.get $run)))
        (local.set $pages (i32.load $io offset=4 (local.get $run)))
        (br_if $done (i32.lt_u (local.get $page) (local.get $first)))
        (br_if $done
          (i64.gt_u
            (i64.add (i64.extend_i32_u (local.get $page)) (i64.extend_i32_u (local.get $pages)))
            (i64.extend_i32_u (local.get $end))))
        (local.set $length (i32.shl (local.get $pages) (local.get $shift)))
        (memory.copy $ram $io
          (i32.wrap_i64 (i64.add (local.get $base)
            (i64.shl (i64.extend_i32_u (local.get $page)) (i64.extend_i32_u (local.get $shift)))))
          (local.get $from) (local.get $length))
        (call $mark (local.get $received) (local.get $untouched)
          (local.get $page) (local.get $pages))
        (local.set $from (i32.add (local.get $from) (local.get $length)))
        (local.set $run (i32.add (local.get $run) (i32.const 8)))
        (local.set $done_runs (i32.add (local.get $done_runs) (i32.const 1)))
        (br $next)))
    (local.get $done_runs))

  ;; place_zeros(address of the first page, page size, its number, count, bitmaps: received, untouched):
  ;; makes pages read as zeros without touching those that do so already, because a page that is never
  ;; touched takes no memory.
  (func $place_zeros (export "place_zeros")
    (param $to i32) (param $size i32) (param $page i32) (param $count i32)
    (param $received i32) (param $untouched i32)
    (local $width i32) (local $bits i32)
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $count)))
        (local.set $width (call $width (local.get $page) (local.get $count)))
        (local.set $bits (call $mask (local.get $page) (local.get $width)))
        ;; All of them untouched and none received: nothing to do.
        (if (i32.ne (local.get $bits)
              (i32.and (local.get $bits)
                (i32.and
                  (i32.load $tables (call $word (local.get $untouched) (local.get $page)))
                  (i32.xor (i32.const -1)
                    (i32.atomic.load $tables (call $word (local.get $received) (local.get $page)))))))
          (then
            (call $clear (local.get $to) (local.get $size) (local.get $page) (local.get $width)
              (local.get $received) (local.get $untouched))))
        (drop (i32.atomic.rmw.or $tables
          (call $word (local.get $received) (local.get $page)) (local.get $bits)))
        (local.set $to (i32.add (local.get $to) (i32.mul (local.get $width) (local.get $size))))
        (local.set $page (i32.add (local.get $page) (local.get $width)))
        (local.set $count (i32.sub (local.get $count) (local.get $width)))
        (br $next))))

  (func $clear
    (param $to i32) (param $size i32) (param $page i32) (param $count i32)
    (param $received i32) (param $untouched i32)
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $count)))
        (if (i32.or
              (call $has (local.get $received) (local.get $page))
              (i32.eqz (call $has (local.get $untouched) (local.get $page))))
          (then
            (if (i32.eqz (call $is_zero (local.get $to) (local.get $size)))
              (then (memory.fill $ram (local.get $to) (i32.const 0) (local.get $size))))))
        (local.set $to (i32.add (local.get $to) (local.get $size)))
        (local.set $page (i32.add (local.get $page) (i32.const 1)))
        (local.set $count (i32.sub (local.get $count) (i32.const 1)))
        (br $next))))

  ;; alike(a, b): whether two headers are the same but for the number, how many zero pages there are, and
  ;; offsets: magic, version, flags, room, no pages with content, the block's name.
  (func $alike (param $a i32) (param $b i32) (result i32)
    (local $end i32)
    (if (i64.ne (i64.load $io (local.get $a)) (i64.load $io (local.get $b)))
      (then (return (i32.const 0))))
    (if (i64.ne (i64.load $io offset=8 (local.get $a)) (i64.load $io offset=8 (local.get $b)))
      (then (return (i32.const 0))))
    (if (i32.ne (i32.load $io offset=16 (local.get $a)) (i32.load $io offset=16 (local.get $b)))
      (then (return (i32.const 0))))
    (local.set $end (i32.add (local.get $a) (i32.const 256)))
    (loop $next
      (if (v128.any_true
            (v128.xor
              (v128.load $io offset=64 (local.get $a)) (v128.load $io offset=64 (local.get $b))))
        (then (return (i32.const 0))))
      (local.set $b (i32.add (local.get $b) (i32.const 16)))
      (br_if $next
        (i32.ne (local.get $end) (local.tee $a (i32.add (local.get $a) (i32.const 16))))))
    (i32.const 1))

  ;; in_row(offsets in $io, how many, page size): whether they are those of pages side by side.
  (func $in_row (param $at i32) (param $count i32) (param $size i64) (result i32)
    (local $offset i64)
    (local.set $offset (call $swap64 (i64.load $io (local.get $at))))
    (loop $next
      (if (i64.ne (i64.load $io (local.get $at)) (call $swap64 (local.get $offset)))
        (then (return (i32.const 0))))
      (local.set $offset (i64.add (local.get $offset) (local.get $size)))
      (local.set $at (i32.add (local.get $at) (i32.const 8)))
      (br_if $next (local.tee $count (i32.sub (local.get $count) (i32.const 1)))))
    (i32.const 1))

  ;; place_alike(a header of zero pages only that was checked, where the next one begins, where the bytes
  ;;             end, bytes of a header, where in it offsets begin, page size, a segment's address minus
  ;;             its offset in the block, that offset, the offset of its end, bitmaps: received,
  ;;             untouched): takes headers like the first one whose pages are side by side in the segment.
  ;; Returns how many; the next header is another kind, or wrong. Their zero pages are in `zero_pages`.
  (func (export "place_alike")
    (param $checked i32) (param $at i32) (param $end i32) (param $header i32) (param $offsets i32)
    (param $size i32) (param $base i64) (param $first i64) (param $behind i64)
    (param $received i32) (param $untouched i32)
    (result i32)
    (local $headers i32) (local $count i32) (local $room i32) (local $offset i64) (local $long i64)
    (local.set $long (i64.extend_i32_u (local.get $size)))
    (local.set $room (call $swap32 (i32.load $io offset=12 (local.get $checked))))
    (global.set $zero (i32.const 0))
    (block $done
      (loop $next
        (br_if $done
          (i32.lt_u (i32.sub (local.get $end) (local.get $at)) (local.get $header)))
        (br_if $done (i32.eqz (call $alike (local.get $at) (local.get $checked))))
        (local.set $count (call $swap32 (i32.load $io offset=32 (local.get $at))))
        (br_if $done (i32.eqz (local.get $count)))
        (br_if $done (i32.gt_u (local.get $count) (local.get $room)))
        (local.set $offset
          (call $swap64 (i64.load $io (i32.add (local.get $at) (local.get $offsets)))))
        (br_if $done (i64.lt_u (local.get $offset) (local.get $first)))
        (br_if $done (i64.ge_u (local.get $offset) (local.get $behind)))
        (br_if $done (i64.gt_u
          (i64.mul (i64.extend_i32_u (local.get $count)) (local.get $long))
          (i64.sub (local.get $behind) (local.get $offset))))
        (br_if $done (i64.ne (i64.const 0) (i64.rem_u (local.get $offset) (local.get $long))))
        (br_if $done
          (i32.eqz
            (call $in_row (i32.add (local.get $at) (local.get $offsets)) (local.get $count)
              (local.get $long))))
        (call $place_zeros
          (i32.wrap_i64 (i64.add (local.get $base) (local.get $offset)))
          (local.get $size)
          (i32.wrap_i64 (i64.div_u (local.get $offset) (local.get $long)))
          (local.get $count) (local.get $received) (local.get $untouched))
        (global.set $zero (i32.add (global.get $zero) (local.get $count)))
        (local.set $headers (i32.add (local.get $headers) (i32.const 1)))
        (local.set $at (i32.add (local.get $at) (local.get $header)))
        (br $next)))
    (local.get $headers)))
