;; The `ram` section's page records (wire-format §5.1), many pages a call:
;; guest RAM → records in a sending buffer, and records in the receiving ring → guest RAM.
;; How pages become differences is in `xbzrle.wat`.
;; $ram is the memory a block's segment lies in, $io the buffer or ring, $tables the page bitmaps.
(module
  (import "env" "ram" (memory $ram 1 65536 shared))
  (import "env" "io" (memory $io 1 65536 shared))
  (import "env" "tables" (memory $tables 1 65536 shared))

  ;; How many pages the last call sent or placed with content, and as zeros.
  (global $normal (export "normal_pages") (mut i32) (i32.const 0))
  (global $zero (export "zero_pages") (mut i32) (i32.const 0))
  ;; How many it placed as differences (XBZRLE).
  (global $encoded (export "encoded_pages") (mut i32) (i32.const 0))
  ;; The first page of those that the last call staged.
  (global $staged_page (export "staged_page") (mut i32) (i32.const 0))

  ;; ── zero detection ────────────────────────────────────────────────────────────────────────────
  ;; is_zero(address, length): 1 if all bytes are zero; 128 at a time. Length: a multiple of 128.
  (func $is_zero (export "is_zero") (param $at i32) (param $length i32) (result i32)
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

  ;; count_zero(address, page size, pages): how many pages of a row are all zeros.
  (func (export "count_zero") (param $at i32) (param $size i32) (param $pages i32) (result i32)
    (local $count i32)
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $pages)))
        (local.set $count (i32.add (local.get $count) (call $is_zero (local.get $at) (local.get $size))))
        (local.set $at (i32.add (local.get $at) (local.get $size)))
        (local.set $pages (i32.sub (local.get $pages) (i32.const 1)))
        (br $next)))
    (local.get $count))

  ;; ── small helpers ─────────────────────────────────────────────────────────────────────────────
  (func $swap64 (param $value i64) (result i64)
    (local $v v128)
    (local.set $v (i64x2.splat (local.get $value)))
    (i64x2.extract_lane 0
      (i8x16.shuffle 7 6 5 4 3 2 1 0 15 14 13 12 11 10 9 8 (local.get $v) (local.get $v))))

  ;; The bit of a page in the bitmap at an address of $tables.
  (func $has (param $bitmap i32) (param $page i32) (result i32)
    (i32.and (i32.const 1)
      (i32.shr_u
        (i32.load8_u $tables (i32.add (local.get $bitmap) (i32.shr_u (local.get $page) (i32.const 3))))
        (i32.and (local.get $page) (i32.const 7)))))

  (func $set (param $bitmap i32) (param $page i32)
    (drop (i32.atomic.rmw8.or_u $tables
      (i32.add (local.get $bitmap) (i32.shr_u (local.get $page) (i32.const 3)))
      (i32.shl (i32.const 1) (i32.and (local.get $page) (i32.const 7))))))

  (func $unset (param $bitmap i32) (param $page i32)
    (drop (i32.atomic.rmw8.and_u $tables
      (i32.add (local.get $bitmap) (i32.shr_u (local.get $page) (i32.const 3)))
      (i32.xor (i32.const -1)
        (i32.shl (i32.const 1) (i32.and (local.get $page) (i32.const 7)))))))

  ;; ── saving ────────────────────────────────────────────────────────────────────────────────────
  ;; encode(address, pages, page size, offset in the block of the first page, its page number,
  ;;        bitmap of untouched pages or -1, look for zeros?, where in $io, name, name length)
  ;; Writes a record for each page and returns where the next one goes. With a name length above 0 the
  ;; first record carries the counted string that stands in $io at `name`, the others say CONTINUE.
  (func (export "encode")
    (param $at i32) (param $pages i32) (param $size i32) (param $offset i64) (param $page i32)
    (param $untouched i32) (param $detect i32) (param $out i32) (param $name i32) (param $name_length i32)
    (result i32)
    (local $is_zero i32)
    (global.set $normal (i32.const 0))
    (global.set $zero (i32.const 0))
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $pages)))
        ;; A page that nobody ever touched is not read: reading would make the kernel map it.
        (local.set $is_zero
          (if (result i32) (i32.eq (local.get $untouched) (i32.const -1))
            (then (i32.const 0))
            (else (call $has (local.get $untouched) (local.get $page)))))
        (if (i32.and (local.get $detect) (i32.eqz (local.get $is_zero)))
          (then (local.set $is_zero (call $is_zero (local.get $at) (local.get $size)))))
        (i64.store $io (local.get $out)
          (call $swap64
            (i64.or (local.get $offset)
              (i64.or
                (select (i64.const 0x02) (i64.const 0x08) (local.get $is_zero))
                (select (i64.const 0) (i64.const 0x20) (local.get $name_length))))))
        (local.set $out (i32.add (local.get $out) (i32.const 8)))
        (if (local.get $name_length)
          (then
            (memory.copy $io $io (local.get $out) (local.get $name) (local.get $name_length))
            (local.set $out (i32.add (local.get $out) (local.get $name_length)))
            (local.set $name_length (i32.const 0))))
        (if (local.get $is_zero)
          (then
            (i32.store8 $io (local.get $out) (i32.const 0))
            (local.set $out (i32.add (local.get $out) (i32.const 1)))
            (global.set $zero (i32.add (global.get $zero) (i32.const 1))))
          (else
            (memory.copy $io $ram (local.get $out) (local.get $at) (local.get $size))
            (local.set $out (i32.add (local.get $out) (local.get $size)))
            (global.set $normal (i32.add (global.get $normal) (i32.const 1)))))
        (local.set $at (i32.add (local.get $at) (local.get $size)))
        (local.set $offset (i64.add (local.get $offset) (i64.extend_i32_u (local.get $size))))
        (local.set $page (i32.add (local.get $page) (i32.const 1)))
        (local.set $pages (i32.sub (local.get $pages) (i32.const 1)))
        (br $next)))
    (local.get $out))

  ;; ── loading ───────────────────────────────────────────────────────────────────────────────────
  ;; The ring wraps: these read and copy across its end.
  (func $ring_u64 (param $at i32) (param $ring i32) (result i64)
    (local $value i64) (local $i i32)
    (if (i32.le_u (i32.add (local.get $at) (i32.const 8)) (local.get $ring))
      (then (return (call $swap64 (i64.load $io (local.get $at))))))
    (loop $next
      (local.set $value
        (i64.or (i64.shl (local.get $value) (i64.const 8))
          (i64.load8_u $io
            (i32.and (i32.add (local.get $at) (local.get $i)) (i32.sub (local.get $ring) (i32.const 1))))))
      (br_if $next
        (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 8))))
    (local.get $value))

  (func $ring_copy (export "ring_copy") (param $to i32) (param $at i32) (param $length i32) (param $ring i32)
    (local $first i32)
    (local.set $first (i32.sub (local.get $ring) (local.get $at)))
    (if (i32.ge_u (local.get $first) (local.get $length))
      (then (memory.copy $ram $io (local.get $to) (local.get $at) (local.get $length)))
      (else
        (memory.copy $ram $io (local.get $to) (local.get $at) (local.get $first))
        (memory.copy $ram $io (i32.add (local.get $to) (local.get $first)) (i32.const 0)
          (i32.sub (local.get $length) (local.get $first))))))

  ;; The length at $at: 7 bits a byte, at most two bytes. -1 if a third would follow.
  (func $run_length (param $at i32) (result i32)
    (local $low i32) (local $high i32)
    (local.set $low (i32.load8_u $io (local.get $at)))
    (if (i32.lt_u (local.get $low) (i32.const 0x80)) (then (return (local.get $low))))
    (local.set $high (i32.load8_u $io offset=1 (local.get $at)))
    (if (i32.ge_u (local.get $high) (i32.const 0x80)) (then (return (i32.const -1))))
    (i32.or (i32.and (local.get $low) (i32.const 0x7f)) (i32.shl (local.get $high) (i32.const 7))))

  ;; Copies a run of changed bytes, and nothing besides: most are too short for a call of memory.copy. Two
  ;; pieces that may overlap are the run's beginning and its end.
  (func $place_run (param $to i32) (param $from i32) (param $length i32)
    (if (i32.lt_u (local.get $length) (i32.const 4))
      (then
        ;; The first, the middle and the last of one, two or three.
        (i32.store8 $ram (local.get $to) (i32.load8_u $io (local.get $from)))
        (i32.store8 $ram
          (i32.add (local.get $to) (i32.shr_u (local.get $length) (i32.const 1)))
          (i32.load8_u $io (i32.add (local.get $from) (i32.shr_u (local.get $length) (i32.const 1)))))
        (i32.store8 $ram
          (i32.sub (i32.add (local.get $to) (local.get $length)) (i32.const 1))
          (i32.load8_u $io (i32.sub (i32.add (local.get $from) (local.get $length)) (i32.const 1))))
        (return)))
    (if (i32.le_u (local.get $length) (i32.const 8))
      (then
        (i32.store $ram (local.get $to) (i32.load $io (local.get $from)))
        (i32.store $ram
          (i32.sub (i32.add (local.get $to) (local.get $length)) (i32.const 4))
          (i32.load $io (i32.sub (i32.add (local.get $from) (local.get $length)) (i32.const 4))))
        (return)))
    (if (i32.lt_u (local.get $length) (i32.const 16))
      (then
        (i64.store $ram (local.get $to) (i64.load $io (local.get $from)))
        (i64.store $ram
          (i32.sub (i32.add (local.get $to) (local.get $length)) (i32.const 8))
          (i64.load $io (i32.sub (i32.add (local.get $from) (local.get $length)) (i32.const 8))))
        (return)))
    (if (i32.gt_u (local.get $length) (i32.const 128))
      (then
        (memory.copy $ram $io (local.get $to) (local.get $from) (local.get $length))
        (return)))
    (v128.store $ram
      (i32.sub (i32.add (local.get $to) (local.get $length)) (i32.const 16))
      (v128.load $io (i32.sub (i32.add (local.get $from) (local.get $length)) (i32.const 16))))
    (loop $next
      (v128.store $ram (local.get $to) (v128.load $io (local.get $from)))
      (local.set $to (i32.add (local.get $to) (i32.const 16)))
      (local.set $from (i32.add (local.get $from) (i32.const 16)))
      (br_if $next
        (i32.ge_u (local.tee $length (i32.sub (local.get $length) (i32.const 16))) (i32.const 16)))))

  ;; xbzrle(where in $io, how many bytes, the page's address, page size): applies the differences of an
  ;; XBZRLE record (wire-format §5.7). Returns 0, or which rule they break: see XBZRLE_FAULTS. What
  ;; stands in $io must not wrap. Nothing outside of the page is written, whatever is in there.
  (func $xbzrle (export "xbzrle")
    (param $at i32) (param $length i32) (param $to i32) (param $left i32) (result i32)
    (local $end i32) (local $first i32) (local $run i32)
    (local.set $end (i32.add (local.get $at) (local.get $length)))
    (local.set $first (i32.const 1))
    (loop $next
      (if (i32.ge_u (local.get $at) (local.get $end)) (then (return (i32.const 0))))
      ;; Bytes to leave as they are.
      (if (i32.lt_u (i32.sub (local.get $end) (local.get $at)) (i32.const 2))
        (then (return (i32.const 1))))
      (local.set $run (call $run_length (local.get $at)))
      (if (i32.lt_s (local.get $run) (i32.const 0)) (then (return (i32.const 2))))
      (if (i32.eqz (i32.or (local.get $run) (local.get $first))) (then (return (i32.const 3))))
      (if (i32.gt_u (local.get $run) (local.get $left)) (then (return (i32.const 4))))
      (local.set $first (i32.const 0))
      (local.set $at (i32.add (local.get $at)
        (i32.add (i32.const 1) (i32.shr_u (i32.load8_u $io (local.get $at)) (i32.const 7)))))
      (local.set $to (i32.add (local.get $to) (local.get $run)))
      (local.set $left (i32.sub (local.get $left) (local.get $run)))
      ;; Bytes to replace. The first length may have taken the last byte.
      (if (i32.lt_s (i32.sub (local.get $end) (local.get $at)) (i32.const 2))
        (then (return (i32.const 1))))
      (local.set $run (call $run_length (local.get $at)))
      (if (i32.lt_s (local.get $run) (i32.const 0)) (then (return (i32.const 2))))
      (if (i32.eqz (local.get $run)) (then (return (i32.const 5))))
      (if (i32.gt_u (local.get $run) (local.get $left)) (then (return (i32.const 6))))
      (local.set $at (i32.add (local.get $at)
        (i32.add (i32.const 1) (i32.shr_u (i32.load8_u $io (local.get $at)) (i32.const 7)))))
      (if (i32.gt_s (local.get $run) (i32.sub (local.get $end) (local.get $at)))
        (then (return (i32.const 7))))
      (call $place_run (local.get $to) (local.get $at) (local.get $run))
      (local.set $at (i32.add (local.get $at) (local.get $run)))
      (local.set $to (i32.add (local.get $to) (local.get $run)))
      (local.set $left (i32.sub (local.get $left) (local.get $run)))
      (br $next))
    (unreachable))

  ;; unwrap(where in the ring, length, ring size): where these bytes stand in one piece. If they cross the
  ;; ring's end they are copied behind it, where the memory has room for a page.
  (func $unwrap (export "unwrap") (param $at i32) (param $length i32) (param $ring i32) (result i32)
    (local $first i32)
    (local.set $first (i32.sub (local.get $ring) (local.get $at)))
    (if (i32.ge_u (local.get $first) (local.get $length)) (then (return (local.get $at))))
    (memory.copy $io $io (local.get $ring) (local.get $at) (local.get $first))
    (memory.copy $io $io (i32.add (local.get $ring) (local.get $first)) (i32.const 0)
      (i32.sub (local.get $length) (local.get $first)))
    (local.get $ring))

  ;; decode(where in the ring, bytes available, ring size, page size, log2 of it,
  ;;        segment's address, its offset in the block, its length, bitmaps: received, untouched or -1)
  ;; Places PAGE, ZERO and XBZRLE records that CONTINUE the block and lie inside the segment. Stops before
  ;; the first record that is not complete, not of that kind or wrong, and returns how many bytes it consumed.
  (func (export "decode")
    (param $at i32) (param $available i32) (param $ring i32) (param $size i32) (param $shift i32)
    (param $base i32) (param $from i64) (param $length i64) (param $received i32) (param $untouched i32)
    (result i32)
    (local $header i64) (local $flags i32) (local $offset i64) (local $body i32)
    (local $page i32) (local $to i32) (local $consumed i32)
    (global.set $normal (i32.const 0))
    (global.set $zero (i32.const 0))
    (global.set $encoded (i32.const 0))
    (block $done
      (loop $next
        (br_if $done (i32.lt_u (local.get $available) (i32.const 9)))
        (local.set $header (call $ring_u64 (local.get $at) (local.get $ring)))
        (local.set $flags
          (i32.and (i32.wrap_i64 (local.get $header)) (i32.sub (local.get $size) (i32.const 1))))
        (local.set $offset
          (i64.sub
            (i64.and (local.get $header) (i64.sub (i64.const 0) (i64.extend_i32_u (local.get $size))))
            (local.get $from)))
        ;; One unsigned comparison: an offset before the segment wraps to a huge number.
        (br_if $done (i64.ge_u (local.get $offset) (local.get $length)))
        (local.set $to (i32.add (local.get $base) (i32.wrap_i64 (local.get $offset))))
        (local.set $page
          (i32.wrap_i64 (i64.shr_u (local.get $header) (i64.extend_i32_u (local.get $shift)))))
        (local.set $body
          (i32.and (i32.add (local.get $at) (i32.const 8)) (i32.sub (local.get $ring) (i32.const 1))))
        (if (i32.eq (local.get $flags) (i32.const 0x28))
          (then
            (br_if $done
              (i32.lt_u (local.get $available) (i32.add (local.get $size) (i32.const 8))))
            (call $ring_copy (local.get $to) (local.get $body) (local.get $size) (local.get $ring))
            (if (i32.ne (local.get $untouched) (i32.const -1))
              (then (call $unset (local.get $untouched) (local.get $page))))
            (call $set (local.get $received) (local.get $page))
            (global.set $normal (i32.add (global.get $normal) (i32.const 1)))
            (local.set $body (i32.add (local.get $size) (i32.const 8))))
          (else (if (i32.eq (local.get $flags) (i32.const 0x22))
            (then
              ;; Another fill than zero is for the caller: QEMU 7.2 takes it, 10.0 does not.
              (br_if $done (i32.load8_u $io (local.get $body)))
              (call $place_zero (local.get $to) (local.get $size) (local.get $page)
                (local.get $received) (local.get $untouched))
              (global.set $zero (i32.add (global.get $zero) (i32.const 1)))
              (local.set $body (i32.const 9)))
            (else
              (br_if $done (i32.ne (local.get $flags) (i32.const 0x60)))
              (br_if $done (i32.lt_u (local.get $available) (i32.const 11)))
              ;; The encoding's number (1) and its length, of which only the lower 24 bits are looked at.
              (local.set $body
                (i32.wrap_i64 (i64.shr_u
                  (call $ring_u64 (local.get $body) (local.get $ring)) (i64.const 40))))
              (br_if $done (i32.ne (i32.shr_u (local.get $body) (i32.const 16)) (i32.const 1)))
              (local.set $body (i32.and (local.get $body) (i32.const 0xffff)))
              (br_if $done (i32.gt_u (local.get $body) (local.get $size)))
              (br_if $done
                (i32.lt_u (local.get $available) (i32.add (local.get $body) (i32.const 11))))
              (if (i32.ne (local.get $untouched) (i32.const -1))
                (then (call $unset (local.get $untouched) (local.get $page))))
              (br_if $done
                (call $xbzrle
                  (call $unwrap
                    (i32.and (i32.add (local.get $at) (i32.const 11)) (i32.sub (local.get $ring) (i32.const 1)))
                    (local.get $body) (local.get $ring))
                  (local.get $body) (local.get $to) (local.get $size)))
              (call $set (local.get $received) (local.get $page))
              (global.set $encoded (i32.add (global.get $encoded) (i32.const 1)))
              (local.set $body (i32.add (local.get $body) (i32.const 11)))))))
        (local.set $at
          (i32.and (i32.add (local.get $at) (local.get $body)) (i32.sub (local.get $ring) (i32.const 1))))
        (local.set $available (i32.sub (local.get $available) (local.get $body)))
        (local.set $consumed (i32.add (local.get $consumed) (local.get $body)))
        (br $next)))
    (local.get $consumed))

  ;; stage(where in the ring, bytes available, ring size, page size, log2 of it, how many pages at most,
  ;;       page count of the block, its bitmap of received pages)
  ;; Copies the content of PAGE records that CONTINUE the block to the beginning of $ram, as long as their
  ;; pages lie side by side in the block and have not been received. Returns how many there were;
  ;; `staged_page` is the first one. Of the first record that is anything else nothing is done.
  (func (export "stage")
    (param $at i32) (param $available i32) (param $ring i32) (param $size i32) (param $shift i32)
    (param $most i32) (param $count i32) (param $received i32)
    (result i32)
    (local $header i64) (local $page i32) (local $staged i32)
    (block $done
      (loop $next
        (br_if $done (i32.eq (local.get $staged) (local.get $most)))
        (br_if $done
          (i32.lt_u (local.get $available) (i32.add (local.get $size) (i32.const 8))))
        (local.set $header (call $ring_u64 (local.get $at) (local.get $ring)))
        (br_if $done
          (i32.ne (i32.const 0x28)
            (i32.and (i32.wrap_i64 (local.get $header)) (i32.sub (local.get $size) (i32.const 1)))))
        (local.set $header (i64.shr_u (local.get $header) (i64.extend_i32_u (local.get $shift))))
        (br_if $done (i64.ge_u (local.get $header) (i64.extend_i32_u (local.get $count))))
        (local.set $page (i32.wrap_i64 (local.get $header)))
        (br_if $done (call $has (local.get $received) (local.get $page)))
        (if (i32.eqz (local.get $staged)) (then (global.set $staged_page (local.get $page))))
        (br_if $done
          (i32.ne (local.get $page) (i32.add (global.get $staged_page) (local.get $staged))))
        (local.set $at
          (i32.and (i32.add (local.get $at) (i32.const 8)) (i32.sub (local.get $ring) (i32.const 1))))
        (call $ring_copy (i32.mul (local.get $staged) (local.get $size)) (local.get $at)
          (local.get $size) (local.get $ring))
        (local.set $at
          (i32.and (i32.add (local.get $at) (local.get $size)) (i32.sub (local.get $ring) (i32.const 1))))
        (local.set $available
          (i32.sub (local.get $available) (i32.add (local.get $size) (i32.const 8))))
        (local.set $staged (i32.add (local.get $staged) (i32.const 1)))
        (br $next)))
    (local.get $staged))

  ;; place_zero(address, page size, page number, bitmaps: received, untouched or -1): makes the page read
  ;; as zeros without touching it if it does so already, because a page that is never touched takes no memory.
  (func $place_zero (export "place_zero")
    (param $to i32) (param $size i32) (param $page i32) (param $received i32) (param $untouched i32)
    (block $fill
      (br_if $fill (i32.eq (local.get $untouched) (i32.const -1)))
      (br_if $fill (call $has (local.get $received) (local.get $page)))
      (br_if $fill (i32.eqz (call $has (local.get $untouched) (local.get $page))))
      (call $set (local.get $received) (local.get $page))
      (return))
    (if (i32.eqz (call $is_zero (local.get $to) (local.get $size)))
      (then (memory.fill $ram (local.get $to) (i32.const 0) (local.get $size))))
    (call $set (local.get $received) (local.get $page))))
