/* Lets QEMU's encoder and decoder work on many pages a call. */
#include "shim.h"
#include "migration/xbzrle.h"

#define EXPORTED __attribute__((visibility("default")))

/*
 * Encodes pages and does nothing else. The data of all pages is written to `out`, one behind the other;
 * `lengths` gets what the encoder returned for each.
 */
EXPORTED void encode_pages(uint8_t *old, uint8_t *now, int32_t pages, int32_t size, uint8_t *out,
                           int32_t *lengths)
{
    for (int32_t page = 0; page < pages; page++, old += size, now += size) {
        int length = xbzrle_encode_buffer(old, now, size, out, size);
        lengths[page] = length;
        out += length > 0 ? length : 0;
    }
}

/*
 * The same, with what keeps a page that the guest writes meanwhile from becoming three different ones: it
 * is copied first, and the copy is encoded and becomes what the cache has.
 */
EXPORTED void encode_pages_safely(uint8_t *old, uint8_t *now, int32_t pages, int32_t size, uint8_t *out,
                                  int32_t *lengths, uint8_t *copy)
{
    for (int32_t page = 0; page < pages; page++, old += size, now += size) {
        memcpy(copy, now, size);
        int length = xbzrle_encode_buffer(old, copy, size, out, size);
        if (length != 0) {
            memcpy(old, copy, size);
        }
        lengths[page] = length;
        out += length > 0 ? length : 0;
    }
}

/* Applies what they wrote. Returns how many pages were refused. */
EXPORTED int32_t decode_pages(uint8_t *data, const int32_t *lengths, int32_t pages, int32_t size,
                              uint8_t *to)
{
    int32_t refused = 0;
    for (int32_t page = 0; page < pages; page++, to += size) {
        if (lengths[page] <= 0) {
            continue;
        }
        refused += xbzrle_decode_buffer(data, lengths[page], to, size) < 0;
        data += lengths[page];
    }
    return refused;
}
