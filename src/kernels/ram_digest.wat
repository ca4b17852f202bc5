;; A digest of RAM: 64 bits a page, of its bytes and its number, summed over the pages. The inner loop is
;; that of XXH3 (a product of the two halves of each keyed word is added to its neighbour's sum), with
;; keys that move from stripe to stripe, so that equal bytes in another order give another digest.
(module
  (import "env" "ram" (memory $ram 1 65536 shared))

  (func $mix (param $x i64) (result i64)
    (local.set $x (i64.mul
      (i64.xor (local.get $x) (i64.shr_u (local.get $x) (i64.const 32)))
      (i64.const 0xd6e8feb86659fd93)))
    (local.set $x (i64.mul
      (i64.xor (local.get $x) (i64.shr_u (local.get $x) (i64.const 32)))
      (i64.const 0xd6e8feb86659fd93)))
    (i64.xor (local.get $x) (i64.shr_u (local.get $x) (i64.const 32))))

  ;; One vector into one sum.
  (func $add (param $sum v128) (param $words v128) (param $key v128) (result v128)
    (local $keyed v128)
    (local.set $keyed (v128.xor (local.get $words) (local.get $key)))
    (i64x2.add
      (i64x2.add
        (local.get $sum)
        ;; The words themselves, in the neighbour's lane: a product with a zero half keeps them.
        (i8x16.shuffle 8 9 10 11 12 13 14 15 0 1 2 3 4 5 6 7 (local.get $words) (local.get $words)))
      (i64x2.extmul_low_i32x4_u
        (i8x16.shuffle 0 1 2 3 8 9 10 11 0 1 2 3 8 9 10 11 (local.get $keyed) (local.get $keyed))
        (i8x16.shuffle 4 5 6 7 12 13 14 15 4 5 6 7 12 13 14 15 (local.get $keyed) (local.get $keyed)))))

  (func $fold (param $total i64) (param $sum v128) (result i64)
    (call $mix (i64.add
      (call $mix (i64.add (local.get $total) (i64x2.extract_lane 0 (local.get $sum))))
      (i64x2.extract_lane 1 (local.get $sum)))))

  (func $page (param $at i32) (param $size i32) (param $number i32) (result i64)
    (local $end i32) (local $key v128)
    (local $a v128) (local $b v128) (local $c v128) (local $d v128)
    (local.set $end (i32.add (local.get $at) (local.get $size)))
    (local.set $key (v128.const i64x2 0x9e3779b185ebca87 0xc2b2ae3d27d4eb4f))
    (local.set $b (v128.const i64x2 1 2))
    (local.set $c (v128.const i64x2 3 4))
    (local.set $d (v128.const i64x2 5 6))
    (loop $next
      (local.set $a (call $add
        (local.get $a) (v128.load (local.get $at)) (local.get $key)))
      (local.set $b (call $add
        (local.get $b) (v128.load offset=16 (local.get $at)) (local.get $key)))
      (local.set $c (call $add
        (local.get $c) (v128.load offset=32 (local.get $at)) (local.get $key)))
      (local.set $d (call $add
        (local.get $d) (v128.load offset=48 (local.get $at)) (local.get $key)))
      (local.set $key (i64x2.add
        (local.get $key)
        (v128.const i64x2 0x165667b19e3779f9 0x27d4eb2f165667c5)))
      (br_if $next (i32.ne
        (local.tee $at (i32.add (local.get $at) (i32.const 64)))
        (local.get $end))))
    (call $fold
      (call $fold
        (call $fold
          (call $fold (i64.extend_i32_u (local.get $number)) (local.get $a))
          (local.get $b))
        (local.get $c))
      (local.get $d)))

  ;; digest(address, page size, pages, number of the first page): the sum of these pages' digests.
  (func (export "digest")
    (param $at i32) (param $size i32) (param $pages i32) (param $number i32) (result i64)
    (local $sum i64)
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $pages)))
        (local.set $sum (i64.add
          (local.get $sum)
          (call $page (local.get $at) (local.get $size) (local.get $number))))
        (local.set $at (i32.add (local.get $at) (local.get $size)))
        (local.set $number (i32.add (local.get $number) (i32.const 1)))
        (local.set $pages (i32.sub (local.get $pages) (i32.const 1)))
        (br $next)))
    (local.get $sum)))
