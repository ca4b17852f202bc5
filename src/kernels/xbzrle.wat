;; Pages as differences to what was sent of them before (wire-format §5.7): guest RAM and the cache → records
;; in a sending buffer, many pages a call.
;; $ram is the memory the pages lie in, $cache one with pages as they were sent and the table that says which,
;; $io the buffer, $tables the page bitmaps.
(module
  (import "env" "ram" (memory $ram 1 65536 shared))
  (import "env" "cache" (memory $cache 1 65536 shared))
  (import "env" "io" (memory $io 1 65536 shared))
  (import "env" "tables" (memory $tables 1 65536 shared))

  ;; What the last call of encode_pages did: pages sent whole, as zeros, and as differences, also where there
  ;; were none; pages that were not in the cache, and pages whose differences were more than a page.
  (global $normal (export "normal_pages") (mut i32) (i32.const 0))
  (global $zero (export "zero_pages") (mut i32) (i32.const 0))
  (global $encoded (export "encoded_pages") (mut i32) (i32.const 0))
  (global $misses (export "misses") (mut i32) (i32.const 0))
  (global $overflows (export "overflows") (mut i32) (i32.const 0))
  ;; Bytes of the records of differences without their first 8, and of whole pages where those were more.
  (global $bytes (export "bytes") (mut i32) (i32.const 0))

  ;; How far the data has got in $io, and where it must not go beyond; -1 once it is too long.
  (global $out (mut i32) (i32.const 0))
  (global $limit (mut i32) (i32.const 0))

  ;; A length of at most 14 bits, 7 of them a byte; the caller has made sure of room for two bytes.
  (func $write_length (param $length i32)
    (if (i32.lt_u (local.get $length) (i32.const 0x80))
      (then
        (i32.store8 $io (global.get $out) (local.get $length))
        (global.set $out (i32.add (global.get $out) (i32.const 1))))
      (else
        (i32.store8 $io (global.get $out) (i32.or (local.get $length) (i32.const 0x80)))
        (i32.store8 $io offset=1 (global.get $out) (i32.shr_u (local.get $length) (i32.const 7)))
        (global.set $out (i32.add (global.get $out) (i32.const 2))))))

  ;; Writes a run of `same` bytes that are as they were and one of `other` bytes that stand in the cache
  ;; at `from`. In steps of 16 bytes: up to 15 are written behind it, and read behind the page.
  (func $write_runs (param $same i32) (param $from i32) (param $other i32)
    (local $to i32) (local $end i32)
    ;; There may be another run after the one that was too much.
    (if (i32.eq (local.tee $to (global.get $out)) (i32.const -1)) (then (return)))
    ;; Most runs are short: both lengths in one store, the bytes in another.
    (if (i32.and
          (i32.lt_u (local.get $same) (i32.const 0x80))
          (i32.and
            (i32.le_u (local.get $other) (i32.const 16))
            (i32.le_u
              (local.tee $end (i32.add (local.get $to) (i32.add (local.get $other) (i32.const 2))))
              (global.get $limit))))
      (then
        (i32.store16 $io (local.get $to)
          (i32.or (local.get $same) (i32.shl (local.get $other) (i32.const 8))))
        (v128.store $io offset=2 (local.get $to) (v128.load $cache (local.get $from)))
        (global.set $out (local.get $end))
        (return)))
    (block $too_long
      (br_if $too_long
        (i32.gt_u (i32.or (local.get $same) (local.get $other)) (i32.const 0x3fff)))
      (br_if $too_long (i32.gt_u (i32.add (global.get $out) (i32.const 2)) (global.get $limit)))
      (call $write_length (local.get $same))
      (br_if $too_long (i32.gt_u (i32.add (global.get $out) (i32.const 2)) (global.get $limit)))
      (call $write_length (local.get $other))
      (local.set $to (global.get $out))
      (local.set $end (i32.add (local.get $to) (local.get $other)))
      (br_if $too_long (i32.gt_u (local.get $end) (global.get $limit)))
      (loop $next
        (v128.store $io (local.get $to) (v128.load $cache (local.get $from)))
        (local.set $from (i32.add (local.get $from) (i32.const 16)))
        (br_if $next
          (i32.lt_u (local.tee $to (i32.add (local.get $to) (i32.const 16))) (local.get $end))))
      (global.set $out (local.get $end))
      (return))
    (global.set $out (i32.const -1)))

  ;; encode(the page's address, its address in the cache, page size, where in $io)
  ;; Writes the differences, and makes the page in the cache the one that they lead to: each byte of RAM is
  ;; read once, so what the guest writes meanwhile cannot come between the two. Returns how many bytes it
  ;; wrote; 0 if nothing differs; -1 if it would be more than a page, and then the page in the cache is
  ;; what to send. The buffer needs room for the page size and 16 bytes more.
  (func $encode (export "encode") (param $at i32) (param $cached i32) (param $size i32) (param $to i32)
    (result i32)
    (local $a v128) (local $b v128) (local $c v128) (local $d v128)
    (local $offset i32) (local $position i32) (local $equal i64) (local $rest i64)
    ;; Where the run began that is being looked through, and where the one before it did.
    (local $start i32) (local $before i32)
    (local $differs i32)
    (global.set $out (local.get $to))
    (global.set $limit (i32.add (local.get $to) (local.get $size)))
    (loop $blocks
      (local.set $a (v128.load $ram offset=0 (local.get $at)))
      (local.set $b (v128.load $ram offset=16 (local.get $at)))
      (local.set $c (v128.load $ram offset=32 (local.get $at)))
      (local.set $d (v128.load $ram offset=48 (local.get $at)))
      (block $looked
        (if (i32.eqz (v128.any_true
              (v128.or
                (v128.or
                  (v128.xor (local.get $a) (v128.load $cache offset=0 (local.get $cached)))
                  (v128.xor (local.get $b) (v128.load $cache offset=16 (local.get $cached))))
                (v128.or
                  (v128.xor (local.get $c) (v128.load $cache offset=32 (local.get $cached)))
                  (v128.xor (local.get $d) (v128.load $cache offset=48 (local.get $cached)))))))
          (then
            (br_if $looked (i32.eqz (local.get $differs)))
            (call $write_runs
              (i32.sub (local.get $start) (local.get $before))
              (i32.sub (local.get $cached) (i32.sub (local.get $offset) (local.get $start)))
              (i32.sub (local.get $offset) (local.get $start)))
            (local.set $before (local.get $offset))
            (local.set $differs (i32.const 0))
            (br $looked)))
        ;; A bit a byte: whether it is as it was.
        (local.set $equal
          (i64.or
            (i64.or
              (i64.extend_i32_u (i8x16.bitmask
                (i8x16.eq (local.get $a) (v128.load $cache offset=0 (local.get $cached)))))
              (i64.shl (i64.extend_i32_u (i8x16.bitmask
                (i8x16.eq (local.get $b) (v128.load $cache offset=16 (local.get $cached)))))
                (i64.const 16)))
            (i64.or
              (i64.shl (i64.extend_i32_u (i8x16.bitmask
                (i8x16.eq (local.get $c) (v128.load $cache offset=32 (local.get $cached)))))
                (i64.const 32))
              (i64.shl (i64.extend_i32_u (i8x16.bitmask
                (i8x16.eq (local.get $d) (v128.load $cache offset=48 (local.get $cached)))))
                (i64.const 48)))))
        (v128.store $cache offset=0 (local.get $cached) (local.get $a))
        (v128.store $cache offset=16 (local.get $cached) (local.get $b))
        (v128.store $cache offset=32 (local.get $cached) (local.get $c))
        (v128.store $cache offset=48 (local.get $cached) (local.get $d))
        (local.set $position (i32.const 0))
        (loop $runs
          (if (i32.eqz (local.get $differs))
            (then
              (local.set $rest
                (i64.shr_u (i64.xor (local.get $equal) (i64.const -1))
                  (i64.extend_i32_u (local.get $position))))
              (br_if $looked (i64.eqz (local.get $rest)))
              (local.set $position
                (i32.add (local.get $position) (i32.wrap_i64 (i64.ctz (local.get $rest)))))
              (local.set $start (i32.add (local.get $offset) (local.get $position)))
              (local.set $differs (i32.const 1))))
          (local.set $rest
            (i64.shr_u (local.get $equal) (i64.extend_i32_u (local.get $position))))
          (br_if $looked (i64.eqz (local.get $rest)))
          (local.set $position
            (i32.add (local.get $position) (i32.wrap_i64 (i64.ctz (local.get $rest)))))
          (call $write_runs
            (i32.sub (local.get $start) (local.get $before))
            (i32.sub (local.get $cached) (i32.sub (local.get $offset) (local.get $start)))
            (i32.sub (i32.add (local.get $offset) (local.get $position)) (local.get $start)))
          (local.set $before (i32.add (local.get $offset) (local.get $position)))
          (local.set $differs (i32.const 0))
          (br_if $runs (i32.ne (global.get $out) (i32.const -1)))
          ;; It is too much: the rest of the page goes into the cache as it is.
          (memory.copy $cache $ram
            (i32.add (local.get $cached) (i32.const 64))
            (i32.add (local.get $at) (i32.const 64))
            (i32.sub (i32.sub (local.get $size) (local.get $offset)) (i32.const 64)))
          (return (i32.const -1))))
      (local.set $at (i32.add (local.get $at) (i32.const 64)))
      (local.set $cached (i32.add (local.get $cached) (i32.const 64)))
      (br_if $blocks
        (i32.lt_u (local.tee $offset (i32.add (local.get $offset) (i32.const 64)))
          (local.get $size))))
    (if (local.get $differs)
      (then
        (call $write_runs
          (i32.sub (local.get $start) (local.get $before))
          (i32.sub (local.get $cached) (i32.sub (local.get $offset) (local.get $start)))
          (i32.sub (local.get $offset) (local.get $start)))
        (local.set $before (local.get $offset))))
    (if (i32.eq (global.get $out) (i32.const -1)) (then (return (i32.const -1))))
    ;; QEMU looks for room for a run's length also where the run, being the last and unchanged, has none.
    (if (i32.and
          (i32.lt_u (local.get $before) (local.get $size))
          (i32.gt_u (i32.add (global.get $out) (i32.const 2)) (global.get $limit)))
      (then (return (i32.const -1))))
    (i32.sub (global.get $out) (local.get $to)))

  ;; ── zero detection, as in ram_records.wat ─────────────────────────────────────────────────────
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

  ;; ── the table: for each place, 16 bytes ───────────────────────────────────────────────────────
  ;; Whose page is there, as its number in all RAM plus one (64 bits), 0 for nobody's; then the round in which
  ;; it was last used (32 bits). A page that was used in this round or the one before keeps its place.

  ;; Whether a page is in its place, which counts as using it.
  (func $find (param $entry i32) (param $number i64) (param $round i32) (result i32)
    (if (i64.ne (i64.load $cache (local.get $entry)) (i64.add (local.get $number) (i64.const 1)))
      (then (return (i32.const 0))))
    (i32.store $cache offset=8 (local.get $entry) (local.get $round))
    (i32.const 1))

  ;; Gives a page its place; the caller puts the bytes there. 0 if another page has it that was used lately.
  (func $place (param $entry i32) (param $number i64) (param $round i32) (result i32)
    (local $held i64)
    (local.set $number (i64.add (local.get $number) (i64.const 1)))
    (local.set $held (i64.load $cache (local.get $entry)))
    (if (i32.and
          (i32.and (i64.ne (local.get $held) (i64.const 0)) (i64.ne (local.get $held) (local.get $number)))
          (i32.gt_u
            (i32.add (i32.load $cache offset=8 (local.get $entry)) (i32.const 2))
            (local.get $round)))
      (then (return (i32.const 0))))
    (i64.store $cache (local.get $entry) (local.get $number))
    (i32.store $cache offset=8 (local.get $entry) (local.get $round))
    (i32.const 1))

  ;; ── records ───────────────────────────────────────────────────────────────────────────────────
  ;; How long the name is that the next record carries; 0 if it continues the block.
  (global $name (mut i32) (i32.const 0))

  ;; Writes a record's header and, if need be, the name that begins $io. Returns where the body goes.
  (func $begin_record (param $to i32) (param $offset i64) (param $kind i64) (result i32)
    (local $v v128)
    (local.set $v (i64x2.splat
      (i64.or (local.get $offset)
        (i64.or (local.get $kind) (select (i64.const 0) (i64.const 0x20) (global.get $name))))))
    (i64.store $io (local.get $to)
      (i64x2.extract_lane 0
        (i8x16.shuffle 7 6 5 4 3 2 1 0 15 14 13 12 11 10 9 8 (local.get $v) (local.get $v))))
    (local.set $to (i32.add (local.get $to) (i32.const 8)))
    (if (global.get $name)
      (then
        (memory.copy $io $io (local.get $to) (i32.const 0) (global.get $name))
        (local.set $to (i32.add (local.get $to) (global.get $name)))
        (global.set $name (i32.const 0))))
    (local.get $to))

  ;; A page's record, or nothing if the destination has the page. Returns where the next one goes.
  ;; What the cache holds is always what the destination has: bytes get into it in the same reading in which
  ;; they get into the record.
  (func $send_page
    (param $at i32) (param $cached i32) (param $entry i32) (param $size i32) (param $offset i64)
    (param $number i64) (param $is_zero i32) (param $round i32) (param $last i32) (param $to i32)
    (result i32)
    (local $body i32) (local $length i32)
    (if (local.get $is_zero)
      (then
        (if (call $place (local.get $entry) (local.get $number) (local.get $round))
          (then (memory.fill $cache (local.get $cached) (i32.const 0) (local.get $size))))
        (local.set $body
          (call $begin_record (local.get $to) (local.get $offset) (i64.const 0x02)))
        (i32.store8 $io (local.get $body) (i32.const 0))
        (global.set $zero (i32.add (global.get $zero) (i32.const 1)))
        (return (i32.add (local.get $body) (i32.const 1)))))
    (if (call $find (local.get $entry) (local.get $number) (local.get $round))
      (then
        (local.set $length
          (call $encode (local.get $at) (local.get $cached) (local.get $size)
            (i32.add (local.get $to) (i32.add (global.get $name) (i32.const 11)))))
        (if (i32.ge_s (local.get $length) (i32.const 0))
          (then
            (global.set $encoded (i32.add (global.get $encoded) (i32.const 1)))
            (if (i32.eqz (local.get $length)) (then (return (local.get $to))))
            (local.set $body
              (call $begin_record (local.get $to) (local.get $offset) (i64.const 0x40)))
            ;; The encoding's number and the data's length, before the data.
            (i32.store8 $io (local.get $body) (i32.const 1))
            (i32.store8 $io offset=1 (local.get $body) (i32.shr_u (local.get $length) (i32.const 8)))
            (i32.store8 $io offset=2 (local.get $body) (local.get $length))
            (local.set $length
              (i32.add (i32.add (local.get $body) (i32.const 3)) (local.get $length)))
            (global.set $bytes (i32.add (global.get $bytes)
              (i32.sub (i32.sub (local.get $length) (local.get $to)) (i32.const 8))))
            (return (local.get $length))))
        (global.set $overflows (i32.add (global.get $overflows) (i32.const 1)))
        (global.set $bytes (i32.add (global.get $bytes) (local.get $size))))
      (else
        (global.set $misses (i32.add (global.get $misses) (i32.const 1)))
        (local.set $length (i32.const 0))
        (if (i32.eqz (local.get $last))
          (then
            (local.set $length (call $place (local.get $entry) (local.get $number) (local.get $round)))))
        (if (local.get $length)
          (then (memory.copy $cache $ram (local.get $cached) (local.get $at) (local.get $size))))))
    (local.set $body (call $begin_record (local.get $to) (local.get $offset) (i64.const 0x08)))
    ;; From the cache, if the page is there: the guest may have written it meanwhile.
    (if (local.get $length)
      (then (memory.copy $io $cache (local.get $body) (local.get $cached) (local.get $size)))
      (else (memory.copy $io $ram (local.get $body) (local.get $at) (local.get $size))))
    (global.set $normal (i32.add (global.get $normal) (i32.const 1)))
    (i32.add (local.get $body) (local.get $size)))

  ;; encode_pages(first page in the block, how many, the first one's address, its address in the cache, its
  ;;              entry in the table, page size, its number in all RAM, bitmap of dirty pages or -1, bitmap
  ;;              of untouched pages or -1, look for zeros?, round, the last stage?, where in $io, name length)
  ;; Claims those of a row's pages that are dirty, or takes all as claimed; writes a record for each of them
  ;; that needs one, and returns where the next one goes. With a name length above 0 the first record
  ;; carries the counted string that begins $io, the others say CONTINUE. The row must not cross the end of
  ;; a memory or of the cache. Room is needed for whole pages with their headers, and 19 bytes more.
  (func (export "encode_pages")
    (param $first i32) (param $count i32) (param $at i32) (param $cached i32) (param $entry i32)
    (param $size i32) (param $number i64) (param $dirty i32) (param $untouched i32) (param $detect i32)
    (param $round i32) (param $last i32) (param $out i32) (param $name_length i32)
    (result i32)
    (local $page i32) (local $end i32) (local $width i32) (local $claimed i32) (local $clean i32)
    (local $word i32) (local $index i32) (local $is_zero i32) (local $address i32)
    (global.set $normal (i32.const 0))
    (global.set $zero (i32.const 0))
    (global.set $encoded (i32.const 0))
    (global.set $misses (i32.const 0))
    (global.set $overflows (i32.const 0))
    (global.set $bytes (i32.const 0))
    (global.set $name (local.get $name_length))
    (local.set $page (local.get $first))
    (local.set $end (i32.add (local.get $first) (local.get $count)))
    (block $done
      (loop $words
        (br_if $done (i32.ge_u (local.get $page) (local.get $end)))
        (local.set $width (i32.sub (i32.const 32) (i32.and (local.get $page) (i32.const 31))))
        (if (i32.gt_u (local.get $width) (i32.sub (local.get $end) (local.get $page)))
          (then (local.set $width (i32.sub (local.get $end) (local.get $page)))))
        (local.set $claimed
          (i32.shl
            (i32.shr_u (i32.const -1) (i32.sub (i32.const 32) (local.get $width)))
            (i32.and (local.get $page) (i32.const 31))))
        (local.set $word (i32.shl (i32.shr_u (local.get $page) (i32.const 5)) (i32.const 2)))
        (if (i32.ne (local.get $dirty) (i32.const -1))
          (then
            ;; The bit is cleared before the page is read: see batch/claim.ts.
            (local.set $claimed (i32.and (local.get $claimed)
              (i32.atomic.load $tables (i32.add (local.get $dirty) (local.get $word)))))
            (if (local.get $claimed)
              (then
                (local.set $claimed (i32.and (local.get $claimed)
                  (i32.atomic.rmw.and $tables (i32.add (local.get $dirty) (local.get $word))
                    (i32.xor (local.get $claimed) (i32.const -1)))))))))
        ;; A page that nobody ever touched is not read: reading would make the kernel map it.
        (local.set $clean (i32.const 0))
        (if (i32.ne (local.get $untouched) (i32.const -1))
          (then
            (local.set $clean
              (i32.atomic.load $tables (i32.add (local.get $untouched) (local.get $word))))))
        (block $word_done
          (loop $pages
            (br_if $word_done (i32.eqz (local.get $claimed)))
            ;; How far the page is from the first one.
            (local.set $index
              (i32.sub
                (i32.or (i32.and (local.get $page) (i32.const -32)) (i32.ctz (local.get $claimed)))
                (local.get $first)))
            (local.set $address
              (i32.add (local.get $at) (i32.mul (local.get $index) (local.get $size))))
            (local.set $is_zero
              (i32.and (i32.const 1) (i32.shr_u (local.get $clean) (i32.ctz (local.get $claimed)))))
            (if (i32.and (local.get $detect) (i32.eqz (local.get $is_zero)))
              (then (local.set $is_zero (call $is_zero (local.get $address) (local.get $size)))))
            (local.set $out
              (call $send_page
                (local.get $address)
                (i32.add (local.get $cached) (i32.mul (local.get $index) (local.get $size)))
                (i32.add (local.get $entry) (i32.shl (local.get $index) (i32.const 4)))
                (local.get $size)
                (i64.mul (i64.extend_i32_u (i32.add (local.get $first) (local.get $index)))
                  (i64.extend_i32_u (local.get $size)))
                (i64.add (local.get $number) (i64.extend_i32_u (local.get $index)))
                (local.get $is_zero) (local.get $round) (local.get $last) (local.get $out)))
            (local.set $claimed
              (i32.and (local.get $claimed) (i32.sub (local.get $claimed) (i32.const 1))))
            (br $pages)))
        (local.set $page (i32.add (local.get $page) (local.get $width)))
        (br $words)))
    (local.get $out)))
