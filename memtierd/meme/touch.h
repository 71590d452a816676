/* Memory accesses that the compiler can neither drop nor merge away. */
#ifndef MEME_TOUCH_H
#define MEME_TOUCH_H

#include <stddef.h>

/* Read every byte of [start, start + bytes). */
void read_bytes(const unsigned char *start, size_t bytes);

/* Set every byte of [start, start + bytes) to `value`. */
void write_bytes(unsigned char *start, size_t bytes, unsigned char value);

#endif
