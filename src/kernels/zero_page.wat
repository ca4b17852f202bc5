;; Is a page all zeros? 128 bytes at a time: eight vectors, one test.
(module
  (import "env" "ram" (memory $ram 1 65536 shared))

  ;; is_zero(address, length): 1 if all bytes are zero. Both are multiples of 128.
  (func $is_zero (export "is_zero") (param $at i32) (param $length i32) (result i32)
    (local $left i32)
    (local.set $left (local.get $length))
    (loop $next
      (if (v128.any_true
            (v128.or
              (v128.or
                (v128.or (v128.load offset=0 (local.get $at)) (v128.load offset=16 (local.get $at)))
                (v128.or (v128.load offset=32 (local.get $at)) (v128.load offset=48 (local.get $at))))
              (v128.or
                (v128.or (v128.load offset=64 (local.get $at)) (v128.load offset=80 (local.get $at)))
                (v128.or (v128.load offset=96 (local.get $at)) (v128.load offset=112 (local.get $at))))))
        (then (return (i32.const 0))))
      (local.set $at (i32.add (local.get $at) (i32.const 128)))
      (br_if $next (local.tee $left (i32.sub (local.get $left) (i32.const 128)))))
    (i32.const 1))

  ;; count_zero(address, page size, pages): how many of the pages in a row are all zeros.
  (func (export "count_zero") (param $at i32) (param $size i32) (param $pages i32) (result i32)
    (local $zero i32)
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $pages)))
        (local.set $zero (i32.add (local.get $zero) (call $is_zero (local.get $at) (local.get $size))))
        (local.set $at (i32.add (local.get $at) (local.get $size)))
        (local.set $pages (i32.sub (local.get $pages) (i32.const 1)))
        (br $next)))
    (local.get $zero)))
