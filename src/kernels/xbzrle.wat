;; A page's differences to what was sent of it before (wire-format §5.7): guest RAM and the cache → an
;; XBZRLE record's data in a sending buffer.
;; $ram is the memory the page lies in, $cache the one with the page as it was sent, $io the buffer.
(module
  (import "env" "ram" (memory $ram 1 65536 shared))
  (import "env" "cache" (memory $cache 1 65536 shared))
  (import "env" "io" (memory $io 1 65536 shared))

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
  (func (export "encode") (param $at i32) (param $cached i32) (param $size i32) (param $to i32)
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

  ;; keep(the page's address, its address in the cache, page size): the page into the cache.
  (func (export "keep") (param $at i32) (param $cached i32) (param $size i32)
    (memory.copy $cache $ram (local.get $cached) (local.get $at) (local.get $size)))

  ;; copy(the page's address, page size, where in $io): the page out of RAM.
  (func (export "copy") (param $at i32) (param $size i32) (param $to i32)
    (memory.copy $io $ram (local.get $to) (local.get $at) (local.get $size)))

  ;; clear(its address in the cache, page size): zeros into the cache.
  (func (export "clear") (param $cached i32) (param $size i32)
    (memory.fill $cache (local.get $cached) (i32.const 0) (local.get $size)))

  ;; send(its address in the cache, page size, where in $io): the page out of the cache.
  (func (export "send") (param $cached i32) (param $size i32) (param $to i32)
    (memory.copy $io $cache (local.get $to) (local.get $cached) (local.get $size))))
