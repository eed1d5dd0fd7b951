/* SPDX-License-Identifier: ISC */
/*
 * symtab.h: looking in an image's symbols without a machine. For core/ only.
 */
#ifndef UKVM_DEBUG_SYMTAB_H
#define UKVM_DEBUG_SYMTAB_H

#include "core/image.h"

#define UK_SYMTAB_NEAREST_MAX 8

/*
 * Names like (name), the likest first, into (names), at most (max) and
 * UK_SYMTAB_NEAREST_MAX. Returns how many.
 */
size_t uk_symtab_nearest(const struct uk_symbols *s, const char *name, const char *names[],
                         size_t max);
/* "leaf", "leaf+0x4", or "0x10100d" without a symbol. Returns (buf). */
const char *uk_symtab_format(const struct uk_symbols *s, ukvm_gva_t addr, char *buf, size_t size);

#endif /* UKVM_DEBUG_SYMTAB_H */
