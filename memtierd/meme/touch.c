#include "touch.h"

#include <stdint.h>

/* Word by word, with bytes only at ragged ends. A reader and a writer may share bytes of an array, so the
 * accesses are (relaxed) atomic: on every 64-bit machine these are plain loads and stores. */

#define WORD_BYTES sizeof(uint64_t)

/* Bytes before the first whole word. */
static size_t head_bytes(const unsigned char *start, size_t bytes)
{
    size_t head = -(uintptr_t)start & (WORD_BYTES - 1);
    return head < bytes ? head : bytes;
}

static void read_single_bytes(const unsigned char *start, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        unsigned char byte = __atomic_load_n(start + i, __ATOMIC_RELAXED);
        __asm__ volatile("" : : "r"(byte)); /* somebody needs the value: the load has to happen */
    }
}

static void write_single_bytes(unsigned char *start, size_t bytes, unsigned char value)
{
    for (size_t i = 0; i < bytes; i++)
        __atomic_store_n(start + i, value, __ATOMIC_RELAXED);
}

void read_bytes(const unsigned char *start, size_t bytes)
{
    size_t head = head_bytes(start, bytes);
    size_t words = (bytes - head) / WORD_BYTES;
    const uint64_t *word = (const uint64_t *)(const void *)(start + head);
    read_single_bytes(start, head);
    for (size_t i = 0; i < words; i++) {
        uint64_t value = __atomic_load_n(word + i, __ATOMIC_RELAXED);
        __asm__ volatile("" : : "r"(value));
    }
    read_single_bytes(start + head + words * WORD_BYTES, (bytes - head) % WORD_BYTES);
}

void write_bytes(unsigned char *start, size_t bytes, unsigned char value)
{
    size_t head = head_bytes(start, bytes);
    size_t words = (bytes - head) / WORD_BYTES;
    uint64_t *word = (uint64_t *)(void *)(start + head);
    uint64_t pattern = value * UINT64_C(0x0101010101010101);
    write_single_bytes(start, head, value);
    for (size_t i = 0; i < words; i++)
        __atomic_store_n(word + i, pattern, __ATOMIC_RELAXED);
    write_single_bytes(start + head + words * WORD_BYTES, (bytes - head) % WORD_BYTES, value);
    __asm__ volatile("" : : : "memory"); /* the stores of this round may not wait for those of the next */
}
