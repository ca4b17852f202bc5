;; A 128-bit digest of a page, and the loop that finds the pages whose digest changed.
;;
;; The digest is NH, the universal hash of UMAC (Black, Halevi, Krawczyk, Krovetz, Rogaway, 1999), twice:
;; each time the sum, modulo 2^64, of (a + key) * (b + key) over pairs of 32-bit words a, b. The second
;; time uses the same random key, moved by 32 bytes (UMAC's Toeplitz construction). For any two different
;; pages the chance, over keys, that both sums agree is at most 2^-64: no guest can aim for it, since
;; it does not know the key. A word's partner is 16 bytes further on, which suits vectors.
;;
;; The memory `digests` begins with the digest of a page of zeros (16 bytes), the key follows at 64.
;; A digest of all zero bits stands for "none": a page that truly had it would only be sent too often.
(module
  ;; What is digested: guest RAM, or the staging memory that it was copied to.
  (import "env" "pages" (memory $pages 1 65536 shared))
  (import "env" "staging" (memory $staging 1 65536 shared))
  (import "env" "digests" (memory $digests 1 65536 shared))
  ;; The bitmaps.
  (import "env" "tables" (memory $tables 1 65536 shared))

  ;; digest(address, size): size is a multiple of 64.
  (func $digest (param $at i32) (param $size i32) (result v128)
    (local $key i32)
    (local $a v128) (local $b v128) (local $x v128) (local $y v128)
    (local $key0 v128) (local $key1 v128) (local $key2 v128) (local $key3 v128)
    (local $sum1 v128) (local $sum2 v128)
    (local.set $key0 (v128.load $digests offset=64 (i32.const 0)))
    (local.set $key1 (v128.load $digests offset=80 (i32.const 0)))
    (loop $next
      ;; 32 bytes: the key of the second sum is that of the first sum 32 bytes later.
      (local.set $a (v128.load $pages (local.get $at)))
      (local.set $b (v128.load $pages offset=16 (local.get $at)))
      (local.set $key2 (v128.load $digests offset=96 (local.get $key)))
      (local.set $key3 (v128.load $digests offset=112 (local.get $key)))
      (local.set $x (i32x4.add (local.get $a) (local.get $key0)))
      (local.set $y (i32x4.add (local.get $b) (local.get $key1)))
      (local.set $sum1 (i64x2.add (local.get $sum1) (i64x2.add
        (i64x2.extmul_low_i32x4_u (local.get $x) (local.get $y))
        (i64x2.extmul_high_i32x4_u (local.get $x) (local.get $y)))))
      (local.set $x (i32x4.add (local.get $a) (local.get $key2)))
      (local.set $y (i32x4.add (local.get $b) (local.get $key3)))
      (local.set $sum2 (i64x2.add (local.get $sum2) (i64x2.add
        (i64x2.extmul_low_i32x4_u (local.get $x) (local.get $y))
        (i64x2.extmul_high_i32x4_u (local.get $x) (local.get $y)))))
      ;; The next 32 bytes, with the roles of the key's registers exchanged.
      (local.set $a (v128.load $pages offset=32 (local.get $at)))
      (local.set $b (v128.load $pages offset=48 (local.get $at)))
      (local.set $key0 (v128.load $digests offset=128 (local.get $key)))
      (local.set $key1 (v128.load $digests offset=144 (local.get $key)))
      (local.set $x (i32x4.add (local.get $a) (local.get $key2)))
      (local.set $y (i32x4.add (local.get $b) (local.get $key3)))
      (local.set $sum1 (i64x2.add (local.get $sum1) (i64x2.add
        (i64x2.extmul_low_i32x4_u (local.get $x) (local.get $y))
        (i64x2.extmul_high_i32x4_u (local.get $x) (local.get $y)))))
      (local.set $x (i32x4.add (local.get $a) (local.get $key0)))
      (local.set $y (i32x4.add (local.get $b) (local.get $key1)))
      (local.set $sum2 (i64x2.add (local.get $sum2) (i64x2.add
        (i64x2.extmul_low_i32x4_u (local.get $x) (local.get $y))
        (i64x2.extmul_high_i32x4_u (local.get $x) (local.get $y)))))
      (local.set $at (i32.add (local.get $at) (i32.const 64)))
      (local.set $key (i32.add (local.get $key) (i32.const 64)))
      (br_if $next (i32.lt_u (local.get $key) (local.get $size))))
    ;; Lanes of sum1 into the low half, of sum2 into the high half.
    (i64x2.add
      (i8x16.shuffle 0 1 2 3 4 5 6 7 16 17 18 19 20 21 22 23
        (local.get $sum1) (local.get $sum2))
      (i8x16.shuffle 8 9 10 11 12 13 14 15 24 25 26 27 28 29 30 31
        (local.get $sum1) (local.get $sum2))))

  ;; record(address, size, digest): notes the digest of a page.
  (func (export "record") (param $at i32) (param $size i32) (param $digest i32)
    (v128.store $digests (local.get $digest) (call $digest (local.get $at) (local.get $size))))

  ;; forget(digest): from now on there is none. The fence keeps a later read of the page from being
  ;; done before others can see that.
  (func $forget (export "forget") (param $digest i32)
    (i64.atomic.store $digests (local.get $digest) (i64.const 0))
    (i64.atomic.store $digests offset=8 (local.get $digest) (i64.const 0))
    (atomic.fence))

  ;; take(address, staging, size, digest): forgets the page's digest, then copies the page.
  (func (export "take")
    (param $at i32) (param $staging i32) (param $size i32) (param $digest i32)
    (call $forget (local.get $digest))
    (memory.copy $staging $pages (local.get $staging) (local.get $at) (local.get $size)))

  ;; compare(address, size, digest, dirty, untouched, page, pages): for the pages from `page` on, the
  ;; first of which is at `address`: sets the bit in the bitmap `dirty` of those that do not have
  ;; their digest any more, and clears it in `untouched`. Gives how many bits were set newly.
  (func (export "compare")
    (param $at i32) (param $size i32) (param $digest i32)
    (param $dirty i32) (param $untouched i32) (param $page i32) (param $pages i32)
    (result i32)
    (local $word i32) (local $bit i32) (local $recorded v128) (local $found i32)
    (block $done
      (br_if $done (i32.eqz (local.get $pages)))
      (loop $next
        (local.set $word (i32.shl (i32.shr_u (local.get $page) (i32.const 5)) (i32.const 2)))
        (local.set $bit (i32.shl (i32.const 1) (local.get $page)))
        (block $same
          ;; Dirty already: it will be sent, whatever it holds.
          (br_if $same (i32.and (local.get $bit)
            (i32.atomic.load $tables (i32.add (local.get $dirty) (local.get $word)))))
          (local.set $recorded (v128.load $digests (local.get $digest)))
          (block $changed
            (if (i32.eqz (v128.any_true (local.get $recorded)))
              (then
                ;; Never sent: as if zeros had been sent if it was untouched, else it must be sent.
                (br_if $changed (i32.eqz (i32.and (local.get $bit)
                  (i32.atomic.load $tables (i32.add (local.get $untouched) (local.get $word))))))
                (local.set $recorded (v128.load $digests (i32.const 0)))))
            (br_if $same (i32.eqz (v128.any_true (v128.xor (local.get $recorded)
              (call $digest (local.get $at) (local.get $size)))))))
          (drop (i32.atomic.rmw.and $tables (i32.add (local.get $untouched) (local.get $word))
            (i32.xor (local.get $bit) (i32.const -1))))
          (if (i32.eqz (i32.and (local.get $bit)
                (i32.atomic.rmw.or $tables (i32.add (local.get $dirty) (local.get $word))
                  (local.get $bit))))
            (then (local.set $found (i32.add (local.get $found) (i32.const 1))))))
        (local.set $at (i32.add (local.get $at) (local.get $size)))
        (local.set $digest (i32.add (local.get $digest) (i32.const 16)))
        (local.set $page (i32.add (local.get $page) (i32.const 1)))
        (br_if $next (local.tee $pages (i32.sub (local.get $pages) (i32.const 1))))))
    (local.get $found)))
