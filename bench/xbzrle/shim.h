/*
 * What an encoder out of QEMU's source package needs of the rest of it, in few lines: every header that it
 * includes becomes this one.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define g_assert(condition) ((condition) ? (void)0 : abort())

int uleb128_encode_small(uint8_t *out, uint32_t number);
int uleb128_decode_small(const uint8_t *in, uint32_t *number);

/* The variant for AVX-512 is there where QEMU's build has it, and chosen where QEMU chooses it. */
#if defined(__x86_64__)
#define CONFIG_AVX512BW_OPT 1
#define CPUINFO_AVX512BW 1u
static inline unsigned cpuinfo_init(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512bw") ? CPUINFO_AVX512BW : 0;
}
#define ctz64 __builtin_ctzll
#endif
