;; The guest `beat`: adds one to the first word of every page, page after page, sweep after sweep. So at
;; any instant the counts fall by one at the cursor and nowhere else, and what the cursor says is the
;; exact content of every page: its count, and in every other word the page's own address.
;;
;;   word 0   count (32 bits, little-endian)    zero, as the whole page is, before the first beat
;;   word 1   page number in the block
;;   word 2   the block's tag, word 3 the page number, word 4 the tag, ...
(module
  (import "env" "memory" (memory $ram 1 65536 shared))
  (import "ferry" "ensure" (func $ensure (param i32 i32)))
  (import "ferry" "mark" (func $mark (param i32 i32)))

  ;; Device state: the next page and how many sweeps are complete.
  (global $cursor (export "cursor") (mut i32) (i32.const 0))
  (global $sweep (export "sweep") (mut i32) (i32.const 0))
  ;; The share of this instance, see setup().
  (global $base (mut i32) (i32.const 0))
  (global $pages (mut i32) (i32.const 0))
  (global $size (mut i32) (i32.const 0))
  (global $first (mut i32) (i32.const 0))
  (global $tag (mut i32) (i32.const 0))

  ;; setup(address of the first page, pages, page size, number of the first page, tag of the block)
  (func (export "setup")
    (param $base i32) (param $pages i32) (param $size i32) (param $first i32) (param $tag i32)
    (global.set $base (local.get $base))
    (global.set $pages (local.get $pages))
    (global.set $size (local.get $size))
    (global.set $first (local.get $first))
    (global.set $tag (local.get $tag)))

  (func $address (param $page i32) (result i32)
    (i32.add (global.get $base) (i32.mul (local.get $page) (global.get $size))))

  ;; The words of a page that has had a beat, four at a time; the first of them makes way for the count.
  (func $pattern (param $page i32) (result v128)
    (local $number i32)
    (local.set $number (i32.add (global.get $first) (local.get $page)))
    (i32x4.replace_lane 3
      (i32x4.replace_lane 1 (i32x4.splat (global.get $tag)) (local.get $number))
      (local.get $number)))

  ;; step(pages): a beat for the next so many pages, or fewer to the sweep's end. Returns how many.
  (func (export "step") (param $most i32) (result i32)
    (local $at i32) (local $bytes i32) (local $left i32) (local $end i32) (local $page i32)
    (local $count i32) (local $words v128)
    (local.set $left (i32.sub (global.get $pages) (global.get $cursor)))
    (if (i32.lt_u (local.get $most) (local.get $left)) (then (local.set $left (local.get $most))))
    (local.set $most (local.get $left))
    (if (i32.eqz (local.get $left)) (then (return (i32.const 0))))
    (local.set $at (call $address (global.get $cursor)))
    (local.set $bytes (i32.mul (local.get $left) (global.get $size)))
    (local.set $page (global.get $cursor))
    (call $ensure (local.get $at) (local.get $bytes))
    (loop $next
      (local.set $count (i32.add (i32.load (local.get $at)) (i32.const 1)))
      (if (i32.eqz (global.get $sweep))
        (then
          (local.set $words (call $pattern (local.get $page)))
          (local.set $end (i32.add (local.get $at) (global.get $size)))
          (loop $fill
            (v128.store (local.get $at) (local.get $words))
            (br_if $fill (i32.ne
              (local.tee $at (i32.add (local.get $at) (i32.const 16)))
              (local.get $end))))
          (local.set $at (i32.sub (local.get $at) (global.get $size)))))
      (i32.store (local.get $at) (local.get $count))
      (local.set $at (i32.add (local.get $at) (global.get $size)))
      (local.set $page (i32.add (local.get $page) (i32.const 1)))
      (br_if $next (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
    ;; After the stores: whoever takes the mark sees what was stored.
    (call $mark (i32.sub (local.get $at) (local.get $bytes)) (local.get $bytes))
    (global.set $cursor (local.get $page))
    (if (i32.eq (local.get $page) (global.get $pages))
      (then
        (global.set $cursor (i32.const 0))
        (global.set $sweep (i32.add (global.get $sweep) (i32.const 1)))))
    (local.get $most))

  ;; expected(page): the count the page must have.
  (func $expected (export "expected") (param $page i32) (result i32)
    (i32.add (global.get $sweep) (i32.lt_u (local.get $page) (global.get $cursor))))

  ;; check(from, pages): the first wrong one of these pages, or from + pages.
  (func (export "check") (param $page i32) (param $pages i32) (result i32)
    (local $at i32) (local $end i32) (local $last i32) (local $count i32)
    (local $head v128) (local $words v128) (local $wrong v128)
    (local.set $last (i32.add (local.get $page) (local.get $pages)))
    (block $done
      (loop $next
        (br_if $done (i32.eq (local.get $page) (local.get $last)))
        (local.set $count (call $expected (local.get $page)))
        (local.set $words (v128.const i32x4 0 0 0 0))
        (if (local.get $count) (then (local.set $words (call $pattern (local.get $page)))))
        (local.set $head (i32x4.replace_lane 0 (local.get $words) (local.get $count)))
        (local.set $wrong (v128.const i32x4 0 0 0 0))
        (local.set $at (call $address (local.get $page)))
        (local.set $end (i32.add (local.get $at) (global.get $size)))
        (loop $more
          (local.set $wrong (v128.or
            (v128.or
              (local.get $wrong)
              (v128.xor (v128.load (local.get $at)) (local.get $head)))
            (v128.or
              (v128.xor (v128.load offset=16 (local.get $at)) (local.get $words))
              (v128.or
                (v128.xor (v128.load offset=32 (local.get $at)) (local.get $words))
                (v128.xor (v128.load offset=48 (local.get $at)) (local.get $words))))))
          (local.set $head (local.get $words))
          (br_if $more (i32.ne
            (local.tee $at (i32.add (local.get $at) (i32.const 64)))
            (local.get $end))))
        (br_if $done (v128.any_true (local.get $wrong)))
        (local.set $page (i32.add (local.get $page) (i32.const 1)))
        (br $next)))
    (local.get $page)))
