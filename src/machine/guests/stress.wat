;; The guest `stress`: writes page after page in a fixed, scattered order, sweep after sweep. What a page
;; holds follows from the seed, its number and its generation (how often it has been written), and the
;; generation from the cursor: so the cursor says the exact content of every page.
;;
;; Generation 0 is zeros. A later one is, by the dice of its key, zeros, text or random words. With
;; one-word writes, generations from 2 on are the first one with one word replaced.
(module
  (import "env" "memory" (memory $ram 1 65536 shared))
  (import "ferry" "ensure" (func $ensure (param i32 i32)))
  (import "ferry" "mark" (func $mark (param i32 i32)))
  ;; The instance's own: a page at 0, where pages are made, and the text at 64 KiB.
  (memory $own (export "own") 2)

  ;; Device state: the next place in the order and how many sweeps are complete.
  (global $cursor (export "cursor") (mut i32) (i32.const 0))
  (global $sweep (export "sweep") (mut i32) (i32.const 0))
  ;; The share of this instance and what is written there, see setup() and style().
  (global $base (mut i32) (i32.const 0))
  (global $pages (mut i32) (i32.const 0))
  (global $size (mut i32) (i32.const 0))
  (global $first (mut i32) (i32.const 0))
  (global $seed (mut i64) (i64.const 0))
  (global $stride (mut i32) (i32.const 1))
  (global $inverse (mut i32) (i32.const 1))
  (global $zero (mut i32) (i32.const 0))
  (global $text (mut i32) (i32.const 0))
  (global $words (mut i32) (i32.const 0))

  ;; setup(address of the first page, pages, page size, number of the first page, seed)
  (func (export "setup")
    (param $base i32) (param $pages i32) (param $size i32) (param $first i32) (param $seed i64)
    (global.set $base (local.get $base))
    (global.set $pages (local.get $pages))
    (global.set $size (local.get $size))
    (global.set $first (local.get $first))
    (global.set $seed (local.get $seed)))

  ;; style(stride and its inverse modulo the pages, dice below which a page is zeros, is zeros or text,
  ;; whether to write one word)
  (func (export "style")
    (param $stride i32) (param $inverse i32) (param $zero i32) (param $text i32) (param $words i32)
    (global.set $stride (local.get $stride))
    (global.set $inverse (local.get $inverse))
    (global.set $zero (local.get $zero))
    (global.set $text (local.get $text))
    (global.set $words (local.get $words)))

  (func $address (param $page i32) (result i32)
    (i32.add (global.get $base) (i32.mul (local.get $page) (global.get $size))))

  ;; The finalizer of SplitMix64: every bit of the result depends on every bit of the argument.
  (func $mix (param $x i64) (result i64)
    (local.set $x (i64.mul
      (i64.xor (local.get $x) (i64.shr_u (local.get $x) (i64.const 30)))
      (i64.const 0xbf58476d1ce4e5b9)))
    (local.set $x (i64.mul
      (i64.xor (local.get $x) (i64.shr_u (local.get $x) (i64.const 27)))
      (i64.const 0x94d049bb133111eb)))
    (i64.xor (local.get $x) (i64.shr_u (local.get $x) (i64.const 31))))

  ;; What a page's content is made from.
  (func $key (param $page i32) (param $generation i32) (result i64)
    (call $mix (i64.add
      (call $mix (i64.add
        (global.get $seed)
        (i64.extend_i32_u (i32.add (global.get $first) (local.get $page)))))
      (i64.extend_i32_u (local.get $generation)))))

  ;; Four words for a generator, none of them zero.
  (func $lanes (param $key i64) (result v128)
    (v128.or
      (v128.const i32x4 1 1 1 1)
      (i64x2.replace_lane 1
        (i64x2.splat (call $mix (local.get $key)))
        (call $mix (i64.add (local.get $key) (i64.const 0x9e3779b97f4a7c15))))))

  ;; The next words of four xorshift generators.
  (func $shift (param $x v128) (result v128)
    (local.set $x (v128.xor (local.get $x) (i32x4.shl (local.get $x) (i32.const 13))))
    (local.set $x (v128.xor (local.get $x) (i32x4.shr_u (local.get $x) (i32.const 17))))
    (v128.xor (local.get $x) (i32x4.shl (local.get $x) (i32.const 5))))

  (func $make_random (param $key i64)
    (local $at i32) (local $a v128) (local $b v128)
    (local.set $a (call $lanes (local.get $key)))
    (local.set $b (call $lanes (i64.xor (local.get $key) (i64.const -1))))
    (loop $next
      (v128.store $own (local.get $at) (local.tee $a (call $shift (local.get $a))))
      (v128.store $own offset=16 (local.get $at) (local.tee $b (call $shift (local.get $b))))
      (br_if $next (i32.ne
        (local.tee $at (i32.add (local.get $at) (i32.const 32)))
        (global.get $size)))))

  ;; Pieces of the text, 64 bytes from any of its first 4096 places.
  (func $make_text (param $key i64)
    (local $at i32) (local $from i32) (local $dice v128)
    (local.set $dice (call $lanes (local.get $key)))
    (loop $next
      (local.set $dice (call $shift (local.get $dice)))
      (local.set $from (i32.add
        (i32.const 65536)
        (i32.and (i32x4.extract_lane 0 (local.get $dice)) (i32.const 4095))))
      (v128.store $own (local.get $at) (v128.load $own (local.get $from)))
      (v128.store $own offset=16 (local.get $at) (v128.load $own offset=16 (local.get $from)))
      (v128.store $own offset=32 (local.get $at) (v128.load $own offset=32 (local.get $from)))
      (v128.store $own offset=48 (local.get $at) (v128.load $own offset=48 (local.get $from)))
      (br_if $next (i32.ne
        (local.tee $at (i32.add (local.get $at) (i32.const 64)))
        (global.get $size)))))

  ;; Where one-word writes go in a page.
  (func $word (param $page i32) (result i32)
    (i32.mul
      (i32.rem_u (local.get $page) (i32.div_u (global.get $size) (i32.const 8)))
      (i32.const 8)))

  ;; make(page, generation): makes the page's content in $own.
  (func $make (export "make") (param $page i32) (param $generation i32)
    (local $key i64) (local $dice i32)
    (local.set $key (call $key
      (local.get $page)
      (select (i32.const 1) (local.get $generation)
        (i32.and (global.get $words) (i32.gt_u (local.get $generation) (i32.const 1))))))
    (local.set $dice (i32.rem_u (i32.wrap_i64 (local.get $key)) (i32.const 100)))
    (if (i32.or
          (i32.eqz (local.get $generation))
          (i32.lt_u (local.get $dice) (global.get $zero)))
      (then (memory.fill $own (i32.const 0) (i32.const 0) (global.get $size)))
      (else
        (if (i32.lt_u (local.get $dice) (global.get $text))
          (then (call $make_text (local.get $key)))
          (else (call $make_random (local.get $key))))))
    (if (i32.and (global.get $words) (i32.gt_u (local.get $generation) (i32.const 1)))
      (then (i64.store $own
        (call $word (local.get $page))
        (call $key (local.get $page) (local.get $generation))))))

  ;; Writes a page's next generation.
  (func $write (param $page i32) (param $generation i32)
    (local $at i32)
    (local.set $at (call $address (local.get $page)))
    (call $ensure (local.get $at) (global.get $size))
    (if (i32.and (global.get $words) (i32.gt_u (local.get $generation) (i32.const 1)))
      (then (i64.store $ram
        (i32.add (local.get $at) (call $word (local.get $page)))
        (call $key (local.get $page) (local.get $generation))))
      (else
        (call $make (local.get $page) (local.get $generation))
        (memory.copy $ram $own (local.get $at) (i32.const 0) (global.get $size))))
    ;; After the stores: whoever takes the mark sees what was stored.
    (call $mark (local.get $at) (global.get $size)))

  ;; step(pages): writes the next so many pages, or fewer to the sweep's end. Returns how many.
  (func (export "step") (param $most i32) (result i32)
    (local $left i32)
    (local.set $left (i32.sub (global.get $pages) (global.get $cursor)))
    (if (i32.lt_u (local.get $most) (local.get $left)) (then (local.set $left (local.get $most))))
    (local.set $most (local.get $left))
    (if (i32.eqz (local.get $left)) (then (return (i32.const 0))))
    (loop $next
      (call $write
        (call $times (global.get $cursor) (global.get $stride))
        (i32.add (global.get $sweep) (i32.const 1)))
      (global.set $cursor (i32.add (global.get $cursor) (i32.const 1)))
      (br_if $next (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
    (if (i32.eq (global.get $cursor) (global.get $pages))
      (then
        (global.set $cursor (i32.const 0))
        (global.set $sweep (i32.add (global.get $sweep) (i32.const 1)))))
    (local.get $most))

  ;; A product modulo the pages: from place to page with the stride, and back with its inverse.
  (func $times (param $a i32) (param $b i32) (result i32)
    (i32.wrap_i64 (i64.rem_u
      (i64.mul (i64.extend_i32_u (local.get $a)) (i64.extend_i32_u (local.get $b)))
      (i64.extend_i32_u (global.get $pages)))))

  ;; expected(page): the generation the page must be of.
  (func $expected (export "expected") (param $page i32) (result i32)
    (i32.add
      (global.get $sweep)
      (i32.lt_u (call $times (local.get $page) (global.get $inverse)) (global.get $cursor))))

  ;; same(page): whether the page is what was made.
  (func $same (export "same") (param $page i32) (result i32)
    (local $at i32) (local $own i32) (local $wrong v128)
    (local.set $at (call $address (local.get $page)))
    (loop $next
      (local.set $wrong (v128.or
        (v128.or
          (local.get $wrong)
          (v128.xor
            (v128.load $ram (local.get $at))
            (v128.load $own (local.get $own))))
        (v128.xor
          (v128.load $ram offset=16 (local.get $at))
          (v128.load $own offset=16 (local.get $own)))))
      (local.set $at (i32.add (local.get $at) (i32.const 32)))
      (br_if $next (i32.ne
        (local.tee $own (i32.add (local.get $own) (i32.const 32)))
        (global.get $size))))
    (i32.eqz (v128.any_true (local.get $wrong))))

  ;; check(from, pages): the first wrong one of these pages, or from + pages.
  (func (export "check") (param $page i32) (param $pages i32) (result i32)
    (local $last i32)
    (local.set $last (i32.add (local.get $page) (local.get $pages)))
    (block $done
      (loop $next
        (br_if $done (i32.eq (local.get $page) (local.get $last)))
        (call $make (local.get $page) (call $expected (local.get $page)))
        (br_if $done (i32.eqz (call $same (local.get $page))))
        (local.set $page (i32.add (local.get $page) (i32.const 1)))
        (br $next)))
    (local.get $page)))
